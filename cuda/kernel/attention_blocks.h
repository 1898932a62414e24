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

struct attention_block {
    int32_t segment;
    int32_t first; /* of a block of queries: its first packed row; of keys: its first row */
    int32_t last;  /* of keys: the last segment whose parent this is, or the segment itself */
    int32_t work;  /* steps that it takes */
};

#ifdef __cplusplus
extern "C" {
#endif

/* Blocks of ATTENTION_ROWS packed rows, and blocks of ATTENTION_KEYS keys of a segment: those with
 * the most work first, so that the machine does not wait for one of them at the end. Each gives the
 * number of blocks, and writes them unless `blocks` is NULL. */
int64_t attention_query_blocks(const struct segment *segments, int64_t segment_count, int64_t G,
                               struct attention_block *blocks);
int64_t attention_key_blocks(const struct segment *segments, int64_t segment_count, int64_t G,
                             struct attention_block *blocks);

#ifdef __cplusplus
}
#endif

#endif
