/* SPDX-License-Identifier: Apache-2.0
 *
 * The order of an epoch is the one that an independent Philox gives, whatever the entries' order
 * before; each row stands in it once, in every place equally often.
 */
#include "check.h"

#include "data/order.h"

enum { N = 16 };

/* Printed by tests/data/data/make_order.py. */
static const struct {
    uint64_t seed;
    int32_t source;
    int64_t epoch;
    int64_t rows[N];
} expected[] = {
    {0, 0, 0, {6, 10, 3, 5, 14, 1, 9, 4, 12, 2, 0, 8, 11, 15, 7, 13}},
    {0, 0, 1, {10, 15, 8, 1, 11, 0, 5, 9, 12, 3, 7, 6, 4, 13, 2, 14}},
    {0, 1, 0, {6, 15, 10, 13, 5, 12, 7, 3, 2, 0, 11, 4, 9, 8, 1, 14}},
    {123456789012345, 2, 5, {8, 5, 6, 12, 7, 15, 11, 2, 9, 10, 3, 0, 1, 13, 4, 14}},
};

static void fill(struct order_entry *entries, int64_t n) {
    for (int64_t i = 0; i < n; i++)
        entries[i] = (struct order_entry){.row = i, .index = 100 + i};
}

static void check_expected(void) {
    struct order_entry entries[N];
    fill(entries, N);
    for (size_t k = 0; k < sizeof expected / sizeof *expected; k++) { /* from the last order on */
        order_arrange(entries, N, expected[k].seed, expected[k].source, expected[k].epoch, true);
        for (int i = 0; i < N; i++) {
            CHECK_EQ(entries[i].row, expected[k].rows[i]);
            CHECK_EQ(entries[i].index, entries[i].row + 100);
        }
    }
    order_arrange(entries, N, 0, 0, 0, false);
    for (int i = 0; i < N; i++)
        CHECK_EQ(entries[i].row, i);
}

/* A filter leaves the order of the remaining rows as it is. */
static void check_filtered(void) {
    struct order_entry entries[N];
    fill(entries, N);
    int n = 0;
    for (int i = 0; i < N; i += 3)
        entries[n++] = entries[i];
    order_arrange(entries, n, 0, 0, 0, true);
    int at = 0;
    for (int i = 0; i < N; i++)
        if (expected[0].rows[i] % 3 == 0)
            CHECK_EQ(entries[at++].row, expected[0].rows[i]);
    CHECK_EQ(at, n);
}

/* Chi-square of row against place over 2000 epochs: 25 degrees of freedom, 99.9 % below 52.6. */
static void check_uniform(void) {
    enum { ROWS = 6, EPOCHS = 2000 };
    int64_t seen[ROWS][ROWS] = {{0}};
    struct order_entry entries[ROWS];
    fill(entries, ROWS);
    for (int64_t epoch = 0; epoch < EPOCHS; epoch++) {
        order_arrange(entries, ROWS, 4, 0, epoch, true);
        for (int i = 0; i < ROWS; i++)
            seen[entries[i].row][i]++;
    }
    const double want = (double)EPOCHS / ROWS;
    double chi = 0.0;
    for (int r = 0; r < ROWS; r++)
        for (int i = 0; i < ROWS; i++)
            chi += ((double)seen[r][i] - want) * ((double)seen[r][i] - want) / want;
    CHECK_NEAR(chi, 26.3, 26.3);
}

int main(void) {
    check_expected();
    check_filtered();
    check_uniform();
    return CHECK_END();
}
