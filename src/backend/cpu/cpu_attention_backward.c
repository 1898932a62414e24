/* SPDX-License-Identifier: Apache-2.0
 *
 * Gradient of attention over packed groups. With P = exp(scores − log_sum) computed again,
 *
 *     delta = Σ_d dout · out,   dV = Pᵀ dout,   dS = P (dout Vᵀ − delta),   dQ = dS K / √D,
 *     dK = dSᵀ Q / √D.
 *
 * A family (a segment without parent and its children) and a key/value head are one item of work,
 * so that all contributions to the shared keys are added by one thread: those of the parent's own
 * rows, then of each child in order, in blocks of ascending rows.
 */
#include "backend/cpu/cpu_attention.h"

#include <string.h>

#include "backend/cpu/cpu_kernel_attention.h"
#include "backend/cpu/cpu_kernel_product.h"

enum {
    QUERY_ROWS = 96,   /* of a block, unless more query heads share a key head */
    KEY_BLOCK = 256,   /* keys taken at once */
    KEY_ROW = 256 + 16 /* floats from row to row: no power of two, which would share cache sets */
};

struct backward {
    const struct attention_backward_args *args;
    struct cpu_heads heads;
    struct cpu_packing keys, values;
    const int64_t *roots; /* segments without parent */
    int64_t positions;    /* of a block of query rows */
    int64_t longest;      /* segment */
};

/* Gradients of the keys and values of a segment and a head, (length, padded). */
struct sums {
    float *keys, *values;
};

/* The scratch of a thread. */
struct work {
    const struct backward *all;
    int64_t kv_head, first, rows; /* the block: its first position in the segment, rows */
    struct sums parent, own;
    float *queries, *douts, *dqueries; /* (rows, padded) */
    float *log_sums, *deltas;          /* (rows) */
    float *p, *d;                      /* (rows, KEY_ROW) */
};

static int64_t at_most(int64_t a, int64_t b) {
    return a < b ? a : b;
}

/* Lays the scratch out from `memory` on; gives the floats that it takes. */
static int64_t place(struct work *work, const struct backward *all, float *memory) {
    const int64_t rows = all->positions * all->heads.G, padded = all->heads.padded;
    float **const parts[] = {
        &work->parent.keys, &work->parent.values, &work->own.keys, &work->own.values,
        &work->queries,     &work->douts,         &work->dqueries, &work->p,
        &work->d,           &work->log_sums,      &work->deltas};
    const int64_t sizes[] = {all->longest * padded,
                             all->longest * padded,
                             all->longest * padded,
                             all->longest * padded,
                             rows * padded,
                             rows * padded,
                             rows * padded,
                             rows * KEY_ROW,
                             rows * KEY_ROW,
                             rows,
                             rows};
    int64_t used = 0;
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        *parts[i] = memory == NULL ? NULL : memory + used;
        used += sizes[i];
    }
    work->all = all;
    return used;
}

/* Reads the rows of the block that begins at row `row` of the batch. */
static void load_block(struct work *work, int64_t row) {
    const struct backward *all = work->all;
    const struct attention_args *forward = &all->args->forward;
    const struct cpu_heads *heads = &all->heads;
    const float *qkv = forward->qkv, *out = forward->out, *dout = all->args->dout;
    for (int64_t r = 0; r < work->rows; r++) {
        const int64_t head = work->kv_head * heads->G + r % heads->G, t = row + r / heads->G;
        const float *query = qkv + t * heads->width + head * heads->D;
        const int64_t at = (t * heads->H + head) * heads->D;
        memcpy(work->queries + r * heads->padded, query, (size_t)heads->D * sizeof *query);
        memcpy(work->douts + r * heads->padded, dout + at, (size_t)heads->D * sizeof *dout);
        work->log_sums[r] = forward->log_sum[t * heads->H + head];
        work->deltas[r] =
            CPU_CALL(all->keys.backend, cpu_kernel_inner, dout + at, out + at, heads->D);
    }
}

static void store_block(const struct work *work, int64_t row) {
    const struct cpu_heads *heads = &work->all->heads;
    float *dqkv = work->all->args->dqkv;
    for (int64_t r = 0; r < work->rows; r++) {
        const int64_t head = work->kv_head * heads->G + r % heads->G, t = row + r / heads->G;
        float *query = dqkv + t * heads->width + head * heads->D;
        memcpy(query, work->dqueries + r * heads->padded, (size_t)heads->D * sizeof *query);
    }
}

