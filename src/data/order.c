/* SPDX-License-Identifier: Apache-2.0 */
#include "data/order.h"

#include <stdlib.h>

#include "base/random.h"

/* By key; the row decides where two keys are equal, so that the order is one for any sort. */
static int compare(const void *left, const void *right) {
    const struct order_entry *a = left, *b = right;
    if (a->key != b->key)
        return a->key < b->key ? -1 : 1;
    return (a->row > b->row) - (a->row < b->row);
}

void order_arrange(struct order_entry *entries, int64_t n, uint64_t seed, int32_t source,
                   int64_t epoch, bool shuffle) {
    for (int64_t i = 0; i < n; i++) {
        const uint64_t row = (uint64_t)entries[i].row;
        entries[i].key = shuffle
                             ? random_bits(seed, RANDOM_SHUFFLE, (uint32_t)source, (uint32_t)epoch,
                                           (uint32_t)(row >> 32), (uint32_t)row)
                             : 0;
    }
    qsort(entries, (size_t)n, sizeof *entries, compare);
}
