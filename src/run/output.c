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
#include "run/adapter_directory.h"
#include "run/diagnostics.h"
#include "run/directory.h"
#include "run/placement.h"
#include "run/rollout_file.h"
#include "run/save.h"
#include "run/saving.h"
#include "run/status_file.h"
#include "run/step_name.h"

/* --- opening --- */

/* What a run that has not ended says, and one that has. */
static const struct run_state running = {.name = "running", .next = "wait"},
                              finished = {.name = "finished", .ended = true, .next = "done"},
                              stopped = {
                                  .name = "stopped", .ended = true, .status = STATUS_STOPPED};

static void advise(const struct run *run, char *advice, size_t size) {
    char name[STEP_NAME_BYTES];
    if (run->files.checkpoint_step == 0)
        snprintf(advice, size,
                 "there is no checkpoint: the same `gradus train` begins again with step 1");
    else
        snprintf(advice, size,
                 "the same `gradus train` goes on after step %lld, from %s/checkpoints/%s",
                 (long long)run->files.checkpoint_step, run->settings->run.directory,
                 step_name(name, run->files.checkpoint_step));
}

static enum status write_status(struct run *run, struct run_state state) {
    char path[DIRECTORY_PATH_BYTES], advice[2 * DIRECTORY_PATH_BYTES];
    TRY(directory_path(run->settings->run.directory, path, "status.json"));
    advise(run, advice, sizeof advice);
    state.advice = state.ended && state.status == STATUS_OK ? NULL : advice;
    if (state.next == NULL)
        state.next = status_file_next(state.status);
    state.id = run->files.id;
    state.attempt = run->files.attempt;
    state.step = run->counters.step;
    state.steps = run->settings->run.steps;
    state.checkpoint_step = run->files.checkpoint_step;
    state.holder = lock_owner(run->files.lock);
    run->files.beat_s = clock_now_s();
    lock_beat(run->files.lock);
    return status_file_write(path, &state);
}

void run_output_beat(struct run *run) {
    char sentence[STATUS_SENTENCE_MAX];
    if (run->files.lock == NULL || clock_now_s() - run->files.beat_s < STATUS_FILE_BEAT_S)
        return;
    snprintf(sentence, sizeof sentence, "%s", status_sentence());
    if (write_status(run, running) != STATUS_OK)
        status_set_sentence(sentence); /* a full disk shows where it does harm */
}

static enum status write_settings(struct run *run) {
    char path[DIRECTORY_PATH_BYTES];
    TRY(directory_path(run->settings->run.directory, path, "settings.cfg"));
    TRY(settings_dump(run->settings, &run->files.settings_text));
    return atomic_write_file(path, run->files.settings_text.text,
                             (int64_t)run->files.settings_text.length);
}

/* What every file of this run says of its origin. */
static enum status make_provenance(struct run *run) {
    const int32_t sources = stream_source_count(run->stream);
    TRY(placement_device(&run->lm.backend, &run->files.devices));
    TRY(memory_new(&run->files.inputs, sources, "input checksums"));
    for (int32_t i = 0; i < sources; i++) {
        run->files.inputs[i].path = stream_dataset(run->stream, i)->path;
        memcpy(run->files.inputs[i].sha256, stream_dataset(run->stream, i)->sha256,
               sizeof run->files.inputs[i].sha256);
    }
    run->files.provenance = (struct provenance){.command = "gradus train",
                                                .hosts = strbuf_text(&run->files.hosts),
                                                .devices = strbuf_text(&run->files.devices),
                                                .settings = strbuf_text(&run->files.settings_text),
                                                .weights = run->weights_sha256,
                                                .ranks = run->comm->size,
                                                .threads = run->lm.backend.threads,
                                                .seed = run->settings->run.seed,
                                                .inputs = run->files.inputs,
                                                .input_count = sources};
    return STATUS_OK;
}

/* Who it is, at what time, on which machine: no other run. One that goes on keeps its name and
 * counts its attempts; its first checkpoint may be still to come. */
