/* SPDX-License-Identifier: Apache-2.0
 *
 * Pages that come back wait in a list; the last one given serves first.
 */
#include "model/cache.h"

#include "base/memory.h"

struct cache {
    struct backend *backend;
    struct cache_pool pool;
    int32_t *free_pages; /* (most_pages) */
    int64_t free_count, most_pages;
};

static int64_t page_bytes(const struct cache *cache) {
    return cache->pool.page_elements * (int64_t)dtype_bytes(cache->pool.dtype);
}

static enum status create_parts(struct cache *cache) {
    const int64_t bytes = cache->most_pages * page_bytes(cache);
    TRY(memory_new(&cache->free_pages, cache->most_pages, "list of free cache pages"));
    return cache->backend->ops->reserve(cache->backend, &cache->pool.memory, (size_t)bytes,
                                        "pages of keys and values");
}

enum status cache_create(struct cache **out, struct backend *backend, const struct hparams *h,
                         enum dtype dtype, int64_t most_pages) {
    struct cache *cache = NULL;
    if (most_pages > INT32_MAX)
        return FAIL(STATUS_INPUT,
                    "%lld pages of keys and values are more than can be numbered; lower "
                    "rollout.answers_in_flight or rollout.max_new_tokens",
                    (long long)most_pages);
    TRY(memory_new(&cache, 1, "a cache of keys and values"));
    cache->backend = backend;
    cache->most_pages = most_pages;
    cache->pool = (struct cache_pool){.page_elements = h->layers * h->K * 2 * CACHE_PAGE * h->D,
                                      .K = h->K,
                                      .D = h->D,
                                      .dtype = dtype};
    const enum status status = create_parts(cache);
    if (status != STATUS_OK)
        cache_destroy(&cache);
    *out = cache;
    return status;
}

void cache_destroy(struct cache **pointer) {
    struct cache *cache = *pointer;
    if (cache == NULL)
        return;
    backend_release(cache->backend, &cache->pool.memory);
    memory_release(&cache->free_pages);
    memory_release(pointer);
}

int64_t cache_bytes(const struct cache *cache) {
    return cache->pool.page_count * page_bytes(cache);
}

struct cache_pool cache_pool_of(const struct cache *cache) {
    return cache->pool;
}

enum status cache_take(struct cache *cache, int32_t *page) {
    struct backend *backend = cache->backend;
    if (cache->free_count > 0) {
        *page = cache->free_pages[--cache->free_count];
        return STATUS_OK;
    }
    const int64_t count = cache->pool.page_count + 1;
    ASSERT(count <= cache->most_pages);
    TRY(backend->ops->commit(backend, cache->pool.memory, (size_t)(count * page_bytes(cache))));
    *page = (int32_t)cache->pool.page_count;
    cache->pool.page_count = count;
    return STATUS_OK;
}

void cache_give(struct cache *cache, int32_t page) {
    ASSERT(cache->free_count < cache->pool.page_count);
    cache->free_pages[cache->free_count++] = page;
}
