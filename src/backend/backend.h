/* SPDX-License-Identifier: Apache-2.0
 *
 * The operations that compute, and the memory they compute in.
 *
 * A backend is a table of operations over memory of its own ("cpu": host memory). Every slot is
 * required. Pointers inside the argument structures are addresses of that memory unless the comment
 * says "host"; tensors are row-major, contiguous unless a stride is given. Sizes: T rows (token
 * positions), C width, H query heads, K key/value heads, D head size, F width of the MLP, V
 * vocabulary, R rows at the output head, B rows decoded together.
 *
 * Element types. What is declared `float *` is fp32 on every backend: the residual stream, logits,
 * scores and their gradients, sums, norm weights, biases, gradients of weights. What is declared
 * `void *` are activations: normed rows, queries keys and values, outputs of attention, gate and
 * up and their product, an adapter's inner rows, and the gradients of all these. Their type is
 * given beside them (`dtype`; a product, which leads from one world to the other, names that of
 * each side). A backend says with ops->activations which it wants; the CPU always fp32.
 *
 * What every implementation promises (design, section 3):
 *   - Forward operations are row-invariant: the bits of an output row depend on that row's inputs
 *     and the weights alone, never on the other rows, their number, or the number of threads.
 *   - A product is one chain per output, in ascending order of the summed index: with fp32 weights
 *     of fused multiply-adds; with bf16 weights of fused multiply-adds with the widened weight or,
 *     where the machine multiplies pairs of bf16 (CPU: avx512bf16), of one addition per pair, with
 *     the inputs rounded to bf16. Sums are fp32.
 *   - Backward operations give the same bits for the same arguments, whatever the number of
 *     threads.
 *   - Output marked `+=` accumulates; all other output is overwritten. Nothing may alias unless the
 *     slot says so.
 *   - A number that is not finite is passed on, never hidden.
 *
 * The queue. Operations, clear and upload are queued and carried out in the order of the calls; a
 * call may come back before its work is done, and what goes wrong then is told by a later call.
 * download and synchronize wait for all that was queued before. upload has copied the host's bytes
 * when it comes back, and so has every operation with an argument marked "host": the caller may
 * change or free them at once. release may be called while queued operations still use the memory.
 */
#ifndef BACKEND_BACKEND_H
#define BACKEND_BACKEND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "backend/divergence.h"
#include "backend/extrapolation.h"
#include "base/status.h"
#include "tensor/dtype.h"

/* A matrix W (rows, columns) = (outputs, inputs) in the backend's own layout: y = x Wᵀ. On the CPU:
 * panels of 32 outputs, [rows / 32 rounded up][columns][32], the last panel padded with zeros. In
 * bf16 two neighbouring inputs stand side by side, [rows / 32 rounded up][columns / 2][32][2], so
 * `columns` must be even. */
enum { WEIGHT_PANEL = 32 };
struct weight {
    void *panels;
    int64_t rows, columns;
    enum dtype dtype;
    /* Of a view (weight_view): its first row in the whole weight, and the rows of that; 0 of a whole
     * one. A row of outputs has the same bits whether the whole gave it or views did. */
    int64_t view_begin, view_of;
};

/* One run of consecutive rows of a packed batch (design, section 3). Row i of the segment attends
 * to all rows of the parent segment, if it has one, and to the rows 0..i of its own; it stands at
 * position `position + i`. A parent comes before its children and has no parent itself. */
struct segment {
    int32_t start, length;
    int32_t parent;   /* index of the parent segment, or -1 */
    int32_t position; /* position of its first row: 0, or the parent's length */
};

/* Who attends to whom in a packed batch: made once for a batch (attention_plan_make), used by every
 * layer, forward and backward. */
struct attention_plan {
    struct segment *segments; /* host, (segment_count): they cover the rows 0..T-1 in order */
    int64_t segment_count, segment_capacity;
    int64_t T, H, K, D;
    void *state; /* what the backend makes of it: work lists, copies in its memory; or NULL */
};

struct pack_args {
    const float *source; /* (weight.rows, weight.columns), row-major */
    struct weight weight;
};

/* Reads a weight from where files are mapped: widens the numbers, rounds and packs them, by threads
 * that each fill the panels which they will multiply with. */
