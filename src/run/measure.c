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
#include "base/statistics.h"
#include "method/groups.h"
#include "run/rule.h"
#include "run/saving.h"

/* A number of an answer. Below, `values` is room for one of each answer of the step. */
typedef double answer_number(const struct rollout_answer *answer);

static double length_of(const struct rollout_answer *answer) {
    return (double)answer->n;
}

static double reward_of(const struct rollout_answer *answer) {
    return answer->reward;
}

static double penalised_of(const struct rollout_answer *answer) {
    return answer->reward_penalised;
}

static double advantage_of(const struct rollout_answer *answer) {
    return answer->advantage;
}

static struct statistics over_answers(const struct rollout *rollout, answer_number *number,
                                      double *values) {
    const int64_t n = rollout->group_count * rollout->group_size;
    for (int64_t k = 0; k < n; k++)
        values[k] = number(&rollout->answers[k]);
    return statistics_of(values, n);
}

static void measure_lengths(const struct rollout *rollout, double *values, double *step) {
    const struct statistics all = over_answers(rollout, length_of, values);
    int64_t ended = 0;
    for (int64_t k = 0; k < all.n; k++)
        if (rollout->answers[k].finish != FINISH_LENGTH)
            values[ended++] = (double)rollout->answers[k].n;
    step[METRIC_MEAN_LENGTH] = all.mean;
    step[METRIC_MIN_LENGTH] = all.least;
    step[METRIC_MAX_LENGTH] = all.most;
    step[METRIC_CLIPPED_RATIO] = (double)(all.n - ended) / (double)all.n;
    step[METRIC_MEAN_TERMINATED] = ended > 0 ? statistics_of(values, ended).mean : 0.0;
}

static void measure_forced(const struct run *run, double *step) {
    const struct rollout *rollout = &run->step.rollout;
    const int64_t n = rollout->group_count * rollout->group_size;
    int64_t forced = 0;
    for (int64_t k = 0; k < n; k++)
        forced += rollout->answers[k].forced;
    if (run->settings->rollout.think_tokens > 0)
        step[METRIC_FORCED_RATIO] = (double)forced / (double)n;
}

/* A reward part and the metrics that hold it. */
static const struct {
    const char *name;
    enum metric mean, deviation;
} part_metrics[] = {
    {"format", METRIC_FORMAT_MEAN, METRIC_FORMAT_STD},
    {"answer", METRIC_ANSWER_MEAN, METRIC_ANSWER_STD},
    {"math", METRIC_MATH_MEAN, METRIC_MATH_STD},
    {"length", METRIC_LENGTH_MEAN, METRIC_LENGTH_STD},
    {"overlong", METRIC_OVERLONG_MEAN, METRIC_OVERLONG_STD},
    {"program", METRIC_PROGRAM_MEAN, METRIC_PROGRAM_STD},
    {"plugin", METRIC_PLUGIN_MEAN, METRIC_PLUGIN_STD},
};

static void measure_parts(const struct run *run, double *values, double *step) {
    const struct rollout *rollout = &run->step.rollout;
    const int64_t n = rollout->group_count * rollout->group_size;
    for (int64_t p = 0; p < run->settings->reward.parts_count; p++) {
        for (int64_t k = 0; k < n; k++)
            values[k] = rollout->answers[k].parts[p];
        const struct statistics part = statistics_of(values, n);
        for (size_t i = 0; i < sizeof part_metrics / sizeof *part_metrics; i++)
            if (strcmp(part_metrics[i].name, run->settings->reward.parts[p].name) == 0) {
                step[part_metrics[i].mean] = part.mean;
                step[part_metrics[i].deviation] = part.deviation;
            }
    }
}

/* Mean over groups of the deviation inside a group. */
static double mean_spread(const struct rollout *rollout, double *values) {
    over_answers(rollout, reward_of, values);
    for (int64_t g = 0; g < rollout->group_count; g++) /* group g's values stand behind place g */
        values[g] = statistics_of(values + g * rollout->group_size, rollout->group_size).deviation;
    return statistics_of(values, rollout->group_count).mean;
}

