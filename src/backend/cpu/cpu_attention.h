/* SPDX-License-Identifier: Apache-2.0
 *
 * What attention forward, backward and decoding share: the sizes, and a block of query rows that
 * goes over keys and values span by span.
 *
 * Query heads that share a key/value head are rows of the same block: row j G + g of a block is the
 * head g of its position (or answer) j.
 */
#ifndef BACKEND_CPU_CPU_ATTENTION_H
#define BACKEND_CPU_CPU_ATTENTION_H

#include "backend/cpu/cpu.h"

struct cpu_heads {
    int64_t H, K, D, G; /* G = H / K query heads for each key/value head */
    int64_t width;      /* floats of a row of qkv: (H + 2 K) D */
    int64_t padded;     /* D rounded up to whole panels */
    int64_t block;      /* positions (or answers) of a block of query rows */
    float scale;        /* 1/√D */
};

/* Refuses head counts that do not divide and head sizes that are not 2, 4, …, 256. */
enum status cpu_heads_init(struct cpu_heads *heads, int64_t H, int64_t K, int64_t D) MUST_USE;

/* Consecutive keys of one key/value head, with their values. */
struct cpu_span {
    const float *keys;   /* panels [count / 32 rounded up][D][32] */
    const float *values; /* (count, padded) */
    int64_t count;
};

/* A block of query rows in the scratch of a thread. */
struct cpu_block {
    const struct backend *backend;
    const struct cpu_heads *heads;
    int64_t rows;   /* at most block · G */
    float *queries; /* [D][rows] */
    float *scores;  /* (rows, score_row): of absolute key positions, whole panels are written */
    int64_t score_row;
    float *sums;    /* (rows, padded) */
    float *factors; /* (rows): reciprocals of the softmax's sums */
};

/* Floats of a thread's scratch for blocks with up to `keys` keys, and the block laid out in it. */
size_t cpu_block_floats(const struct cpu_heads *heads, int64_t keys);
struct cpu_block cpu_block_place(const struct backend *backend, const struct cpu_heads *heads,
                                 int64_t keys, int64_t positions, float *memory);

/* Packs the G query heads of a row of qkv as position j of the block. */
void cpu_block_query(struct cpu_block *block, int64_t j, const float *qkv_row, int64_t kv_head);

/* Scores of `rows` rows from `row` on with the span's keys, which stand at `position`. */
void cpu_block_score(struct cpu_block *block, int64_t row, int64_t rows, struct cpu_span span,
                     int64_t position);

/* Continues the sums over the span's values; position 0 begins them. */
void cpu_block_value(struct cpu_block *block, int64_t row, int64_t rows, struct cpu_span span,
                     int64_t position);

/* The softmax of a row with `length` keys; gives the logarithm of its sum. */
float cpu_block_softmax(struct cpu_block *block, int64_t row, int64_t length);

/* Writes the outputs of position j: its G query heads in a row of (H, D). */
void cpu_block_output(const struct cpu_block *block, int64_t j, float *out_row, int64_t kv_head);

/* The key heads, or the value heads, of a packed batch brought into panels and into padded rows. */
struct cpu_packing {
    struct backend *backend;
    const struct cpu_heads *heads;
    const struct segment *segments;
    int64_t segment_count, T;
    const float *qkv;
    int64_t column; /* of head 0 in qkv */
    float *panels;  /* (K, panels, D, 32) or NULL */
    float *rows;    /* (K, T, padded) or NULL */
};

/* A packing without memory, and the floats (a multiple of 32) that panels and rows will take. */
struct cpu_packing cpu_packing_of(struct backend *backend, const struct cpu_heads *heads,
                                  const struct attention_args *args, int64_t column);
int64_t cpu_packing_panel_floats(const struct cpu_packing *packing);
int64_t cpu_packing_row_floats(const struct cpu_packing *packing);

void cpu_packing_run(const struct cpu_packing *packing);

/* Where segment s of a head begins. */
float *cpu_packing_panel(const struct cpu_packing *packing, int64_t s, int64_t head);
float *cpu_packing_row(const struct cpu_packing *packing, int64_t s, int64_t head);

#endif
