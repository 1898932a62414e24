/* SPDX-License-Identifier: Apache-2.0
 *
 * The first run is what the others are compared with: the same again, one that is stopped and goes
 * on, one with another number of threads, and one by each half of the ranks at the same time.
 */
#include "run/verify.h"

#include <math.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "base/memory.h"
#include "config/settings.h"
#include "file/h5.h"
#include "run/checkpoint_compare.h"
#include "run/directory.h"
#include "run/job.h"
#include "run/step_name.h"

struct verify {
    struct comm *comm;
    const struct verify_request *request;
    struct verify_report *report;
};

/* One run of the comparison. */
struct trial {
    const char *name;    /* its folder */
    struct comm *comm;   /* whose ranks make it */
    int64_t threads;     /* 0: as the user has it */
    int64_t interrupted; /* stopped after this step and continued; 0: in one go */
};

enum { WORD_BYTES = DIRECTORY_PATH_BYTES + 32 };

/* Whether a word of the command line gives a parameter that a trial gives itself. */
static bool is_replaced(const char *word, bool threads) {
    static const char *const names[] = {"run.directory=", "run.steps=", "parallel.threads="};
    for (int i = 0; i < (threads ? 3 : 2); i++)
        if (strncmp(word, names[i], strlen(names[i])) == 0)
            return true;
    return false;
}

static enum status trial_path(const struct verify *verify, const struct trial *trial,
                              char out[DIRECTORY_PATH_BYTES]) {
    return directory_path(verify->request->directory, out, trial->name);
}

/* The user's settings with those of the trial in place of them. */
static enum status trial_settings(const struct verify *verify, const struct trial *trial,
                                  struct settings *settings) {
    const struct verify_request *request = verify->request;
    char directory[DIRECTORY_PATH_BYTES], texts[3][WORD_BYTES], **words;
    int count = 0;
    TRY(trial_path(verify, trial, directory));
    TRY(memory_new(&words, request->word_count + 3, "settings of a run"));
    for (int i = 0; i < request->word_count; i++)
        if (!is_replaced(request->words[i], trial->threads > 0))
            words[count++] = request->words[i];
    snprintf(texts[0], WORD_BYTES, "run.directory=%s", directory);
    snprintf(texts[1], WORD_BYTES, "run.steps=%lld", (long long)request->steps);
    snprintf(texts[2], WORD_BYTES, "parallel.threads=%lld", (long long)trial->threads);
    for (int i = 0; i < (trial->threads > 0 ? 3 : 2); i++)
        words[count++] = texts[i];
    const enum status status =
        settings_read(request->input, words, count, SETTINGS_FOR_TRAINING, settings);
    memory_release(&words);
    return status;
}

static enum status trial_jobs(const struct trial *trial, const struct settings *settings) {
    const struct job first = {.fresh = true, .stop_after = trial->interrupted},
                     second = {.fresh = false};
    const enum status status = job_run(settings, trial->comm, &first);
    if (trial->interrupted == 0 || status != STATUS_STOPPED)
        return status;
    return job_run(settings, trial->comm, &second);
}

static enum status trial_run(const struct verify *verify, const struct trial *trial) {
    struct settings settings;
    if (trial->comm->rank == 0)
        log_info("verify", "run = %s, ranks = %d", trial->name, trial->comm->size);
    enum status status = comm_agree(trial->comm, trial_settings(verify, trial, &settings));
    if (status == STATUS_OK)
        status = trial_jobs(trial, &settings);
    settings_release(&settings);
    return status;
}

static enum status checkpoint_path(const struct verify *verify, const struct trial *trial,
                                   char out[DIRECTORY_PATH_BYTES]) {
    char name[STEP_NAME_BYTES], inner[STEP_NAME_BYTES + 16], folder[DIRECTORY_PATH_BYTES];
    TRY(trial_path(verify, trial, folder));
    snprintf(inner, sizeof inner, "checkpoints/%s", step_name(name, verify->request->steps));
    return directory_path(folder, out, inner);
}

