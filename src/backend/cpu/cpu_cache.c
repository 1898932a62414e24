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

/* Where page `page` keeps a head: its keys, then its values. */
static float *page_keys(const struct cache_pool *pool, int64_t page, int64_t layer, int64_t head) {
    return (float *)pool->memory + page * pool->page_elements +
           (layer * pool->K + head) * 2 * CACHE_PAGE * pool->D;
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
            if (slot < 0)
                continue;
            float *keys = page_keys(&args->pool, args->pages[b], args->layer, head);
            float *column = keys + slot / WEIGHT_PANEL * WEIGHT_PANEL * D + slot % WEIGHT_PANEL;
            for (int64_t d = 0; d < D; d++)
                column[d * WEIGHT_PANEL] = key[d];
            memcpy(keys + (CACHE_PAGE + slot) * D, key + heads->K * D, (size_t)D * sizeof *keys);
        }
}

enum status cpu_cache_store(struct backend *backend, const struct cache_store_args *args) {
    struct store store = {.args = args};
    TRY(cpu_heads_init(&store.heads, args->H, args->pool.K, args->pool.D));
    cpu_run(backend, args->B, 1 + WORTH_A_THREAD / (2 * args->pool.K * args->pool.D), store_rows,
            &store);
    return STATUS_OK;
}

/* --- attention --- */

struct decode {
    struct backend *backend;
    const struct attention_decode_args *args;
    struct cpu_heads heads;
    const int64_t *begins; /* (blocks + 1): rows begins[i] … begins[i + 1] − 1 form a block */
};

/* Pages that hold the positions from `position` on. */
struct part {
    const int32_t *pages;
    int64_t length, position;
};

