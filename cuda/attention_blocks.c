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
    return (x->first > y->first) - (x->first < y->first);
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
            if (blocks != NULL)
                blocks[count] = (struct attention_block){
                    (int32_t)s, (int32_t)first, (int32_t)s,
                    (int32_t)blocks_of(before + (last - 1) / G + 1, ATTENTION_KEYS)};
        }
    }
    sort(blocks, count);
    return count;
}

/* Rows of the children of segment s; the last of them is put into *last. */
static int64_t children_rows(const struct segment *segments, int64_t segment_count, int64_t s,
                             int32_t *last) {
    int64_t rows = 0;
    *last = (int32_t)s;
    for (int64_t child = s + 1; segments[s].parent < 0 && child < segment_count; child++)
        if (segments[child].parent == s) {
            rows += segments[child].length;
            *last = (int32_t)child;
        }
    return rows;
}

int64_t attention_key_blocks(const struct segment *segments, int64_t segment_count, int64_t G,
                             struct attention_block *blocks) {
    int64_t count = 0;
    for (int64_t s = 0; s < segment_count; s++) {
        int32_t last;
        const int64_t below = children_rows(segments, segment_count, s, &last);
        for (int64_t first = 0; first < segments[s].length; first += ATTENTION_KEYS, count++)
            if (blocks != NULL)
                blocks[count] = (struct attention_block){
                    (int32_t)s, (int32_t)first, last,
                    (int32_t)blocks_of((segments[s].length - first + below) * G, ATTENTION_KEYS)};
    }
    sort(blocks, count);
    return count;
}

/* Half of the multiprocessors' room for warps is enough to keep memory busy: about four of a row
 * each. */
int64_t attention_decode_rows(int64_t B, int64_t K, int64_t multiprocessors) {
    const int64_t warps = B * K;
    if (warps >= 8 * multiprocessors)
        return ATTENTION_DECODE_ROWS;
    return warps >= 4 * multiprocessors ? 2 : 1;
}

int64_t attention_decode_blocks(const int32_t *prompt_begin, int64_t B, int64_t rows_per_block,
                                struct attention_decode_block *blocks) {
    int64_t count = 0, begin = 0;
    for (int64_t b = 1; b <= B; b++) {
        if (b < B && prompt_begin[b] == prompt_begin[begin] && b - begin < rows_per_block)
            continue;
        if (blocks != NULL)
            blocks[count] = (struct attention_decode_block){(int32_t)begin, (int32_t)(b - begin)};
        count++;
        begin = b;
    }
    return count;
}
