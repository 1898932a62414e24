/* SPDX-License-Identifier: Apache-2.0 */
#include "run/evaluation_job.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/stop.h"
#include "eval/draw.h"
#include "eval/evaluation_file.h"
#include "eval/journal.h"
#include "rollout/progress.h"
#include "run/directory.h"
#include "run/evaluation_identity.h"
#include "run/heartbeat.h"
#include "run/language_model.h"
#include "run/lock.h"
#include "run/placement.h"
#include "run/restart.h"
#include "run/threads.h"

enum { LOCK_BEAT_S = 30 };

#define WITHOUT_END_S 1e9 /* a phase may last as long as answers are drawn */

struct evaluating {
    const struct settings *settings;
    const struct evaluation_job *job;
    struct comm *comm;
    struct language_model lm;
    struct evaluation evaluation;
    char weights[FINGERPRINT_TEXT_BYTES];
    struct strbuf identity, hosts, devices, settings_text;
    /* Places in run.directory. */
    char results[DIRECTORY_PATH_BYTES], samples[DIRECTORY_PATH_BYTES];
    bool written;      /* the results are there, with all figures; rank 0 */
    struct lock *lock; /* rank 0 */
    double beat_s;     /* of the lock */
    struct heartbeat *heartbeat;
    struct pulse pulse;
};

/* --- the model --- */

static enum status load_checkpoint(struct evaluating *e) {
    const struct parameter_set *trained = model_trained(e->lm.model);
    float *master = NULL;
    if (e->job->checkpoint == NULL)
        return STATUS_OK;
    TRY(backend_new(&e->lm.backend, &master, trained->elements, "parameters of a checkpoint"));
    const enum status status = restart_load_parameters(&e->lm, e->job->checkpoint, master);
    backend_release(&e->lm.backend, &master);
    return status;
}

static enum status load_model(struct evaluating *e, struct fingerprint *fingerprint) {
    const struct settings *settings = e->settings;
    const int64_t longest = e->evaluation.longest_prompt + settings->eval.max_new_tokens;
    TRY(language_model_create(&e->lm, settings, longest));
    TRY(fingerprint_init(fingerprint, e->comm->rank, e->comm->size,
                         weights_parameters(e->lm.weights)->count));
    TRY(language_model_load(&e->lm, settings, NULL, fingerprint));
    return load_checkpoint(e);
}

static enum status open_model(struct evaluating *e) {
    struct fingerprint fingerprint = {.words = NULL};
    enum status status = comm_agree(e->comm, load_model(e, &fingerprint));
    if (status == STATUS_OK)
        status = comm_sum_exact(e->comm, fingerprint.words, FINGERPRINT_WORDS * fingerprint.count);
    if (status == STATUS_OK)
        fingerprint_text(&fingerprint, e->weights);
    fingerprint_release(&fingerprint);
    return status;
}

/* All that can be refused before anything is computed. */
static enum status open_problems(struct evaluating *e, int threads) {
    TRY(directory_path(e->settings->run.directory, e->results, "eval.h5"));
    TRY(directory_path(e->settings->run.directory, e->samples, "eval.samples"));
    TRY(language_model_open(&e->lm, e->settings, threads));
    TRY(evaluation_open(&e->evaluation, e->settings, &e->lm.form, e->lm.hparams.max_positions));
    const struct budget_settings budgets = evaluation_budgets(&e->evaluation);
    return language_model_check_budgets(&e->lm, &budgets);
}

/* --- what is there already; rank 0 --- */

static enum status take_entry(void *context, const struct evaluation_entry *entry) {
    struct evaluating *e = context;
    return evaluation_take(&e->evaluation, e->lm.tokenizer, entry);
}

static enum status remove_results(const struct evaluating *e) {
    if (unlink(e->results) != 0 && errno != ENOENT)
        return FAIL(STATUS_IO, "%s: it cannot be removed: %s", e->results, strerror(errno));
    return journal_remove(e->samples);
}