static enum status name_run(struct run *run, bool again) {
    const struct lock_holder *owner = lock_owner(run->files.lock);
    char now[24], path[DIRECTORY_PATH_BYTES];
    snprintf(run->files.id, sizeof run->files.id, "%s %.48s %lld", clock_utc(now), owner->host,
             (long long)owner->pid);
    run->files.attempt = 1;
    if (!again)
        return STATUS_OK;
    TRY(directory_path(run->settings->run.directory, path, "status.json"));
    TRY(status_file_read(path, run->files.id, sizeof run->files.id, &run->files.attempt));
    run->files.attempt++;
    return STATUS_OK;
}

/* The line by which analysis/timeline.py finds an attempt, and when it began. */
static enum status open_log(const struct run *run) {
    char path[DIRECTORY_PATH_BYTES], now[24];
    const char *job = lock_owner(run->files.lock)->job;
    TRY(directory_path(run->settings->run.directory, path, "log.txt"));
    TRY(log_open(path));
    log_info("run", "directory = %s, run = %s, attempt = %lld, time = %s, job = %s",
             run->settings->run.directory, run->files.id, (long long)run->files.attempt,
             clock_utc(now), job[0] != '\0' ? job : "none");
    return STATUS_OK;
}

/* What a checkpoint keeps beside the tensors: the files of the model and, of an adapter, what it
 * is. */
static enum status read_model_files(struct run *run) {
    const struct settings *settings = run->settings;
    struct strbuf text = STRBUF_EMPTY;
    TRY(memory_new(&run->files.model, 1, "model files"));
    TRY(language_model_files(&run->lm, settings, run->files.model));
    if (run->lm.adapter == NULL)
        return STATUS_OK;
    enum status status =
        adapter_config_text(adapter_settings(run->lm.adapter), settings->model.path, &text);
    if (status == STATUS_OK)
        status =
            model_files_add(run->files.model, ADAPTER_CONFIG_NAME, strbuf_text(&text), text.length);
    strbuf_release(&text);
    return status;
}

/* The directory may have changed since restart_choose: another job was faster. */
static enum status claim_directory(struct run *run, const struct restart *restart) {
    const struct settings *settings = run->settings;
    const struct directory_starts starts = {.model = settings->model.path,
                                            .adapter = settings->lora.adapter};
    bool found;
    TRY(directory_claim(&run->files.lock, settings->run.directory, &starts, restart->fresh,
                        &found));
    if (found != restart->again && !restart->fresh)
        return FAIL(STATUS_IO, "%s: another run was here in the meantime: submit again",
                    settings->run.directory);
    if (found && restart->fresh)
        log_info("run", "started over: the files of the earlier run in %s are removed",
                 settings->run.directory);
    return STATUS_OK;
}

struct diagnostics run_diagnostics(const struct run *run, const char *path) {
    return (struct diagnostics){.path = path,
                                .steps = run->settings->run.steps,
                                .passes = run->step.pass_room,
                                .tensors =
                                    run->diagnosis.names != NULL ? &run->diagnosis.tensors : NULL,
                                .sets = run->evaluation.on ? &run->evaluation.sets : NULL,
                                .positions = run->method->distils,
                                .provenance = &run->files.provenance};
}

/* All that a restart does here can be done again, should a kill come in between. */
static enum status open_files(struct run *run, const struct restart *restart) {
    const struct settings *settings = run->settings;
    char path[DIRECTORY_PATH_BYTES];
    TRY(read_model_files(run));
    TRY(claim_directory(run, restart));
    TRY(name_run(run, restart->again));
    TRY(write_status(run, running)); /* first: it says whose the other files are */
    TRY(open_log(run));
    TRY(write_settings(run));
    TRY(make_provenance(run));
    TRY(restart_take_back(settings, restart));
    TRY(directory_path(settings->run.directory, path, "diagnostics.h5"));
    const struct diagnostics diagnostics = run_diagnostics(run, path);
    TRY(diagnostics_create(&diagnostics, restart->step));
    run->files.checkpoint_s = clock_now_s();
    return STATUS_OK;
}

void run_output_close(struct run *run) {
    struct run_files *files = &run->files;
    if (files->model != NULL)
        model_files_release(files->model);
    memory_release(&files->model);
    strbuf_release(&files->settings_text);
    strbuf_release(&files->hosts);
    strbuf_release(&files->devices);
    memory_release(&files->inputs);
    lock_release(&files->lock);
}