/* Removes what a trial has left; nothing else lies there. */
static enum status trial_discard(const struct verify *verify, const struct trial *trial) {
    char path[DIRECTORY_PATH_BYTES];
    TRY(trial_path(verify, trial, path));
    return directory_discard(path);
}

/* --- claims --- */

static struct verify_claim *add_claim(const struct verify *verify, const char *text) {
    ASSERT(verify->report->count < VERIFY_CLAIMS_MAX);
    struct verify_claim *claim = &verify->report->claims[verify->report->count++];
    *claim = (struct verify_claim){.text = text, .verdict = VERIFY_NOT_TRIED};
    return claim;
}

/* What rank 0 found goes to all; the text is each process's own. Collective. */
static enum status share_claim(const struct verify *verify, struct verify_claim *claim) {
    const char *text = claim->text;
    const enum status status = comm_broadcast(verify->comm, claim, sizeof *claim, 0);
    claim->text = text;
    return status;
}

/* Rank 0: whether a trial left the checkpoint that the first one did. */
static enum status compare(const struct verify *verify, const struct trial *first,
                           const struct trial *trial, struct verify_claim *claim) {
    char expected[DIRECTORY_PATH_BYTES], path[DIRECTORY_PATH_BYTES], name[CHECKPOINT_NAME_BYTES];
    TRY(checkpoint_path(verify, first, expected));
    TRY(checkpoint_path(verify, trial, path));
    TRY(checkpoint_first_difference(expected, path, name));
    if (name[0] == '\0')
        return trial_discard(verify, trial);
    claim->verdict = VERIFY_FAILS;
    snprintf(claim->detail, sizeof claim->detail, "%s differs first: the runs %s and %s are in %s",
             name, first->name, trial->name, verify->request->directory);
    return STATUS_OK;
}

/* Makes a trial and takes into the claim whether it equals the first. Collective over all ranks. */
static enum status try_claim(const struct verify *verify, const struct trial *first,
                             const struct trial *trial, struct verify_claim *claim) {
    TRY(comm_agree(verify->comm, trial_run(verify, trial)));
    if (claim->verdict == VERIFY_NOT_TRIED)
        claim->verdict = VERIFY_HOLDS;
    TRY(comm_agree(verify->comm,
                   verify->comm->rank == 0 ? compare(verify, first, trial, claim) : STATUS_OK));
    return share_claim(verify, claim);
}

/* Both halves of the ranks make the run, each by itself and at the same time. */
static enum status try_halves(const struct verify *verify, const struct trial *first,
                              struct verify_claim *claim) {
    const int size = verify->comm->size, lower = (size + 1) / 2;
    const int half = verify->comm->rank < lower ? 0 : 1;
    static const char *const names[] = {"fewer-lower", "fewer-upper"};
    struct comm comm;
    TRY(comm_split(verify->comm, half, &comm));
    const struct trial mine = {.name = names[half], .comm = &comm};
    const enum status status = comm_agree(verify->comm, trial_run(verify, &mine));
    comm_close(&comm);
    TRY(status);
    claim->verdict = VERIFY_HOLDS;
    snprintf(claim->detail, sizeof claim->detail, "%d ranks and %d ranks beside %d", lower,
             size - lower, size);
    for (int i = 0; i < 2 && claim->verdict == VERIFY_HOLDS; i++) {
        const struct trial trial = {.name = names[i], .comm = verify->comm};
        TRY(comm_agree(verify->comm, verify->comm->rank == 0 ? compare(verify, first, &trial, claim)
                                                             : STATUS_OK));
        TRY(share_claim(verify, claim));
    }
    return STATUS_OK;
}

/* Rank 0: the largest difference between the sampler's and the trainer's log-probabilities. */
static enum status read_mismatch(const struct verify *verify, const struct trial *first,
                                 double *mismatch) {
    char folder[DIRECTORY_PATH_BYTES], path[DIRECTORY_PATH_BYTES];
    double *values = NULL;
    int64_t n = 0;
    struct h5 *h5;
    TRY(trial_path(verify, first, folder));
    TRY(directory_path(folder, path, "diagnostics.h5"));
    TRY(h5_open(&h5, path));
    const enum status status =
        h5_get_list(h5, "/step/mismatch/logprob_max", H5_KIND_F64, &values, &n);
    (void)h5_close(&h5); /* opened for reading: nothing can be lost */
    *mismatch = n > 0 ? 0.0 : (double)NAN;
    for (int64_t i = 0; status == STATUS_OK && i < n; i++)
        if (!(values[i] <= *mismatch))
            *mismatch = values[i];
    memory_release(&values);
    return status;
}

