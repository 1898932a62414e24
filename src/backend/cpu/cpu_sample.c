/* SPDX-License-Identifier: Apache-2.0
 *
 * One token per row by inverse CDF. Every filter keeps a first part of the tokens ordered by
 * falling logit, lower ids first where equal, so a filter is a border in that order; the border
 * is found by adding up masses, digit by digit, over the bits of the logits. A draw without filters
 * goes over blocks of HEAD_BLOCK weights, and inside one block over its tokens; behind filters it
 * goes over the tokens kept; always in ascending order of ids.
 */
#include <math.h>
#include <string.h>

#include "backend/cpu/cpu.h"
#include "backend/cpu/cpu_kernel_row.h"
#include "backend/logit_order.h"
#include "base/random.h"

/* Masses are added up in WAYS sums side by side: token i goes to sum i mod WAYS. */
enum { DIGITS = 1 << 11, WAYS = 4 };

struct sample_work {
    struct backend *backend;
    const struct sample_args *args;
};

/* Tokens that a filter looks at, in ascending order of ids. */
struct tokens {
    int64_t n;
    uint32_t *order; /* bits that stand in the order of the logits */
    float *weights;  /* exp((z − max) / T) */
    int32_t *ids;
};

/* Memory of a thread while it draws for one row. */
struct space {
    double *masses;         /* (DIGITS, WAYS) */
    double *blocks;         /* weight of each block of HEAD_BLOCK tokens */
    float *adjusted;        /* (V): logits after the penalty */
    struct tokens all, few; /* room for V each: those kept so far, those with the border's digits */
};

static int64_t block_count(int64_t V) {
    return (V + HEAD_BLOCK - 1) / HEAD_BLOCK;
}

static size_t space_bytes(int64_t V) {
    return (size_t)(DIGITS * WAYS + block_count(V)) * sizeof(double) +
           (size_t)(7 * V) * sizeof(float);
}

static struct tokens tokens_at(void *memory, int64_t V) {
    float *const weights = memory;
    return (struct tokens){.n = V,
                           .weights = weights,
                           .order = (uint32_t *)(void *)(weights + V),
                           .ids = (int32_t *)(void *)(weights + 2 * V)};
}

static struct space space_at(void *memory, int64_t V) {
    double *const masses = memory;
    double *const blocks = masses + DIGITS * WAYS;
    float *const adjusted = (float *)(void *)(blocks + block_count(V));
    return (struct space){.masses = masses,
                          .blocks = blocks,
                          .adjusted = adjusted,
                          .all = tokens_at(adjusted + V, V),
                          .few = tokens_at(adjusted + 4 * V, V)};
}

/* The logits of row b as the temperature finds them. */
static const float *adjust(const struct sample_args *args, int64_t b, float *adjusted) {
    const float *logits = args->logits + b * args->ld, penalty = args->settings.presence_penalty;
    if (penalty == 0.0f || args->seen_counts[b] == 0)
        return logits;
    const int32_t *seen = args->seen + args->seen_rows[b] * args->seen_ld;
    memcpy(adjusted, logits, (size_t)args->V * sizeof *logits);
    for (int32_t i = 0; i < args->seen_counts[b]; i++)
        adjusted[seen[i]] = logits[seen[i]] - penalty;
    return adjusted;
}

/* --- the border of a filter --- */

/* Mass of the tokens by one digit of their order. */
static void add_masses(const struct tokens *tokens, bool weighted, int shift, int bits,
                       double *masses) {
    const uint32_t mask = (1u << bits) - 1u;
    memset(masses, 0, (size_t)(DIGITS * WAYS) * sizeof *masses);
    for (int64_t i = 0; i < tokens->n; i++)
        masses[(tokens->order[i] >> shift & mask) * WAYS + (uint64_t)i % WAYS] +=
            weighted ? (double)tokens->weights[i] : 1.0;
}

