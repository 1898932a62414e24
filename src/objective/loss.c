/* SPDX-License-Identifier: Apache-2.0
 *
 * One answer is one loop over its tokens, in double; the level decides only which log-ratio a token
 * is given, its own or the answer's mean.
 */
#include "objective/loss.h"

#include <math.h>
#include <stddef.h>

#define LOG_RATIO_LIMIT 20.0

/* Clamps to [−limit, limit] and says by *open whether the argument passes its derivative on; a NaN
 * stays one. */
static double clamp(double x, double limit, double *open) {
    *open = x > limit || x < -limit ? 0 : 1;
    return x > limit ? limit : x < -limit ? -limit : x;
}

/* As fmax, but a NaN wins. */
static double larger(double a, double b) {
    return isnan(b) || b > a ? b : a;
}

double loss_token_weight(const struct loss_settings *settings, const struct loss_scope *scope,
                         int64_t n) {
    switch (settings->aggregation) {
    case AGGREGATE_SEQUENCE_MEAN:
        return 1 / ((double)scope->answers * (double)n);
    case AGGREGATE_TOKEN_MEAN:
        return 1 / (double)scope->tokens;
    case AGGREGATE_CONSTANT:
        break;
    }
    return 1 / ((double)scope->answers * (double)settings->max_new_tokens);
}

/* The gate at one log-ratio. */
struct surrogate {
    double ratio, value, slope;
    double derivative; /* of the value with respect to the log-ratio: f' r */
};

static struct surrogate surrogate_at(const struct loss_settings *settings, double log_ratio,
                                     double advantage) {
    struct surrogate s;
    double open;
    s.ratio = exp(clamp(log_ratio, LOG_RATIO_LIMIT, &open));
    settings->gate->evaluate(&settings->gate_settings, s.ratio, advantage, &s.value, &s.slope);
    s.derivative = open * s.slope * s.ratio;
    return s;
}

static double log_ratio_of(const struct loss_answer *answer, int64_t token) {
    return (double)answer->logprob[token] - (double)answer->logprob_old[token];
}

/* The sequence's log-ratio is the mean ρ, so each token has 1/n of its derivative; its value stands
 * for all n tokens, and the two factors cancel. Token t therefore has weight · A · f' r at both
 * levels. */
static double log_ratio_mean(const struct loss_answer *answer) {
    double sum = 0;
    for (int64_t t = 0; t < answer->n; t++)
        sum += log_ratio_of(answer, t);
    return sum / (double)answer->n;
}

/* Counts of one token by the sign of the advantage. */
static void count_token(const struct gate_settings *bounds, const struct surrogate *s,
                        double advantage, struct loss_sums *sums) {
    const bool low = s->ratio < 1 - bounds->clip_low;
    const bool high = s->ratio > 1 + bounds->clip_high;
    const bool dual = advantage < 0 && bounds->clip_dual > 0 && s->ratio > bounds->clip_dual;
    if (advantage > 0) {
        sums->gate_positive += s->slope;
        sums->tokens_positive += 1;
        sums->clip_high += high;
    }
    if (advantage < 0) {
        sums->gate_negative += s->slope;
        sums->tokens_negative += 1;
        sums->clip_low += low;
    }
    sums->clipped += advantage > 0 ? high : low || dual;
    sums->gate += s->slope;
    sums->ratio += s->ratio;
    sums->ratio_max = larger(sums->ratio_max, s->ratio);
}

/* −weight f A + weight kl_coef k of one token; returns its derivative. */
static double token_terms(const struct loss_settings *settings, const struct loss_answer *answer,
                          const struct surrogate *s, int64_t t, double weight,
                          struct loss_sums *sums) {
    double derivative = -weight * answer->advantage * s->derivative;
    sums->policy_loss -= weight * answer->advantage * s->value;
    if (answer->logprob_reference != NULL) {
        double k, dk;
        kl_evaluate(settings->kl_estimator, answer->logprob[t], answer->logprob_reference[t], &k,
                    &dk);
        sums->kl += k;
        sums->kl_loss += weight * settings->kl_coef * k;
        derivative += weight * settings->kl_coef * dk;
    }
    return derivative;
}

static void policy_terms(const struct loss_settings *settings, const struct loss_answer *answer,
                         double weight, struct loss_sums *sums) {
    const bool by_token = settings->level == LEVEL_TOKEN;
    const double mean = by_token ? 0 : log_ratio_mean(answer);
    for (int64_t t = 0; t < answer->n; t++) {
        const double log_ratio = by_token ? log_ratio_of(answer, t) : mean;
        const struct surrogate s = surrogate_at(settings, log_ratio, answer->advantage);
        answer->d_logprob[t] = (float)token_terms(settings, answer, &s, t, weight, sums);
        if (answer->ratio != NULL)
            answer->ratio[t] = (float)s.ratio;
        if (answer->gate_derivative != NULL)
            answer->gate_derivative[t] = (float)s.slope;
        count_token(&settings->gate_settings, &s, answer->advantage, sums);
    }
}

static void likelihood_terms(const struct loss_answer *answer, double weight,
                             struct loss_sums *sums) {
    for (int64_t t = 0; t < answer->n; t++) {
        sums->policy_loss -= weight * (double)answer->logprob[t];
        answer->d_logprob[t] = (float)-weight;
    }
}

static void entropy_terms(const struct loss_answer *answer, double factor, struct loss_sums *sums) {
    for (int64_t t = 0; t < answer->n; t++) {
        sums->entropy += (double)answer->entropy[t];
        if (answer->d_entropy != NULL)
            answer->d_entropy[t] = (float)-factor;
    }
}