struct load_source {
    const void *values; /* host, row-major, perhaps unaligned */
    void *mapping;      /* the mapped file: pages are given back once read; NULL: they stay */
    enum dtype dtype;
    int64_t rows;
};
struct load_args {
    const struct load_source *sources; /* host: one below the other they are the weight */
    int64_t source_count;
    struct weight weight;
    float *out;   /* (weight.rows, weight.columns): the widened numbers as well; or NULL */
    int64_t *bad; /* host: index of the first number that is not finite, −1 for none */
};

struct unpack_args {
    struct weight weight;
    float *out; /* (weight.rows, weight.columns), row-major */
};

struct embed_args {
    struct weight table;   /* (V, C) */
    const int32_t *tokens; /* (T) */
    float *out;            /* (T, C) */
    int64_t T;
};

/* Of the three products a `scale` multiplies the sums, before anything is added; 0, as absent as a
 * NULL bias, leaves them as they are. */
struct gemm_args {
    const void *x; /* (M, weight.columns) with row stride ldx */
    struct weight weight;
    const float *bias; /* (weight.rows) or NULL */
    const void
        *residual; /* (M, weight.rows) with row stride ldy, like y; or NULL; may be y itself */
    void *y;       /* (M, weight.rows), row stride ldy = scale x Wᵀ + bias + residual */
    enum dtype x_dtype, y_dtype;
    int64_t M, ldx, ldy;
    float scale;
};

struct gemm_dx_args {
    const void *dy; /* (M, weight.rows) with row stride ldy */
    struct weight weight;
    void *dx; /* (M, weight.columns) with row stride ldx: = scale dy W, or += with add */
    enum dtype dy_dtype, dx_dtype;
    int64_t M, ldy, ldx;
    float scale;
    bool add;
};

struct gemm_dw_args {
    const void *dy; /* (M, N) with row stride ldy */
    const void *x;  /* (M, K) with row stride ldx */
    float *dw;      /* (N, K): = scale dyᵀ x, summed over ascending rows; += with add */
    float *dbias;   /* (N) or NULL: column sums of dy, not scaled; = or += like dw */
    enum dtype dy_dtype, x_dtype;
    int64_t M, N, K, ldy, ldx;
    float scale;
    bool add;
};

struct rmsnorm_args {    /* y = x / sqrt(mean(x²) + epsilon) · weight */
    const float *x;      /* (T, C) */
    const float *weight; /* (C) */
    void *y;             /* (T, C) */
    float *inverse_rms;  /* (T) or NULL */
    enum dtype dtype;    /* of y */
    int64_t T, C;
    float epsilon;
};

struct rmsnorm_backward_args {
    const float *x, *weight, *inverse_rms;
    const void *dy;
    float *dx;        /* (T, C) += */
    float *dweight;   /* (C) = sum over rows in ascending order; or NULL */
    enum dtype dtype; /* of dy */
    int64_t T, C;
};

/* Rotary embedding of the query and key heads of a row (H + 2 K heads of size D: queries, keys,
 * values), after an RMS norm per head where the weights are given (Qwen3). Rotation pairs element i
 * with i + D/2 (Hugging Face's "rotate half"). */
struct rope_args {
    const void *qkv;          /* (T, (H + 2 K) D) */
    const int32_t *positions; /* (T) */
    const float *table; /* (max_positions, D): D/2 cosines, then D/2 sines, of each position */
    const float *q_norm, *k_norm; /* (D) or NULL, both or none */
    void *out;                    /* (T, (H + 2 K) D); may be qkv itself when there are no norms */
    enum dtype dtype;             /* of qkv and out */
    int64_t T, H, K, D;
    float epsilon;
};

struct rope_backward_args {
    struct rope_args forward; /* as given to rope; `out` is not read */
    void *dqkv;               /* (T, (H + 2 K) D): in: gradient of out; out: gradient of qkv */
    float *dq_norm, *dk_norm; /* (D) = ; NULL without norms, or both where nobody wants them */
};

struct attention_args {
    const struct attention_plan *plan;
    const void *qkv;  /* (T, (H + 2 K) D), rotated */
    void *out;        /* (T, H D) */
    float *log_sum;   /* (T, H) or NULL: log Σ exp of the scaled scores, for the backward */
    enum dtype dtype; /* of qkv and out */
};

struct attention_backward_args {
    struct attention_args forward; /* with out and log_sum filled */
    const void *dout;              /* (T, H D) */
    void *dqkv;                    /* (T, (H + 2 K) D) = */
};