/* The digit, from the largest down, at which `above` and the masses passed reach `wanted`; the last
 * one with any mass when none does. *above becomes the mass before that digit. */
static uint32_t choose_digit(const double *masses, int bits, double wanted, double *above) {
    uint32_t last = 0;
    double before = *above;
    for (int64_t digit = ((int64_t)1 << bits) - 1; digit >= 0; digit--) {
        const double *m = masses + digit * WAYS, mass = (m[0] + m[1]) + (m[2] + m[3]);
        if (mass <= 0)
            continue;
        last = (uint32_t)digit;
        *above = before;
        if (before + mass >= wanted)
            break;
        before += mass;
    }
    return last;
}

static void copy_token(struct tokens *to, const struct tokens *from, int64_t i) {
    to->order[to->n] = from->order[i];
    to->weights[to->n] = from->weights[i];
    to->ids[to->n] = from->ids[i];
    to->n++;
}

/* Keeps the shortest first part of the order whose mass (its weights, or the number of its tokens)
 * reaches `wanted`. */
static void keep_first(struct space *space, bool weighted, double wanted) {
    static const int shifts[] = {21, 10, 0}, bits[] = {11, 11, 10};
    struct tokens all = space->all, few = space->few;
    double above = 0;
    for (int level = 0; level < 3; level++) {
        const struct tokens from = level == 0 ? all : few;
        add_masses(&from, weighted, shifts[level], bits[level], space->masses);
        const uint32_t digit = choose_digit(space->masses, bits[level], wanted, &above);
        const uint32_t mask = (1u << bits[level]) - 1u;
        few.n = 0;
        for (int64_t i = 0; i < from.n; i++)
            if ((from.order[i] >> shifts[level] & mask) == digit)
                copy_token(&few, &from, i);
    }
    int64_t ties = 0; /* of the tokens at the border, all equal */
    for (; ties < few.n && (ties == 0 || above < wanted); ties++)
        above += weighted ? (double)few.weights[ties] : 1.0;
    const uint32_t border = few.order[0];
    const int32_t last = few.ids[ties - 1];
    space->all.n = 0;
    for (int64_t i = 0; i < all.n; i++)
        if (all.order[i] > border || (all.order[i] == border && all.ids[i] <= last))
            copy_token(&space->all, &all, i);
}

static void keep_heavy(struct tokens *tokens, float least) {
    const struct tokens before = *tokens;
    tokens->n = 0;
    for (int64_t i = 0; i < before.n; i++)
        if (before.weights[i] >= least)
            copy_token(tokens, &before, i);
}

static double total(const struct tokens *tokens) {
    double sum = 0;
    for (int64_t i = 0; i < tokens->n; i++)
        sum += (double)tokens->weights[i];
    return sum;
}

static void filter(const float *z, const struct sample_settings *settings, struct space *space) {
    const int64_t V = space->all.n;
    for (int64_t i = 0; i < V; i++) {
        space->all.order[i] = logit_order(z[i]);
        space->all.ids[i] = (int32_t)i;
    }
    if (settings->top_k > 0 && settings->top_k < V)
        keep_first(space, false, (double)settings->top_k);
    if (settings->top_p < 1.0f)
        keep_first(space, true, (double)settings->top_p * total(&space->all));
    if (settings->min_p > 0.0f) /* the largest weight is exactly 1 */
        keep_heavy(&space->all, fminf(settings->min_p, 1.0f));
}

/* --- the draw --- */

/* The first i with w[0] + … + w[i] > wanted; the last i with a weight when rounding leaves none. */
static int64_t invert(const float *w, int64_t n, double wanted) {
    int64_t last = 0;
    double sum = 0;
    for (int64_t i = 0; i < n && sum <= wanted; i++)
        if (w[i] > 0.0f) {
            last = i;
            sum += (double)w[i];
        }
    return last;
}

