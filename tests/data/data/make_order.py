#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Prints the expected orders of tests/unit/data/test_order.c: Philox-4x32-10 and the sort, written anew (Python >= 3.8)."""
M = 0xFFFFFFFF


def philox(c, k):
    c, k = list(c), list(k)
    for _ in range(10):
        p0, p1 = 0xD2511F53 * c[0], 0xCD9E8D57 * c[2]
        c = [(p1 >> 32) ^ c[1] ^ k[0], p1 & M, (p0 >> 32) ^ c[3] ^ k[1], p0 & M]
        k = [(k[0] + 0x9E3779B9) & M, (k[1] + 0xBB67AE85) & M]
    return c


def key(seed, stream):
    z = (seed + 0x9E3779B97F4A7C15 * (stream + 1)) & (1 << 64) - 1
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9 & (1 << 64) - 1
    z = (z ^ z >> 27) * 0x94D049BB133111EB & (1 << 64) - 1
    z ^= z >> 31
    return z & M, z >> 32


def order(seed, source, epoch, rows):
    shuffle = 1  # RANDOM_SHUFFLE

    def bits(row):
        out = philox((source, epoch, row >> 32, row & M), key(seed, shuffle))
        return out[0] << 32 | out[1]
    return sorted(rows, key=lambda row: (bits(row), row))


assert philox((0, 0, 0, 0), (0, 0)) == [0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8]  # Random123's kat_vectors
for seed, source, epoch in ((0, 0, 0), (0, 0, 1), (0, 1, 0), (123456789012345, 2, 5)):
    print(seed, source, epoch, order(seed, source, epoch, range(16)))
