/* SPDX-License-Identifier: Apache-2.0 */
#include "backend/cpu/cpu_attention.h"

#include <math.h>

#include "backend/cpu/cpu_kernel_attention.h"
#include "backend/cpu/cpu_kernel_product.h"

enum { BLOCK_ROWS = 12, LARGEST_D = 256 };

static int64_t round_up(int64_t n, int64_t unit) {
    return (n + unit - 1) / unit * unit;
}

enum status cpu_heads_init(struct cpu_heads *heads, int64_t H, int64_t K, int64_t D) {
    if (K < 1 || H < K || H % K != 0)
        return FAIL(STATUS_INPUT, "%lld query heads cannot share %lld key/value heads evenly",
                    (long long)H, (long long)K);
    if (D < 2 || D > LARGEST_D || D % 2 != 0)
        return FAIL(STATUS_INPUT, "a head size of %lld is not an even number from 2 to %d",
                    (long long)D, LARGEST_D);
    *heads = (struct cpu_heads){.H = H, .K = K, .D = D, .G = H / K};
    heads->width = (H + 2 * K) * D;
    heads->padded = round_up(D, WEIGHT_PANEL);
    heads->block = heads->G < BLOCK_ROWS ? BLOCK_ROWS / heads->G : 1;
    heads->scale = (float)(1.0 / sqrt((double)D));
    return STATUS_OK;
}

static int64_t score_row(int64_t keys) {
    return round_up(keys, WEIGHT_PANEL) + WEIGHT_PANEL; /* a span's last panel goes beyond it */
}

size_t cpu_block_floats(const struct cpu_heads *heads, int64_t keys) {
    return (size_t)(heads->block * heads->G * (heads->D + score_row(keys) + heads->padded + 1));
}

struct cpu_block cpu_block_place(const struct backend *backend, const struct cpu_heads *heads,
                                 int64_t keys, int64_t positions, float *memory) {
    const int64_t most = heads->block * heads->G;
    struct cpu_block block = {.backend = backend, .heads = heads, .rows = positions * heads->G};
    block.score_row = score_row(keys);
    block.scores = memory;
    block.sums = block.scores + most * block.score_row;
    block.queries = block.sums + most * heads->padded;
    block.factors = block.queries + most * heads->D;
    return block;
}

void cpu_block_query(struct cpu_block *block, int64_t j, const float *qkv_row, int64_t kv_head) {
    const struct cpu_heads *heads = block->heads;
    CPU_CALL(block->backend, cpu_kernel_transpose, block->queries + j * heads->G, block->rows,
             qkv_row + kv_head * heads->G * heads->D, heads->D, heads->G, heads->D);
}

void cpu_block_score(struct cpu_block *block, int64_t row, int64_t rows, struct cpu_span span,
                     int64_t position) {
    CPU_CALL(block->backend, cpu_kernel_product,
             &(struct cpu_product){.a = block->queries + row,
                                   .a_row = 1,
                                   .a_k = block->rows,
                                   .b = span.keys,
                                   .b_panel = block->heads->D * WEIGHT_PANEL,
                                   .b_k = WEIGHT_PANEL,
                                   .c = block->scores + row * block->score_row + position,
                                   .c_row = block->score_row,
                                   .rows = rows,
                                   .columns = round_up(span.count, WEIGHT_PANEL),
                                   .k = block->heads->D});
}

void cpu_block_value(struct cpu_block *block, int64_t row, int64_t rows, struct cpu_span span,
                     int64_t position) {
    const int64_t padded = block->heads->padded;
    CPU_CALL(block->backend, cpu_kernel_product,
             &(struct cpu_product){.a = block->scores + row * block->score_row + position,
                                   .a_row = block->score_row,
                                   .a_k = 1,
                                   .b = span.values,
                                   .b_panel = WEIGHT_PANEL,
                                   .b_k = padded,
                                   .c = block->sums + row * padded,
                                   .c_row = padded,
                                   .rows = rows,
                                   .columns = padded,
                                   .k = span.count,
                                   .accumulate = position > 0});
}

