/* SPDX-License-Identifier: Apache-2.0
 *
 * The training loop: collect a batch, update the parameters on it, measure, write.
 */
#include "run/run.h"

#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/stop.h"
#include "objective/advantage.h"
#include "run/directory.h"
#include "run/placement.h"
#include "run/report.h"
#include "run/save.h"
#include "run/saving.h"
#include "run/state.h"
#include "run/step_name.h"

#define NOISE_CHANGED 0.1 /* of the weights */

/* Forgets the last step and makes room for the next one's answers. */
static enum status begin_step(struct run *run) {
    struct step *step = &run->step;
    step->clock = (struct step_clock){.start_s = clock_now_s(), .write_s = step->clock.write_s};
    step->train_positions = step->rescaled = 0;
    step->pass_count = 0;
    step->changed = false;
    stream_position_get(run->stream, run->position);
    if (run->corpus != NULL)
        run->corpus->redrawn = 0;
    return run_clear_batch(run);
}

static enum status run_step(struct run *run, struct metrics *metrics) {
    const struct method_context context = {.settings = run->settings,
                                           .comm = run->comm,
                                           .model = run->lm.model,
                                           .reference = run->reference,
                                           .tokenizer = run->lm.tokenizer,
                                           .rewards = run->rewards,
                                           .form = &run->lm.form,
                                           .teacher = teacher_model(run),
                                           .teaching = &run->teaching,
                                           .stream = run->stream,
                                           .corpus = run->corpus,
                                           .discriminator = run->lm.discriminator,
                                           .judged = &run->step.judged,
                                           .reasoning = &run->reasoning,
                                           .tiles = &run->tiles,
                                           .stop_ids = run->lm.hparams.eos,
                                           .stop_id_count = run->lm.hparams.eos_count,
                                           .baseline = run->baseline,
                                           .pulse = &run->pulse};
    struct step *step = &run->step;
    heartbeat_phase(run->heartbeat, "rollout", run->counters.step + 1);
    TRY(comm_agree(run->comm, begin_step(run)));
    TRY(run->method->collect(&context, run->counters.step + 1, &step->rollout,
                             &step->clock.collect));
    TRY(saving_poll(run));
    TRY(run_update(run));
    TRY(mauve_watch_step(run));
    run->counters.step++;
    run->baseline =
        advantage_follow(step->clock.collect.baseline, run->settings->objective.ema_decay,
                         step->clock.collect.reward_mean);
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

/* A probe that changes few of the weights that are computed with measures rounding. */
static void warn_of_noise(struct run *run, const struct metrics *metrics) {
    const double changed = metrics->step[METRIC_GXPO_CHANGED];
    if (run->told_of_noise || !(changed < NOISE_CHANGED))
        return;
    run->told_of_noise = true;
    if (run->comm->rank == 0)
        log_warning("run",
                    "the first fast step of gxpo changed %.1f %% of the weights in the precision "
                    "that is computed with: retention ratios are noise; raise "
                    "optimizer.learning_rate (%g now), or take model.precision = \"fp32\"",
                    100.0 * changed, run->step.learning_rate);
}

/* Why this rank would stop now, or NULL. Inside a step that has changed the parameters only an end
 * that leaves no time for its rest counts. */
static const char *reason_to_stop(const struct run *run, bool between_steps) {
    const enum wall_verdict verdict = wall_time_look(&run->wall, between_steps);
    if (between_steps && run->stop_after > 0 && run->counters.step >= run->stop_after)
        return "who started it";
    if (run->step.changed && !between_steps)
        return stop_is_urgent()        ? stop_reason()
               : verdict == WALL_LEAVE ? "the end of the job"
                                       : NULL;
    return stop_requested() ? stop_reason() : verdict != WALL_GO_ON ? "the end of the job" : NULL;
}

/* Between the parts of a step: says that the run lives, and gives the step up where it must stop, as
 * long as nothing but the place in the data has changed, or there is no time for more. The ranks
 * agree at the next place where they meet. */
static enum status beat(void *context) {
    struct run *run = context;
    run_output_beat(run);
    TRY(heartbeat_beat(run->heartbeat));
    const char *reason = reason_to_stop(run, false);
    return reason != NULL ? FAIL(STATUS_STOPPED, "%s", reason) : STATUS_OK;
}

static enum status beat_while_waiting(void *context, const char *what, double waited_s) {
    struct run *run = context;
    run_output_beat(run);
    return heartbeat_wait(run->heartbeat, what, waited_s);
}

/* Whether any rank has a reason to stop; all ranks hear the same. */
static enum status agree_to_stop(struct run *run, bool *stop) {
    char text[WALL_TIME_TEXT_BYTES];
    const char *reason = reason_to_stop(run, true);
    double asked = reason != NULL ? 1.0 : 0.0;
    TRY(comm_maximum(run->comm, &asked, 1));
    *stop = asked > 0.0;
    if (*stop)
        log_info("run", "stopping after step %lld, asked by %s%s", (long long)run->counters.step,
                 reason != NULL ? reason : "another rank", wall_time_text(&run->wall, text));
    return STATUS_OK;
}

/* A step that was given up: the run stands again as after the step before, and is kept so. Where the
 * step had changed the parameters, what an earlier checkpoint holds is all that is left. */
static enum status drop_step(struct run *run) {
    const char *lost = run->step.changed ? "given up, and its parameters with it" : "given up";
    log_info("run", "stopping after step %lld, asked by %s; the step that was at work is %s",
             (long long)run->counters.step, status_sentence(), lost);
    if (run->step.changed)
        return saving_finish(run);
    TRY(comm_agree(run->comm, stream_position_set(run->stream, run->position,
                                                  stream_position_size(run->stream))));
    return run_output_stop(run);
}

/* Rewards could not be had, which all ranks know: what the run has is kept as at a stop, so that the
 * same command goes on once they can. */
static enum status keep_what_is(struct run *run) {
    char sentence[STATUS_SENTENCE_MAX], name[STEP_NAME_BYTES];
    snprintf(sentence, sizeof sentence, "%s", status_sentence());
    TRY(comm_agree(run->comm, stream_position_set(run->stream, run->position,
                                                  stream_position_size(run->stream))));
    TRY(run_output_stop(run));
    if (run->counters.step == 0)
        return comm_agree(run->comm, FAIL(STATUS_REWARD, "%s (in the first step)", sentence));
    return comm_agree(
        run->comm, FAIL(STATUS_REWARD,
                        "%s (after step %lld, which %s/checkpoints/%s holds; the same command goes "
                        "on from there)",
                        sentence, (long long)run->counters.step, run->settings->run.directory,
                        step_name(name, run->counters.step)));
}

static enum status take_step(struct run *run, struct metrics *metrics, bool *stop) {
    const enum status status = run_step(run, metrics);
    const bool last = run->counters.step == run->settings->run.steps;
    *stop = status == STATUS_STOPPED;
    if (*stop)
        return drop_step(run);
    if (status == STATUS_REWARD)
        return keep_what_is(run);
    TRY(status);
    if (method_rewards(run->method))
        warn_when_flat(run, metrics);
    warn_of_noise(run, metrics);
    durations_add(&run->wall.steps,
                  clock_now_s() - run->step.clock.start_s + run->step.clock.write_s);
    if (!last)
        TRY(agree_to_stop(run, stop));
    TRY(run_output_step(run, metrics, *stop || last));
    *stop = *stop || run->evaluation.given_up;
    return STATUS_OK;
}

/* On rank 0, which knows of checkpoints. */
static enum status say_stopped(const struct run *run) {
    char name[STEP_NAME_BYTES];
    if (run->files.checkpoint_step == 0)
        return FAIL(STATUS_STOPPED,
                    "stopped after step %lld of %lld; there is no checkpoint in "
                    "%s/checkpoints",
                    (long long)run->counters.step, (long long)run->settings->run.steps,
                    run->settings->run.directory);
    return FAIL(STATUS_STOPPED,
                "stopped after step %lld of %lld; the newest checkpoint is "
                "%s/checkpoints/%s; the same command goes on from there",
                (long long)run->counters.step, (long long)run->settings->run.steps,
                run->settings->run.directory, step_name(name, run->files.checkpoint_step));
}

static enum status run_loop(struct run *run, struct metrics *metrics) {
    /* Before the first step, or what an interrupted attempt has left to do; the checkpoint is there. */
    TRY(run_evaluate(run));
    run_checkpoint_rate(run, NULL);
    const double start_s = clock_now_s();
    const int64_t first_step = run->counters.step;
    bool stop = run->evaluation.given_up;
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
    const bool all_steps =
        run->counters.step == run->settings->run.steps && !run->evaluation.given_up;
    return all_steps ? STATUS_OK : comm_agree(run->comm, say_stopped(run));
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

/* A run that fails where all ranks know it leaves the checkpoint that was in the making whole. */
static void finish_saving(struct run *run, enum status status) {
    char sentence[STATUS_SENTENCE_MAX];
    if (status == STATUS_OK || comm_leaves_alone(run->comm, status))
        return;
    snprintf(sentence, sizeof sentence, "%s", status_sentence());
    if (saving_finish(run) != STATUS_OK)
        log_warning("checkpoint", "the one in the making is lost: %s", status_sentence());
    status_set_sentence(sentence);
}

/* From now on ranks that wait know for whom. */
static enum status open_heartbeat(struct run *run) {
    char path[DIRECTORY_PATH_BYTES];
    TRY(comm_agree(run->comm, directory_path(run->settings->run.directory, path, "heartbeat")));
    const struct heartbeat_deadlines deadlines = {
        .sign_s = (double)run->settings->parallel.deadline_s,
        .phase_s = (double)run->settings->parallel.phase_deadline_s};
    TRY(heartbeat_open(&run->heartbeat, path, run->comm, &deadlines));
    comm_on_wait(run->comm, beat_while_waiting, run);
    return STATUS_OK;
}

enum status run_train(struct run *run) {
    struct metrics metrics;
    TRY(comm_agree(run->comm, metrics_init(&metrics, run->step.pass_room)));
    run->pulse = (struct pulse){.beat = beat, .context = run};
    log_set_quiet(run->comm->rank == 0 && isatty(STDERR_FILENO));
    enum status status = comm_agree(run->comm, report_start(run));
    if (status == STATUS_OK)
        status = open_heartbeat(run);
    if (status == STATUS_OK)
        status = placement_report(run->comm, &run->lm.backend, &run->reducer);
    if (status == STATUS_OK)
        status = wall_time_open(&run->wall, run->settings, run->comm,
                                (double)run->layout->elements * sizeof(float) * state_vectors(run));
    if (status == STATUS_OK)
        status = run_loop(run, &metrics);
    finish_saving(run, status);
    if (status == STATUS_NUMERIC && run->comm->rank == 0)
        status = name_checkpoint(run);
    comm_on_wait(run->comm, NULL, NULL);
    heartbeat_close(&run->heartbeat, status == STATUS_OK || status == STATUS_STOPPED);
    metrics_release(&metrics);
    return status;
}
