/* SPDX-License-Identifier: Apache-2.0
 *
 * Distillation on rows of logits that pass by in blocks: sums of one HEAD_BLOCK run in fp32 lanes,
 * sums over blocks in double.
 */
#include <math.h>
#include <string.h>

#include "backend/cpu/cpu.h"
#include "backend/cpu/cpu_kernel_distill.h"
#include "backend/logit_order.h"

enum { WORK = 1000 }; /* entries that are worth a thread's wake-up */

static struct divergence_rule rule_of(const struct distill_settings *settings) {
    const bool clips = settings->clip > 0.0f && !settings->clip_tokens;
    return (struct divergence_rule){.divergence = settings->divergence,
                                    .beta = settings->beta,
                                    .clip = clips ? settings->clip : INFINITY};
}

/* Row r of a block; all of it as one run of entries. */
static struct cpu_distill_entries entries_of(const struct distill_logits *logits,
                                             const struct distill_settings *settings, int64_t r) {
    const struct distill_top *top = logits->top != NULL ? &logits->top[r] : NULL;
    return (struct cpu_distill_entries){
        .student = logits->student + r * logits->ld,
        .teacher = logits->teacher + r * logits->ld,
        .student_shift = top != NULL ? top->student : logits->student_shift[r],
        .teacher_shift = top != NULL ? top->teacher : logits->teacher_shift[r],
        .top = top,
        .n = logits->columns,
        .begin = logits->begin,
        .scale = cpu_inverse_temperature(settings->temperature),
        .rule = rule_of(settings)};
}

/* The part of them from `at` on, at most HEAD_BLOCK. */
static struct cpu_distill_entries part_of(const struct cpu_distill_entries *all, int64_t at) {
    struct cpu_distill_entries part = *all;
    part.student += at;
    part.teacher += at;
    part.begin += at;
    part.n = all->n - at < HEAD_BLOCK ? all->n - at : HEAD_BLOCK;
    return part;
}

/* --- sums --- */

struct block_work {
    struct backend *backend;
    const struct distill_block_args *args;
};

static void look_for(struct backend *backend, const float *z, int64_t n, int64_t begin, float max,
                     int32_t *best) {
    const int64_t at = *best < 0 ? CPU_CALL(backend, cpu_kernel_find, z, n, max) : -1;
    if (at >= 0)
        *best = (int32_t)(begin + at);
}

static void block_row(const struct block_work *work, int64_t r) {
    const struct distill_block_args *a = work->args;
    struct backend *backend = work->backend;
    struct distill_row *row = &a->rows[r];
    const struct cpu_distill_entries all = entries_of(&a->logits, &a->settings, r);
    if (all.begin == 0)
        *row = (struct distill_row){.student_best = -1, .teacher_best = -1};
    for (int64_t at = 0; at < all.n; at += HEAD_BLOCK) {
        const struct cpu_distill_entries part = part_of(&all, at);
        const struct cpu_distill_sums sums = CPU_CALL(backend, cpu_kernel_distill_sums, &part);
        row->divergence += sums.divergence;
        row->loss += sums.loss;
        row->pull += sums.pull;
        row->clipped += sums.clipped;
        look_for(backend, part.student, part.n, part.begin, a->logits.student_shift[r].max,
                 &row->student_best);
        look_for(backend, part.teacher, part.n, part.begin, a->logits.teacher_shift[r].max,
                 &row->teacher_best);
    }
}

static void block_rows(const void *context, struct cpu_range range) {
    for (int64_t r = range.begin; r < range.end; r++)
        block_row(context, r);
}

enum status cpu_distill_block(struct backend *backend, const struct distill_block_args *args) {
    const struct block_work work = {.backend = backend, .args = args};
    cpu_run(backend, args->logits.R, 1 + WORK / args->logits.columns, block_rows, &work);
    return STATUS_OK;
}

static void finish_row(const struct distill_finish_args *args, int64_t r) {
    const struct distill_settings *settings = &args->settings;
    const struct distill_row *row = &args->rows[r];
    const bool clips = settings->clip > 0.0f && settings->clip_tokens;
    const bool clipped = clips && row->divergence >= (double)settings->clip;
    args->divergence[r] = (float)row->divergence;
    args->loss[r] = clipped ? settings->clip : (float)row->loss;
    args->clipped[r] = clips ? clipped : (int32_t)row->clipped;
    args->agreement[r] = row->student_best == row->teacher_best;
    args->slope[r] =
        (struct distill_slope){.pull = (float)row->pull, .open = clipped ? 0.0f : 1.0f};
    if (settings->sampled) {
        args->divergence[r] = args->logprob[r] - args->logprob_teacher[r];
        args->loss[r] = args->divergence[r] * args->logprob[r];
        args->clipped[r] = 0;
    }
}

enum status cpu_distill_finish(struct backend *backend, const struct distill_finish_args *args) {
    (void)backend;
    for (int64_t r = 0; r < args->R; r++)
        finish_row(args, r);
    return STATUS_OK;
}

/* --- the gradient --- */

struct backward_work {
    struct backend *backend;
    const struct distill_backward_args *args;
};

