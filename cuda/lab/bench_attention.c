/* SPDX-License-Identifier: Apache-2.0
 *
 * Attention: forward and backward of 32k packed positions, as groups of 8 answers to a prompt and as
 * causal texts, and decoding. Operations are those that count: 4 D for a query head and a key that
 * it sees, 10 D in the backward. Bytes of decoding are those of the cache, a shared prompt once.
 * tests/peer/cuda_attention.py times the same shapes in PyTorch.
 */
#include "bench.h"

#include <string.h>

#include "cuda/kernel/attention_backward.h"
#include "cuda/kernel/attention_decode.h"

enum { PROMPT = 105, ANSWER = 300, ANSWERS = 8, POSITIONS = 32768, MOST_SEGMENTS = 256 };

struct heads {
    const char *name;
    int64_t H, K, D;
};
static const struct heads shapes[] = {
    {"0.5B", 14, 2, 64}, {"1.5B", 12, 2, 128}, {"7B", 28, 4, 128}};

/* Device memory with random bf16 of size around 1. */
static void *random_bf16(struct device *device, int64_t n) {
    uint16_t *host = malloc((size_t)n * sizeof *host);
    void *memory = NULL;
    uint64_t state = 1;
    if (host == NULL)
        exit(1);
    for (int64_t i = 0; i < n; i++) {
        state = state * 6364136223846793005u + 1442695040888963407u;
        host[i] = (uint16_t)((state >> 48 & 0x80ff) | 0x3f00);
    }
    BENCH_MUST(device_allocate(device, &memory, (size_t)n * sizeof *host, "numbers"));
    BENCH_MUST(device_upload(device, device->stream, memory, host, (size_t)n * sizeof *host));
    BENCH_MUST(device_synchronize(device, device->stream));
    free(host);
    return memory;
}

static void *upload(struct device *device, const void *from, size_t bytes) {
    void *memory = NULL;
    BENCH_MUST(device_allocate(device, &memory, bytes, "a list"));
    BENCH_MUST(device_upload(device, device->stream, memory, from, bytes));
    BENCH_MUST(device_synchronize(device, device->stream));
    return memory;
}

static void *room(struct device *device, int64_t n, size_t size) {
    void *memory = NULL;
    BENCH_MUST(device_allocate(device, &memory, (size_t)n * size, "results"));
    return memory;
}

/* --- training --- */

struct training {
    struct device *device;
    struct attention_backward_launch args;
};

static enum status put_forward(void *context) {
    const struct training *work = context;
    return DEVICE_LAUNCH(launch_attention_forward(work->device->stream, &work->args.forward));
}

static enum status put_backward(void *context) {
    const struct training *work = context;
    return DEVICE_LAUNCH(launch_attention_backward(work->device->stream, &work->args));
}

/* Texts of `length` positions, or groups where it is 0. Gives the number of segments. */
static int64_t segments_of(struct segment *segments, int32_t length) {
    int64_t count = 0;
    int32_t start = 0;
    while (length > 0 && start + length <= POSITIONS) {
        segments[count++] = (struct segment){start, length, -1, 0};
        start += length;
    }
    while (length == 0 && start + PROMPT + ANSWERS * ANSWER <= POSITIONS) {
        const int32_t parent = (int32_t)count;
        segments[count++] = (struct segment){start, PROMPT, -1, 0};
        start += PROMPT;
        for (int i = 0; i < ANSWERS; i++, start += ANSWER)
            segments[count++] = (struct segment){start, ANSWER, parent, PROMPT};
    }
    return count;
}

/* (query row, key) pairs of one head. */
static double pairs_of(const struct segment *segments, int64_t count) {
    double pairs = 0;
    for (int64_t s = 0; s < count; s++)
        pairs += (double)segments[s].length *
                 (segments[s].position + 0.5 * (double)(segments[s].length + 1));
    return pairs;
}

