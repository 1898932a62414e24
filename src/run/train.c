/* SPDX-License-Identifier: Apache-2.0
 *
 * The training loop: collect a batch, update the parameters on it, measure, write.
 */
#include "run/run.h"

#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/stop.h"
#include "run/report.h"
#include "run/step_name.h"

/* Forgets the last step and makes room for the next one's answers. */
static enum status begin_step(struct run *run) {
    struct step *step = &run->step;
    step->clock = (struct step_clock){.start_s = clock_now_s(), .write_s = step->clock.write_s};
    step->train_positions = step->rescaled = step->skipped = 0;
    step->changed = false;
    stream_position_get(run->stream, run->position);
    rollout_release(&step->rollout);
    return rollout_init(&step->rollout, run->settings->rollout.prompts_per_step,
                        run->method->group_size(run->settings));
}

static enum status run_step(struct run *run, struct metrics *metrics) {
    const struct method_context context = {.settings = run->settings,
                                           .comm = run->comm,
                                           .model = run->lm.model,
                                           .reference = run->reference,
                                           .tokenizer = run->lm.tokenizer,
                                           .form = &run->lm.form,
                                           .stream = run->stream,
                                           .tiles = &run->tiles,
                                           .stop_ids = run->lm.hparams.eos,
                                           .stop_id_count = run->lm.hparams.eos_count,
                                           .pulse = &run->pulse};
    struct step *step = &run->step;
    TRY(comm_agree(run->comm, begin_step(run)));
    TRY(run->method->collect(&context, run->counters.step + 1, &step->rollout,
                             &step->clock.collect));
    TRY(run_update(run));
    run->counters.step++;
    return run_measure(run, metrics);
}

/* Equal rewards in every group of many steps: says so, and why it may be. */
static void warn_when_flat(struct run *run, const struct metrics *metrics) {
    if (flat_watch(&run->flat, metrics) && run->comm->rank == 0)
        log_warning("run",
                    "in %lld steps in a row all answers to a prompt had equal rewards (mean %.3g), "
                    "so nothing was learned: %s",
                    (long long)run->flat.steps, metrics->step[METRIC_REWARD],
                    flat_reason(&run->flat, metrics));
}

/* Between the parts of a step: says that the run lives, and gives the step up where a signal asks for
 * it, as long as nothing but the place in the data has changed. The ranks agree at the next place
 * where they meet. */
static enum status beat(void *context) {
    struct run *run = context;
    run_output_beat(run);
    return stop_requested() && !run->step.changed ? FAIL(STATUS_STOPPED, "%s", stop_reason())
                                                  : STATUS_OK;
}

static void beat_while_waiting(void *context) {
    run_output_beat(context);
}

/* Whether any rank was asked to stop; all ranks hear the same. */
static enum status agree_to_stop(struct run *run, bool *stop) {
    double asked = stop_requested() ? 1.0 : 0.0;
    TRY(comm_maximum(run->comm, &asked, 1));
    *stop = asked > 0.0;
    if (*stop)
        log_info("run", "stopping after step %lld, asked by %s", (long long)run->counters.step,
                 stop_reason()[0] != '\0' ? stop_reason() : "another rank");
    return STATUS_OK;
}

/* A step that was given up: the run stands again as after the step before, and is kept so. */
static enum status drop_step(struct run *run) {
    log_info("run", "stopping after step %lld, asked by %s; the step that was at work is given up",
             (long long)run->counters.step, status_sentence());
    TRY(comm_agree(run->comm, stream_position_set(run->stream, run->position,
                                                  stream_position_size(run->stream))));
    return run_output_stop(run);
}

static enum status take_step(struct run *run, struct metrics *metrics, bool *stop) {
    const enum status status = run_step(run, metrics);
    *stop = status == STATUS_STOPPED;
    if (*stop)
        return drop_step(run);
    TRY(status);
    if (!run->method->likelihood)
        warn_when_flat(run, metrics);
    TRY(agree_to_stop(run, stop));
    return run_output_step(run, metrics, *stop || run->counters.step == run->settings->run.steps);
}

static enum status say_stopped(const struct run *run) {
    const char *kept =
        run->counters.step > 0 ? "the checkpoint of that step is in" : "there is no checkpoint in";
    return FAIL(STATUS_STOPPED, "stopped after step %lld of %lld; %s %s/checkpoints",
                (long long)run->counters.step, (long long)run->settings->run.steps, kept,
                run->settings->run.directory);
}

static enum status run_loop(struct run *run, struct metrics *metrics) {
    const double start_s = clock_now_s();
    const int64_t first_step = run->counters.step;
    bool stop = false;
    while (run->counters.step < run->settings->run.steps && !stop) {
        const int64_t before = run->counters.step;
        TRY(take_step(run, metrics, &stop));
        if (run->counters.step > before)
            report_step(run, metrics,
                        (clock_now_s() - start_s) / (double)(run->counters.step - first_step));
    }
    log_live_end();
    log_set_quiet(false);
    TRY(run_output_finish(run));
    return run->counters.step < run->settings->run.steps ? comm_agree(run->comm, say_stopped(run))
                                                         : STATUS_OK;
}

/* A run whose numbers are not finite ends; what it had before is still there. */
static enum status name_checkpoint(const struct run *run) {
    char name[STEP_NAME_BYTES];
    if (run->files.checkpoint_step == 0)
        return FAIL(STATUS_NUMERIC, "%s; there is no checkpoint to go back to", status_sentence());
    return FAIL(STATUS_NUMERIC, "%s; the last checkpoint, %s/checkpoints/%s, is finite and whole",
                status_sentence(), run->settings->run.directory,
                step_name(name, run->files.checkpoint_step));
}

enum status run_train(struct run *run) {
    struct metrics metrics;
    TRY(comm_agree(run->comm, metrics_init(&metrics, run->step.pass_count)));
    run->pulse = (struct pulse){.beat = beat, .context = run};
    comm_on_wait(run->comm, beat_while_waiting, run);
    log_set_quiet(run->comm->rank == 0 && isatty(STDERR_FILENO));
    enum status status = comm_agree(run->comm, report_start(run));
    if (status == STATUS_OK)
        status = run_loop(run, &metrics);
    if (status == STATUS_NUMERIC && run->comm->rank == 0)
        status = name_checkpoint(run);
    comm_on_wait(run->comm, NULL, NULL);
    metrics_release(&metrics);
    return status;
}