/* Samples of the results, which are complete, or of the journal. */
static enum status take_samples(struct evaluating *e) {
    struct strbuf found = STRBUF_EMPTY;
    bool ended = false, begun = false;
    enum status status = evaluation_file_find(e->results, &ended, &found);
    if (status == STATUS_OK && !ended)
        status = journal_find(e->samples, &begun, &found);
    if (status == STATUS_OK && (ended || begun))
        status = evaluation_identity_compare(ended ? e->results : e->samples, &found, &e->identity);
    if (status == STATUS_OK && ended)
        status = evaluation_file_read(e->results, &e->evaluation, e->lm.tokenizer, &e->written);
    else if (status == STATUS_OK && begun)
        status = journal_read(e->samples, take_entry, e);
    else if (status == STATUS_OK)
        status = journal_begin(e->samples, &e->identity);
    strbuf_release(&found);
    return status;
}

static enum status claim(struct evaluating *e) {
    char path[DIRECTORY_PATH_BYTES];
    int64_t drawn;
    TRY(evaluation_identity(e->settings, &e->evaluation, e->weights, e->job->checkpoint,
                            &e->identity));
    TRY(directory_make(e->settings->run.directory));
    TRY(directory_path(e->settings->run.directory, path, "eval.lock"));
    TRY(lock_take(&e->lock, path));
    if (e->job->fresh)
        TRY(remove_results(e));
    TRY(take_samples(e));
    const int64_t total = evaluation_total(&e->evaluation, &drawn);
    log_info("eval", "samples = %lld, drawn_before = %lld, ranks = %d, directory = %s",
             (long long)total, (long long)drawn, e->comm->size, e->settings->run.directory);
    return STATUS_OK;
}

/* --- drawing --- */

static void beat_lock(struct evaluating *e) {
    if (e->lock == NULL || clock_now_s() - e->beat_s <= LOCK_BEAT_S)
        return;
    e->beat_s = clock_now_s();
    lock_beat(e->lock);
}

static enum status beat(void *context) {
    struct evaluating *e = context;
    beat_lock(e);
    TRY(heartbeat_beat(e->heartbeat));
    return stop_requested() ? FAIL(STATUS_STOPPED, "%s", stop_reason()) : STATUS_OK;
}

static enum status beat_while_waiting(void *context, const char *what, double waited_s) {
    struct evaluating *e = context;
    beat_lock(e);
    return heartbeat_wait(e->heartbeat, what, waited_s);
}

static enum status open_heartbeat(struct evaluating *e) {
    char path[DIRECTORY_PATH_BYTES];
    const struct heartbeat_deadlines deadlines = {
        .sign_s = (double)e->settings->parallel.deadline_s, .phase_s = WITHOUT_END_S};
    TRY(comm_agree(e->comm, directory_path(e->settings->run.directory, path, "eval.heartbeat")));
    TRY(heartbeat_open(&e->heartbeat, path, e->comm, &deadlines));
    comm_on_wait(e->comm, beat_while_waiting, e);
    heartbeat_phase(e->heartbeat, "evaluation", 0);
    return STATUS_OK;
}

static enum status draw(struct evaluating *e) {
    struct progress progress = progress_of("eval", evaluation_share(&e->evaluation, e->comm));
    struct evaluation_draw how = {.model = e->lm.model,
                                  .tokenizer = e->lm.tokenizer,
                                  .stop_ids = e->lm.hparams.eos,
                                  .stop_id_count = e->lm.hparams.eos_count,
                                  .comm = e->comm,
                                  .pulse = &e->pulse,
                                  .journal = e->samples};
    if (e->comm->rank == 0)
        how.listener = (struct generate_listener){.hear = progress_hear, .context = &progress};
    enum status status = open_heartbeat(e);
    if (status == STATUS_OK)
        status = evaluation_draw(&e->evaluation, &how);
    log_live_end();
    comm_on_wait(e->comm, NULL, NULL);
    heartbeat_close(&e->heartbeat, true);
    return status;
}

/* --- the results; rank 0 --- */