/* The keys of page i of a part. */
static struct cpu_span page_span(const struct decode *work, struct part part, int64_t i,
                                 int64_t kv_head) {
    const float *keys = page_keys(&work->args->pool, part.pages[i], work->args->layer, kv_head);
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

static struct part prompt_part(const struct attention_decode_args *args, int64_t b) {
    return (struct part){args->page_numbers + args->prompt_begin[b], args->prompt_length[b], 0};
}

static struct part own_part(const struct attention_decode_args *args, int64_t b) {
    return (struct part){args->page_numbers + args->own_begin[b], args->own_length[b],
                         args->prompt_length[b]};
}

/* One block of rows that share a prompt, for one key/value head. */
static void decode_block(const void *context, struct cpu_range range) {
    const struct decode *work = context;
    const struct attention_decode_args *args = work->args;
    const struct cpu_heads *heads = &work->heads;
    const int64_t kv_head = range.begin % heads->K, number = range.begin / heads->K, G = heads->G,
                  begin = work->begins[number], positions = work->begins[number + 1] - begin;
    const struct part prompt = prompt_part(args, begin);
    const float *qkv = args->qkv;
    float *out = args->out;
    float *padded = cpu_thread(work->backend, range.thread);
    struct cpu_block block = cpu_block_place(work->backend, heads, args->plan->longest, positions,
                                             padded + CACHE_PAGE * heads->padded);
    for (int64_t j = 0; j < positions; j++)
        cpu_block_query(&block, j, qkv + (begin + j) * heads->width, kv_head);
    score_part(work, &block, 0, block.rows, prompt, kv_head);
    for (int64_t j = 0; j < positions; j++)
        score_part(work, &block, j * G, G, own_part(args, begin + j), kv_head);
    for (int64_t r = 0; r < block.rows; r++)
        cpu_block_softmax(&block, r, prompt.length + args->own_length[begin + r / G]);
    value_part(work, &block, 0, block.rows, prompt, kv_head, padded);
    for (int64_t j = 0; j < positions; j++)
        value_part(work, &block, j * G, G, own_part(args, begin + j), kv_head, padded);
    for (int64_t j = 0; j < positions; j++)
        cpu_block_output(&block, j, out + (begin + j) * heads->H * heads->D, kv_head);
}

/* Cuts the rows into blocks of one prompt each; gives their number,
 * and the positions of all keys. */
static int64_t cut_blocks(const struct decode *work, int64_t *begins, int64_t *keys) {
    const struct attention_decode_args *args = work->args;
    const int32_t *prompts = args->plan->prompts;
    int64_t count = 0;
    *keys = 0;
    for (int64_t b = 0; b < args->plan->B; b++) {
        if (b == 0 || prompts[b] != prompts[b - 1] || b - begins[count - 1] == work->heads.block)
            begins[count++] = b;
        *keys += args->prompt_length[b] + args->own_length[b];
    }
    begins[count] = args->plan->B;
    return count;
}

static enum status check_lengths(const struct attention_decode_args *args) {
    for (int64_t b = 0; b < args->plan->B; b++) {
        const int64_t prompt = args->prompt_length[b], own = args->own_length[b];
        if (own < 1 || prompt < 0 || prompt + own > args->plan->longest)
            return FAIL(STATUS_DEFECT,
                        "row %lld is decoded with %lld positions of its own and %lld of its "
                        "prompt, of %lld in all that were planned",
                        (long long)b, (long long)own, (long long)prompt,
                        (long long)args->plan->longest);
    }
    return STATUS_OK;
}

/* What the host knows is all that is needed. */
enum status cpu_decode_prepare(struct backend *backend, struct decode_plan *plan) {
    struct cpu_heads heads;
    (void)backend;
    return cpu_heads_init(&heads, plan->H, plan->K, plan->D);
}

void cpu_decode_discard(struct backend *backend, struct decode_plan *plan) {
    (void)backend, (void)plan;
}

enum status cpu_attention_decode(struct backend *backend,
                                 const struct attention_decode_args *args) {
    const struct decode_plan *plan = args->plan;
    struct decode work = {.backend = backend, .args = args};
    TRY(cpu_heads_init(&work.heads, plan->H, plan->K, plan->D));
    const size_t block = cpu_block_floats(&work.heads, plan->longest),
                 padded = (size_t)(CACHE_PAGE * work.heads.padded);
    TRY(cpu_reserve(backend, (size_t)(plan->B + 1) * sizeof(int64_t),
                    (block + padded) * sizeof(float)));
    if (cpu_plans(backend))
        return STATUS_OK;
    TRY(check_lengths(args));
    int64_t *begins = cpu_shared(backend), keys;
    work.begins = begins;
    const int64_t blocks = cut_blocks(&work, begins, &keys);
    cpu_run_items(backend, blocks * plan->K, 2 * keys * plan->H * plan->D, decode_block, &work);
    return STATUS_OK;
}

/* --- the end of a step --- */

static bool is_stop(const struct decode_append_args *a, int32_t token) {
    for (int64_t i = 0; i < a->stop_id_count; i++)
        if (a->stop_ids[i] == token)
            return true;
    return false;
}

static void append(const struct decode_append_args *a, int64_t b) {
    const int32_t drawn = a->drawn[b], before = a->counts[b], n = before + 1;
    const int64_t at = a->answers[b] * a->most + before, place = before - a->forced_begins[b];
    const bool forced = a->forced_begins[b] >= 0 && place >= 0 && place < a->forced_count;
    if (drawn < 0 || !isfinite(a->logprob[b]) || !isfinite(a->entropy[b])) {
        a->ends[b] = DECODE_NOT_FINITE;
        return;
    }
    const int32_t token = forced ? a->forced[place] : drawn;
    a->answer_tokens[at] = token;
    a->answer_logprobs[at] = forced ? NAN : a->logprob[b];
    a->answer_entropies[at] = forced ? NAN : a->entropy[b];
    a->counts[b] = n;
    a->ends[b] = !forced && is_stop(a, token) ? DECODE_STOP
                 : n >= a->budgets[b]         ? DECODE_FULL
                                              : DECODE_OPEN;
    a->slots[b] = -1;
    if (a->ends[b] == DECODE_STOP)
        return;
    a->tokens[b] = token;
    a->positions[b] = a->prompt_length[b] + n - 1;
    a->counters[4 * b + 3] = (uint32_t)n;
    if (a->ends[b] == DECODE_FULL)
        return;
    a->pages[b] = a->page_numbers[a->own_begin[b] + (n - 1) / CACHE_PAGE];
    a->slots[b] = (n - 1) % CACHE_PAGE;
}

enum status cpu_decode_append(struct backend *backend, const struct decode_append_args *args) {
    (void)backend;
    for (int64_t b = 0; b < args->B; b++)
        if (args->ends[b] == DECODE_OPEN)
            append(args, b);
    return STATUS_OK;
}
