/* SPDX-License-Identifier: Apache-2.0
 *
 * The compression function of SHA-256 over whole blocks, in plain C and with the machine's own
 * instructions; sha256.c chooses.
 */
#ifndef BASE_SHA256_BLOCKS_H
#define BASE_SHA256_BLOCKS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

extern const uint32_t sha256_round_constants[64];

/* Takes `count` blocks of 64 bytes into the state. */
void sha256_blocks_plain(uint32_t state[8], const unsigned char *data, size_t count);

/* The same by x86's SHA instructions, where the processor has them. */
bool sha256_has_instructions(void);
void sha256_blocks_instructions(uint32_t state[8], const unsigned char *data, size_t count);

#endif