void loss_answer(const struct loss_settings *settings, const struct loss_scope *scope,
                 const struct loss_answer *answer, struct loss_sums *sums) {
    const double weight = loss_token_weight(settings, scope, answer->n);
    const double entropy_factor = settings->likelihood ? 0 : settings->entropy_coef * weight;
    struct loss_sums own = {.answers = 1, .tokens = (double)answer->n};
    if (settings->likelihood)
        likelihood_terms(answer, weight, &own);
    else
        policy_terms(settings, answer, weight, &own);
    entropy_terms(answer, entropy_factor, &own);
    own.loss = own.policy_loss + own.kl_loss - entropy_factor * own.entropy;
    loss_sums_add(sums, &own);
}

void loss_taught(const struct loss_settings *settings, const struct loss_scope *scope,
                 const struct loss_taught *answer, struct loss_sums *sums) {
    const double weight = loss_token_weight(settings, scope, answer->n);
    struct loss_sums own = {.answers = 1, .tokens = (double)answer->n};
    for (int64_t t = 0; t < answer->n; t++) {
        own.loss += weight * (double)answer->loss[t];
        own.divergence += (double)answer->divergence[t];
        own.entropy += (double)answer->entropy[t];
        own.entropy_teacher += (double)answer->entropy_teacher[t];
        own.probability_teacher += exp((double)answer->logprob_teacher[t]);
        own.agreement += answer->agreement[t];
        own.clipped_entries += answer->clipped[t];
        own.clipped_tokens += answer->clipped[t] > 0;
    }
    own.policy_loss = own.loss;
    loss_sums_add(sums, &own);
}

void loss_judged(const struct loss_judged *sequence, struct loss_sums *sums) {
    const bool real = sequence->real, right = sequence->right;
    const double error = sequence->valued ? sequence->value - sequence->success : 0.0;
    sums->loss += sequence->weight * (sequence->cross_entropy + error * error);
    sums->cross_entropy += sequence->cross_entropy;
    sums->real += real;
    sums->written += !real;
    sums->told_real += real && right;
    sums->told_written += !real && right;
    sums->probability_written += real ? 0.0 : sequence->probability;
    if (!sequence->valued)
        return;
    sums->value += sequence->value;
    sums->value_error += error * error;
    sums->success += sequence->success;
}

void loss_reason(const struct loss_settings *settings, const struct loss_scope *scope,
                 const struct loss_reason *reason, struct loss_sums *sums) {
    const double share = loss_token_weight(settings, scope, reason->n) * reason->advantage;
    double loss = 0.0;
    for (int64_t t = 0; t < reason->n; t++) {
        loss -= share * (double)reason->logprob[t];
        reason->d_logprob[t] = (float)(-reason->weight * share);
        sums->reason_entropy += (double)reason->entropy[t];
    }
    sums->loss += reason->weight * loss;
    sums->reason_loss += loss;
    sums->reason_tokens += (double)reason->n;
}

void loss_sums_add(struct loss_sums *sums, const struct loss_sums *other) {
    sums->loss += other->loss;
    sums->policy_loss += other->policy_loss;
    sums->kl_loss += other->kl_loss;
    sums->answers += other->answers;
    sums->tokens += other->tokens;
    sums->entropy += other->entropy;
    sums->kl += other->kl;
    sums->gate += other->gate;
    sums->gate_positive += other->gate_positive;
    sums->tokens_positive += other->tokens_positive;
    sums->gate_negative += other->gate_negative;
    sums->tokens_negative += other->tokens_negative;
    sums->clip_low += other->clip_low;
    sums->clip_high += other->clip_high;
    sums->clipped += other->clipped;
    sums->divergence += other->divergence;
    sums->entropy_teacher += other->entropy_teacher;
    sums->probability_teacher += other->probability_teacher;
    sums->agreement += other->agreement;
    sums->clipped_entries += other->clipped_entries;
    sums->clipped_tokens += other->clipped_tokens;
    sums->cross_entropy += other->cross_entropy;
    sums->real += other->real;
    sums->written += other->written;
    sums->told_real += other->told_real;
    sums->told_written += other->told_written;
    sums->probability_written += other->probability_written;
    sums->value += other->value;
    sums->value_error += other->value_error;
    sums->success += other->success;
    sums->reason_loss += other->reason_loss;
    sums->reason_tokens += other->reason_tokens;
    sums->reason_entropy += other->reason_entropy;
    sums->ratio += other->ratio;
    sums->ratio_max = larger(sums->ratio_max, other->ratio_max);
}

double loss_eur(const struct loss_sums *groups, int64_t count) {
    double sum = 0;
    for (int64_t g = 0; g < count; g++)
        sum += groups[g].gate / groups[g].tokens;
    return count > 0 ? sum / (double)count : 0;
}

double loss_clip_ratio(const struct loss_sums *groups, int64_t count) {
    double sum = 0;
    for (int64_t g = 0; g < count; g++)
        sum += groups[g].clipped / groups[g].tokens;
    return count > 0 ? sum / (double)count : 0;
}

void kl_evaluate(enum kl_estimator estimator, double logprob, double reference, double *value,
                 double *derivative) {
    const double x = logprob - reference;
    double open, bounded;
    switch (estimator) {
    case KL_K1:
        *value = x;
        *derivative = 1;
        return;
    case KL_K2:
        *value = 0.5 * x * x;
        *derivative = x;
        return;
    case KL_K3:
        bounded = clamp(x, LOG_RATIO_LIMIT, &open);
        *value = expm1(-bounded) + bounded;
        *derivative = open * -expm1(-bounded);
        return;
    }
}
