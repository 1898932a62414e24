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
                                           .stop_id_count = run->lm.hparams.eos_count};
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

static enum status run_loop(struct run *run, struct metrics *metrics) {
    const double start_s = clock_now_s();
    const int64_t first_step = run->counters.step;
    bool stop = false;
    while (run->counters.step < run->settings->run.steps && !stop) {
        TRY(run_step(run, metrics));
        TRY(agree_to_stop(run, &stop));
        TRY(run_output_step(run, metrics, stop || run->counters.step == run->settings->run.steps));
        report_step(run, metrics,
                    (clock_now_s() - start_s) / (double)(run->counters.step - first_step));
        if (!run->method->likelihood)
            warn_when_flat(run, metrics);
    }
    log_live_end();
    TRY(run_output_finish(run));
    if (run->counters.step < run->settings->run.steps)
        return comm_agree(
            run->comm,
            FAIL(
                STATUS_STOPPED,
                "stopped after step %lld of %lld; the checkpoint of that step is in %s/checkpoints",
                (long long)run->counters.step, (long long)run->settings->run.steps,
                run->settings->run.directory));
    return STATUS_OK;
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
    log_set_quiet(run->comm->rank == 0 && isatty(STDERR_FILENO));
    enum status status = comm_agree(run->comm, report_start(run));
    if (status == STATUS_OK)
        status = run_loop(run, &metrics);
    if (status == STATUS_NUMERIC && run->comm->rank == 0)
        status = name_checkpoint(run);
    metrics_release(&metrics);
    return status;
}