static void backward_rows(const void *context, struct cpu_range range) {
    const struct backward_work *work = context;
    const struct distill_backward_args *a = work->args;
    for (int64_t r = range.begin; r < range.end; r++) {
        float *out = (float *)a->out + r * a->logits.ld;
        const struct cpu_distill_entries entries = entries_of(&a->logits, &a->settings, r);
        const struct cpu_distill_gradient gradient = {.entries = entries,
                                                      .out = out,
                                                      .factor = entries.scale * a->weight[r],
                                                      .sum = a->slope[r].pull};
        if (a->slope[r].open > 0.0f)
            CPU_CALL(work->backend, cpu_kernel_distill_backward, &gradient);
        else
            memset(out, 0, (size_t)entries.n * sizeof *out);
    }
}

enum status cpu_distill_backward(struct backend *backend,
                                 const struct distill_backward_args *args) {
    const struct backward_work work = {.backend = backend, .args = args};
    cpu_run(backend, args->logits.R, 1 + WORK / args->logits.columns, backward_rows, &work);
    return STATUS_OK;
}

/* --- the teacher's top entries --- */

struct top_work {
    struct backend *backend;
    const struct distill_top_args *args;
};

/* Of a thread: keys, later the logits of the top entries; and ids, before that maxima of runs. */
static size_t top_bytes(int64_t V) {
    return (size_t)V * (sizeof(uint64_t) + sizeof(int32_t));
}

/* The k-th largest of n keys, no two of them equal, byte by byte from the highest: only those with the
 * bytes found so far stay. Their order is lost. */
static uint64_t kth_largest(uint64_t *keys, int64_t n, int64_t k) {
    for (int shift = 56; n > 1; shift -= 8) {
        int64_t counts[256] = {0}, digit = 255, kept = 0;
        for (int64_t i = 0; i < n; i++)
            counts[keys[i] >> shift & 255]++;
        for (; counts[digit] < k; digit--)
            k -= counts[digit];
        for (int64_t i = 0; i < n; i++)
            if ((int64_t)(keys[i] >> shift & 255) == digit)
                keys[kept++] = keys[i];
        n = kept;
    }
    return keys[0];
}

enum { RUNS_PER_ENTRY = 4, RUN_STEP = 16 };

/* A logit that at least k of the row reach, and not many more: the k-th largest of the maxima of runs.
 * −∞ where k is so large that runs would be too short. */
static float reached(struct backend *backend, const float *z, int64_t V, int64_t k, uint64_t *keys,
                     float *maxima) {
    const int64_t width = V / (RUNS_PER_ENTRY * k) / RUN_STEP * RUN_STEP;
    if (width == 0)
        return -INFINITY;
    const int64_t runs = (V + width - 1) / width;
    CPU_CALL(backend, cpu_kernel_maxima, z, V, width, maxima);
    for (int64_t i = 0; i < runs; i++)
        keys[i] = logit_key(maxima[i], (int32_t)i);
    return maxima[logit_key_id(kth_largest(keys, runs, k))];
}

/* Ids of entries among which the k largest are; their number. */
static int64_t candidates(struct backend *backend, const float *z, int64_t V, int64_t k,
                          uint64_t *keys, int32_t *ids) {
    const float least = reached(backend, z, V, k, keys, (float *)(void *)ids);
    const int64_t n = CPU_CALL(backend, cpu_kernel_at_least, z, V, least, ids);
    if (n >= k)
        return n;
    for (int64_t v = 0; v < V; v++) /* NaNs are among them */
        ids[v] = (int32_t)v;
    return V;
}

static void top_row(const struct top_work *work, int64_t r, int thread) {
    const struct distill_top_args *a = work->args;
    const float *student = a->student + r * a->ld, *teacher = a->teacher + r * a->ld;
    struct distill_top *top = &a->top[r];
    uint64_t *keys = cpu_thread(work->backend, thread);
    int32_t *ids = (int32_t *)(void *)(keys + a->V);
    const int64_t n = candidates(work->backend, teacher, a->V, a->k, keys, ids);
    for (int64_t i = 0; i < n; i++)
        keys[i] = logit_key(teacher[ids[i]], ids[i]);
    const uint64_t last = kth_largest(keys, n, a->k);
    float *few = (float *)(void *)keys, *fewer = few + a->k;
    int64_t count = 0;
    for (int64_t i = 0; i < n && count < a->k; i++)
        if (logit_key(teacher[ids[i]], ids[i]) >= last) {
            few[count] = student[ids[i]];
            fewer[count++] = teacher[ids[i]];
        }
    top->last = logit_key_id(last);
    top->least = teacher[top->last];
    top->student = cpu_head_shift(work->backend, few, count, a->temperature);
    top->teacher = cpu_head_shift(work->backend, fewer, count, a->temperature);
}

static void top_rows(const void *context, struct cpu_range range) {
    for (int64_t r = range.begin; r < range.end; r++)
        top_row(context, r, range.thread);
}

enum status cpu_distill_top(struct backend *backend, const struct distill_top_args *args) {
    TRY(cpu_reserve(backend, 0, top_bytes(args->V)));
    if (cpu_plans(backend))
        return STATUS_OK;
    const struct top_work work = {.backend = backend, .args = args};
    cpu_run(backend, args->R, 1, top_rows, &work);
    return STATUS_OK;
}
