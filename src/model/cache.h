/* SPDX-License-Identifier: Apache-2.0
 *
 * The cache of keys and values that decoding keeps: pages (backend.h) that sequences take and give
 * back.
 */
#ifndef MODEL_CACHE_H
#define MODEL_CACHE_H

#include <stdint.h>

#include "backend/backend.h"
#include "base/status.h"
#include "model/hparams.h"

struct cache;

/* A cache for models of that shape; it grows as sequences ask. The caller destroys it, before the
 * backend is closed. */
enum status cache_create(struct cache **cache, struct backend *backend,
                         const struct hparams *hparams) MUST_USE;
void cache_destroy(struct cache **cache);
int64_t cache_bytes(const struct cache *cache);

/* The cached positions of one prompt or one answer. */
struct cache_sequence {
    float **pages;
    int32_t page_count, page_capacity, length;
};

/* Gives the sequence zeroed pages for `length` positions in all; its length stays. */
enum status cache_sequence_reserve(struct cache *cache, struct cache_sequence *sequence,
                                   int64_t length) MUST_USE;

/* Gives its pages back and empties it. */
void cache_sequence_release(struct cache *cache, struct cache_sequence *sequence);

#endif