/* Keys and values of earlier positions, in pages of CACHE_PAGE positions of one sequence, all of them
 * numbered in one pool. A page holds, for each layer and key/value head, the keys of its positions
 * and then their values, in an order of the backend's own (CPU: keys as [CACHE_PAGE / 32][D][32],
 * positions innermost, so that scores are products with a packed weight; values as
 * [CACHE_PAGE][D]). What stands at positions that nothing was stored at does not matter. */
enum { CACHE_PAGE = 64 };
struct cache_pool {
    void *memory;          /* from ops->reserve; page p begins p · page_elements behind it */
    int64_t page_elements; /* layers × K × 2 × CACHE_PAGE × D */
    int64_t page_count;    /* of those that may be used */
    int64_t K, D;
    enum dtype dtype; /* that of the activations */
};

struct cache_store_args {
    const void *qkv; /* (B, (H + 2 K) D), rotated */
    struct cache_pool pool;
    const int32_t *pages; /* (B): the page that takes row b */
    const int32_t *slots; /* (B): position inside that page; negative: the row is not stored */
    int64_t B, H, layer;
};

/* Rows that are decoded together, as the host knows them between two looks: made when they change
 * (ops->decode_prepare), used by every layer of every step until then. */
struct decode_plan {
    int64_t B, H, K, D;
    int64_t rows; /* of a step: behind the B of the plan rows that have ended (ops->decode_rows) */
    int64_t most; /* that a step with this plan will ever have */
    const int32_t *prompts; /* host, (B): rows of one prompt have one number and stand together */
    int64_t longest;        /* no row will have more keys than that */
    int64_t
        arguments; /* another number where the steps' operations are given other addresses or sizes */
    void *state;   /* what the backend makes of it, or NULL */
};

struct attention_decode_args {
    const struct decode_plan *plan;
    const void *qkv; /* (B, (H + 2 K) D), rotated */
    struct cache_pool pool;
    const int32_t *page_numbers;  /* (page_number_count): each sequence's pages, in their order */
    const int32_t *prompt_begin;  /* (B): where the numbers of the prompt's pages begin */
    const int32_t *own_begin;     /* (B): and those of the row's own */
    const int32_t *prompt_length; /* (B): positions; 0: no prompt */
    const int32_t *own_length;    /* (B): with the position being computed */
    void *out;                    /* (B, H D); rows behind plan->B may stay as they are */
    int64_t page_number_count, layer;
};

struct swiglu_args {
    const void *gate_up; /* (T, 2 F): gate, then up */
    void *out;           /* (T, F) = silu(gate) · up */
    enum dtype dtype;
    int64_t T, F;
};

struct swiglu_backward_args {
    const void *gate_up; /* (T, 2 F) */
    const void *dout;    /* (T, F) */
    void *dgate_up;      /* (T, 2 F) =; may be gate_up itself */
    enum dtype dtype;
    int64_t T, F;
};

struct gather_rows_args {
    const float *x;      /* (·, C) */
    const int32_t *rows; /* (R) */
    float *out;          /* (R, C) */
    int64_t R, C;
};

struct scatter_rows_args {
    const float *x;      /* (R, C) */
    const int32_t *rows; /* (R) */
    float *out;          /* (·, C): out[rows[r]] += x[r], in ascending r */
    int64_t R, C;
};

/* The output head works in blocks of HEAD_BLOCK vocabulary entries, always the same ones, so that
 * logits need not be kept and the bits of a row's sums do not depend on who asks. Sums are of
 * softmax(z / T) for the temperature T > 0. log p is always (z − max)/T − log_sum in this order:
 * a difference of logits hardly rounds, a scaled logit does. */
enum { HEAD_BLOCK = 1024 };

/* Numbers from one row of logits to the next: rows begin at multiples of 16 bytes, as libraries want
 * them, in bf16 too, whatever the vocabulary. */
static inline int64_t logits_stride(int64_t columns) {
    return (columns + 7) / 8 * 8;
}

struct head_row {    /* state of one row while its blocks pass by */
    double sum;      /* Σ exp((z − max)/T) */
    double weighted; /* Σ (z − max) exp((z − max)/T) */
    float max;       /* largest z so far */
    float target;    /* z of the target token, once its block has passed */
};

