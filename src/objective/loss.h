/* SPDX-License-Identifier: Apache-2.0
 *
 * The loss of a mini-batch, answer by answer: from log-probabilities to the loss and its derivative
 * with respect to each of them.
 *
 *     L = − aggregate( f(r) A ) + kl_coef · aggregate( k ) − entropy_coef · aggregate( H )
 *
 * where aggregate is the mean over answers of token means, the mean over all tokens, or the sum
 * over answers × max_new_tokens (design, section 9), r = exp(log π − log π_old) per token or exp of
 * its mean over the answer (GSPO), and k is k1, k2 or k3 against a reference (algorithms.md 3.1).
 */
#ifndef OBJECTIVE_LOSS_H
#define OBJECTIVE_LOSS_H

#include <stdbool.h>
#include <stdint.h>

#include "objective/gate.h"

enum ratio_level { LEVEL_TOKEN, LEVEL_SEQUENCE };
enum aggregation { AGGREGATE_SEQUENCE_MEAN, AGGREGATE_TOKEN_MEAN, AGGREGATE_CONSTANT };
enum kl_estimator { KL_K1, KL_K2, KL_K3 };

struct loss_settings {
    const struct gate *gate;
    struct gate_settings gate_settings;
    enum ratio_level level;
    enum aggregation aggregation;
    double kl_coef; /* in the loss; 0 when the KL is off or in the reward */
    enum kl_estimator kl_estimator;
    double entropy_coef;
    int64_t max_new_tokens; /* AGGREGATE_CONSTANT */
    bool likelihood;        /* sft: L = − aggregate(log π); nothing else applies */
};

/* Totals of the mini-batch that an answer's weight needs; equal on all ranks. */
struct loss_scope {
    int64_t answers, tokens;
};

struct loss_answer {
    int64_t n;                      /* tokens of the answer, ≥ 1 */
    const float *logprob;           /* (n) now */
    const float *logprob_old;       /* (n) under π_old; may be logprob itself */
    const float *logprob_reference; /* (n), or NULL without a reference */
    const float *entropy;           /* (n) */
    double advantage;
    float *d_logprob;       /* (n) = dL/dlogprob */
    float *d_entropy;       /* (n) = dL/dentropy; NULL when entropy_coef is 0 */
    float *ratio;           /* (n) = r (the sequence's at that level), or NULL */
    float *gate_derivative; /* (n) = f'(r), or NULL */
};

/* What is summed over answers; every field is a plain sum over tokens unless it says answers. Add
 * them in index order with loss_sums_add. */
struct loss_sums {
    double loss;                 /* already weighted: the sum over all answers is the loss */
    double policy_loss, kl_loss; /* its parts */
    double answers, tokens;
    double entropy, kl;                    /* kl is that of the chosen estimator */
    double gate;                           /* Σ f' over tokens */
    double gate_positive, tokens_positive; /* over answers with A > 0 */
    double gate_negative, tokens_negative; /* over answers with A < 0 */
    double clip_low,
        clip_high;    /* tokens with r < 1 − clip_low and A < 0, r > 1 + clip_high and A > 0 */
    double ratio;     /* Σ r */
    double ratio_max; /* largest r (maximum, not sum) */
};

/* One answer: writes its derivatives and adds to *sums. The log-ratio is clamped to [−20, 20]
 * before exp; the k3 exponent too. */
void loss_answer(const struct loss_settings *settings, const struct loss_scope *scope,
                 const struct loss_answer *answer, struct loss_sums *sums);

void loss_sums_add(struct loss_sums *sums, const struct loss_sums *other);

/* k of the estimator and its derivative with respect to logprob. */
void kl_evaluate(enum kl_estimator estimator, double logprob, double reference, double *value,
                 double *derivative);

#endif