enum status run_output_open(struct run *run, const struct restart *restart) {
    run->files.checkpoint_step = restart->step;
    enum status status = comm_agree(run->comm, placement_hosts(run->comm, &run->files.hosts));
    if (status == STATUS_OK)
        status = comm_agree(run->comm, run->comm->rank == 0 ? open_files(run, restart) : STATUS_OK);
    if (status != STATUS_OK && run->files.lock != NULL)
        run_output_fail(run, status);
    return status;
}

/* --- a step --- */

static enum status pack_own_groups(const struct run *run, const struct rollout *batch,
                                   struct strbuf *out) {
    for (int64_t g = 0; g < batch->group_count; g++)
        if (tiles_of_group(&run->tiles, g)->owner == run->comm->rank)
            TRY(rollout_pack_group(batch, g, out));
    return STATUS_OK;
}

/* Brings tokens and numbers of all answers of a batch to rank 0. */
static enum status collect_batch(struct run *run, struct rollout *batch) {
    struct strbuf mine = STRBUF_EMPTY;
    char *all = NULL;
    size_t *sizes = NULL, total = 0, at = 0;
    enum status status = comm_agree(
        run->comm, run->comm->rank != 0 ? pack_own_groups(run, batch, &mine) : STATUS_OK);
    if (status == STATUS_OK)
        status = comm_gather(run->comm, strbuf_text(&mine), mine.length, 0, (void **)&all, &sizes);
    for (int rank = 0; sizes != NULL && rank < run->comm->size; rank++)
        total += sizes[rank];
    while (status == STATUS_OK && at < total)
        status = rollout_unpack_group(batch, all, total, &at);
    strbuf_release(&mine);
    memory_release(&all);
    memory_release(&sizes);
    return status;
}

/* What a discriminator has read without reasoning is made of the answers. */
static enum status collect_answers(struct run *run) {
    struct judged *judged = &run->step.judged;
    enum status status = collect_batch(run, &run->step.rollout);
    if (!run->method->discriminates)
        return status;
    if (judged->reasons.group_count == 0)
        return status == STATUS_OK ? judged_take_answers(judged, &run->step.rollout) : status;
    TRY(comm_agree(run->comm, status));
    return collect_batch(run, &judged->texts);
}

static enum status write_rollouts(struct run *run) {
    const int64_t parts = run->settings->reward.parts_count;
    const char *names[REWARD_PARTS_MAX];
    char name[64], step[STEP_NAME_BYTES], path[DIRECTORY_PATH_BYTES];
    for (int64_t p = 0; p < parts && p < REWARD_PARTS_MAX; p++)
        names[p] = run->settings->reward.parts[p].name;
    const struct rollout_file_settings how = {
        .rewards = method_rewards(run->method),
        .penalised =
            run->reference != NULL && run->settings->objective.kl_in == SETTING_KL_IN_REWARD,
        .forced = !run->method->likelihood && run->settings->rollout.think_tokens > 0,
        .judged = run->method->discriminates ? &run->step.judged : NULL,
        .valued = judged_is_valued(run->settings),
        .parts = names,
        .part_count = method_rewards(run->method) ? (int)parts : 0,
        .provenance = &run->files.provenance};
    snprintf(name, sizeof name, "rollouts/%s", step_name(step, run->counters.step));
    TRY(directory_path(run->settings->run.directory, path, name));
    return rollout_file_write(path, &run->step.rollout, &how);
}

static enum status write_metrics(struct run *run, const struct metrics *metrics) {
    char path[DIRECTORY_PATH_BYTES];
    TRY(directory_path(run->settings->run.directory, path, "diagnostics.h5"));
    const struct diagnostics diagnostics = run_diagnostics(run, path);
    if (run->diagnosis.made)
        TRY(diagnostics_append_tally(&diagnostics, run->counters.step - 1, &run->diagnosis.tally));
    TRY(diagnostics_append(&diagnostics, run->counters.step - 1, metrics));
    TRY(directory_path(run->settings->run.directory, path, "metrics.jsonl"));
    return metrics_log(metrics, run->counters.step, path);
}

