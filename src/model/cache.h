/* SPDX-License-Identifier: Apache-2.0
 *
 * The pool of pages (backend.h) that decoding keeps keys and values in: who takes a page gets its
 * number, and gives it back.
 */
#ifndef MODEL_CACHE_H
#define MODEL_CACHE_H

#include <stdint.h>

#include "backend/backend.h"
#include "base/status.h"
#include "model/hparams.h"

struct cache;

/* A cache for models of that shape, of at most that many pages; memory comes as pages are taken. The
 * caller destroys it, before the backend is closed. */
enum status cache_create(struct cache **cache, struct backend *backend,
                         const struct hparams *hparams, enum dtype dtype,
                         int64_t most_pages) MUST_USE;
void cache_destroy(struct cache **cache);
int64_t cache_bytes(const struct cache *cache);

struct cache_pool cache_pool_of(const struct cache *cache);

enum status cache_take(struct cache *cache, int32_t *page) MUST_USE;
void cache_give(struct cache *cache, int32_t page);

#endif