static void time_training(struct device *device, struct heads s, int32_t length) {
    struct segment segments[MOST_SEGMENTS];
    const int64_t count = segments_of(segments, length), G = s.H / s.K,
                  T = segments[count - 1].start + segments[count - 1].length, N = s.H * s.D,
                  width = (s.H + 2 * s.K) * s.D,
                  queries = attention_query_blocks(segments, count, G, NULL),
                  keys = attention_key_blocks(segments, count, G, NULL);
    struct attention_block *blocks = calloc((size_t)(queries + keys), sizeof *blocks);
    if (blocks == NULL)
        exit(1);
    attention_query_blocks(segments, count, G, blocks);
    attention_key_blocks(segments, count, G, blocks + queries);
    void *memory[] = {
        random_bf16(device, T * width),
        upload(device, segments, (size_t)count * sizeof *segments),
        upload(device, blocks, (size_t)(queries + keys) * sizeof *blocks),
        room(device, T * N, 2),
        room(device, T * s.H, sizeof(float)),
        random_bf16(device, T * N),
        room(device, T * width, 2),
        room(device, attention_backward_floats(segments, count, s.H, s.K, s.D), sizeof(float))};
    struct training work = {device,
                            {.forward = {.dtype = DTYPE_BF16,
                                         .qkv = memory[0],
                                         .segments = memory[1],
                                         .blocks = memory[2],
                                         .out = memory[3],
                                         .log_sum = memory[4],
                                         .block_count = queries,
                                         .H = s.H,
                                         .K = s.K,
                                         .D = s.D},
                             .key_blocks = (struct attention_block *)memory[2] + queries,
                             .dout = memory[5],
                             .dqkv = memory[6],
                             .scratch = memory[7],
                             .T = T,
                             .key_block_count = keys}};
    const double operations = 4e-9 * pairs_of(segments, count) * (double)N,
                 forward = bench_ms(device, put_forward, &work),
                 backward = bench_ms(device, put_backward, &work);
    char what[32] = "groups 105 + 8 x 300";
    if (length > 0)
        snprintf(what, sizeof what, "texts of %d", (int)length);
    printf("%-5s %-20s %6lld %8.3f %8.0f %8.3f %8.0f\n", s.name, what, (long long)T, forward,
           operations / forward, backward, 2.5 * operations / backward);
    for (size_t i = 0; i < sizeof memory / sizeof memory[0]; i++)
        device_release(device, &memory[i]);
    free(blocks);
}

/* --- decoding --- */

enum {
    LAYERS = 8,
    CONTEXT = 512,
    GROUP = 8,
    MOST_ROWS = 512,
    CONTEXT_PAGES = CONTEXT / CACHE_PAGE
};

struct decoding {
    struct device *device;
    struct attention_decode_launch args;
};

/* One layer after another, so that the cache is read from memory. */
static enum status put_decode(void *context) {
    struct decoding *work = context;
    work->args.cache.layer = (work->args.cache.layer + 1) % LAYERS;
    return DEVICE_LAUNCH(launch_attention_decode(work->device->stream, &work->args));
}

/* Rows of CONTEXT positions, of which groups of GROUP rows share `prompt`. */
struct decode_rows {
    int32_t prompt_begin[MOST_ROWS], own_begin[MOST_ROWS], prompt_length[MOST_ROWS],
        own_length[MOST_ROWS], pages[MOST_ROWS * CONTEXT_PAGES];
    struct attention_decode_block blocks[MOST_ROWS];
    int64_t page_count;
};

static void decode_rows_init(struct decode_rows *rows, int64_t B, int32_t prompt) {
    const int32_t prompt_pages = prompt / CACHE_PAGE, own_pages = CONTEXT_PAGES - prompt_pages;
    int32_t next = 0;
    for (int64_t b = 0; b < B; b++) {
        if (b % GROUP == 0 || prompt == 0) {
            rows->prompt_begin[b] = next;
            next += prompt_pages;
        } else {
            rows->prompt_begin[b] = rows->prompt_begin[b - 1];
        }
        rows->own_begin[b] = next;
        next += own_pages;
        rows->prompt_length[b] = prompt;
        rows->own_length[b] = CONTEXT - prompt;
    }
    rows->page_count = next;
    for (int32_t i = 0; i < next; i++) /* in no order: 7919 is prime */
        rows->pages[i] = (int32_t)((int64_t)i * 7919 % next);
}

