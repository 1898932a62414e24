/* SPDX-License-Identifier: Apache-2.0
 *
 * Hashes for the tables of this folder: multiply and fold, spread over all 64 bits. Not for
 * adversaries; a table that someone filled to collide is only slow.
 */
#ifndef TEXT_HASH_H
#define TEXT_HASH_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

static inline uint64_t hash_word(uint64_t word) {
    word *= 0x9e3779b97f4a7c15u;
    word ^= word >> 32;
    word *= 0xd6e8feb86659fd93u;
    return word ^ word >> 29;
}

static inline uint64_t hash_bytes(const char *bytes, size_t length) {
    uint64_t hash = length, word;
    for (; length >= 8; length -= 8, bytes += 8) {
        memcpy(&word, bytes, 8);
        hash = hash_word(hash ^ word);
    }
    word = 0;
    for (size_t i = 0; i < length; i++)
        word = word << 8 | (unsigned char)bytes[i];
    return hash_word(hash ^ word);
}

/* Smallest power of two that leaves at least half of a table's places free. */
static inline size_t hash_places(size_t count) {
    size_t places = 16;
    while (places < 2 * count)
        places *= 2;
    return places;
}

#endif