/* c = rows of a (block rows, padded) times panels of some keys. */
static void score(const struct work *work, const float *a, const float *panels, int64_t count,
                  float *c) {
    const struct cpu_heads *heads = &work->all->heads;
    CPU_CALL(work->all->keys.backend, cpu_kernel_product,
             &(struct cpu_product){.a = a,
                                   .a_row = heads->padded,
                                   .a_k = 1,
                                   .b = panels,
                                   .b_panel = heads->D * WEIGHT_PANEL,
                                   .b_k = WEIGHT_PANEL,
                                   .c = c,
                                   .c_row = KEY_ROW,
                                   .rows = work->rows,
                                   .columns = count,
                                   .k = heads->D});
}

/* sums of some keys += aᵀ b, for a (block rows, keys) and b (block rows, padded). */
static void add_transposed(const struct work *work, const float *a, const float *b, int64_t count,
                           float *sums) {
    const int64_t padded = work->all->heads.padded;
    CPU_CALL(work->all->keys.backend, cpu_kernel_product,
             &(struct cpu_product){.a = a,
                                   .a_row = 1,
                                   .a_k = KEY_ROW,
                                   .b = b,
                                   .b_panel = WEIGHT_PANEL,
                                   .b_k = padded,
                                   .c = sums,
                                   .c_row = padded,
                                   .rows = count,
                                   .columns = padded,
                                   .k = work->rows,
                                   .accumulate = true});
}

/* dqueries += dS · keys, or = for the first keys of the block. */
static void add_queries(const struct work *work, const float *keys, int64_t count, bool begin) {
    const int64_t padded = work->all->heads.padded;
    CPU_CALL(work->all->keys.backend, cpu_kernel_product,
             &(struct cpu_product){.a = work->d,
                                   .a_row = KEY_ROW,
                                   .a_k = 1,
                                   .b = keys,
                                   .b_panel = WEIGHT_PANEL,
                                   .b_k = padded,
                                   .c = work->dqueries,
                                   .c_row = padded,
                                   .rows = work->rows,
                                   .columns = padded,
                                   .k = count,
                                   .accumulate = !begin});
}

/* The block against the first `count` keys of segment s, which is its own or its parent. */
static void run_span(const struct work *work, int64_t s, int64_t count, bool own, bool begin) {
    const struct backward *all = work->all;
    const struct cpu_heads *heads = &all->heads;
    const struct sums *sums = own ? &work->own : &work->parent;
    const float *key_panels = cpu_packing_panel(&all->keys, s, work->kv_head),
                *value_panels = cpu_packing_panel(&all->values, s, work->kv_head),
                *keys = cpu_packing_row(&all->keys, s, work->kv_head);
    for (int64_t key = 0; key < count; key += KEY_BLOCK) {
        const int64_t n = at_most(KEY_BLOCK, count - key),
                      whole = (n + WEIGHT_PANEL - 1) / WEIGHT_PANEL * WEIGHT_PANEL;
        score(work, work->queries, key_panels + key * heads->D, whole, work->p);
        score(work, work->douts, value_panels + key * heads->D, whole, work->d);
        for (int64_t r = 0; r < work->rows; r++) {
            const int64_t last = own ? work->first + r / heads->G + 1 - key : n,
                          visible = last < 0 ? 0 : at_most(last, n);
            CPU_CALL(all->keys.backend, cpu_kernel_softmax_backward, work->p + r * KEY_ROW,
                     work->d + r * KEY_ROW, visible, n, all->heads.scale, work->log_sums[r],
                     work->deltas[r]);
        }
        add_transposed(work, work->p, work->douts, n, sums->values + key * heads->padded);
        add_transposed(work, work->d, work->queries, n, sums->keys + key * heads->padded);
        add_queries(work, keys + key * heads->padded, n, begin && key == 0);
    }
}

static void clear_sums(const struct work *work, struct sums sums, int64_t length) {
    const size_t bytes = (size_t)(length * work->all->heads.padded) * sizeof(float);
    memset(sums.keys, 0, bytes);
    memset(sums.values, 0, bytes);
}