static void time_decode(struct device *device, struct heads s, int64_t B, int32_t prompt,
                        double copy) {
    static struct decode_rows rows;
    decode_rows_init(&rows, B, prompt);
    const int64_t page = LAYERS * s.K * 2 * CACHE_PAGE * s.D, width = (s.H + 2 * s.K) * s.D;
    const size_t bytes = (size_t)B * sizeof(int32_t);
    void *memory[] = {random_bf16(device, B * width),
                      room(device, B * s.H * s.D, 2),
                      upload(device, rows.pages, (size_t)rows.page_count * sizeof *rows.pages),
                      upload(device, rows.prompt_begin, bytes),
                      upload(device, rows.own_begin, bytes),
                      upload(device, rows.prompt_length, bytes),
                      upload(device, rows.own_length, bytes),
                      room(device, B, sizeof *rows.blocks),
                      random_bf16(device, rows.page_count * page)};
    struct decoding work = {device,
                            {.dtype = DTYPE_BF16,
                             .qkv = memory[0],
                             .out = memory[1],
                             .page_numbers = memory[2],
                             .prompt_begin = memory[3],
                             .own_begin = memory[4],
                             .prompt_length = memory[5],
                             .own_length = memory[6],
                             .blocks = memory[7],
                             .cache = {memory[8], page, 0},
                             .B = B,
                             .H = s.H,
                             .K = s.K,
                             .D = s.D}};
    double ms[4];
    for (int i = 0; i < 4; i++) {
        work.args.rows_per_block = i == 0 ? ATTENTION_DECODE_WIDE : 1 << (i - 1);
        work.args.block_count =
            attention_decode_blocks(rows.prompt_begin, B, work.args.rows_per_block, rows.blocks);
        BENCH_MUST(device_upload(device, device->stream, memory[7], rows.blocks,
                                 (size_t)work.args.block_count * sizeof *rows.blocks));
        ms[i] = bench_ms(device, put_decode, &work);
    }
    struct device_facts facts;
    BENCH_MUST(device_facts(device, &facts));
    const int64_t taken = attention_decode_rows(rows.prompt_begin, B, s.K, facts.processors);
    const double best = ms[taken == ATTENTION_DECODE_WIDE ? 0
                           : taken == 1                   ? 1
                           : taken == 2                   ? 2
                                                          : 3],
                 gb = 2e-9 * (double)(rows.page_count * page / LAYERS);
    printf("%-5s %5lld %6d %8.4f %8.4f %8.4f %8.4f %6lld %8.0f %7.0f%%\n", s.name, (long long)B,
           (int)prompt, ms[0], ms[1], ms[2], ms[3], (long long)taken, gb / best * 1e3,
           100 * gb / best * 1e3 / copy);
    for (size_t i = 0; i < sizeof memory / sizeof memory[0]; i++)
        device_release(device, &memory[i]);
}

int main(void) {
    static const int32_t lengths[] = {0, 1024, 4096, 16384};
    static const int64_t batches[] = {1, 64, 256, 512};
    struct device device = bench_open();
    const double copy = bench_copy_bandwidth(&device);
    printf("heads batch                     T   fwd ms  TFLOP/s   bwd ms  TFLOP/s\n");
    for (size_t i = 0; i < sizeof shapes / sizeof shapes[0]; i++)
        for (size_t l = 0; l < sizeof lengths / sizeof lengths[0]; l++)
            time_training(&device, shapes[i], lengths[l]);
    printf(
        "decoding at %d positions, ms for four warps a row, and 1, 2, 4 rows a block; copy: %.0f GB/s\n",
        CONTEXT, copy);
    printf("heads     B prompt     wide    1 row   2 rows   4 rows  taken     GB/s  of copy\n");
    for (size_t i = 0; i < sizeof shapes / sizeof shapes[0]; i++)
        for (size_t b = 0; b < sizeof batches / sizeof batches[0]; b++)
            for (int32_t prompt = 0; prompt <= 256; prompt += 256)
                time_decode(&device, shapes[i], batches[b], prompt, copy);
    device_close(&device);
    return 0;
}
