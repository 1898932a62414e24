/* SPDX-License-Identifier: Apache-2.0
 *
 * Keys and values in pages: storing a row's, and attention of rows that are decoded together. Rows
 * of one prompt go over its pages together, then each over its own.
 */
#include "backend/cpu/cpu_attention.h"

#include <string.h>

#include "backend/cpu/cpu_kernel_product.h"

enum { WORTH_A_THREAD = 20000 }; /* floats to copy */

static int64_t at_most(int64_t a, int64_t b) {
    return a < b ? a : b;
}

/* Where a page keeps a head: its keys, then its values. */
static float *page_keys(float *page, const struct cpu_heads *heads, int64_t layer, int64_t head) {
    return page + (layer * heads->K + head) * 2 * CACHE_PAGE * heads->D;
}

/* --- storing --- */

struct store {
    const struct cache_store_args *args;
    struct cpu_heads heads;
};

static void store_rows(const void *context, struct cpu_range range) {
    const struct store *store = context;
    const struct cache_store_args *args = store->args;
    const struct cpu_heads *heads = &store->heads;
    const int64_t D = heads->D;
    const float *qkv = args->qkv;
    for (int64_t b = range.begin; b < range.end; b++)
        for (int64_t head = 0; head < heads->K; head++) {
            const float *key = qkv + b * heads->width + (heads->H + head) * D;
            const int64_t slot = args->slots[b];
            float *keys = page_keys(args->pages[b], heads, args->layer, head);
            float *column = keys + slot / WEIGHT_PANEL * WEIGHT_PANEL * D + slot % WEIGHT_PANEL;
            for (int64_t d = 0; d < D; d++)
                column[d * WEIGHT_PANEL] = key[d];
            memcpy(keys + (CACHE_PAGE + slot) * D, key + heads->K * D, (size_t)D * sizeof *keys);
        }
}

enum status cpu_cache_store(struct backend *backend, const struct cache_store_args *args) {
    struct store store = {.args = args};
    TRY(cpu_heads_init(&store.heads, args->H, args->K, args->D));
    for (int64_t b = 0; b < args->B; b++)
        if (args->slots[b] < 0 || args->slots[b] >= CACHE_PAGE)
            return FAIL(STATUS_DEFECT, "row %lld is to be stored at slot %d of a page of %d",
                        (long long)b, (int)args->slots[b], CACHE_PAGE);
    cpu_run(backend, args->B, 1 + WORTH_A_THREAD / (2 * args->K * args->D), store_rows, &store);
    return STATUS_OK;
}

/* --- attention --- */

struct decode {
    struct backend *backend;
    const struct attention_decode_args *args;
    struct cpu_heads heads;
    int64_t longest;       /* most keys of a row */
    const int64_t *begins; /* (blocks + 1): rows begins[i] … begins[i + 1] − 1 form a block */
};

/* Pages that hold the positions from `position` on. */
struct part {
    float *const *pages;
    int64_t length, position;
};

/* The keys of page i of a part. */
static struct cpu_span page_span(const struct decode *work, struct part part, int64_t i,
                                 int64_t kv_head) {
    const float *keys = page_keys(part.pages[i], &work->heads, work->args->layer, kv_head);
    return (struct cpu_span){keys, keys + CACHE_PAGE * work->heads.D,
                             at_most(CACHE_PAGE, part.length - i * CACHE_PAGE)};
}

static void score_part(const struct decode *work, struct cpu_block *block, int64_t row,
                       int64_t rows, struct part part, int64_t kv_head) {
    for (int64_t i = 0; i * CACHE_PAGE < part.length; i++)
        cpu_block_score(block, row, rows, page_span(work, part, i, kv_head),
                        part.position + i * CACHE_PAGE);
}

/* Values whose rows are no whole panels are copied to `padded` first. */
static void value_part(const struct decode *work, struct cpu_block *block, int64_t row,
                       int64_t rows, struct part part, int64_t kv_head, float *padded) {
    const struct cpu_heads *heads = &work->heads;
    for (int64_t i = 0; i * CACHE_PAGE < part.length; i++) {
        struct cpu_span span = page_span(work, part, i, kv_head);
        if (heads->padded != heads->D) {
            CPU_CALL(work->backend, cpu_kernel_copy, padded, heads->padded, span.values, heads->D,
                     span.count, heads->D);
            span.values = padded;
        }
        cpu_block_value(block, row, rows, span, part.position + i * CACHE_PAGE);
    }
}