static void store_sums(const struct work *work, struct sums sums, const struct segment *segment) {
    const struct cpu_heads *heads = &work->all->heads;
    float *dqkv = work->all->args->dqkv;
    for (int64_t i = 0; i < segment->length; i++) {
        float *key =
            dqkv + (segment->start + i) * heads->width + (heads->H + work->kv_head) * heads->D;
        const size_t bytes = (size_t)heads->D * sizeof *key;
        memcpy(key, sums.keys + i * heads->padded, bytes);
        memcpy(key + heads->K * heads->D, sums.values + i * heads->padded, bytes);
    }
}

/* All rows of segment s, whose own gradients are gathered in work->own. */
static void run_segment(struct work *work, int64_t s) {
    const struct backward *all = work->all;
    const struct segment *segments = all->args->forward.plan->segments, *segment = &segments[s];
    const int64_t parent = segment->parent;
    clear_sums(work, work->own, segment->length);
    for (int64_t first = 0; first < segment->length; first += all->positions) {
        const int64_t positions = at_most(all->positions, segment->length - first);
        work->first = first;
        work->rows = positions * all->heads.G;
        load_block(work, segment->start + first);
        if (parent >= 0)
            run_span(work, parent, segments[parent].length, false, true);
        run_span(work, s, first + positions, true, parent < 0);
        store_block(work, segment->start + first);
    }
}

static void run_family(const void *context, struct cpu_range range) {
    const struct backward *all = context;
    const struct attention_plan *plan = all->args->forward.plan;
    const int64_t root = all->roots[range.begin / all->heads.K];
    struct work work;
    place(&work, all, cpu_thread(all->keys.backend, range.thread));
    work.kv_head = range.begin % all->heads.K;
    run_segment(&work, root);
    const struct sums parent = work.own;
    work.own = work.parent;
    work.parent = parent;
    for (int64_t s = root + 1; s < plan->segment_count; s++)
        if (plan->segments[s].parent == root) {
            run_segment(&work, s);
            store_sums(&work, work.own, &plan->segments[s]);
        }
    store_sums(&work, work.parent, &plan->segments[root]);
}

/* Finds the roots and the longest segment; gives the number of roots. */
static int64_t find_families(struct backward *all, int64_t *roots) {
    const struct attention_plan *plan = all->args->forward.plan;
    int64_t count = 0;
    for (int64_t s = 0; s < plan->segment_count; s++)
        if (plan->segments[s].parent < 0)
            roots[count++] = s;
    all->roots = roots;
    return count;
}

static int64_t longest_segment(const struct attention_plan *plan) {
    int64_t longest = 0;
    for (int64_t s = 0; s < plan->segment_count; s++)
        if (plan->segments[s].length > longest)
            longest = plan->segments[s].length;
    return longest;
}

enum status cpu_attention_backward(struct backend *backend,
                                   const struct attention_backward_args *args) {
    const struct attention_args *forward = &args->forward;
    const struct attention_plan *plan = forward->plan;
    struct backward all = {.args = args, .longest = longest_segment(plan)};
    TRY(cpu_heads_init(&all.heads, plan->H, plan->K, plan->D));
    const struct cpu_heads *heads = &all.heads;
    all.positions = heads->G < QUERY_ROWS ? QUERY_ROWS / heads->G : 1;
    all.keys = cpu_packing_of(backend, heads, forward, heads->H * heads->D);
    all.values = cpu_packing_of(backend, heads, forward, (heads->H + heads->K) * heads->D);
    const int64_t panels = cpu_packing_panel_floats(&all.keys),
                  rows = cpu_packing_row_floats(&all.keys);
    struct work work;
    TRY(cpu_reserve(backend,
                    (size_t)(2 * panels + rows) * sizeof(float) +
                        (size_t)plan->segment_count * sizeof(int64_t),
                    (size_t)place(&work, &all, NULL) * sizeof(float)));
    if (cpu_plans(backend))
        return STATUS_OK;
    all.keys.panels = cpu_shared(backend);
    all.values.panels = all.keys.panels + panels;
    all.keys.rows = all.values.panels + panels;
    const int64_t families = find_families(&all, (int64_t *)(void *)(all.keys.rows + rows));
    cpu_packing_run(&all.keys);
    cpu_packing_run(&all.values);
    cpu_run_items(backend, families * heads->K, plan->T * heads->H * heads->D * 100, run_family,
                  &all);
    return STATUS_OK;
}
