/* SPDX-License-Identifier: Apache-2.0
 *
 * The files of a run (design, section 8). Rank 0 writes; whatever it meets, all ranks hear of it at
 * the end of the call.
 */
#include "run/run.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/memory.h"
#include "file/atomic.h"
#include "run/diagnostics.h"
#include "run/directory.h"
#include "run/rollout_file.h"
#include "run/save.h"
#include "run/status_file.h"

/* --- opening --- */

/* What a run that has not ended says, and the two ways to end well. */
static const struct run_state running = {.name = "running", .next = "wait"},
                              finished = {.name = "finished", .ended = true, .next = "done"},
                              stopped = {.name = "stopped",
                                         .ended = true,
                                         .status = STATUS_STOPPED,
                                         .next = "resubmit"};

static enum status write_status(const struct run *run, struct run_state state) {
    char path[DIRECTORY_PATH_BYTES];
    TRY(directory_path(run->settings->run.directory, path, "status.json"));
    state.step = run->counters.step;
    state.steps = run->settings->run.steps;
    state.checkpoint_step = run->checkpoint_step;
    return status_file_write(path, &state);
}

static enum status write_settings(struct run *run) {
    char path[DIRECTORY_PATH_BYTES];
    TRY(directory_path(run->settings->run.directory, path, "settings.cfg"));
    TRY(settings_dump(run->settings, &run->settings_text));
    return atomic_write_file(path, run->settings_text.text, (int64_t)run->settings_text.length);
}

/* What every file of this run says of its origin. */
static enum status make_provenance(struct run *run) {
    const int32_t sources = stream_source_count(run->stream);
    TRY(memory_new(&run->inputs, sources, "input checksums"));
    for (int32_t i = 0; i < sources; i++) {
        run->inputs[i].path = stream_dataset(run->stream, i)->path;
        memcpy(run->inputs[i].sha256, stream_dataset(run->stream, i)->sha256,
               sizeof run->inputs[i].sha256);
    }
    run->provenance = (struct provenance){.command = "gradus train",
                                          .hosts = strbuf_text(&run->hosts),
                                          .devices = run->lm.backend.ops->text,
                                          .settings = strbuf_text(&run->settings_text),
                                          .ranks = run->comm->size,
                                          .threads = run->lm.backend.threads,
                                          .seed = run->settings->run.seed,
                                          .inputs = run->inputs,
                                          .input_count = sources};
    return STATUS_OK;
}

static enum status open_files(struct run *run, bool fresh) {
    char path[DIRECTORY_PATH_BYTES];
    TRY(directory_claim(run->settings->run.directory, run->settings->model.path, fresh));
    TRY(directory_path(run->settings->run.directory, path, "log.txt"));
    TRY(log_open(path));
    TRY(write_settings(run));
    TRY(make_provenance(run));
    TRY(directory_path(run->settings->run.directory, path, "diagnostics.h5"));
    TRY(diagnostics_create(path, run->settings->run.steps, run->step.pass_count, &run->provenance));
    run->checkpoint_s = clock_now_s();
    return write_status(run, running);
}

/* The host names of all ranks on rank 0. */
static enum status gather_hosts(struct run *run) {
    char host[256] = "";
    char *all = NULL;
    size_t *sizes = NULL;
    gethostname(host, sizeof host - 1);
    TRY(comm_gather(run->comm, host, sizeof host, 0, (void **)&all, &sizes));
    enum status status = STATUS_OK;
    for (int rank = 0; all != NULL && status == STATUS_OK && rank < run->comm->size; rank++)
        status = strbuf_append_format(&run->hosts, "%s%s", rank > 0 ? " " : "",
                                      all + (size_t)rank * sizeof host);
    memory_release(&all);
    memory_release(&sizes);
    return status;
}

enum status run_output_open(struct run *run, bool fresh) {
    enum status status = comm_agree(run->comm, gather_hosts(run));
    if (status == STATUS_OK)
        status = comm_agree(run->comm, run->comm->rank == 0 ? open_files(run, fresh) : STATUS_OK);
    return status;
}

/* --- a step --- */

static enum status pack_own_groups(const struct run *run, struct strbuf *out) {
    for (int64_t g = 0; g < run->step.rollout.group_count; g++)
        if (tiles_of_group(&run->tiles, g)->owner == run->comm->rank)
            TRY(rollout_pack_group(&run->step.rollout, g, out));
    return STATUS_OK;
}