static enum status write_step(struct run *run, const struct metrics *metrics, bool rollouts) {
    if (rollouts)
        TRY(write_rollouts(run));
    TRY(write_metrics(run, metrics));
    return write_status(run, running);
}

/* The one in the making goes on, and a new one begins where it is due by the clock of rank 0. After
 * the last step there is nothing to do meanwhile. */
static enum status save_step(struct run *run, const struct metrics *metrics, bool last) {
    int32_t due = run->comm->rank == 0 && run_checkpoint_is_due(run, metrics, last);
    TRY(comm_broadcast(run->comm, &due, sizeof due, 0));
    if (!due)
        return saving_poll(run);
    run_checkpoint_rate(run, metrics);
    TRY(saving_begin(run));
    return last ? saving_finish(run) : STATUS_OK;
}

enum status run_output_step(struct run *run, const struct metrics *metrics, bool last) {
    const double start_s = clock_now_s();
    const int64_t every = run->settings->output.rollouts_every;
    const bool rollouts = every > 0 && run->counters.step % every == 0;
    const bool stops = last && run->counters.step < run->settings->run.steps;
    heartbeat_phase(run->heartbeat, "writing", run->counters.step);
    enum status status = rollouts ? collect_answers(run) : STATUS_OK;
    if (status == STATUS_OK && run->comm->rank == 0)
        status = write_step(run, metrics, rollouts);
    status = comm_agree(run->comm, status);
    const double written_s = clock_now_s();
    if (status == STATUS_OK && !stops)
        status = run_evaluate(run);
    const double evaluated_s = clock_now_s();
    if (status == STATUS_OK)
        status = save_step(run, metrics, last || run->evaluation.given_up);
    run->step.clock.write_s = clock_now_s() - evaluated_s + written_s - start_s;
    return status;
}

/* --- the end --- */

enum status run_output_stop(struct run *run) {
    TRY(saving_finish(run));
    if (run->counters.step == run->files.checkpoint_step)
        return STATUS_OK;
    TRY(saving_begin(run));
    return saving_finish(run);
}

static enum status finish_files(struct run *run) {
    const bool all_steps =
        run->counters.step == run->settings->run.steps && !run->evaluation.given_up;
    if (all_steps)
        TRY(run_model_save(run));
    TRY(write_status(run, all_steps ? finished : stopped));
    log_info("run", "%s after step %lld of %lld, %.1f s", all_steps ? "finished" : "stopped",
             (long long)run->counters.step, (long long)run->settings->run.steps, clock_elapsed_s());
    return STATUS_OK;
}

/* What `gradus plan` foretells, as it was: the largest of the ranks. */
static enum status report_memory(struct run *run) {
    double peaks[] = {(double)memory_peak_resident_bytes(), (double)memory_totals().peak_bytes};
    TRY(comm_maximum(run->comm, peaks, 2));
    log_info("memory", "resident_peak_mib = %.1f, allocated_peak_mib = %.1f", peaks[0] / 1048576.0,
             peaks[1] / 1048576.0);
    return STATUS_OK;
}

enum status run_output_finish(struct run *run) {
    heartbeat_phase(run->heartbeat, "end", run->counters.step);
    TRY(comm_agree(run->comm, run->comm->rank == 0 ? finish_files(run) : STATUS_OK));
    return report_memory(run);
}

void run_output_fail(struct run *run, enum status status) {
    const struct run_state failed = {.name = "failed", .ended = true, .status = status};
    char sentence[STATUS_SENTENCE_MAX], path[DIRECTORY_PATH_BYTES];
    enum status written = STATUS_OK;
    snprintf(sentence, sizeof sentence, "%s", status_sentence());
    if (run->files.lock != NULL) {
        log_file("run", "failed after step %lld of %lld: %s", (long long)run->counters.step,
                 (long long)run->settings->run.steps, sentence);
        written = write_status(run, failed);
    } else if (comm_leaves_alone(run->comm, status)) {
        written = directory_path(run->settings->run.directory, path, "status.json");
        if (written == STATUS_OK)
            written = status_file_fail(path, status);
    }
    if (written != STATUS_OK)
        status_set_sentence(sentence); /* the first failure is the one that counts */
}
