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
    /* sft: L = − aggregate(log π); nothing else applies, only logprob and entropy are read,
     * ratio and gate_derivative are not written */
    bool likelihood;
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
    /* Tokens with r < 1 − clip_low and A < 0, with r > 1 + clip_high and A > 0, as TRL counts them;
     * and all beyond their bound by the rule of the gate paper's eq. 12, where A = 0 goes with
     * A < 0 and the dual bound counts: for the gate `clip` these are the tokens with f' = 0. */
    double clip_low, clip_high, clipped;
    /* Of a teacher: divergences before any clip, the teacher's entropies, its probabilities of the
     * tokens; tokens whose most probable one both share; entries that the clip took, and tokens
     * with such */
    double divergence, entropy_teacher, probability_teacher, agreement;
    double clipped_entries, clipped_tokens;
    /* Of a discriminator, sums over sequences: cross-entropies, unweighted; real and written ones, those
     * of each that it told, and the probabilities of being real that it gave to written ones; of its
     * value head values, their squared errors and what they are to foretell; and of its reasoning the
     * loss, unweighted, and sums over its tokens */
    double cross_entropy, real, written, told_real, told_written, probability_written;
    double value, value_error, success;
    double reason_loss, reason_tokens, reason_entropy;
    double ratio;     /* Σ r */
    double ratio_max; /* largest r (maximum, not sum) */
};

/* One answer: writes its derivatives and adds to *sums. The log-ratio is clamped to [−20, 20]
 * before exp, the difference that k3 works on too; beyond, the derivative is 0. What is not a
 * number stays so in the derivatives and the sums. */
void loss_answer(const struct loss_settings *settings, const struct loss_scope *scope,
                 const struct loss_answer *answer, struct loss_sums *sums);

/* The share of a token in the aggregate, of an answer of n tokens. */
double loss_token_weight(const struct loss_settings *settings, const struct loss_scope *scope,
                         int64_t n);

/* One answer against its teacher: L = aggregate(loss of the token), the numbers of each token being
 * known (backend.h, "Distillation"). */
struct loss_taught {
    int64_t n;                          /* tokens of the answer, ≥ 1 */
    const float *logprob_teacher;       /* (n) */
    const float *entropy;               /* (n) of the student, of the teacher */
    const float *entropy_teacher;       /* (n) */
    const float *divergence, *loss;     /* (n) before the clip, and after it */
    const int32_t *clipped, *agreement; /* (n) */
};
void loss_taught(const struct loss_settings *settings, const struct loss_scope *scope,
                 const struct loss_taught *answer, struct loss_sums *sums);

/* One sequence that a discriminator has judged: L = weight (cross_entropy + (value − success)²), the
 * second term where there is a value head. */
struct loss_judged {
    double weight;
    bool real, right; /* what it is, and whether it was told to be that */
    double probability, cross_entropy;
    bool valued;
    double value, success; /* what it was expected to be, and 0 or 1 */
};
void loss_judged(const struct loss_judged *sequence, struct loss_sums *sums);

/* What it wrote before, REINFORCE: L = − weight aggregate( advantage log π ), where the advantage is a
 * constant. */
struct loss_reason {
    int64_t n;            /* tokens that were drawn, ≥ 1 */
    const float *logprob; /* (n) now */
    const float *entropy; /* (n) */
    double weight, advantage;
    float *d_logprob; /* (n) = dL/dlogprob */
};
void loss_reason(const struct loss_settings *settings, const struct loss_scope *scope,
                 const struct loss_reason *reason, struct loss_sums *sums);

void loss_sums_add(struct loss_sums *sums, const struct loss_sums *other);

/* The effective update ratio, eq. 12 of the gate paper: the mean over groups of Σ f' / tokens of
 * the group, from the sums of each group (all its answers); 0 without groups. loss_clip_ratio
 * averages `clipped` in the same way: with the gate `clip`, EUR = 1 − clip ratio. */
double loss_eur(const struct loss_sums *groups, int64_t count);
double loss_clip_ratio(const struct loss_sums *groups, int64_t count);

/* k of the estimator and its derivative with respect to logprob. */
void kl_evaluate(enum kl_estimator estimator, double logprob, double reference, double *value,
                 double *derivative);

#endif
