/* SPDX-License-Identifier: Apache-2.0 */
#include "run/evaluation.h"

#include <math.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/stop.h"
#include "eval/draw.h"
#include "run/diagnostics.h"
#include "run/run.h"

/* --- opening --- */

static enum status name_sets(struct run_evaluation *evaluation, const struct settings *settings) {
    const int64_t count = settings->eval.sets_count,
                  rows = settings->run.steps / settings->eval.every + 2;
    TRY(memory_new(&evaluation->names, count, "names of sets"));
    TRY(memory_new(&evaluation->figures, count, "figures of sets"));
    for (int64_t s = 0; s < count; s++)
        evaluation->names[s] = settings->eval.sets[s].name;
    evaluation->sets =
        (struct diagnostics_sets){.names = evaluation->names, .count = count, .rows = rows};
    evaluation->step = -1;
    return STATUS_OK;
}

enum status run_evaluation_open(struct run *run) {
    const struct settings *settings = run->settings;
    struct run_evaluation *evaluation = &run->evaluation;
    if (settings->eval.every == 0)
        return STATUS_OK;
    evaluation->on = true;
    TRY(name_sets(evaluation, settings));
    TRY(evaluation_open(&evaluation->problems, settings, &run->lm.form,
                        run->lm.hparams.max_positions));
    const struct budget_settings budgets = evaluation_budgets(&evaluation->problems);
    TRY(language_model_check_budgets(&run->lm, &budgets));
    const int64_t longest = evaluation->problems.longest_prompt + settings->eval.max_new_tokens;
    if (longest > run->max_positions)
        run->max_positions = longest;
    return STATUS_OK;
}

void run_evaluation_close(struct run *run) {
    if (!run->evaluation.on)
        return;
    evaluation_close(&run->evaluation.problems);
    memory_release(&run->evaluation.names);
    memory_release(&run->evaluation.figures);
    run->evaluation.on = false;
}

/* --- what is there --- */

static bool is_due(const struct run *run) {
    const int64_t step = run->counters.step, every = run->settings->eval.every;
    return run->evaluation.on && (step % every == 0 || step == run->settings->run.steps);
}

/* Sets that the file has of this step need not be drawn; rank 0. */
static enum status look_up(struct run *run, const struct diagnostics *diagnostics) {
    struct run_evaluation *evaluation = &run->evaluation;
    for (int64_t s = 0; s < evaluation->sets.count; s++) {
        bool found;
        TRY(diagnostics_find_evaluation(diagnostics, s, run->counters.step, &found,
                                        &evaluation->figures[s]));
        evaluation->problems.sets[s].skipped = found;
    }
    return STATUS_OK;
}

/* Rank 0's figures, and which sets are skipped, to all. */
static enum status share(struct run *run) {
    struct run_evaluation *evaluation = &run->evaluation;
    const size_t bytes = (size_t)evaluation->sets.count * sizeof *evaluation->figures;
    for (int64_t s = 0; s < evaluation->sets.count; s++) {
        int32_t skipped = evaluation->problems.sets[s].skipped;
        TRY(comm_broadcast(run->comm, &skipped, sizeof skipped, 0));
        evaluation->problems.sets[s].skipped = skipped != 0;
    }
    return comm_broadcast(run->comm, evaluation->figures, bytes, 0);
}

/* --- drawing --- */

static enum status beat(void *context) {
    struct run *run = context;
    run_output_beat(run);
    TRY(heartbeat_beat(run->heartbeat));
    if (stop_requested())
        return FAIL(STATUS_STOPPED, "%s", stop_reason());
    return wall_time_look(&run->wall, false) == WALL_GO_ON
               ? STATUS_OK
               : FAIL(STATUS_STOPPED, "the end of the job");
}

static enum status draw(struct run *run) {
    const struct pulse pulse = {.beat = beat, .context = run};
    const struct evaluation_draw how = {.model = run->lm.model,
                                        .tokenizer = run->lm.tokenizer,
                                        .stop_ids = run->lm.hparams.eos,
                                        .stop_id_count = run->lm.hparams.eos_count,
                                        .comm = run->comm,
                                        .pulse = &pulse};
    heartbeat_phase(run->heartbeat, "evaluation", run->counters.step);
    return evaluation_draw(&run->evaluation.problems, &how);
}

/* --- the figures; rank 0 --- */

