/* SPDX-License-Identifier: Apache-2.0
 *
 * From what all ranks know of a step to its metrics. Sums over answers run in answer order and sums
 * over groups in group order, so that every rank, and any number of ranks, gets the same bits; only
 * times and memory are the ranks' own.
 */
#include "run/run.h"

#include <math.h>
#include <string.h>

#include "base/clock.h"
#include "base/memory.h"

/* Mean, sample standard deviation and extremes of a series, in the order given. */
struct series {
    double sum, square, least, most;
    int64_t n;
};

static void series_add(struct series *series, double value) {
    series->least = series->n == 0 || value < series->least ? value : series->least;
    series->most = series->n == 0 || value > series->most ? value : series->most;
    series->sum += value;
    series->square += value * value;
    series->n++;
}

static double series_mean(const struct series *series) {
    return series->n > 0 ? series->sum / (double)series->n : NAN;
}

static double series_deviation(const struct series *series) {
    if (series->n < 2)
        return 0.0;
    const double mean = series_mean(series), n = (double)series->n;
    return sqrt(fmax(0.0, (series->square - n * mean * mean) / (n - 1.0)));
}

static void measure_lengths(const struct rollout *rollout, double *step) {
    struct series all = {.n = 0}, ended = {.n = 0};
    int64_t cut = 0;
    for (int64_t k = 0; k < rollout->group_count * rollout->group_size; k++) {
        const struct rollout_answer *answer = &rollout->answers[k];
        series_add(&all, (double)answer->n);
        if (answer->finish == FINISH_LENGTH)
            cut++;
        else
            series_add(&ended, (double)answer->n);
    }
    step[METRIC_MEAN_LENGTH] = series_mean(&all);
    step[METRIC_MIN_LENGTH] = all.least;
    step[METRIC_MAX_LENGTH] = all.most;
    step[METRIC_CLIPPED_RATIO] = (double)cut / (double)all.n;
    step[METRIC_MEAN_TERMINATED] = ended.n > 0 ? series_mean(&ended) : 0.0;
}

/* A reward part and the metrics that hold it. */
static const struct {
    const char *name;
    enum metric mean, deviation;
} part_metrics[] = {
    {"format", METRIC_FORMAT_MEAN, METRIC_FORMAT_STD},
    {"answer", METRIC_ANSWER_MEAN, METRIC_ANSWER_STD},
    {"length", METRIC_LENGTH_MEAN, METRIC_LENGTH_STD},
};

static void measure_parts(const struct run *run, double *step) {
    const struct rollout *rollout = &run->step.rollout;
    for (int64_t p = 0; p < run->settings->reward.parts_count; p++) {
        struct series series = {.n = 0};
        for (int64_t k = 0; k < rollout->group_count * rollout->group_size; k++)
            series_add(&series, rollout->answers[k].parts[p]);
        for (size_t i = 0; i < sizeof part_metrics / sizeof *part_metrics; i++)
            if (strcmp(part_metrics[i].name, run->settings->reward.parts[p].name) == 0) {
                step[part_metrics[i].mean] = series_mean(&series);
                step[part_metrics[i].deviation] = series_deviation(&series);
            }
    }
}

static void measure_rewards(const struct run *run, double *step) {
    const struct rollout *rollout = &run->step.rollout;
    struct series reward = {.n = 0}, penalised = {.n = 0}, advantage = {.n = 0}, spread = {.n = 0};
    for (int64_t g = 0; g < rollout->group_count; g++) {
        struct series group = {.n = 0};
        for (int64_t i = 0; i < rollout->group_size; i++) {
            const struct rollout_answer *answer = &rollout_group_answers(rollout, g)[i];
            series_add(&group, answer->reward);
            series_add(&reward, answer->reward);
            series_add(&penalised, answer->reward_penalised);
            series_add(&advantage, answer->advantage);
        }
        series_add(&spread, series_deviation(&group));
    }
    step[METRIC_REWARD] = series_mean(&reward);
    step[METRIC_REWARD_STD] = series_mean(&spread);
    if (run->reference != NULL && run->settings->objective.kl_in == SETTING_KL_IN_REWARD)
        step[METRIC_REWARD_PENALISED] = series_mean(&penalised);
    step[METRIC_ZERO_STD] =
        (double)run->step.clock.collect.flat_groups / (double)rollout->group_count;
    step[METRIC_ADVANTAGE_MEAN] = series_mean(&advantage);
    step[METRIC_ADVANTAGE_STD] = series_deviation(&advantage);
    step[METRIC_ADVANTAGE_MAX] = fmax(advantage.most, -advantage.least);
    step[METRIC_RESAMPLED] = (double)run->step.clock.collect.resampled;
    measure_parts(run, step);
}

