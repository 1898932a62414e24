/* SPDX-License-Identifier: Apache-2.0
 *
 * Pages of keys and values. Pages that come back wait in a list for the next sequence; a page is
 * zeroed when it is handed out, because scores are computed for whole panels of positions.
 */
#include "model/cache.h"

#include "base/memory.h"

struct cache {
    struct backend *backend;
    float **all, **free_pages;
    int64_t count, free_count, capacity; /* of pages; both lists have room for `capacity` */
    int64_t page_floats;
};

enum status cache_create(struct cache **out, struct backend *backend, const struct hparams *h) {
    struct cache *cache = NULL;
    TRY(memory_new(&cache, 1, "a cache of keys and values"));
    cache->backend = backend;
    cache->page_floats = h->layers * h->K * 2 * CACHE_PAGE * h->D;
    *out = cache;
    return STATUS_OK;
}

void cache_destroy(struct cache **pointer) {
    struct cache *cache = *pointer;
    if (cache == NULL)
        return;
    for (int64_t i = 0; i < cache->count; i++)
        backend_release(cache->backend, &cache->all[i]);
    memory_release(&cache->all);
    memory_release(&cache->free_pages);
    memory_release(pointer);
}

int64_t cache_bytes(const struct cache *cache) {
    return cache->count * cache->page_floats * (int64_t)sizeof(float);
}

static enum status grow_lists(struct cache *cache) {
    if (cache->count < cache->capacity)
        return STATUS_OK;
    const int64_t capacity = cache->capacity > 0 ? 2 * cache->capacity : 64;
    TRY(memory_grow(&cache->all, capacity, "list of cache pages"));
    TRY(memory_grow(&cache->free_pages, capacity, "list of free cache pages"));
    cache->capacity = capacity;
    return STATUS_OK;
}

static enum status take_page(struct cache *cache, float **page) {
    struct backend *backend = cache->backend;
    if (cache->free_count > 0) {
        *page = cache->free_pages[--cache->free_count];
        return backend->ops->clear(backend, *page, (size_t)cache->page_floats * sizeof(float));
    }
    TRY(grow_lists(cache));
    TRY(backend_new(backend, page, cache->page_floats, "a page of keys and values"));
    cache->all[cache->count++] = *page;
    return STATUS_OK;
}

enum status cache_sequence_reserve(struct cache *cache, struct cache_sequence *sequence,
                                   int64_t length) {
    const int64_t pages = (length + CACHE_PAGE - 1) / CACHE_PAGE;
    if (pages > sequence->page_capacity) {
        const int64_t twice = 2 * (int64_t)sequence->page_capacity;
        const int64_t capacity = twice > pages ? twice : pages;
        TRY(memory_grow(&sequence->pages, capacity, "pages of a sequence"));
        sequence->page_capacity = (int32_t)capacity;
    }
    while (sequence->page_count < pages) {
        TRY(take_page(cache, &sequence->pages[sequence->page_count]));
        sequence->page_count++;
    }
    return STATUS_OK;
}

void cache_sequence_release(struct cache *cache, struct cache_sequence *sequence) {
    for (int32_t i = 0; i < sequence->page_count; i++)
        cache->free_pages[cache->free_count++] = sequence->pages[i];
    memory_release(&sequence->pages);
    *sequence = (struct cache_sequence){.pages = NULL};
}