static enum status take_figures(struct run *run, const struct diagnostics *diagnostics, int64_t s) {
    const struct evaluation *problems = &run->evaluation.problems;
    const struct evaluation_lengths lengths = evaluation_lengths(problems, &problems->sets[s]);
    struct diagnostics_evaluation *figures = &run->evaluation.figures[s];
    struct estimate estimate;
    *figures =
        (struct diagnostics_evaluation){.step = run->counters.step,
                                        .backward_passes = (double)run->counters.backward_passes,
                                        .tokens = (double)run->counters.tokens,
                                        .mean_length = lengths.mean,
                                        .clipped_ratio = lengths.clipped_ratio};
    TRY(evaluation_pass_at(problems, &problems->sets[s], 1, &estimate));
    figures->pass_at_1 = estimate.mean;
    figures->error = estimate.error;
    return diagnostics_training_s(diagnostics, run->counters.step, &figures->seconds);
}

static void tell(const struct run *run, int64_t s, double seconds) {
    const struct diagnostics_evaluation *figures = &run->evaluation.figures[s];
    log_info("eval",
             "step = %lld, set = %s, pass_at_1 = %.4f, error = %.4f, mean_length = %.1f, "
             "clipped_ratio = %.4f, evaluation_s = %.2f",
             (long long)figures->step, run->evaluation.names[s], figures->pass_at_1, figures->error,
             figures->mean_length, figures->clipped_ratio, seconds);
}

static enum status record(struct run *run, const struct diagnostics *diagnostics, double seconds) {
    for (int64_t s = 0; s < run->evaluation.sets.count; s++) {
        if (run->evaluation.problems.sets[s].skipped)
            continue;
        TRY(take_figures(run, diagnostics, s));
        TRY(diagnostics_append_evaluation(diagnostics, s, &run->evaluation.figures[s]));
        tell(run, s, seconds);
    }
    return STATUS_OK;
}

/* Draws what the file lacks, and adds it. */
static enum status evaluate(struct run *run, const struct diagnostics *diagnostics) {
    const double start_s = clock_now_s();
    int64_t drawn;
    if (evaluation_total(&run->evaluation.problems, &drawn) == 0)
        return STATUS_OK;
    enum status status = draw(run);
    if (status == STATUS_OK)
        status = comm_agree(run->comm, run->comm->rank == 0
                                           ? record(run, diagnostics, clock_now_s() - start_s)
                                           : STATUS_OK);
    evaluation_clear(&run->evaluation.problems);
    return status == STATUS_OK ? share(run) : status;
}

enum status run_evaluate(struct run *run) {
    char path[DIRECTORY_PATH_BYTES];
    if (!is_due(run))
        return STATUS_OK;
    TRY(comm_agree(run->comm,
                   directory_path(run->settings->run.directory, path, "diagnostics.h5")));
    const struct diagnostics diagnostics = run_diagnostics(run, path);
    TRY(comm_agree(run->comm, run->comm->rank == 0 ? look_up(run, &diagnostics) : STATUS_OK));
    TRY(share(run));
    const enum status status = evaluate(run, &diagnostics);
    run->evaluation.given_up = status == STATUS_STOPPED;
    if (run->evaluation.given_up)
        log_info("run",
                 "stopping after step %lld, asked by %s; the evaluation that was at work is given "
                 "up, and will be made again",
                 (long long)run->counters.step, status_sentence());
    if (status == STATUS_OK)
        run->evaluation.step = run->counters.step;
    return run->evaluation.given_up ? STATUS_OK : status;
}

/* --- for checkpoint.best --- */

bool run_evaluation_figure(const struct run *run, const char *name, double *value) {
    const struct settings_eval *eval = &run->settings->eval;
    static const struct diagnostics_evaluation none = {.step = -1};
    static const char group[] = "eval/";
    *value = (double)NAN;
    if (strncmp(name, group, sizeof group - 1) != 0 || eval->every == 0)
        return false;
    const char *const set = name + sizeof group - 1;
    for (int64_t s = 0; s < eval->sets_count; s++) {
        const size_t length = strlen(eval->sets[s].name);
        if (strncmp(set, eval->sets[s].name, length) != 0 || set[length] != '/')
            continue;
        const bool now = run->evaluation.on && run->evaluation.step == run->counters.step;
        const double *figure =
            diagnostics_figure(now ? &run->evaluation.figures[s] : &none, set + length + 1);
        if (figure != NULL && now)
            *value = *figure;
        return figure != NULL;
    }
    return false;
}
