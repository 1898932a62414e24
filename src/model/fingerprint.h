/* SPDX-License-Identifier: Apache-2.0
 *
 * Which weights a model was loaded with: SHA-256 of every byte of every tensor that it computes with,
 * taken while they are loaded. Two directories with the same fingerprint hold the same weights,
 * however they are cut into files and whatever else lies in them; one turned bit, another kind of
 * number or another shape gives another one.
 *
 *     tensor   SHA-256 of (SHA-256 of each 4 MiB of it; its kind of number, sizes, name)
 *     all      SHA-256 of those of the tensors, in the order of the model's parameters
 *
 * Processes that load the same weights share the tensors out: each hashes those of its part, and the
 * sum of all parts' words is what one process alone would have.
 */
#ifndef MODEL_FINGERPRINT_H
#define MODEL_FINGERPRINT_H

#include <stdint.h>

#include "base/status.h"
#include "file/safetensors.h"
#include "model/parameters.h"

enum { FINGERPRINT_WORDS = 4, FINGERPRINT_TEXT_BYTES = 65 };

struct fingerprint {
    int part, parts; /* of the processes: tensor i is hashed by part i modulo parts */
    int64_t count;   /* of tensors */
    int64_t *words;  /* (count, 4): the digests, 0 where the tensor is another part's */
};

/* For `count` tensors, none hashed yet. Released also after a failure. */
enum status fingerprint_init(struct fingerprint *fingerprint, int part, int parts,
                             int64_t count) MUST_USE;
void fingerprint_release(struct fingerprint *fingerprint);

/* Tensor `index`, the one of that parameter, where it is of this part. Reads its file, not the
 * mapping: it takes no memory, and what is mapped is read a second time from the system's cache. */
enum status fingerprint_add(struct fingerprint *fingerprint, int64_t index,
                            const struct parameter *parameter,
                            const struct safetensor *tensor) MUST_USE;

/* The whole, in hexadecimal, once all parts' words are added up. */
void fingerprint_text(const struct fingerprint *fingerprint, char out[FINGERPRINT_TEXT_BYTES]);

#endif