float cpu_block_softmax(struct cpu_block *block, int64_t row, int64_t length) {
    const float scale = block->heads->scale;
    float largest;
    const float sum = CPU_CALL(block->backend, cpu_kernel_softmax,
                               block->scores + row * block->score_row, length, scale, &largest);
    block->factors[row] = 1.0f / sum;
    return largest * scale + logf(sum);
}

void cpu_block_output(const struct cpu_block *block, int64_t j, float *out_row, int64_t kv_head) {
    const struct cpu_heads *heads = block->heads;
    for (int64_t g = 0; g < heads->G; g++) {
        const int64_t row = j * heads->G + g;
        const float *sums = block->sums + row * heads->padded, factor = block->factors[row];
        float *out = out_row + (kv_head * heads->G + g) * heads->D;
        for (int64_t d = 0; d < heads->D; d++)
            out[d] = sums[d] * factor;
    }
}

/* --- keys and values of a packed batch --- */

struct cpu_packing cpu_packing_of(struct backend *backend, const struct cpu_heads *heads,
                                  const struct attention_args *args, int64_t column) {
    return (struct cpu_packing){.backend = backend,
                                .heads = heads,
                                .segments = args->plan->segments,
                                .segment_count = args->plan->segment_count,
                                .T = args->plan->T,
                                .qkv = args->qkv,
                                .column = column};
}

static int64_t panels_of_head(const struct cpu_packing *packing) {
    return packing->T / WEIGHT_PANEL + packing->segment_count + 1;
}

int64_t cpu_packing_panel_floats(const struct cpu_packing *packing) {
    return packing->heads->K * panels_of_head(packing) * WEIGHT_PANEL * packing->heads->D;
}

int64_t cpu_packing_row_floats(const struct cpu_packing *packing) {
    return packing->heads->K * packing->T * packing->heads->padded;
}

/* Segment s begins at panel start / 32 + s: no two segments then share a panel. */
float *cpu_packing_panel(const struct cpu_packing *packing, int64_t s, int64_t head) {
    const int64_t panel = packing->segments[s].start / WEIGHT_PANEL + s;
    return packing->panels +
           (head * panels_of_head(packing) + panel) * WEIGHT_PANEL * packing->heads->D;
}

float *cpu_packing_row(const struct cpu_packing *packing, int64_t s, int64_t head) {
    return packing->rows +
           (head * packing->T + packing->segments[s].start) * packing->heads->padded;
}

static void pack_segment(const void *context, struct cpu_range range) {
    const struct cpu_packing *packing = context;
    const struct cpu_heads *heads = packing->heads;
    const int64_t s = range.begin / heads->K, head = range.begin % heads->K;
    const struct segment *segment = &packing->segments[s];
    const float *from =
        packing->qkv + segment->start * heads->width + packing->column + head * heads->D;
    for (int64_t i = 0; packing->panels != NULL && i < segment->length; i += WEIGHT_PANEL) {
        const int64_t left = segment->length - i;
        CPU_CALL(packing->backend, cpu_kernel_transpose,
                 cpu_packing_panel(packing, s, head) + i * heads->D, WEIGHT_PANEL,
                 from + i * heads->width, heads->width, left < WEIGHT_PANEL ? left : WEIGHT_PANEL,
                 heads->D);
    }
    if (packing->rows != NULL)
        CPU_CALL(packing->backend, cpu_kernel_copy, cpu_packing_row(packing, s, head),
                 heads->padded, from, heads->width, segment->length, heads->D);
}

void cpu_packing_run(const struct cpu_packing *packing) {
    const struct cpu_heads *heads = packing->heads;
    cpu_run_items(packing->backend, packing->segment_count * heads->K,
                  packing->T * heads->K * heads->D, pack_segment, packing);
}