/* Over all tokens, whose weights are summed block by block. */
static int32_t draw_from_blocks(const struct space *space, double uniform) {
    const int64_t V = space->all.n, count = block_count(V);
    double all = 0, before = 0, sum = 0;
    int64_t last = 0;
    for (int64_t block = 0; block < count; block++)
        all += space->blocks[block];
    for (int64_t block = 0; block < count && sum <= uniform * all; block++)
        if (space->blocks[block] > 0) {
            last = block;
            before = sum;
            sum += space->blocks[block];
        }
    const int64_t at = last * HEAD_BLOCK, n = V - at < HEAD_BLOCK ? V - at : HEAD_BLOCK;
    return (int32_t)(at + invert(space->all.weights + at, n, uniform * all - before));
}

static int32_t greedy(const float *z, int64_t V, float largest) {
    int64_t i = 0;
    while (i < V - 1 && z[i] != largest)
        i++;
    return (int32_t)i;
}

static double uniform_of(const struct sample_args *args, int64_t b) {
    if (args->uniforms != NULL)
        return args->uniforms[b];
    const uint32_t *c = args->counters + 4 * b;
    return random_uniform(*args->seed, RANDOM_SAMPLE, c[0], c[1], c[2], c[3]);
}

/* −1 when a logit is not finite. */
static int32_t sample_row(const struct sample_work *work, int64_t b, int thread) {
    const struct sample_args *a = work->args;
    const struct sample_settings *settings = &a->settings;
    const int64_t V = a->V;
    struct space space = space_at(cpu_thread(work->backend, thread), V);
    const float *z = adjust(a, b, space.adjusted);
    const float largest = CPU_CALL(work->backend, cpu_kernel_largest, z, V);
    if (!isfinite(largest))
        return -1;
    if (settings->temperature <= 0.0f)
        return greedy(z, V, largest);
    const float scale = cpu_inverse_temperature(settings->temperature);
    for (int64_t block = 0; block < block_count(V); block++) {
        const int64_t at = block * HEAD_BLOCK, n = V - at < HEAD_BLOCK ? V - at : HEAD_BLOCK;
        space.blocks[block] = CPU_CALL(work->backend, cpu_kernel_weights, space.all.weights + at,
                                       z + at, n, largest, scale);
    }
    if (settings->top_k <= 0 && settings->top_p >= 1.0f && settings->min_p <= 0.0f)
        return draw_from_blocks(&space, uniform_of(a, b));
    filter(z, settings, &space);
    const double wanted = uniform_of(a, b) * total(&space.all);
    return space.all.ids[invert(space.all.weights, space.all.n, wanted)];
}

/* What the head says of the token that was drawn. */
static void score_row(const struct sample_work *work, int64_t b) {
    const struct sample_args *a = work->args;
    const float temperature = a->settings.temperature > 0.0f ? a->settings.temperature : 1.0f;
    a->logprob[b] = a->entropy[b] = NAN;
    if (a->tokens[b] >= 0)
        cpu_head_token(work->backend, &(struct cpu_head_token){.logits = a->logits + b * a->ld,
                                                               .V = a->V,
                                                               .id = a->tokens[b],
                                                               .temperature = temperature,
                                                               .logprob = &a->logprob[b],
                                                               .entropy = &a->entropy[b]});
}

static void sample_rows(const void *context, struct cpu_range range) {
    const struct sample_work *work = context;
    for (int64_t b = range.begin; b < range.end; b++) {
        work->args->tokens[b] = sample_row(work, b, range.thread);
        if (work->args->logprob != NULL)
            score_row(work, b);
    }
}

enum status cpu_sample(struct backend *backend, const struct sample_args *args) {
    TRY(cpu_reserve(backend, 0, space_bytes(args->V)));
    if (cpu_plans(backend))
        return STATUS_OK;
    const struct sample_work work = {.backend = backend, .args = args};
    cpu_run(backend, args->B, 1, sample_rows, &work);
    return STATUS_OK;
}