struct head_block_args {
    const float *logits;    /* (R, columns), row stride ld: entries from `begin` on of each row */
    const int32_t *targets; /* (R): token ids */
    struct head_row *rows;  /* (R): updated; reset when begin is 0 */
    int64_t begin;          /* a multiple of HEAD_BLOCK; so is columns, but for the last block */
    int64_t R, columns, ld;
    float temperature;
};

struct head_shift { /* what turns the logits of a row into log-probabilities again */
    float max;      /* largest z */
    float log_sum;  /* log Σ exp((z − max)/T) */
};

struct head_finish_args {
    const struct head_row *rows; /* (R) after the last block */
    float *logprob;              /* (R): log softmax(z/T) at the target */
    float *entropy;              /* (R): −Σ p log p */
    struct head_shift *shift;    /* (R), for the backward; or NULL */
    int64_t R;
    float temperature;
};

struct head_backward_args {
    const float *logits;                /* (R, columns), row stride ld: z of the block */
    const int32_t *targets;             /* (R) */
    const struct head_shift *shift;     /* (R) from head_finish */
    const float *entropy;               /* (R) from head_finish */
    const float *d_logprob, *d_entropy; /* (R): d loss / d logprob, d loss / d entropy */
    void *out; /* (R, columns), row stride ld: d loss / d z; in fp32 it may be logits itself */
    int64_t R, columns, ld, begin;
    float temperature;
    enum dtype dtype; /* of out: that of the activations */
};

/* Distillation: how far a student's distribution is from a teacher's at each row, both softmax(z / T)
 * over the vocabulary, and the gradient with respect to the student's logits (algorithms.md, section
 * 4; the arithmetic of an entry is in divergence.h). Row r of the student goes with row r of the
 * teacher. Logits pass by in blocks as the head's, and hardly need to be kept:
 *     head_block, head_finish   of each model: log-probability, entropy, shift
 *     distill_top               of whole rows, where only the teacher's top k entries count
 *     distill_block             sums over the entries, for which both shifts must be known
 *     distill_finish            results of the rows
 *     distill_backward          the gradient of a block
 * What an entry gives has the same bits in distill_block and distill_backward. Equal logits give
 * divergence 0 and gradient 0, exactly. */
struct distill_settings {
    enum divergence divergence;
    float beta;       /* the teacher's part in the mixture, inside (0, 1); of JSD alone */
    float clip;       /* none when 0 */
    bool clip_tokens; /* the clip is of the sum over a row's entries, not of each entry */
    /* The estimate from the row's own token y instead: divergence d = log p_S(y) − log p_T(y), loss
     * d log p_S(y) with d for a constant, whose gradient is head_backward's for d_logprob = d, not
     * distill_backward's. */
    bool sampled;
    float temperature;
};

/* Which entries count: those with teacher's logit above `least`, and with that logit up to id `last`.
 * The shifts are over these. */
struct distill_top {
    float least;
    int32_t last;
    struct head_shift student, teacher;
};

struct distill_top_args {           /* the k largest logits of the teacher, lower ids where equal */
    const float *student, *teacher; /* (R, V), row stride ld */
    struct distill_top *top;        /* (R) = */
    int64_t R, V, ld;
    int32_t k; /* 1 to V */
    float temperature;
};

/* A block of the logits of both. */
struct distill_logits {
    const float *student, *teacher; /* (R, columns), row stride ld: entries from `begin` on */
    const struct head_shift *student_shift, *teacher_shift; /* (R) from head_finish */
    const struct distill_top *top;                          /* (R), or NULL: all entries count */
    int64_t begin; /* a multiple of HEAD_BLOCK; so is columns, but for the last block */
    int64_t R, columns, ld;
};

struct distill_row {                    /* state of one row while its blocks pass by */
    double divergence;                  /* Σ h */
    double loss;                        /* Σ min(h, clip) */
    double pull;                        /* Σ of what pulls at the logits (divergence.h) */
    int64_t clipped;                    /* entries with h ≥ clip */
    int32_t student_best, teacher_best; /* the first largest logit of all, −1 before its block */
};

struct distill_block_args {
    struct distill_logits logits;
    struct distill_row *rows; /* (R): updated; reset when begin is 0 */
    struct distill_settings settings;
};

struct distill_slope { /* what the gradient of a row needs besides its logits */
    float pull;
    float open; /* 1; 0 of a row whose sum is at or above its clip: no gradient */
};

