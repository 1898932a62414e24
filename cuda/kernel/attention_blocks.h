/* SPDX-License-Identifier: Apache-2.0
 *
 * The work lists of attention: one entry for each piece of work that a block of threads takes, for
 * each key head. They are made on the host from the segments and uploaded with them.
 *
 * Packed rows: the G = H / K query heads that share a key head are rows of one tile, so that keys
 * are read once for all of them. Packed row r of a segment is head r % G of the key head's, at
 * position r / G of the segment.
 */
#ifndef CUDA_KERNEL_ATTENTION_BLOCKS_H
#define CUDA_KERNEL_ATTENTION_BLOCKS_H

#include <stdint.h>

#include "backend/backend.h"

enum {
    ATTENTION_ROWS = 128,    /* packed rows of a block of queries */
    ATTENTION_KEYS = 64,     /* keys taken at once, from positions that are multiples of it */
    ATTENTION_HEAD_MAX = 256 /* largest head size */
};

/* A block of queries: packed rows of `segment` from `first` on. A block of keys: rows of `segment` from
 * `first` on, and `rows` of the packed rows that see them: those of its own segment from the keys
 * on, then those of its children in order; from row query_first of query_segment on. The queries of
 * one block of keys may be cut into `parts` entries, whose sums go to the slots from `slot` on. */
struct attention_block {
    int32_t segment, first;
    int32_t start, length, before_start, before; /* rows of the segment, and of its parent */
    int32_t work;                                /* steps that it takes */
    int32_t query_segment, query_first, rows;
    int32_t part, parts, slot;
};

#ifdef __cplusplus
extern "C" {
#endif

/* Blocks of ATTENTION_ROWS packed rows, and blocks of ATTENTION_KEYS keys of a segment: those with
 * the most work first, so that the machine does not wait for one of them at the end, and none with
 * much more than its share. Each gives the number of blocks, and writes them unless `blocks` is
 * NULL. */
int64_t attention_query_blocks(const struct segment *segments, int64_t segment_count, int64_t G,
                               struct attention_block *blocks);
int64_t attention_key_blocks(const struct segment *segments, int64_t segment_count, int64_t G,
                             struct attention_block *blocks);

/* Floats of scratch that the backward of these segments takes. */
int64_t attention_backward_floats(const struct segment *segments, int64_t segment_count, int64_t H,
                                  int64_t K, int64_t D);

#ifdef __cplusplus
}
#endif

#endif
