/* SPDX-License-Identifier: Apache-2.0
 *
 * Every operation of the backend once more, as the formula says it: double precision, naive loops,
 * no threads, no layouts. Tests compare the backends with these, and differentiate these by central
 * differences to check the backward operations.
 *
 * Sizes and shapes are those of backend/backend.h; matrices are row-major and contiguous. Running
 * out of memory ends the process.
 */
#ifndef TESTS_REFERENCE_REFERENCE_H
#define TESTS_REFERENCE_REFERENCE_H

#include <stdbool.h>
#include <stdint.h>

#include "backend/backend.h"

/* n zeroed doubles; given back with free. */
double *reference_new(int64_t n);

/* The values of n floats. */
double *reference_widen(const float *values, int64_t n);

/* out (T, C) = rows `tokens` of table (V, C). */
void reference_embed(const double *table, const int32_t *tokens, double *out, int64_t T, int64_t C);

/* y (M, N) = x (M, K) w (N, K)ᵀ + bias (N) + residual (M, N); the last two may be NULL. */
void reference_gemm(const double *x, const double *w, const double *bias, const double *residual,
                    double *y, int64_t M, int64_t N, int64_t K);

void reference_rmsnorm(const double *x, const double *weight, double *y, int64_t T, int64_t C,
                       double epsilon);

struct reference_rope {
    const double *qkv; /* (T, (H + 2 K) D) */
    const int32_t *positions;
    const double *table;           /* (max_positions, D): cosines, then sines */
    const double *q_norm, *k_norm; /* (D) or NULL */
    double *out;                   /* (T, (H + 2 K) D) */
    int64_t T, H, K, D;
    double epsilon;
};
void reference_rope(const struct reference_rope *args);

/* out (T, H D) and, unless NULL, log_sum (T, H) of rotated qkv (T, (H + 2 K) D). */
struct reference_attention {
    const double *qkv;
    const struct segment *segments;
    double *out, *log_sum;
    int64_t T, H, K, D, segment_count;
};
void reference_attention(const struct reference_attention *args);

void reference_swiglu(const double *gate_up, double *out, int64_t T, int64_t F);

/* log softmax(z / temperature) at the targets and −Σ p log p, of whole rows of logits (R, V). */
struct reference_head {
    const double *logits;
    const int32_t *targets;
    double *logprob, *entropy;
    int64_t R, V;
    double temperature;
};
void reference_head(const struct reference_head *args);

/* gradient (V) of d_logprob · logprob + d_entropy · entropy of one row with
 * respect to its logits. */
void reference_head_gradient(const double *logits, int64_t V, int64_t target, double temperature,
                             double d_logprob, double d_entropy, double *gradient);

/* Distillation of one row of logits, by algorithms.md 4 as it is written there. */
struct reference_distill {
    const double *student, *teacher; /* (V) */
    int64_t V, top_k;                /* top_k: 0 for all entries */
    struct distill_settings settings;
};
struct reference_distilled {
    double divergence, loss; /* before and after the clip */
    int64_t clipped;
    double margin;    /* distance from the clip of the entry (or the sum) that is nearest to it */
    double *gradient; /* (V) = of the loss with respect to the student's logits; or NULL */
};
void reference_distill(const struct reference_distill *args, struct reference_distilled *out);

/* Probabilities (V) of a draw under `settings` from one row of logits; `seen` as in sample_args.
 * temperature 0 gives probability 1 to the greedy token. */
void reference_sample(const double *logits, int64_t V, const struct sample_settings *settings,
                      const int32_t *seen, int32_t seen_count, double *probabilities);

/* One element of AdamW (decoupled decay); arguments as in adamw_args. */
void reference_adamw(const struct adamw_args *settings, double gradient, double *parameter,
                     double *exp_avg, double *exp_avg_sq);

#endif