static void measure_rewards(const struct run *run, double *values, double *step) {
    const struct rollout *rollout = &run->step.rollout;
    const struct collect_report *collect = &run->step.clock.collect;
    step[METRIC_REWARD] = over_answers(rollout, reward_of, values).mean;
    if (rollout->group_size > 1) { /* one answer has no spread */
        step[METRIC_REWARD_STD] = mean_spread(rollout, values);
        step[METRIC_ZERO_STD] = (double)collect->flat_groups / (double)rollout->group_count;
    }
    if (run->reference != NULL && run->settings->objective.kl_in == SETTING_KL_IN_REWARD)
        step[METRIC_REWARD_PENALISED] = over_answers(rollout, penalised_of, values).mean;
    const struct statistics advantage = over_answers(rollout, advantage_of, values);
    step[METRIC_ADVANTAGE_MEAN] = advantage.mean;
    step[METRIC_ADVANTAGE_STD] = advantage.deviation;
    step[METRIC_ADVANTAGE_MAX] = fmax(advantage.most, -advantage.least);
    if (run->settings->objective.advantage == SETTING_ADVANTAGE_EMA)
        step[METRIC_ADVANTAGE_BASELINE] = collect->baseline;
    step[METRIC_RESAMPLED] = (double)collect->resampled;
    measure_parts(run, values, step);
}

/* What its discriminator wrote before it told. */
static void measure_reasoning(const struct rollout *reasons, double *step) {
    const int64_t n = reasons->group_count * reasons->group_size;
    int64_t tokens = 0, forced = 0;
    for (int64_t k = 0; k < n; k++) {
        tokens += reasons->answers[k].n;
        forced += reasons->answers[k].forced;
    }
    step[METRIC_REASON_LENGTH] = (double)tokens / (double)n;
    step[METRIC_REASON_FORCED] = (double)forced / (double)n;
}

/* Of the game, what does not change from pass to pass. */
static void measure_game(const struct run *run, double *step) {
    const struct rollout *texts = &run->step.judged.texts;
    const int64_t n = texts->group_count * texts->group_size;
    int64_t right = 0;
    for (int64_t k = 0; k < n; k++)
        right += !judged_is_real(k % texts->group_size) &&
                 run->step.judged.completions[k] == run->settings->adversarial.completion_tokens;
    step[METRIC_LENGTH_RIGHT] = (double)right / (double)(n - texts->group_count);
    if (run->settings->objective.advantage == SETTING_ADVANTAGE_EMA)
        step[METRIC_ADVERSARIAL_BASELINE] = run->step.clock.collect.baseline;
    if (run->settings->adversarial.reason_tokens > 0)
        measure_reasoning(&run->step.judged.reasons, step);
}

static double share(double part, double whole) {
    return whole > 0.0 ? part / whole : NAN;
}

/* How far the teacher was. */
static void measure_taught(const struct run *run, const struct loss_sums *total, int pass,
                           struct metrics *metrics) {
    const double tokens = total->tokens;
    metrics_pass(metrics, METRIC_DISTILL_DIVERGENCE)[pass] = share(total->divergence, tokens);
    metrics_pass(metrics, METRIC_DISTILL_CLIPPED_ENTRIES)[pass] =
        run->settings->distill.clip_at == SETTING_CLIP_AT_TOKEN
            ? 0.0
            : share(total->clipped_entries, tokens * (double)taught_width(run));
    metrics_pass(metrics, METRIC_DISTILL_CLIPPED_TOKENS)[pass] =
        share(total->clipped_tokens, tokens);
    metrics_pass(metrics, METRIC_DISTILL_ENTROPY_TEACHER)[pass] =
        share(total->entropy_teacher, tokens);
    metrics_pass(metrics, METRIC_DISTILL_AGREEMENT)[pass] = share(total->agreement, tokens);
    metrics_pass(metrics, METRIC_DISTILL_PROBABILITY)[pass] =
        share(total->probability_teacher, tokens);
}

/* What its value head says of it. */
static void measure_values(const struct loss_sums *total, int pass, struct metrics *metrics) {
    const double sequences = total->real + total->written;
    metrics_pass(metrics, METRIC_VALUE)[pass] = share(total->value, sequences);
    metrics_pass(metrics, METRIC_VALUE_ERROR)[pass] = share(total->value_error, sequences);
    metrics_pass(metrics, METRIC_SUCCESS)[pass] = share(total->success, sequences);
}