struct distill_finish_args {
    const struct distill_row *rows;         /* (R) after the last block */
    const float *logprob, *logprob_teacher; /* (R) from head_finish; read where sampled */
    float *divergence;                      /* (R): before any clip */
    float *loss;                            /* (R): after it */
    int32_t *clipped;            /* (R): entries that the clip took; of a clip by token 0 or 1 */
    int32_t *agreement;          /* (R): 1 where both have the same most probable entry, else 0 */
    struct distill_slope *slope; /* (R) */
    int64_t R;
    struct distill_settings settings;
};

struct distill_backward_args {
    struct distill_logits logits;
    const struct distill_slope *slope; /* (R) from distill_finish */
    const float *weight;               /* (R): d total / d loss of the row */
    /* (R, columns), row stride ld: d total / d z of the student; in fp32 it may be logits.student */
    void *out;
    enum dtype dtype; /* of out: that of the activations */
    struct distill_settings settings;
};

/* Draws a token per row by inverse CDF over the vocabulary in ascending order from one uniform
 * number (design, section 3), from softmax(z / temperature) shaped in this order: presence penalty
 * (subtracted from the logits of tokens already in the answer), temperature, top-k (ties at the
 * border: lower ids win), top-p (smallest set of most probable tokens whose probability reaches
 * top_p), min-p (probability at least min_p times the largest). temperature 0 takes the largest
 * logit, the lower id at a tie. */
struct sample_settings {
    float temperature, top_p, min_p, presence_penalty;
    int32_t top_k; /* 0: off */
};

struct sample_args {
    const float *logits; /* (B, V) row stride ld */
    /* The uniform numbers (B), in [0, 1); or NULL: random_uniform(seed, RANDOM_SAMPLE, counters),
     * computed where the token is drawn */
    const double *uniforms;
    const uint32_t *counters; /* (B, 4): step, prompt, answer, position; read without uniforms */
    const uint64_t *seed;     /* one; the same */
    /* Tokens of the answer so far: the first seen_counts[b] of row seen_rows[b] of `seen` (·,
     * seen_ld); not read when presence_penalty is 0. */
    const int32_t *seen, *seen_rows, *seen_counts;
    int32_t *tokens; /* (B) =; −1 where a logit is not finite */
    /* Of the token that was drawn, with the bits that head_block and head_finish give it from the same
     * logits at settings.temperature (1 where that is 0), so neither penalised nor filtered; not
     * finite where a logit is not. Both (B) =, or both NULL. */
    float *logprob, *entropy;
    int64_t B, V, ld, seen_ld;
    struct sample_settings settings;
};

/* Notes what was drawn for rows that are being decoded, and makes them ready for the next step: by
 * this operation decoding goes on without the host. With n tokens in its answer, the last is what a
 * row is fed next; that is position n − 1 of its own and prompt_length + n − 1 of the whole. A row
 * that has ended stays as it is and is not stored in the cache any more; one that is full could go
 * on with another budget. Where a text is forced, its tokens stand in place of what was drawn,
 * without numbers (NaN), and end nothing but by the budget. */
enum decode_end {
    DECODE_OPEN,
    DECODE_STOP,       /* the last token is one of stop_ids */
    DECODE_FULL,       /* it has as many tokens as it may */
    DECODE_NOT_FINITE, /* a number of its draw is not finite; nothing was noted */
};
struct decode_append_args {
    const int32_t *drawn;                                    /* (B) by sample */
    const float *logprob, *entropy;                          /* (B) */
    int32_t *tokens;                                         /* (B): fed next */
    int32_t *positions;                                      /* (B): where it stands */
    int32_t *counts;                                         /* (B): tokens of the answer */
    uint32_t *counters;                                      /* (B, 4): as sample wants them */
    int32_t *pages, *slots;                                  /* (B): as cache_store wants them */
    int32_t *ends;                                           /* (B): enum decode_end */
    const int32_t *prompt_length, *own_begin, *page_numbers; /* as in attention_decode_args */
    const int32_t *budgets;                                  /* (B): most tokens of the answer */
    const int32_t *answers;  /* (B): the row's own row in the three tables (·, most): */
    int32_t *answer_tokens;  /* tokens */
    float *answer_logprobs;  /* their log-probabilities */
    float *answer_entropies; /* and entropies */
    const int32_t *stop_ids; /* (stop_id_count) */
    /* (B): the token of the answer at which the forced text begins, −1: nowhere; and that text */
    const int32_t *forced_begins;
    const int32_t *forced; /* (forced_count) */
    int64_t B, most, stop_id_count, forced_count, page_number_count;
};

