/* SPDX-License-Identifier: Apache-2.0
 *
 * The work lists of attention (kernel/attention_blocks.h) and of decoding
 * (kernel/attention_decode.h).
 */
#include "cuda/kernel/attention_blocks.h"

#include <stdlib.h>

#include "cuda/kernel/attention_decode.h"

/* Most work first; then in the order of the batch. */
static int compare(const void *a, const void *b) {
    const struct attention_block *x = a, *y = b;
    if (x->work != y->work)
        return x->work > y->work ? -1 : 1;
    if (x->segment != y->segment)
        return x->segment < y->segment ? -1 : 1;
    if (x->first != y->first)
        return x->first < y->first ? -1 : 1;
    return (x->part > y->part) - (x->part < y->part);
}

/* A block of segment s. */
static struct attention_block block_of(const struct segment *segments, int64_t s, int64_t first) {
    const int32_t parent = segments[s].parent;
    struct attention_block block = {.segment = (int32_t)s,
                                    .first = (int32_t)first,
                                    .start = segments[s].start,
                                    .length = segments[s].length};
    if (parent >= 0) {
        block.before_start = segments[parent].start;
        block.before = segments[parent].length;
    }
    return block;
}

static int64_t blocks_of(int64_t rows, int64_t block) {
    return (rows + block - 1) / block;
}

static void sort(struct attention_block *blocks, int64_t count) {
    if (blocks != NULL && count > 1)
        qsort(blocks, (size_t)count, sizeof *blocks, compare);
}

int64_t attention_query_blocks(const struct segment *segments, int64_t segment_count, int64_t G,
                               struct attention_block *blocks) {
    int64_t count = 0;
    for (int64_t s = 0; s < segment_count; s++) {
        const int32_t parent = segments[s].parent;
        const int64_t rows = segments[s].length * G,
                      before = parent < 0 ? 0 : segments[parent].length;
        for (int64_t first = 0; first < rows; first += ATTENTION_ROWS, count++) {
            const int64_t last = first + ATTENTION_ROWS < rows ? first + ATTENTION_ROWS : rows;
            if (blocks == NULL)
                continue;
            blocks[count] = block_of(segments, s, first);
            blocks[count].work = (int32_t)blocks_of(before + (last - 1) / G + 1, ATTENTION_KEYS);
        }
    }
    sort(blocks, count);
    return count;
}

/* --- blocks of keys --- */

enum { LEAST_PART = 2048, SHARES = 1024 }; /* packed rows; parts of all the work */

/* Positions of the children of segment s. */
static int64_t children_length(const struct segment *segments, int64_t segment_count, int64_t s) {
    int64_t length = 0;
    for (int64_t child = s + 1; segments[s].parent < 0 && child < segment_count; child++)
        if (segments[child].parent == s)
            length += segments[child].length;
    return length;
}

/* Packed rows that one part may have: a share of all work, so that no block of a long or much shared
 * text is left when all others are done. */
static int64_t part_rows(const struct segment *segments, int64_t segment_count, int64_t G) {
    int64_t all = 0;
    for (int64_t s = 0; s < segment_count; s++) {
        const int64_t below = children_length(segments, segment_count, s);
        for (int64_t first = 0; first < segments[s].length; first += ATTENTION_KEYS)
            all += (segments[s].length - first + below) * G;
    }
    const int64_t share = blocks_of(blocks_of(all, SHARES), ATTENTION_KEYS) * ATTENTION_KEYS;
    return share > LEAST_PART ? share : LEAST_PART;
}

/* Moves a place in the rows that see a block of segment `root` on. */
static void move(const struct segment *segments, int64_t G, int64_t root, int64_t rows,
                 struct attention_block *place) {
    int64_t first = place->query_first + rows, s = place->query_segment;
    while (first >= segments[s].length * G) {
        first -= segments[s].length * G;
        for (s++; segments[s].parent != root;)
            s++;
    }
    place->query_segment = (int32_t)s;
    place->query_first = (int32_t)first;
}

/* One block of keys in its parts. Gives their number; *slot is moved on where there are several. */
static int64_t cut_keys(const struct segment *segments, int64_t G, struct attention_block block,
                        int64_t most, int32_t *slot, struct attention_block *blocks) {
    const int64_t all = block.rows, parts = blocks_of(all, most),
                  size = blocks_of(blocks_of(all, parts), ATTENTION_KEYS) * ATTENTION_KEYS,
                  count = blocks_of(all, size);
    block.parts = (int32_t)count;
    block.slot = *slot;
    *slot += count > 1 ? (int32_t)count : 0;
    for (int64_t part = 0; part < count; part++) {
        const int64_t left = all - part * size;
        if (part > 0)
            move(segments, G, block.segment, size, &block);
        block.part = (int32_t)part;
        block.rows = (int32_t)(left < size ? left : size);
        block.work = (int32_t)blocks_of(block.rows, ATTENTION_KEYS);
        if (blocks != NULL)
            blocks[part] = block;
    }
    return count;
}

static int64_t list_keys(const struct segment *segments, int64_t segment_count, int64_t G,
                         int32_t *slots, struct attention_block *blocks) {
    const int64_t most = part_rows(segments, segment_count, G);
    int64_t count = 0;
    *slots = 0;
    for (int64_t s = 0; s < segment_count; s++) {
        const int64_t below = children_length(segments, segment_count, s);
        for (int64_t first = 0; first < segments[s].length; first += ATTENTION_KEYS) {
            struct attention_block block = block_of(segments, s, first);
            block.query_segment = (int32_t)s;
            block.query_first = (int32_t)(first * G);
            block.rows = (int32_t)((segments[s].length - first + below) * G);
            count +=
                cut_keys(segments, G, block, most, slots, blocks == NULL ? NULL : blocks + count);
        }
    }
    return count;
}

int64_t attention_key_blocks(const struct segment *segments, int64_t segment_count, int64_t G,
                             struct attention_block *blocks) {
    int32_t slots;
    const int64_t count = list_keys(segments, segment_count, G, &slots, blocks);
    sort(blocks, count);
    return count;
}

int64_t attention_backward_floats(const struct segment *segments, int64_t segment_count, int64_t H,
                                  int64_t K, int64_t D) {
    int32_t slots;
    int64_t T = 0;
    (void)list_keys(segments, segment_count, H / K, &slots, NULL);
    for (int64_t s = 0; s < segment_count; s++)
        T += segments[s].length;
    return 2 * T * H + slots * K * 2 * ATTENTION_KEYS * D;
}

/* --- decoding --- */

/* Measured on an H200 at 512 positions. Few rows: the chain over the keys takes longer than reading
 * them. Else rows that share nothing are best alone, for blocks then come and go one by one. */
int64_t attention_decode_rows(const int32_t *prompts, int64_t B, int64_t K,
                              int64_t multiprocessors) {
    if (B * K <= 2 * multiprocessors)
        return ATTENTION_DECODE_WIDE;
    return 2 * attention_decode_blocks(prompts, B, ATTENTION_DECODE_ROWS, NULL) <= B
               ? ATTENTION_DECODE_ROWS
               : 1;
}

int64_t attention_decode_blocks(const int32_t *prompts, int64_t B, int64_t rows_per_block,
                                struct attention_decode_block *blocks) {
    int64_t count = 0, begin = 0;
    for (int64_t b = 1; b <= B; b++) {
        if (b < B && prompts[b] == prompts[begin] && b - begin < rows_per_block)
            continue;
        if (blocks != NULL)
            blocks[count] = (struct attention_decode_block){(int32_t)begin, (int32_t)(b - begin)};
        count++;
        begin = b;
    }
    return count;
}