static double share(double part, double whole) {
    return whole > 0.0 ? part / whole : NAN;
}

/* What a backward pass gave: sums of its groups in group order. */
static void measure_pass(const struct run *run, int pass, struct metrics *metrics) {
    const struct backward_pass *sums = &run->step.passes[pass];
    const int64_t groups = sums->end - sums->begin;
    struct loss_sums total = {.loss = 0.0};
    for (int64_t g = 0; g < groups; g++)
        loss_sums_add(&total, &sums->groups[g]);
    metrics_pass(metrics, METRIC_LOSS)[pass] = total.loss;
    metrics_pass(metrics, METRIC_GRAD_NORM)[pass] = sums->grad_norm;
    metrics_pass(metrics, METRIC_ENTROPY)[pass] = share(total.entropy, total.tokens);
    if (run->method->likelihood)
        return;
    metrics_pass(metrics, METRIC_POLICY_LOSS)[pass] = total.policy_loss;
    if (run->reference != NULL)
        metrics_pass(metrics, METRIC_KL)[pass] = share(total.kl, total.tokens);
    metrics_pass(metrics, METRIC_EUR)[pass] = loss_eur(sums->groups, groups);
    metrics_pass(metrics, METRIC_RATIO_MEAN)[pass] = share(total.ratio, total.tokens);
    metrics_pass(metrics, METRIC_RATIO_MAX)[pass] = total.ratio_max;
    metrics_pass(metrics, METRIC_CLIP_LOW)[pass] = share(total.clip_low, total.tokens);
    metrics_pass(metrics, METRIC_CLIP_HIGH)[pass] = share(total.clip_high, total.tokens);
    metrics_pass(metrics, METRIC_CLIP_REGION)[pass] = loss_clip_ratio(sums->groups, groups);
    metrics_pass(metrics, METRIC_GATE_MEAN)[pass] = share(total.gate, total.tokens);
    metrics_pass(metrics, METRIC_GATE_POSITIVE)[pass] =
        share(total.gate_positive, total.tokens_positive);
    metrics_pass(metrics, METRIC_GATE_NEGATIVE)[pass] =
        share(total.gate_negative, total.tokens_negative);
}

/* |sampler − trainer| of one group's tokens. */
struct mismatch {
    int64_t group;
    double sum, most;
};

static struct mismatch group_mismatch(const struct rollout *rollout, int64_t g) {
    struct mismatch mismatch = {.group = g};
    for (int64_t i = 0; i < rollout->group_size; i++) {
        const struct rollout_answer *answer = &rollout_group_answers(rollout, g)[i];
        for (int64_t t = 0; t < answer->n; t++) {
            const double difference =
                fabs((double)answer->logprob_sampler[t] - (double)answer->logprob[t]);
            mismatch.sum += difference;
            mismatch.most =
                difference > mismatch.most || isnan(difference) ? difference : mismatch.most;
        }
    }
    return mismatch;
}

/* Gathers the groups' mismatches and adds them in group order. */
static enum status measure_mismatch(const struct run *run, double tokens, double *step) {
    const int64_t groups = run->step.rollout.group_count;
    struct strbuf mine = STRBUF_EMPTY;
    struct mismatch *all = NULL, *sorted = NULL;
    size_t *sizes = NULL;
    enum status status = memory_new(&sorted, groups, "mismatches");
    for (int64_t g = 0; status == STATUS_OK && g < groups; g++)
        if (tiles_of_group(&run->tiles, g)->owner == run->comm->rank) {
            const struct mismatch mismatch = group_mismatch(&run->step.rollout, g);
            status = strbuf_append(&mine, (const char *)&mismatch, sizeof mismatch);
        }
    status = comm_agree(run->comm, status);
    if (status == STATUS_OK)
        status = comm_all_gather(run->comm, strbuf_text(&mine), mine.length, (void **)&all, &sizes);
    double sum = 0.0, most = 0.0;
    for (int64_t g = 0; status == STATUS_OK && g < groups; g++)
        sorted[all[g].group] = all[g];
    for (int64_t g = 0; status == STATUS_OK && g < groups; g++) {
        sum += sorted[g].sum;
        most = sorted[g].most > most || isnan(sorted[g].most) ? sorted[g].most : most;
    }
    step[METRIC_MISMATCH_MAX] = most;
    step[METRIC_MISMATCH_MEAN] = share(sum, tokens);
    strbuf_release(&mine);
    memory_release(&all);
    memory_release(&sorted);
    memory_release(&sizes);
    return status;
}