/* Tile gradients become 64-bit fixed point before they are added, so that the order of the sum
 * cannot matter (design, section 3): total[i] += round(value[i] · 2^scale_bits). An addend that is
 * not finite is not added but counted; one whose scaled size is above `bound` is not added either,
 * and the largest such size is kept. */
struct refused {       /* in backend memory; begins as zeros */
    double largest;    /* size of the largest addend above the bound, 0 for none */
    int64_t nonfinite; /* number of addends that are not finite */
};
struct accumulate_args {
    const float *values; /* (n) */
    int64_t *total;      /* (n) += */
    int64_t n;
    int32_t scale_bits;
    double bound;
    struct refused *refused; /* updated */
};

/* The same for rows of a matrix: row rows[r] of total += row r of values. */
struct accumulate_rows_args {
    const float *values; /* (R, C) */
    const int32_t *rows; /* (R): ascending, no two the same */
    int64_t *total;      /* (·, C) += */
    int64_t R, C;
    int32_t scale_bits;
    double bound;
    struct refused *refused; /* updated */
};

struct resolve_args { /* back from fixed point: out[i] = total[i] · 2^-scale_bits */
    const int64_t *total;
    float *out;
    int64_t n;
    int32_t scale_bits;
};

/* Scalars of a vector are kept per block of VECTOR_BLOCK elements, in double, and added by the
 * caller in index order. */
enum { VECTOR_BLOCK = 65536 };
struct dot_args {
    const float *x, *y; /* (n) */
    double *blocks;     /* (n / VECTOR_BLOCK rounded up) = */
    int64_t n;
};

struct copy_args { /* out = x */
    const float *x;
    float *out; /* (n) */
    int64_t n;
};

struct add_args { /* out += x */
    const float *x;
    float *out; /* (n) */
    int64_t n;
};

struct lerp_args { /* out = x + factor (y − x); out may be x or y */
    const float *x, *y;
    float *out;
    int64_t n;
    float factor;
};

/* algorithms.md, section 1; decoupled decay (Loshchilov and Hutter, arXiv 1711.05101) */
struct adamw_args {
    float *parameters, *exp_avg, *exp_avg_sq; /* (n), updated */
    const float *gradient;                    /* (n) */
    int64_t n;
    double learning_rate, beta1, beta2, epsilon, weight_decay;
    double gradient_scale;           /* from clipping by the global norm */
    double correction1, correction2; /* 1 − beta1^t, 1 − beta2^t */
    /* What the step begins with and goes along, written on the way: (n) each, or NULL. The direction
     * is d of parameters = (1 − learning_rate weight_decay) parameters − learning_rate d. */
    float *kept_parameters, *kept_gradient, *kept_direction;
};

/* What was found in a VECTOR_BLOCK of coordinates by adamw_extrapolate: plain sums, but for one
 * maximum. ratio and clamps over active coordinates, the others over all. */
struct extrapolation_sums {
    double coordinates, active, ratio_clamped, scale_clamped;
    double ratio, ratio_square;
    double scale, scale_most;
    double moved, extended; /* (θ2 − θ0)², (s (θ2 − θ0))² */
    double product;         /* g0 g1, neither scaled */
    double changed;         /* weights that the first step changed in `working` */
};

/* A step of AdamW, and from where it leads to the place that extrapolation.h foretells, in one pass:
 * 36 bytes a coordinate. The step is the second of two; what kept_* of the first has kept is `start`
 * here. */
struct adamw_extrapolate_args {
    struct adamw_args step;       /* parameters: the step's, then the place; its kept_* are NULL */
    const float *start;           /* (n) θ0 */
    const float *start_gradient;  /* (n) g0 */
    const float *start_direction; /* (n) d0: ratios are of directions; NULL: of scaled gradients */
    double start_scale;           /* gradient_scale of the first step */
    double threshold;             /* for |g0|, not scaled, or |d0| */
    struct extrapolation how;
    bool leaves_moments;               /* exp_avg and exp_avg_sq are read only */
    enum dtype working;                /* what the parameters are computed with */
    struct extrapolation_sums *blocks; /* (n / VECTOR_BLOCK rounded up) = */
};