/* Brings all answers' tokens and numbers to rank 0. */
static enum status collect_answers(struct run *run) {
    struct strbuf mine = STRBUF_EMPTY;
    char *all = NULL;
    size_t *sizes = NULL, total = 0, at = 0;
    enum status status =
        comm_agree(run->comm, run->comm->rank != 0 ? pack_own_groups(run, &mine) : STATUS_OK);
    if (status == STATUS_OK)
        status = comm_gather(run->comm, strbuf_text(&mine), mine.length, 0, (void **)&all, &sizes);
    for (int rank = 0; sizes != NULL && rank < run->comm->size; rank++)
        total += sizes[rank];
    while (status == STATUS_OK && at < total)
        status = rollout_unpack_group(&run->step.rollout, all, total, &at);
    strbuf_release(&mine);
    memory_release(&all);
    memory_release(&sizes);
    return status;
}

static enum status write_rollouts(struct run *run) {
    const int64_t parts = run->settings->reward.parts_count;
    const char *names[REWARD_PARTS_MAX];
    char name[64], path[DIRECTORY_PATH_BYTES];
    for (int64_t p = 0; p < parts && p < REWARD_PARTS_MAX; p++)
        names[p] = run->settings->reward.parts[p].name;
    const struct rollout_file_settings how = {
        .rewards = !run->method->likelihood,
        .penalised =
            run->reference != NULL && run->settings->objective.kl_in == SETTING_KL_IN_REWARD,
        .parts = names,
        .part_count = run->method->likelihood ? 0 : (int)parts,
        .provenance = &run->provenance};
    snprintf(name, sizeof name, "rollouts/step-%06lld.h5", (long long)run->counters.step);
    TRY(directory_path(run->settings->run.directory, path, name));
    return rollout_file_write(path, &run->step.rollout, &how);
}

static enum status write_metrics(struct run *run, const struct metrics *metrics) {
    char path[DIRECTORY_PATH_BYTES];
    TRY(directory_path(run->settings->run.directory, path, "diagnostics.h5"));
    TRY(diagnostics_append(path, run->counters.step - 1, metrics));
    TRY(directory_path(run->settings->run.directory, path, "metrics.jsonl"));
    return metrics_log(metrics, run->counters.step, path);
}

static enum status write_step(struct run *run, const struct metrics *metrics, bool rollouts,
                              bool last) {
    if (rollouts)
        TRY(write_rollouts(run));
    TRY(write_metrics(run, metrics));
    if (run_checkpoint_is_due(run, last))
        TRY(run_checkpoint_save(run));
    return write_status(run, running);
}

enum status run_output_step(struct run *run, const struct metrics *metrics, bool last) {
    const double start_s = clock_now_s();
    const int64_t every = run->settings->output.rollouts_every;
    const bool rollouts = every > 0 && run->counters.step % every == 0;
    enum status status = rollouts ? collect_answers(run) : STATUS_OK;
    if (status == STATUS_OK && run->comm->rank == 0)
        status = write_step(run, metrics, rollouts, last);
    status = comm_agree(run->comm, status);
    run->step.clock.write_s = clock_now_s() - start_s;
    return status;
}

/* --- the end --- */

static enum status finish_files(struct run *run) {
    const bool all_steps = run->counters.step == run->settings->run.steps;
    if (all_steps)
        TRY(run_model_save(run));
    return write_status(run, all_steps ? finished : stopped);
}

enum status run_output_finish(struct run *run) {
    const enum status status =
        comm_agree(run->comm, run->comm->rank == 0 ? finish_files(run) : STATUS_OK);
    log_close();
    return status;
}

void run_output_fail(const struct run *run, enum status status) {
    char sentence[STATUS_SENTENCE_MAX];
    const bool passing = status_exit(status) == status_exit(STATUS_IO);
    const struct run_state failed = {.name = "failed",
                                     .ended = true,
                                     .status = status,
                                     .next = passing ? "resubmit" : "correct"};
    if (run->comm->rank != 0 && !comm_leaves_alone(run->comm, status))
        return;
    snprintf(sentence, sizeof sentence, "%s", status_sentence());
    if (write_status(run, failed) != STATUS_OK)
        status_set_sentence(sentence); /* the first failure is the one that counts */
}
