/* SPDX-License-Identifier: Apache-2.0
 *
 * In which order an epoch visits the rows of a source: a pure function of (seed, source, epoch), on
 * which no rank, step or restart has an influence. Each row has a random key that depends on its
 * line in the file alone, so rows that a filter leaves keep their order among themselves.
 */
#ifndef DATA_ORDER_H
#define DATA_ORDER_H

#include <stdbool.h>
#include <stdint.h>

struct order_entry {
    int64_t row;   /* 0-based line of the file; no two entries share one */
    int64_t index; /* whatever the caller finds the row by */
    uint64_t key;  /* set by order_arrange */
};

/* Puts the n entries, which may stand in any order, into that of the epoch; without shuffle by row.
 * Costs n log n comparisons. */
void order_arrange(struct order_entry *entries, int64_t n, uint64_t seed, int32_t source,
                   int64_t epoch, bool shuffle);

#endif