/* All operations, in the order of the structures above. */
/* clang-format off */
#define BACKEND_OPERATIONS(X)                                                                      \
    X(pack) X(load) X(unpack) X(embed) X(gemm) X(gemm_dx) X(gemm_dw) X(rmsnorm)                    \
    X(rmsnorm_backward) X(rope) X(rope_backward) X(attention) X(attention_backward)                \
    X(cache_store) X(attention_decode) X(swiglu) X(swiglu_backward) X(gather_rows)                 \
    X(scatter_rows) X(head_block) X(head_finish) X(head_backward) X(distill_top)                   \
    X(distill_block) X(distill_finish) X(distill_backward) X(sample) X(decode_append)              \
    X(accumulate) X(accumulate_rows) X(resolve) X(dot) X(copy) X(add) X(lerp) X(adamw)             \
    X(adamw_extrapolate)
/* clang-format on */

struct backend;
struct comm;
struct reducer;

enum { BACKEND_ALGORITHM_WORDS = 2048 };

/* One implementation; filled with designated initialisers. */
struct backend_ops {
    const char *name, *text;
    bool host_memory;    /* the host may read and write at the addresses */
    int64_t steps_ahead; /* steps of decoding that are best queued between two looks of the host */
    /* Vocabulary entries that the output head best takes at once, a multiple of HEAD_BLOCK: sums are
     * of blocks of HEAD_BLOCK all the same. */
    int64_t head_columns;

    /* Memory: zeroed, aligned to 64 bytes; NULL is allowed in release. */
    enum status (*allocate)(struct backend *, void **out, size_t bytes, const char *label);
    void (*release)(struct backend *, void *memory);
    /* Room for a pool that grows in place: reserve takes addresses for `most` bytes, commit makes the
     * first `bytes` of them memory, which is zeroed; what was memory stays so. Given back by
     * release. */
    enum status (*reserve)(struct backend *, void **out, size_t most, const char *label);
    enum status (*commit)(struct backend *, void *memory, size_t bytes);
    enum status (*upload)(struct backend *, void *to, const void *from_host, size_t bytes);
    enum status (*download)(struct backend *, void *to_host, const void *from, size_t bytes);
    enum status (*clear)(struct backend *, void *memory, size_t bytes);
    enum status (*synchronize)(struct backend *);
    void (*close)(struct backend *);

    /* Bytes of the packed form of a weight. */
    size_t (*weight_bytes)(int64_t rows, int64_t columns, enum dtype dtype);

    /* The element type of activations beside weights of that type. */
    enum dtype (*activations)(const struct backend *, enum dtype weights);

    /* Brings plan->state up to date with a new list of segments, and gives it back. What was made for
     * one list serves the next. Refuses heads for which there is no attention. */
    enum status (*attention_prepare)(struct backend *, struct attention_plan *plan);
    void (*attention_discard)(struct backend *, struct attention_plan *plan);

    /* The same for rows that are decoded. */
    enum status (*decode_prepare)(struct backend *, struct decode_plan *plan);
    void (*decode_discard)(struct backend *, struct decode_plan *plan);

    /* How many rows a step had best have to decode B, at most `most`: what a backend has recorded for
     * a class of numbers it can play for all of them. */
    int64_t (*decode_rows)(const struct backend *, int64_t B, int64_t most);

    /* Does `step` so many times: operations that take nothing from the host and give it nothing, so
     * that a backend may record what they queue and play it again, also the next time that it is asked
     * with this plan, of as many rows and the same arguments. */
    enum status (*repeat)(struct backend *, const struct decode_plan *plan, int64_t times,
                          enum status (*step)(void *context), void *context);

    /* From on to off operations take the memory that they need and compute nothing, nor is anything
     * brought to the backend or from it, as with backend_plan; memory that is asked for is taken. What
     * is committed of a pool is booked alone. NULL, as below: the memory is the host's. */
    void (*rehearse)(struct backend *, bool on);

    /* Bytes of the device in use beside the blocks that this backend has taken: the driver's, code and
     * buffers of libraries (NCCL's among them), graphs, and what other processes have there. NULL, as
     * above. */
    enum status (*outside)(const struct backend *, int64_t *bytes);

