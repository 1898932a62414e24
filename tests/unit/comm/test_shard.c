/* SPDX-License-Identifier: Apache-2.0
 *
 * Shards are whole blocks, follow one another, cover everything and differ by at most one block.
 */
#include "check.h"

#include "comm/comm.h"

static void check_shards(int64_t n, int64_t block, int size) {
    CHECK_EQ(comm_shard_begin(n, block, 0, size), 0);
    CHECK_EQ(comm_shard_begin(n, block, size, size), n);
    int64_t least = INT64_MAX, most = 0;
    for (int r = 0; r < size; r++) {
        const int64_t begin = comm_shard_begin(n, block, r, size);
        const int64_t end = comm_shard_begin(n, block, r + 1, size);
        const int64_t blocks = (end - begin + block - 1) / block;
        CHECK(begin <= end);
        CHECK(begin % block == 0 || begin == n);
        least = blocks < least ? blocks : least;
        most = blocks > most ? blocks : most;
    }
    CHECK(most - least <= 1);
}

int main(void) {
    static const int64_t counts[] = {0, 1, 2, 47, 48, 49, 1000, 65536, 134515008};
    static const int64_t blocks[] = {1, 3, 48, 65536};
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++)
        for (size_t k = 0; k < sizeof blocks / sizeof *blocks; k++)
            for (int size = 1; size <= 9; size++)
                check_shards(counts[i], blocks[k], size);
    CHECK_EQ(comm_shard_begin(10, 4, 1, 2), 8); /* blocks of 4, 4 and 2: the first rank has two */
    CHECK_EQ(comm_shard_begin(INT64_MAX, 1, 1, 1), INT64_MAX);
    return CHECK_END();
}
