/* SPDX-License-Identifier: Apache-2.0
 *
 * Attention over packed groups. It gives the same bits as attention_decode for the same keys: a
 * row's scores lie by absolute position whatever the spans they come in, its sum of exponentials is
 * taken in the lanes of those positions, and its output is one chain over ascending positions, then
 * multiplied by the reciprocal of the sum.
 */
#include "backend/cpu/cpu_attention.h"

struct forward {
    const struct attention_args *args;
    struct cpu_heads heads;
    struct cpu_packing keys, values;
    int64_t longest; /* most keys that a row attends to */
};

/* Blocks of positions are numbered through: those of segment s begin at start / block + s, so that
 * no two segments share a number; some numbers stay empty. */
static int64_t first_block(const struct forward *work, int64_t s) {
    return work->args->plan->segments[s].start / work->heads.block + s;
}

static int64_t block_count(const struct forward *work) {
    return work->args->plan->T / work->heads.block + work->args->plan->segment_count + 1;
}

static int64_t segment_of(const struct forward *work, int64_t number) {
    int64_t low = 0,
            high = work->args->plan->segment_count; /* low's first block ≤ number < high's */
    while (high - low > 1) {
        const int64_t middle = (low + high) / 2;
        if (first_block(work, middle) <= number)
            low = middle;
        else
            high = middle;
    }
    return low;
}

static struct cpu_span span_of(const struct forward *work, int64_t s, int64_t kv_head,
                               int64_t count) {
    return (struct cpu_span){cpu_packing_panel(&work->keys, s, kv_head),
                             cpu_packing_row(&work->values, s, kv_head), count};
}

/* The keys that all positions of the block see, then, position by position, those between. */
static void add_values(struct cpu_block *block, struct cpu_span parent, struct cpu_span own,
                       int64_t first, int64_t positions) {
    const int64_t G = block->heads->G, padded = block->heads->padded;
    if (parent.count > 0)
        cpu_block_value(block, 0, block->rows, parent, 0);
    own.count = first + 1;
    cpu_block_value(block, 0, block->rows, own, parent.count);
    own.values += own.count * padded;
    for (int64_t j = 1; j < positions; j++) {
        own.count = j;
        cpu_block_value(block, j * G, G, own, parent.count + first + 1);
    }
}

static void attend(const void *context, struct cpu_range range) {
    const struct forward *work = context;
    const struct attention_args *args = work->args;
    const struct cpu_heads *heads = &work->heads;
    const int64_t number = range.begin / heads->K, kv_head = range.begin % heads->K,
                  s = segment_of(work, number);
    const struct segment *segments = args->plan->segments, *segment = &segments[s];
    const int64_t first = (number - first_block(work, s)) * heads->block,
                  left = segment->length - first,
                  positions = left < heads->block ? left : heads->block;
    if (positions <= 0)
        return;
    struct cpu_block block = cpu_block_place(work->keys.backend, heads, work->longest, positions,
                                             cpu_thread(work->keys.backend, range.thread));
    struct cpu_span parent = {NULL, NULL, 0};
    if (segment->parent >= 0)
        parent = span_of(work, segment->parent, kv_head, segments[segment->parent].length);
    const struct cpu_span own = span_of(work, s, kv_head, first + positions);
    const float *qkv = args->qkv;
    float *out = args->out;
    const int64_t row = segment->start + first;
    for (int64_t j = 0; j < positions; j++)
        cpu_block_query(&block, j, qkv + (row + j) * heads->width, kv_head);
    if (parent.count > 0)
        cpu_block_score(&block, 0, block.rows, parent, 0);
    cpu_block_score(&block, 0, block.rows, own, parent.count);
    for (int64_t r = 0; r < block.rows; r++) {
        const int64_t j = r / heads->G;
        const float log_sum = cpu_block_softmax(&block, r, parent.count + first + j + 1);
        if (args->log_sum != NULL)
            args->log_sum[(row + j) * heads->H + kv_head * heads->G + r % heads->G] = log_sum;
    }
    add_values(&block, parent, own, first, positions);
    for (int64_t j = 0; j < positions; j++)
        cpu_block_output(&block, j, out + (row + j) * heads->H * heads->D, kv_head);
}

/* Multiply-adds, about, and the longest row. */
static int64_t measure(const struct attention_plan *plan, int64_t *longest) {
    int64_t pairs = 0;
    *longest = 0;
    for (int64_t s = 0; s < plan->segment_count; s++) {
        const struct segment *segment = &plan->segments[s];
        const int64_t before = segment->parent >= 0 ? plan->segments[segment->parent].length : 0;
        const int64_t keys = before + segment->length;
        pairs += segment->length * (before + segment->length / 2 + 1);
        *longest = keys > *longest ? keys : *longest;
    }
    return 2 * pairs * plan->H * plan->D;
}

/* The segments are all that is needed. */
enum status cpu_attention_prepare(struct backend *backend, struct attention_plan *plan) {
    struct cpu_heads heads;
    (void)backend;
    return cpu_heads_init(&heads, plan->H, plan->K, plan->D);
}

void cpu_attention_discard(struct backend *backend, struct attention_plan *plan) {
    (void)backend, (void)plan;
}

enum status cpu_attention(struct backend *backend, const struct attention_args *args) {
    const struct attention_plan *plan = args->plan;
    struct forward work = {.args = args};
    TRY(cpu_heads_init(&work.heads, plan->H, plan->K, plan->D));
    if (plan->T == 0)
        return STATUS_OK;
    const struct cpu_heads *heads = &work.heads;
    const int64_t operations = measure(plan, &work.longest);
    work.keys = cpu_packing_of(backend, heads, args, heads->H * heads->D);
    work.values = cpu_packing_of(backend, heads, args, (heads->H + heads->K) * heads->D);
    const int64_t panels = cpu_packing_panel_floats(&work.keys),
                  rows = cpu_packing_row_floats(&work.values);
    TRY(cpu_reserve(backend, (size_t)(panels + rows) * sizeof(float),
                    cpu_block_floats(heads, work.longest) * sizeof(float)));
    if (cpu_plans(backend))
        return STATUS_OK;
    work.keys.panels = cpu_shared(backend);
    work.values.rows = work.keys.panels + panels;
    cpu_packing_run(&work.keys);
    cpu_packing_run(&work.values);
    cpu_run_items(backend, block_count(&work) * heads->K, operations, attend, &work);
    return STATUS_OK;
}
