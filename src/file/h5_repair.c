/* SPDX-License-Identifier: Apache-2.0 */
#include "file/h5_library.h"

#include <stddef.h>

/* The library's checksum of metadata: lookup3 of B. Jenkins (2006, public domain). */
static uint32_t lookup3(const unsigned char *bytes, size_t n) {
    static const int mix[6] = {4, 6, 8, 16, 19, 4}, last[7] = {14, 11, 25, 16, 4, 14, 24};
    uint32_t s[3];
    s[0] = s[1] = s[2] = 0xdeadbeefu + (uint32_t)n;
    for (; n > 0; bytes += n < 12 ? n : 12, n -= n < 12 ? n : 12) {
        for (size_t i = 0; i < 12 && i < n; i++)
            s[i / 4] += (uint32_t)bytes[i] << 8 * (i % 4);
        for (int i = 0; n > 12 && i < 6; i++) { /* a −= c, a ^= c rotated, c += b; then turn */
            uint32_t *a = &s[i % 3], *b = &s[(i + 1) % 3], *c = &s[(i + 2) % 3];
            *a = (*a - *c) ^ (*c << mix[i] | *c >> (32 - mix[i]));
            *c += *b;
        }
    }
    for (int i = 0; i < 7; i++) { /* c ^= b, c −= b rotated; then turn */
        uint32_t *c = &s[(i + 2) % 3], *b = &s[(i + 1) % 3];
        *c = (*c ^ *b) - (*b << last[i] | *b >> (32 - last[i]));
    }
    return s[2];
}

void h5_repair_superblock(unsigned char *image, int64_t n) {
    enum { VERSION_AT = 8, CHECKSUM_AT = 44, SUPERBLOCK_BYTES = 48 };
    if (n < SUPERBLOCK_BYTES || image[VERSION_AT] != 3)
        return;
    const uint32_t sum = lookup3(image, CHECKSUM_AT);
    for (int i = 0; i < 4; i++)
        image[CHECKSUM_AT + i] = (unsigned char)(sum >> 8 * i & 0xff);
}
