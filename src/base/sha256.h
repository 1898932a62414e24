/* SPDX-License-Identifier: Apache-2.0
 *
 * SHA-256 (FIPS 180-4), for the manifests of checkpoints and the checksums of input files.
 */
#ifndef BASE_SHA256_H
#define BASE_SHA256_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct sha256 {
    uint32_t state[8];
    uint64_t bytes;
    unsigned char block[64];
    bool instructions; /* of the processor are used */
};

void sha256_init(struct sha256 *hash);
void sha256_update(struct sha256 *hash, const void *data, size_t bytes);
void sha256_finish(struct sha256 *hash, unsigned char digest[32]);

/* The digest as 64 hexadecimal digits and a terminator. */
void sha256_hex(const unsigned char digest[32], char out[65]);

#endif