/* How the discriminator did. */
static void measure_discriminator(const struct run *run, const struct loss_sums *total, int pass,
                                  struct metrics *metrics) {
    metrics_pass(metrics, METRIC_D_LOSS)[pass] =
        share(total->cross_entropy, total->real + total->written);
    metrics_pass(metrics, METRIC_ACCURACY_REAL)[pass] = share(total->told_real, total->real);
    metrics_pass(metrics, METRIC_ACCURACY_WRITTEN)[pass] =
        share(total->told_written, total->written);
    metrics_pass(metrics, METRIC_PROBABILITY_WRITTEN)[pass] =
        share(total->probability_written, total->written);
    if (judged_is_valued(run->settings))
        measure_values(total, pass, metrics);
    if (run->settings->adversarial.reason_tokens == 0)
        return;
    metrics_pass(metrics, METRIC_REASON_LOSS)[pass] = total->reason_loss;
    metrics_pass(metrics, METRIC_REASON_ENTROPY)[pass] =
        share(total->reason_entropy, total->reason_tokens);
}

/* The norms of both gradients of the game, where each has its sum. */
static void measure_norms(const struct run *run, int pass, struct metrics *metrics) {
    const struct backward_pass *sums = &run->step.passes[pass];
    if (rule_leaves_discriminator(run->settings)) {
        metrics_pass(metrics, METRIC_GRAD_NORM_GENERATOR)[pass] = sums->grad_norm;
    } else if (run->settings->adversarial.grad_norms) {
        metrics_pass(metrics, METRIC_GRAD_NORM_GENERATOR)[pass] = sums->norm_generator;
        metrics_pass(metrics, METRIC_GRAD_NORM_DISCRIMINATOR)[pass] = sums->norm_discriminator;
    }
}

/* Sums of a pass's groups in group order. */
static struct loss_sums total_of(const struct backward_pass *sums) {
    struct loss_sums total = {.loss = 0.0};
    for (int64_t g = 0; g < sums->end - sums->begin; g++)
        loss_sums_add(&total, &sums->groups[g]);
    return total;
}

/* What a backward pass gave. */
static void measure_pass(const struct run *run, int pass, struct metrics *metrics) {
    const struct backward_pass *sums = &run->step.passes[pass];
    const int64_t groups = sums->end - sums->begin;
    const struct loss_sums total = total_of(sums);
    metrics_pass(metrics, METRIC_LOSS)[pass] = total.loss;
    metrics_pass(metrics, METRIC_GRAD_NORM)[pass] = sums->grad_norm;
    metrics_pass(metrics, METRIC_ENTROPY)[pass] = share(total.entropy, total.tokens);
    if (run->method->distils)
        measure_taught(run, &total, pass, metrics);
    if (run->method->discriminates)
        measure_norms(run, pass, metrics);
    if (run->method->discriminates && !rule_leaves_discriminator(run->settings))
        measure_discriminator(run, &total, pass, metrics);
    if (!method_rewards(run->method))
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
    double sum, most;
};