/* Times, memory and counts that the ranks have each for themselves. */
static enum status measure_ranks(struct run *run, double *step) {
    const struct collect_report *collect = &run->step.clock.collect;
    double most[] = {collect->rollout_s,           collect->reward_s,
                     collect->old_logprob_s,       collect->reference_s,
                     run->step.clock.gradient_s,   run->step.clock.reduce_s,
                     run->step.clock.optimizer_s,  (double)memory_peak_resident_bytes(),
                     (double)memory_totals().bytes};
    static const enum metric names[] = {
        METRIC_TIME_ROLLOUT,   METRIC_TIME_REWARD,     METRIC_TIME_OLD_LOGPROB,
        METRIC_TIME_REFERENCE, METRIC_TIME_GRADIENT,   METRIC_TIME_REDUCE,
        METRIC_TIME_OPTIMIZER, METRIC_MEMORY_RESIDENT, METRIC_MEMORY_BACKEND};
    int64_t sums[] = {run->step.train_positions, collect->positions};
    TRY(comm_maximum(run->comm, most, sizeof most / sizeof *most));
    TRY(comm_sum_exact(run->comm, sums, sizeof sums / sizeof *sums));
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        step[names[i]] = most[i];
    step[METRIC_POSITIONS] = (double)sums[0];
    step[METRIC_ROLLOUT_POSITIONS] = (double)sums[1];
    return STATUS_OK;
}

static double prompts_of_data(const struct run *run) {
    double sum = 0.0;
    for (int32_t i = 0; i < stream_source_count(run->stream); i++)
        sum += (double)stream_kept(run->stream, i);
    return sum;
}

static void measure_progress(struct run *run, double tokens, double *step) {
    run->counters.tokens += (int64_t)tokens;
    run->counters.prompts += run->step.rollout.group_count + run->step.clock.collect.resampled;
    step[METRIC_LEARNING_RATE] = run->step.learning_rate;
    step[METRIC_BACKWARD_PASSES] = (double)run->counters.backward_passes;
    step[METRIC_OPTIMIZER_STEPS] = (double)run->counters.optimizer_steps;
    step[METRIC_SKIPPED] = (double)run->step.skipped;
    step[METRIC_RESCALED] = (double)run->step.rescaled;
    step[METRIC_PROMPTS_SEEN] = (double)run->counters.prompts;
    step[METRIC_NUM_TOKENS] = (double)run->counters.tokens;
    step[METRIC_EPOCH] = (double)run->counters.prompts / prompts_of_data(run);
    step[METRIC_TIME_WRITE] = run->step.clock.write_s;
    step[METRIC_TIME_STEP] = clock_now_s() - run->step.clock.start_s;
    step[METRIC_TOKENS_PER_S] = share(tokens, step[METRIC_TIME_STEP]);
    step[METRIC_TRAIN_TOKENS_PER_S] = share(step[METRIC_POSITIONS], step[METRIC_TIME_GRADIENT]);
    if (!run->method->likelihood)
        step[METRIC_ROLLOUT_TOKENS_PER_S] = share(tokens, step[METRIC_TIME_ROLLOUT]);
}

enum status run_measure(struct run *run, struct metrics *metrics) {
    double tokens = 0.0, *step = metrics->step;
    metrics_clear(metrics);
    for (int64_t k = 0; k < run->step.rollout.group_count * run->step.rollout.group_size; k++)
        tokens += (double)run->step.rollout.answers[k].n;
    for (int pass = 0; pass < run->step.pass_count; pass++)
        measure_pass(run, pass, metrics);
    metrics_average(metrics);
    measure_lengths(&run->step.rollout, step);
    if (!run->method->likelihood) {
        measure_rewards(run, step);
        TRY(measure_mismatch(run, tokens, step));
    }
    TRY(measure_ranks(run, step));
    measure_progress(run, tokens, step);
    return STATUS_OK;
}