    /* Opens what sums vectors in this backend's memory over the ranks (comm/reducer.h); collective.
     * NULL, as no other slots may be: the memory is the host's, and the communicator's own serves. */
    enum status (*open_reducer)(struct backend *, struct comm *, struct reducer *);

    /* By which algorithms a library takes the products is chosen as they come, and the bits depend on
     * it: those chosen so far, as words of the backend's own, for a checkpoint (zeros where nothing is
     * chosen); and to go on by them, before the first product. What the library does not offer any
     * more is chosen anew, with a warning. */
    void (*algorithms_get)(const struct backend *, int64_t words[BACKEND_ALGORITHM_WORDS]);
    void (*algorithms_set)(struct backend *, const int64_t words[BACKEND_ALGORITHM_WORDS]);

    /* The operations: each reads its struct OP_args. */
#define X(op) enum status (*op)(struct backend *, const struct op##_args *);
    BACKEND_OPERATIONS(X)
#undef X
};

/* An open backend: the table and what the implementation keeps. */
struct backend {
    const struct backend_ops *ops;
    void *state;
    int threads;
    /* Blocks of memory that were taken from a device so far, but for what pools grow by; 0 of the host's.
     * Steps that were recorded, to be played again. */
    int64_t blocks_taken, steps_recorded;
    char device[416]; /* what computes, where it is a thing of its own: one for each rank; or "" */
    char kind[288];   /* of that thing, as far as bits depend on it; or "" */
};

/* One choice of a backend. Those that stand outside of this folder are added by main, before any is
 * opened; adding one again changes nothing. */
struct backend_choice {
    const char *name;
    enum status (*open)(struct backend *backend, int threads);
    enum status (*plan)(struct backend *backend, int threads);
};
void backend_add(const struct backend_choice *choice);

/* Opens the backend called `name` ("cpu", "check") with a number of threads (0: one for each core
 * this process may use). Refuses an unknown name, listing the known ones, and a table with a hole.
 * The caller owns *backend and closes it. */
enum status backend_open(struct backend *backend, const char *name, int threads) MUST_USE;

/* The same without memory and arithmetic: allocations are booked (memory_pretend), operations look
 * at their shapes and host arrays alone, refuse what they would refuse and book the scratch that
 * they would take; their outputs, and what is downloaded, stay as they are. What a caller holds
 * then, by the books, is what it would hold. "check" is planned as "cpu", without its copies. */
enum status backend_plan(struct backend *backend, const char *name, int threads) MUST_USE;
void backend_close(struct backend *backend);

/* Memory of the backend, with the element size of *x:
 * TRY(backend_new(b, &x, n, "activations")). */
enum status backend_allocate(struct backend *backend, void *pointer, size_t count, size_t size,
                             const char *label) MUST_USE;
void backend_release(struct backend *backend,
                     void *pointer); /* a `T **` passed as void *; sets it to NULL */
#define backend_new(backend, pointer, count, label)                                                \
    backend_allocate((backend), (pointer), (size_t)(count), sizeof **(pointer), (label))

/* A weight with memory of its own; weight_view gives rows [begin, begin + rows) of it, begin a
 * multiple of WEIGHT_PANEL. */
enum status weight_create(struct backend *backend, struct weight *weight, int64_t rows,
                          int64_t columns, enum dtype dtype, const char *label) MUST_USE;
void weight_release(struct backend *backend, struct weight *weight);
struct weight weight_view(const struct weight *weight, int64_t begin, int64_t rows);

/* Makes the plan of a list of segments, or makes it anew: the first time of a plan that is zeroed.
 * Refuses a list whose segments do not follow one another, or whose parents do not. The caller
 * releases it, with the same backend. */
struct attention_plan_args {
    const struct segment *segments; /* host, (segment_count) */
    int64_t segment_count, H, K, D;
};
enum status attention_plan_make(struct backend *backend, struct attention_plan *plan,
                                const struct attention_plan_args *args) MUST_USE;
void attention_plan_release(struct backend *backend, struct attention_plan *plan);

/* TRY(backend_run(b, gemm, .x = x, .weight = w, .y = y, .M = T, .ldx = C, .ldy = N)); */
#define backend_run(backend, op, ...)                                                              \
    ((backend)->ops->op((backend), &(const struct op##_args){__VA_ARGS__}))

#endif