static struct mismatch group_mismatch(const struct rollout *rollout, int64_t g) {
    struct mismatch mismatch = {.sum = 0.0};
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

/* Every rank's groups, added in group order. */
static enum status measure_mismatch(const struct run *run, double tokens, double *step) {
    const int64_t groups = run->step.rollout.group_count;
    struct mismatch *all = NULL;
    double sum = 0.0, most = 0.0;
    TRY(comm_agree(run->comm, memory_new(&all, groups, "mismatches")));
    for (int64_t g = 0; g < groups; g++)
        if (groups_own(&run->tiles, run->comm, g))
            all[g] = group_mismatch(&run->step.rollout, g);
    const enum status status = groups_share(&run->tiles, run->comm, 0, groups, all, sizeof *all);
    for (int64_t g = 0; g < groups; g++) {
        sum += all[g].sum;
        most = all[g].most > most || isnan(all[g].most) ? all[g].most : most;
    }
    step[METRIC_MISMATCH_MAX] = most;
    step[METRIC_MISMATCH_MEAN] = share(sum, tokens);
    memory_release(&all);
    return status;
}

/* Times, memory and counts that the ranks have each for themselves. */
static enum status measure_ranks(struct run *run, double *step) {
    const struct collect_report *collect = &run->step.clock.collect;
    const struct backend *backend = &run->lm.backend;
    int64_t outside = 0;
    if (backend->ops->outside != NULL)
        TRY(backend->ops->outside(backend, &outside));
    double most[] = {collect->rollout_s,
                     collect->reward_s,
                     collect->old_logprob_s,
                     collect->reference_s,
                     run->step.clock.gradient_s,
                     run->step.clock.reduce_s,
                     run->step.clock.optimizer_s,
                     (double)memory_peak_resident_bytes(),
                     (double)memory_totals().bytes,
                     (double)(backend->blocks_taken - run->step.blocks_before),
                     (double)outside};
    static const enum metric names[] = {
        METRIC_TIME_ROLLOUT,   METRIC_TIME_REWARD,     METRIC_TIME_OLD_LOGPROB,
        METRIC_TIME_REFERENCE, METRIC_TIME_GRADIENT,   METRIC_TIME_REDUCE,
        METRIC_TIME_OPTIMIZER, METRIC_MEMORY_RESIDENT, METRIC_MEMORY_BACKEND,
        METRIC_MEMORY_BLOCKS,  METRIC_MEMORY_OUTSIDE};
    int64_t sums[] = {run->step.train_positions, collect->positions};
    run->step.blocks_before = backend->blocks_taken;
    TRY(comm_maximum(run->comm, most, sizeof most / sizeof *most));
    TRY(comm_sum_exact(run->comm, sums, sizeof sums / sizeof *sums));
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        step[names[i]] = most[i];
    step[METRIC_POSITIONS] = (double)sums[0];
    step[METRIC_ROLLOUT_POSITIONS] = (double)sums[1];
    return STATUS_OK;
}

/* Of a gate that has a τ. */
static void measure_tau(const struct run *run, double *step) {
    if (!run->loss.gate->soft)
        return;
    step[METRIC_TAU_POS] = run->loss.gate_settings.tau_pos;
    step[METRIC_TAU_NEG] = run->loss.gate_settings.tau_neg;
    if (run->tau_settings.control == TAU_EUR)
        step[METRIC_TAU_ERROR] = run->tau.error;
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
    step[METRIC_SKIPPED] = (double)run->step.report.skipped;
    step[METRIC_RESCALED] = (double)run->step.rescaled;
    if (run->corpus != NULL)
        step[METRIC_REDRAWN] = (double)run->corpus->redrawn;
    step[METRIC_PROMPTS_SEEN] = (double)run->counters.prompts;
    step[METRIC_NUM_TOKENS] = (double)run->counters.tokens;
    step[METRIC_EPOCH] = (double)run->counters.prompts / prompts_of_data(run);
    step[METRIC_TIME_WRITE] = run->step.clock.write_s;
    step[METRIC_TIME_CHECKPOINT_STALL] = saving_stall_s(run);
    step[METRIC_TIME_STEP] = clock_now_s() - run->step.clock.start_s - run->step.clock.mauve_s;
    step[METRIC_TOKENS_PER_S] = share(tokens, step[METRIC_TIME_STEP]);
    step[METRIC_TRAIN_TOKENS_PER_S] = share(step[METRIC_POSITIONS], step[METRIC_TIME_GRADIENT]);
    if (!run->method->likelihood)
        step[METRIC_ROLLOUT_TOKENS_PER_S] = share(tokens, step[METRIC_TIME_ROLLOUT]);
}

/* Where the two fast steps of gxpo led. */
static void measure_lookahead(const struct run *run, double *step) {
    const struct update_lookahead *ahead = &run->step.report.ahead;
    const struct extrapolation_sums *sums = &ahead->sums;
    const double mean = share(sums->ratio, sums->active);
    step[METRIC_GXPO_COS_1] = sums->product / (ahead->norm_0 * ahead->norm_1);
    step[METRIC_GXPO_RETENTION_MEAN] = mean;
    step[METRIC_GXPO_RETENTION_STD] =
        sqrt(fmax(0.0, share(sums->ratio_square, sums->active) - mean * mean));
    step[METRIC_GXPO_SCALE_MEAN] = sums->scale / sums->coordinates;
    step[METRIC_GXPO_SCALE_MAX] = sums->scale_most;
    step[METRIC_GXPO_DISPLACEMENT_2] = sqrt(sums->moved);
    step[METRIC_GXPO_DISPLACEMENT_K] = sqrt(sums->extended);
    step[METRIC_GXPO_DISPLACEMENT_RATIO] = share(sqrt(sums->extended), sqrt(sums->moved));
    step[METRIC_GXPO_MULTIPLIER] =
        run->settings->update.reposition * step[METRIC_GXPO_DISPLACEMENT_RATIO];
    step[METRIC_GXPO_INACTIVE] = 1.0 - sums->active / sums->coordinates;
    step[METRIC_GXPO_RATIO_CLAMPED] = share(sums->ratio_clamped, sums->active);
    step[METRIC_GXPO_SCALE_CLAMPED] = share(sums->scale_clamped, sums->active);
    step[METRIC_GXPO_CHANGED] = sums->changed / sums->coordinates;
}

static void measure_diagnosis(const struct run *run, double *step) {
    const struct update_errors *errors = &run->diagnosis.errors;
    step[METRIC_GXPO_ERROR_MEDIAN] = errors->median;
    step[METRIC_GXPO_ERROR_REPOSITIONED] = run->settings->update.reposition * errors->median;
    step[METRIC_GXPO_ERROR_RELATIVE] = errors->relative;
    step[METRIC_GXPO_ERROR_COSINE] = errors->cosine;
    step[METRIC_GXPO_DISPLACEMENT_TRUE] = errors->reached;
    step[METRIC_TIME_DIAGNOSIS] = run->step.clock.diagnosis_s;
}

static void measure_gxpo(const struct run *run, double *step) {
    const struct update_report *report = &run->step.report;
    const struct update_lookahead *ahead = &report->ahead;
    step[METRIC_GXPO_ACTIVE] = report->active;
    step[METRIC_GXPO_Z] = report->z;
    step[METRIC_GXPO_STREAK] = (double)run->shutoff.streak;
    step[METRIC_GXPO_NORM_0] = ahead->norm_0;
    step[METRIC_GXPO_NORM_1] = ahead->norm_1;
    step[METRIC_GXPO_NORM_SLOW] = ahead->norm_slow;
    step[METRIC_GXPO_COS_SLOW] = ahead->product_slow / (ahead->norm_0 * ahead->norm_slow);
    if (ahead->extrapolated)
        measure_lookahead(run, step);
    if (run->diagnosis.made)
        measure_diagnosis(run, step);
}

static void measure_rule(const struct run *run, double *step) {
    const struct update_report *report = &run->step.report;
    if (run->rule->shuts_off)
        step[METRIC_FALLBACK] = report->fallback;
    if (run->rule == &update_gxpo)
        measure_gxpo(run, step);
    if (run->rule == &update_sfpo) {
        step[METRIC_SFPO_ACTIVE] = report->active;
        step[METRIC_SFPO_Z] = report->z;
        step[METRIC_SFPO_STREAK] = (double)run->shutoff.streak;
    }
}

static void measure_mauve(const struct run *run, double *step) {
    const struct mauve_watch *mauve = &run->mauve;
    if (!mauve->on)
        return;
    step[METRIC_TIME_MAUVE] = run->step.clock.mauve_s;
    if (mauve->generations == 0)
        return;
    step[METRIC_MAUVE] = mauve->score.mauve;
    step[METRIC_MAUVE_FRONTIER] = mauve->score.frontier_integral;
    step[METRIC_MAUVE_STAR] = mauve->score.mauve_star;
    step[METRIC_MAUVE_FRONTIER_STAR] = mauve->score.frontier_integral_star;
    step[METRIC_MAUVE_GENERATIONS] = (double)mauve->generations;
    step[METRIC_MAUVE_EMPTY] = (double)(mauve_recent_written(&mauve->recent) - mauve->generations);
}

/* Of answers that are drawn, where the first pass over each is by the parameters that drew it. */
static bool has_mismatch(const struct run *run) {
    return method_rewards(run->method) ||
           (run->method->distils && run->settings->update.mini_batches == 1);
}

/* Sums over a group's tokens by their place, then means. */
struct position_sums {
    double at[POSITION_METRICS][POSITION_BINS];
};

static void add_token(const struct run *run, const struct rollout_answer *answer, int64_t t,
                      struct position_sums *sums) {
    const bool by_entry = run->settings->distill.clip_at == SETTING_CLIP_AT_ENTRY;
    const double clipped = (double)answer->clipped[t];
    const double values[POSITION_METRICS] = {
        [POSITION_TOKENS] = 1.0,
        [POSITION_DIVERGENCE] = (double)answer->divergence[t],
        [POSITION_CLIPPED_ENTRIES] = by_entry ? clipped / (double)taught_width(run) : 0.0,
        [POSITION_CLIPPED_TOKENS] = clipped > 0.0,
        [POSITION_ENTROPY] = (double)answer->entropy[t],
        [POSITION_ENTROPY_TEACHER] = (double)answer->entropy_teacher[t],
        [POSITION_AGREEMENT] = (double)answer->agreement[t],
        [POSITION_PROBABILITY] = exp((double)answer->logprob_teacher[t])};
    const int bin = position_bin(t);
    for (int i = 0; i < POSITION_METRICS; i++)
        sums->at[i][bin] += values[i];
}

static void add_group(const struct run *run, int64_t g, struct position_sums *sums) {
    const struct rollout *rollout = &run->step.rollout;
    for (int64_t i = 0; i < rollout->group_size; i++) {
        const struct rollout_answer *answer = &rollout_group_answers(rollout, g)[i];
        for (int64_t t = 0; t < answer->n; t++)
            add_token(run, answer, t, sums);
    }
}

/* Every rank's groups, added in group order. */
static void average_positions(const struct position_sums *groups, int64_t count,
                              struct metrics *metrics) {
    for (int bin = 0; bin < POSITION_BINS; bin++) {
        double sums[POSITION_METRICS] = {0.0};
        for (int64_t g = 0; g < count; g++)
            for (int i = 0; i < POSITION_METRICS; i++)
                sums[i] += groups[g].at[i][bin];
        for (int i = 0; i < POSITION_METRICS; i++)
            metrics->at[i][bin] = share(sums[i], sums[POSITION_TOKENS]);
        metrics->at[POSITION_TOKENS][bin] = sums[POSITION_TOKENS];
    }
}

static enum status measure_positions(const struct run *run, struct metrics *metrics) {
    const int64_t count = run->step.rollout.group_count;
    struct position_sums *groups = NULL;
    TRY(comm_agree(run->comm, memory_new(&groups, count, "numbers by place")));
    for (int64_t g = 0; g < count; g++)
        if (groups_own(&run->tiles, run->comm, g))
            add_group(run, g, &groups[g]);
    const enum status status =
        groups_share(&run->tiles, run->comm, 0, count, groups, sizeof *groups);
    if (status == STATUS_OK)
        average_positions(groups, count, metrics);
    memory_release(&groups);
    return status;
}

static enum status measure_batch(struct run *run, double *values, struct metrics *metrics) {
    const struct rollout *rollout = &run->step.rollout;
    double *step = metrics->step;
    double tokens = 0.0;
    for (int64_t k = 0; k < rollout->group_count * rollout->group_size; k++)
        tokens += (double)rollout->answers[k].n;
    measure_lengths(rollout, values, step);
    if (!run->method->likelihood)
        measure_forced(run, step);
    if (method_rewards(run->method)) {
        measure_rewards(run, values, step);
        measure_tau(run, step);
    }
    if (run->method->discriminates)
        measure_game(run, step);
    if (run->method->distils)
        TRY(measure_positions(run, metrics));
    if (has_mismatch(run))
        TRY(measure_mismatch(run, tokens, step));
    TRY(measure_ranks(run, step));
    measure_progress(run, tokens, step);
    measure_rule(run, step);
    measure_mauve(run, step);
    return STATUS_OK;
}

/* What the discriminator's own step found stands at the last pass, behind which it was made. */
static void measure_own_step(const struct run *run, struct metrics *metrics) {
    const struct backward_pass *sums = &run->step.discriminator;
    const struct loss_sums total = total_of(sums);
    const int last = run->step.pass_count - 1;
    metrics_pass(metrics, METRIC_GRAD_NORM_DISCRIMINATOR)[last] = sums->norm_discriminator;
    measure_discriminator(run, &total, last, metrics);
}

enum status run_measure(struct run *run, struct metrics *metrics) {
    const struct rollout *rollout = &run->step.rollout;
    double *values = NULL;
    metrics_clear(metrics);
    for (int pass = 0; pass < run->step.pass_count; pass++)
        measure_pass(run, pass, metrics);
    if (rule_leaves_discriminator(run->settings))
        measure_own_step(run, metrics);
    metrics_average(metrics);
    if (rule_leaves_discriminator(run->settings))
        metrics->step[METRIC_LOSS] += total_of(&run->step.discriminator).loss;
    TRY(comm_agree(run->comm, memory_new(&values, rollout->group_count * rollout->group_size,
                                         "numbers of the answers")));
    const enum status status = measure_batch(run, values, metrics);
    memory_release(&values);
    return status;
}