static enum status write_results(struct evaluating *e) {
    struct provenance_input *inputs;
    TRY(settings_dump(e->settings, &e->settings_text));
    TRY(placement_device(&e->lm.backend, &e->devices));
    TRY(memory_new(&inputs, e->evaluation.set_count, "input checksums"));
    for (int64_t s = 0; s < e->evaluation.set_count; s++) {
        inputs[s].path = e->evaluation.sets[s].how->path;
        memcpy(inputs[s].sha256, e->evaluation.sets[s].dataset.sha256, sizeof inputs[s].sha256);
    }
    const struct provenance provenance = {.command = "gradus eval",
                                          .hosts = strbuf_text(&e->hosts),
                                          .devices = strbuf_text(&e->devices),
                                          .settings = strbuf_text(&e->settings_text),
                                          .weights = e->weights,
                                          .ranks = e->comm->size,
                                          .threads = e->lm.backend.threads,
                                          .seed = e->settings->eval.seed,
                                          .inputs = inputs,
                                          .input_count = e->evaluation.set_count};
    const enum status status =
        evaluation_file_write(e->results, &e->evaluation, &e->identity, &provenance);
    memory_release(&inputs);
    return status;
}

static enum status tell(struct evaluating *e, struct strbuf *table) {
    if (e->comm->rank != 0)
        return STATUS_OK;
    if (!e->written)
        TRY(write_results(e));
    TRY(journal_remove(e->samples));
    log_info("eval", "results = %s", e->results);
    return evaluation_table(&e->evaluation, table);
}

/* What the evaluation has taken, for those who plan the next one; collective. */
static enum status tell_memory(struct evaluating *e) {
    double peaks[] = {(double)memory_peak_resident_bytes(), (double)memory_totals().peak_bytes};
    TRY(comm_maximum(e->comm, peaks, 2));
    log_info("memory", "resident_peak_mib = %.1f, allocated_peak_mib = %.1f", peaks[0] / 1048576.0,
             peaks[1] / 1048576.0);
    return STATUS_OK;
}

/* --- the whole --- */

static enum status evaluate(struct evaluating *e, struct strbuf *table) {
    int64_t missing = 0, drawn;
    TRY(placement_check(e->comm, &e->lm.backend, false));
    TRY(open_model(e));
    TRY(comm_agree(e->comm, placement_hosts(e->comm, &e->hosts)));
    TRY(comm_agree(e->comm, e->comm->rank == 0 ? claim(e) : STATUS_OK));
    if (e->comm->rank == 0)
        missing = evaluation_total(&e->evaluation, &drawn) - drawn;
    TRY(comm_broadcast(e->comm, &missing, sizeof missing, 0));
    if (missing > 0) {
        const enum status status = draw(e);
        if (status == STATUS_STOPPED) {
            log_info(
                "eval",
                "stopped by %s; the samples so far are in %s, and the same command goes on from there",
                status_sentence(), e->samples);
            return status;
        }
        TRY(status);
    }
    TRY(comm_agree(e->comm, tell(e, table)));
    return tell_memory(e);
}

enum status evaluation_job_run(const struct settings *settings, struct comm *comm,
                               const struct evaluation_job *job, struct strbuf *table) {
    struct evaluating *e;
    int threads;
    TRY(memory_new(&e, 1, "evaluation"));
    *e = (struct evaluating){.settings = settings, .job = job, .comm = comm};
    e->pulse = (struct pulse){.beat = beat, .context = e};
    enum status status = threads_choose(comm, (int)settings->parallel.threads, &threads);
    if (status == STATUS_OK)
        status = comm_agree(comm, open_problems(e, threads));
    if (status == STATUS_OK)
        status = evaluate(e, table);
    lock_release(&e->lock);
    evaluation_close(&e->evaluation);
    language_model_close(&e->lm);
    strbuf_release(&e->identity);
    strbuf_release(&e->hosts);
    strbuf_release(&e->devices);
    strbuf_release(&e->settings_text);
    memory_release(&e);
    return status;
}