/* A run without rollouts has no sampler. */
static enum status claim_sampler(const struct verify *verify, const struct trial *first) {
    struct verify_claim *claim = add_claim(verify, "sampler and trainer agree");
    double mismatch = (double)NAN;
    TRY(comm_agree(verify->comm,
                   verify->comm->rank == 0 ? read_mismatch(verify, first, &mismatch) : STATUS_OK));
    TRY(comm_broadcast(verify->comm, &mismatch, sizeof mismatch, 0));
    if (isnan(mismatch)) {
        snprintf(claim->detail, sizeof claim->detail, "nothing is sampled in this run");
        return STATUS_OK;
    }
    claim->verdict = mismatch == 0.0 ? VERIFY_HOLDS : VERIFY_FAILS;
    snprintf(claim->detail, sizeof claim->detail, "largest difference of a log-probability %g",
             mismatch);
    return STATUS_OK;
}

/* The number of threads of the first run is the user's; the other run has one, or two. */
static enum status claim_threads(const struct verify *verify, const struct trial *first) {
    struct verify_claim *claim = add_claim(verify, "the number of threads does not matter");
    struct settings settings;
    TRY(comm_agree(verify->comm, trial_settings(verify, first, &settings)));
    const int64_t threads = settings.parallel.threads == 1 ? 2 : 1;
    settings_release(&settings);
    const struct trial trial = {.name = "threads", .comm = verify->comm, .threads = threads};
    snprintf(claim->detail, sizeof claim->detail, "parallel.threads = %lld", (long long)threads);
    return try_claim(verify, first, &trial, claim);
}

static enum status make_claims(const struct verify *verify, const struct trial *first) {
    const struct trial again = {.name = "again", .comm = verify->comm};
    const struct trial restarted = {
        .name = "restarted", .comm = verify->comm, .interrupted = verify->request->steps / 2};
    TRY(try_claim(verify, first, &again, add_claim(verify, "two runs are equal")));
    struct verify_claim *restart = add_claim(verify, "a restart changes nothing");
    snprintf(restart->detail, sizeof restart->detail, "stopped after step %lld and continued",
             (long long)restarted.interrupted);
    TRY(try_claim(verify, first, &restarted, restart));
    TRY(claim_threads(verify, first));
    struct verify_claim *fewer = add_claim(verify, "the number of ranks does not matter");
    if (verify->comm->size > 1)
        TRY(try_halves(verify, first, fewer));
    else
        snprintf(fewer->detail, sizeof fewer->detail, "there is one rank: start several");
    return claim_sampler(verify, first);
}

static bool all_hold(const struct verify_report *report) {
    for (int i = 0; i < report->count; i++)
        if (report->claims[i].verdict == VERIFY_FAILS)
            return false;
    return true;
}

/* The last that is there, and the folder of all. */
static enum status discard_first(const struct verify *verify, const struct trial *first) {
    TRY(trial_discard(verify, first));
    rmdir(verify->request->directory); /* what is not empty stays */
    return STATUS_OK;
}

enum status verify_run(struct comm *comm, const struct verify_request *request,
                       struct verify_report *report) {
    const struct verify verify = {.comm = comm, .request = request, .report = report};
    const struct trial first = {.name = "first", .comm = comm};
    ASSERT(request->steps >= 2);
    *report = (struct verify_report){.count = 0};
    TRY(comm_agree(comm, trial_run(&verify, &first)));
    TRY(make_claims(&verify, &first));
    return comm_agree(comm, comm->rank == 0 && all_hold(report) ? discard_first(&verify, &first)
                                                                : STATUS_OK);
}