static struct part prompt_part(const struct cache_run *run) {
    return (struct part){run->prompt_pages, run->prompt_length, 0};
}

static struct part own_part(const struct cache_run *run) {
    return (struct part){run->own_pages, run->own_length, run->prompt_length};
}

/* One block of rows that share a prompt, for one key/value head. */
static void decode_block(const void *context, struct cpu_range range) {
    const struct decode *work = context;
    const struct attention_decode_args *args = work->args;
    const struct cpu_heads *heads = &work->heads;
    const int64_t kv_head = range.begin % heads->K, number = range.begin / heads->K, G = heads->G,
                  begin = work->begins[number], positions = work->begins[number + 1] - begin;
    const struct cache_run *runs = args->runs + begin;
    const float *qkv = args->qkv;
    float *out = args->out;
    float *padded = cpu_thread(work->backend, range.thread);
    struct cpu_block block = cpu_block_place(work->backend, heads, work->longest, positions,
                                             padded + CACHE_PAGE * heads->padded);
    for (int64_t j = 0; j < positions; j++)
        cpu_block_query(&block, j, qkv + (begin + j) * heads->width, kv_head);
    score_part(work, &block, 0, block.rows, prompt_part(runs), kv_head);
    for (int64_t j = 0; j < positions; j++)
        score_part(work, &block, j * G, G, own_part(&runs[j]), kv_head);
    for (int64_t r = 0; r < block.rows; r++)
        cpu_block_softmax(&block, r, runs->prompt_length + runs[r / G].own_length);
    value_part(work, &block, 0, block.rows, prompt_part(runs), kv_head, padded);
    for (int64_t j = 0; j < positions; j++)
        value_part(work, &block, j * G, G, own_part(&runs[j]), kv_head, padded);
    for (int64_t j = 0; j < positions; j++)
        cpu_block_output(&block, j, out + (begin + j) * heads->H * heads->D, kv_head);
}

/* Cuts the rows into blocks of one prompt each; gives their number,
 * and the positions of all keys. */
static int64_t cut_blocks(const struct decode *work, int64_t *begins, int64_t *keys) {
    const struct attention_decode_args *args = work->args;
    int64_t count = 0;
    *keys = 0;
    for (int64_t b = 0; b < args->B; b++) {
        const struct cache_run *run = &args->runs[b];
        if (b == 0 || run->prompt_pages != run[-1].prompt_pages ||
            b - begins[count - 1] == work->heads.block)
            begins[count++] = b;
        *keys += run->prompt_length + run->own_length;
    }
    begins[count] = args->B;
    return count;
}

static enum status check_runs(const struct attention_decode_args *args, int64_t *longest) {
    *longest = 0;
    for (int64_t b = 0; b < args->B; b++) {
        const struct cache_run *run = &args->runs[b];
        if (run->own_length < 1 || run->prompt_length < 0)
            return FAIL(STATUS_DEFECT,
                        "row %lld is decoded with %d positions of its own and %d of "
                        "its prompt",
                        (long long)b, (int)run->own_length, (int)run->prompt_length);
        const int64_t keys = (int64_t)run->prompt_length + run->own_length;
        *longest = keys > *longest ? keys : *longest;
    }
    return STATUS_OK;
}

enum status cpu_attention_decode(struct backend *backend,
                                 const struct attention_decode_args *args) {
    struct decode work = {.backend = backend, .args = args};
    TRY(cpu_heads_init(&work.heads, args->H, args->K, args->D));
    TRY(check_runs(args, &work.longest));
    const size_t block = cpu_block_floats(&work.heads, work.longest),
                 padded = (size_t)(CACHE_PAGE * work.heads.padded);
    TRY(cpu_reserve(backend, (size_t)(args->B + 1) * sizeof(int64_t),
                    (block + padded) * sizeof(float)));
    if (cpu_plans(backend))
        return STATUS_OK;
    int64_t *begins = cpu_shared(backend), keys;
    work.begins = begins;
    const int64_t blocks = cut_blocks(&work, begins, &keys);
    cpu_run_items(backend, blocks * args->K, 2 * keys * args->H * args->D, decode_block, &work);
    return STATUS_OK;
}
