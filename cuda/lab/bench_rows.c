/* SPDX-License-Identifier: Apache-2.0
 *
 * Kernels over rows and vectors, all but the smallest bound by memory: bytes that must be moved per
 * second, beside what a copy moves. Shapes of Qwen2.5 0.5B, 1.5B and 7B (and Qwen3 where heads have
 * norms) with 16384 rows in bf16; head and draw with 151936 tokens; AdamW with 500 million
 * parameters. Runs go over places of a pool in turn, so that nothing is still in the cache.
 */
#include "bench.h"

#include "cuda/kernel/adamw.h"
#include "cuda/kernel/embed.h"
#include "cuda/kernel/norm.h"
#include "cuda/kernel/rope.h"
#include "cuda/kernel/sample.h"
#include "cuda/kernel/swiglu.h"
#include "cuda/kernel/vector.h"

#include <math.h>
#include <string.h>

enum { T = 16384, VOCABULARY = 151936, TURNS = 4 };
static const size_t POOL = (size_t)1 << 31;

/* Numbers in device memory: normal ones in fp32 and in bf16, indices, and room for results. */
struct pools {
    float *numbers[4]; /* POOL bytes each */
    uint16_t *bf16[4];
    int32_t *positions, *tokens, *rows, *places;
    float *small; /* what is a number for each row, or column */
    void *scratch;
};

struct work {
    struct device *device;
    struct pools *pools;
    int64_t a, b, c; /* of the shape: what each case takes them for */
    struct sample_settings settings;
    bool option;
    int turn;
};

/* The place of this turn in a pool whose places hold n elements of that size. */
static void *place(const struct work *w, void *pool, int64_t n, size_t size) {
    const size_t bytes = ((size_t)n * size + 255) / 256 * 256;
    return (char *)pool + ((size_t)w->turn + 1) % TURNS * bytes % (POOL - bytes + 1) / 256 * 256;
}

static float *numbers(const struct work *w, int i, int64_t n) {
    return place(w, w->pools->numbers[i], n, sizeof(float));
}

static void *halves(const struct work *w, int i, int64_t n) {
    return place(w, w->pools->bf16[i], n, sizeof(uint16_t));
}

/* --- cases: each puts one call into the stream --- */

static int put_norm(struct work *w) {
    const int64_t C = w->a, n = T * C;
    const struct rmsnorm_launch args = {.x = numbers(w, 0, n),
                                        .weight = w->pools->small,
                                        .y = halves(w, 1, n),
                                        .inverse_rms = w->pools->small + T,
                                        .T = T,
                                        .C = C,
                                        .epsilon = 1e-6f,
                                        .dtype = DTYPE_BF16};
    return launch_rmsnorm(w->device->stream, &args);
}

static int put_norm_backward(struct work *w) {
    const int64_t C = w->a, n = T * C;
    const struct rmsnorm_backward_launch args = {.x = numbers(w, 0, n),
                                                 .weight = w->pools->small,
                                                 .inverse_rms = w->pools->small + T,
                                                 .dy = halves(w, 0, n),
                                                 .dx = numbers(w, 1, n),
                                                 .dweight = w->pools->small + 2 * T,
                                                 .partial = w->pools->scratch,
                                                 .T = T,
                                                 .C = C,
                                                 .dtype = DTYPE_BF16};
    return launch_rmsnorm_backward(w->device->stream, &args);
}

static struct rope_launch rope_of(const struct work *w) {
    const int64_t H = w->a, K = w->b, D = w->c, n = T * (H + 2 * K) * D;
    return (struct rope_launch){.qkv = halves(w, 0, n),
                                .positions = w->pools->positions,
                                .table = w->pools->numbers[3],
                                .q_norm = w->option ? w->pools->small : NULL,
                                .k_norm = w->option ? w->pools->small : NULL,
                                .out = halves(w, 0, n),
                                .T = T,
                                .H = H,
                                .K = K,
                                .D = D,
                                .epsilon = 1e-6f,
                                .dtype = DTYPE_BF16};
}

static int put_rope(struct work *w) {
    const struct rope_launch args = rope_of(w);
    return launch_rope(w->device->stream, &args);
}

static int put_rope_backward(struct work *w) {
    const struct rope_backward_launch args = {.forward = rope_of(w),
                                              .dqkv = halves(w, 1, T * (w->a + 2 * w->b) * w->c),
                                              .dq_norm = w->option ? w->pools->small + 2 * T : NULL,
                                              .dk_norm = w->option ? w->pools->small + 3 * T : NULL,
                                              .partial = w->option ? w->pools->scratch : NULL};
    return launch_rope_backward(w->device->stream, &args);
}

static int put_swiglu(struct work *w) {
    const int64_t F = w->a;
    const struct swiglu_launch args = {.gate_up = halves(w, 0, T * 2 * F),
                                       .out = halves(w, 1, T * F),
                                       .T = T,
                                       .F = F,
                                       .dtype = DTYPE_BF16};
    return launch_swiglu(w->device->stream, &args);
}

static int put_swiglu_backward(struct work *w) {
    const int64_t F = w->a;
    const struct swiglu_backward_launch args = {.gate_up = halves(w, 0, T * 2 * F),
                                                .dout = halves(w, 1, T * F),
                                                .dgate_up = halves(w, 2, T * 2 * F),
                                                .T = T,
                                                .F = F,
                                                .dtype = DTYPE_BF16};
    return launch_swiglu_backward(w->device->stream, &args);
}

static int put_embed(struct work *w) {
    const struct embed_launch args = {.table = w->pools->bf16[0],
                                      .tokens = w->pools->tokens,
                                      .out = numbers(w, 1, T * w->a),
                                      .T = T,
                                      .V = VOCABULARY,
                                      .C = w->a,
                                      .dtype = DTYPE_BF16};
    return launch_embed(w->device->stream, &args);
}

/* option: to the places of a text's tokens, some of which are often the same. */
static int put_scatter(struct work *w) {
    const struct scatter_rows_launch args = {.x = numbers(w, 0, T * w->a),
                                             .rows = w->option ? w->pools->tokens : w->pools->rows,
                                             .out =
                                                 numbers(w, 1, (w->option ? VOCABULARY : T) * w->a),
                                             .places = w->pools->places,
                                             .R = T,
                                             .C = w->a};
    return launch_scatter_rows(w->device->stream, &args);
}

/* a rows of b columns. */
static int put_head_block(struct work *w) {
    const struct head_block_launch args = {.logits = numbers(w, 0, w->a * w->b),
                                           .targets = w->pools->tokens,
                                           .rows = (void *)w->pools->bf16[3],
                                           .sums = w->pools->scratch,
                                           .R = w->a,
                                           .columns = w->b,
                                           .ld = w->b,
                                           .temperature = 1};
    return launch_head_block(w->device->stream, &args);
}

static int put_head_backward(struct work *w) {
    float *logits = numbers(w, 0, w->a * w->b);
    void *rounded = halves(w, 0, w->a * w->b);
    const struct head_backward_launch args = {.logits = logits,
                                              .targets = w->pools->tokens,
                                              .shift = (void *)w->pools->small,
                                              .entropy = w->pools->small,
                                              .d_logprob = w->pools->small,
                                              .d_entropy = w->pools->small,
                                              .out = w->option ? rounded : logits,
                                              .R = w->a,
                                              .columns = w->b,
                                              .ld = w->b,
                                              .temperature = 1,
                                              .dtype = w->option ? DTYPE_BF16 : DTYPE_F32};
    return launch_head_backward(w->device->stream, &args);
}

static int put_sample(struct work *w) {
    float *small = w->pools->small;
    const struct sample_launch args = {.logits = numbers(w, 3, w->a * VOCABULARY),
                                       .counters = (void *)w->pools->rows,
                                       .seed = (void *)w->pools->rows,
                                       .sums = w->pools->scratch,
                                       .tokens = (void *)(small + T),
                                       .logprob = small + 2 * T,
                                       .entropy = small + 3 * T,
                                       .B = w->a,
                                       .V = VOCABULARY,
                                       .ld = VOCABULARY,
                                       .settings = w->settings};
    return launch_sample(w->device->stream, &args);
}

static int put_accumulate(struct work *w) {
    const struct accumulate_launch args = {
        .values = numbers(w, 0, w->a),
        .total = place(w, w->pools->numbers[1], w->a, sizeof(int64_t)),
        .n = w->a,
        .scale_bits = 20,
        .bound = 0x1p50,
        .refused = (void *)(w->pools->small + 2 * T),
        .parts = w->pools->scratch};
    return launch_accumulate(w->device->stream, &args);
}

static int put_resolve(struct work *w) {
    const struct resolve_launch args = {.total =
                                            place(w, w->pools->numbers[1], w->a, sizeof(int64_t)),
                                        .out = numbers(w, 2, w->a),
                                        .n = w->a,
                                        .scale_bits = 20};
    return launch_resolve(w->device->stream, &args);
}

static int put_dot(struct work *w) {
    const struct dot_launch args = {
        .x = numbers(w, 0, w->a), .y = numbers(w, 1, w->a), .blocks = w->pools->scratch, .n = w->a};
    return launch_dot(w->device->stream, &args);
}

static int put_lerp(struct work *w) {
    const struct lerp_launch args = {.x = numbers(w, 0, w->a),
                                     .y = numbers(w, 1, w->a),
                                     .out = numbers(w, 2, w->a),
                                     .n = w->a,
                                     .factor = 0.3f};
    return launch_lerp(w->device->stream, &args);
}

static int put_nonfinite(struct work *w) {
    const struct nonfinite_launch args = {.x = numbers(w, 0, w->a),
                                          .first = (void *)(w->pools->small + 2 * T),
                                          .parts = w->pools->scratch,
                                          .n = w->a};
    return launch_nonfinite(w->device->stream, &args);
}

static int put_convert(struct work *w) {
    const struct convert_launch args = {.x = numbers(w, 0, w->a),
                                        .out = halves(w, 1, w->a),
                                        .n = w->a,
                                        .from = DTYPE_F32,
                                        .to = DTYPE_BF16};
    return launch_convert(w->device->stream, &args);
}

static int put_adamw(struct work *w) {
    float *const *pool = w->pools->numbers;
    const struct adamw_launch args = {.parameters = pool[0],
                                      .exp_avg = pool[1],
                                      .exp_avg_sq = pool[2],
                                      .gradient = pool[3],
                                      .n = w->a,
                                      .learning_rate = 1e-6,
                                      .beta1 = 0.9,
                                      .beta2 = 0.999,
                                      .epsilon = 1e-8,
                                      .weight_decay = 0.01,
                                      .gradient_scale = 1,
                                      .correction1 = 0.1,
                                      .correction2 = 0.001};
    return launch_adamw(w->device->stream, &args);
}

/* --- the table --- */

struct row {
    const char *name;
    int (*put)(struct work *);
    int64_t a, b, c;
    bool option;
    double bytes; /* that must be moved */
    struct sample_settings settings;
};

#define NO_DRAW                                                                                    \
    { 0, 0, 0, 0, 0 }
#define NORM(C)        (double)T *(double)(C)
#define HEADS(H, K, D) (double)T *(double)(((H) + (K)) * (D))

static const struct row ROWS[] = {
    {"rmsnorm 896", put_norm, 896, 0, 0, false, 6 * NORM(896), NO_DRAW},
    {"rmsnorm 1536", put_norm, 1536, 0, 0, false, 6 * NORM(1536), NO_DRAW},
    {"rmsnorm 3584", put_norm, 3584, 0, 0, false, 6 * NORM(3584), NO_DRAW},
    {"rmsnorm backward 896", put_norm_backward, 896, 0, 0, false, 14 * NORM(896), NO_DRAW},
    {"rmsnorm backward 1536", put_norm_backward, 1536, 0, 0, false, 14 * NORM(1536), NO_DRAW},
    {"rmsnorm backward 3584", put_norm_backward, 3584, 0, 0, false, 14 * NORM(3584), NO_DRAW},
    {"rope 14+2 x 64", put_rope, 14, 2, 64, false, 4 * HEADS(14, 2, 64), NO_DRAW},
    {"rope 28+4 x 128", put_rope, 28, 4, 128, false, 4 * HEADS(28, 4, 128), NO_DRAW},
    {"norm, rope 16+8 x 128", put_rope, 16, 8, 128, true, 4 * HEADS(16, 8, 128), NO_DRAW},
    {"rope backward 28+4 x 128", put_rope_backward, 28, 4, 128, false, 4 * HEADS(28, 4, 128),
     NO_DRAW},
    {"norm, rope backward 16+8", put_rope_backward, 16, 8, 128, true, 6 * HEADS(16, 8, 128),
     NO_DRAW},
    {"swiglu 4864", put_swiglu, 4864, 0, 0, false, 6 * NORM(4864), NO_DRAW},
    {"swiglu 8960", put_swiglu, 8960, 0, 0, false, 6 * NORM(8960), NO_DRAW},
    {"swiglu backward 4864", put_swiglu_backward, 4864, 0, 0, false, 10 * NORM(4864), NO_DRAW},
    {"swiglu backward 8960", put_swiglu_backward, 8960, 0, 0, false, 10 * NORM(8960), NO_DRAW},
    {"embed 896", put_embed, 896, 0, 0, false, 6 * NORM(896), NO_DRAW},
    {"scatter 896, distinct", put_scatter, 896, 0, 0, false, 12 * NORM(896), NO_DRAW},
    {"scatter 896, of a text", put_scatter, 896, 0, 0, true, 12 * NORM(896), NO_DRAW},
    {"head 512 x 16384", put_head_block, 512, 16384, 0, false, 4.0 * 512 * 16384, NO_DRAW},
    {"head 8192 x 1024", put_head_block, 8192, 1024, 0, false, 4.0 * 8192 * 1024, NO_DRAW},
    {"head 8192 x 8192", put_head_block, 8192, 8192, 0, false, 4.0 * 8192 * 8192, NO_DRAW},
    {"head backward 8192 x 1024", put_head_backward, 8192, 1024, 0, false, 8.0 * 8192 * 1024,
     NO_DRAW},
    {"head backward 8192 x 8192", put_head_backward, 8192, 8192, 0, false, 8.0 * 8192 * 8192,
     NO_DRAW},
    {"head backward to bf16", put_head_backward, 8192, 8192, 0, true, 6.0 * 8192 * 8192, NO_DRAW},
    {"sample 1", put_sample, 1, 0, 0, false, 4.0 * VOCABULARY, {1, 1, 0, 0, 0}},
    {"sample 64", put_sample, 64, 0, 0, false, 4.0 * 64 * VOCABULARY, {1, 1, 0, 0, 0}},
    {"sample 512", put_sample, 512, 0, 0, false, 4.0 * 512 * VOCABULARY, {1, 1, 0, 0, 0}},
    {"sample 64, greedy", put_sample, 64, 0, 0, false, 4.0 * 64 * VOCABULARY, {0, 1, 0, 0, 0}},
    {"sample 64, top_p", put_sample, 64, 0, 0, false, 4.0 * 64 * VOCABULARY, {1, 0.95f, 0, 0, 0}},
    {"sample 64, top_k", put_sample, 64, 0, 0, false, 4.0 * 64 * VOCABULARY, {1, 1, 0, 0, 50}},
    {"sample 512, top_p",
     put_sample,
     512,
     0,
     0,
     false,
     4.0 * 512 * VOCABULARY,
     {1, 0.95f, 0, 0, 0}},
    {"accumulate 64 Mi", put_accumulate, 1 << 26, 0, 0, false, 20.0 * (1 << 26), NO_DRAW},
    {"resolve 64 Mi", put_resolve, 1 << 26, 0, 0, false, 12.0 * (1 << 26), NO_DRAW},
    {"dot 64 Mi", put_dot, 1 << 26, 0, 0, false, 8.0 * (1 << 26), NO_DRAW},
    {"lerp 64 Mi", put_lerp, 1 << 26, 0, 0, false, 12.0 * (1 << 26), NO_DRAW},
    {"nonfinite 64 Mi", put_nonfinite, 1 << 26, 0, 0, false, 4.0 * (1 << 26), NO_DRAW},
    {"convert 64 Mi", put_convert, 1 << 26, 0, 0, false, 6.0 * (1 << 26), NO_DRAW},
    {"adamw 500 M", put_adamw, 500000000, 0, 0, false, 28.0 * 500000000, NO_DRAW},
};

struct call {
    struct work work;
    const struct row *row;
};

static enum status put(void *context) {
    struct call *call = context;
    call->work.turn++;
    return DEVICE_LAUNCH(call->row->put(&call->work));
}

/* --- what the pools hold --- */

static void *reserve(struct device *device, size_t bytes) {
    void *memory = NULL;
    BENCH_MUST(device_allocate(device, &memory, bytes, "a pool"));
    return memory;
}

/* Fills `bytes` with copies of `chunk` bytes of the host's. */
static void fill(struct device *device, void *to, size_t bytes, const void *from, size_t chunk) {
    size_t done = bytes < chunk ? bytes : chunk;
    BENCH_MUST(device_upload(device, device->stream, to, from, done));
    for (size_t part; done < bytes; done += part) {
        part = bytes - done < done ? bytes - done : done;
        BENCH_MUST(device_copy(device, device->stream, (char *)to + done, to, part));
    }
    BENCH_MUST(device_synchronize(device, device->stream));
}

static uint32_t next(uint64_t *state) {
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(*state >> 32);
}

/* About normal, of deviation 2. */
static float number(uint64_t *state) {
    float sum = -4;
    for (int i = 0; i < 4; i++)
        sum += (float)next(state) * 0x1p-31f;
    return sum * 1.732f;
}

static void fill_numbers(struct device *device, struct pools *pools) {
    const int64_t n = 1 << 22;
    float *wide = malloc((size_t)n * sizeof *wide);
    uint16_t *narrow = malloc((size_t)n * sizeof *narrow);
    uint64_t state = 1;
    ASSERT(wide != NULL && narrow != NULL);
    for (int64_t i = 0; i < n; i++) {
        wide[i] = number(&state);
        narrow[i] = dtype_bf16_bits(wide[i]);
    }
    for (int i = 0; i < 4; i++) {
        pools->numbers[i] = reserve(device, POOL);
        pools->bf16[i] = reserve(device, POOL);
        fill(device, pools->numbers[i], POOL, wide, (size_t)n * sizeof *wide);
        fill(device, pools->bf16[i], POOL, narrow, (size_t)n * sizeof *narrow);
    }
    for (int64_t i = 0; i < n; i++) /* second moments, and what must be positive */
        wide[i] = fabsf(wide[i]);
    fill(device, pools->numbers[2], POOL, wide, (size_t)n * sizeof *wide);
    pools->small = reserve(device, 8 * T * sizeof(float));
    fill(device, pools->small, 8 * T * sizeof(float), wide, (size_t)n * sizeof *wide);
    free(wide);
    free(narrow);
}

/* Tokens as a text has them: token i about as often as 1 / i. */
static void fill_indices(struct device *device, struct pools *pools) {
    static int32_t positions[T], tokens[T], rows[T];
    uint64_t state = 2;
    for (int32_t t = 0; t < T; t++) {
        positions[t] = t % 2048;
        tokens[t] = (int32_t)(exp((double)next(&state) * 0x1p-32 * log(VOCABULARY - 1)) - 1);
        rows[t] = T - 1 - t;
    }
    pools->positions = reserve(device, sizeof positions);
    pools->tokens = reserve(device, sizeof tokens);
    pools->rows = reserve(device, sizeof rows);
    pools->places = reserve(device, 2 * sizeof rows);
    pools->scratch = reserve(device, (size_t)64 << 20);
    fill(device, pools->positions, sizeof positions, positions, sizeof positions);
    fill(device, pools->tokens, sizeof tokens, tokens, sizeof tokens);
    fill(device, pools->rows, sizeof rows, rows, sizeof rows);
    BENCH_MUST(device_fill(device, device->stream, pools->scratch, 0, (size_t)64 << 20));
}

static void release(struct device *device, struct pools *pools) {
    for (int i = 0; i < 4; i++) {
        device_release(device, &pools->numbers[i]);
        device_release(device, &pools->bf16[i]);
    }
    device_release(device, &pools->positions);
    device_release(device, &pools->tokens);
    device_release(device, &pools->rows);
    device_release(device, &pools->places);
    device_release(device, &pools->small);
    device_release(device, &pools->scratch);
}

int main(int count, char **words) {
    struct device device = bench_open();
    const double copy = bench_copy_bandwidth(&device);
    struct pools pools;
    fill_numbers(&device, &pools);
    fill_indices(&device, &pools);
    printf("copy: %.0f GB/s\n%-26s %9s %9s %8s\n", copy, "rows", "ms", "GB/s", "of copy");
    for (size_t i = 0; i < sizeof ROWS / sizeof *ROWS; i++) {
        struct call call = {.work = {.device = &device,
                                     .pools = &pools,
                                     .a = ROWS[i].a,
                                     .b = ROWS[i].b,
                                     .c = ROWS[i].c,
                                     .settings = ROWS[i].settings,
                                     .option = ROWS[i].option},
                            .row = &ROWS[i]};
        if (count > 1 && strstr(ROWS[i].name, words[1]) == NULL)
            continue;
        const double ms = bench_ms(&device, put, &call), rate = ROWS[i].bytes / ms * 1e-6;
        printf("%-26s %9.4f %9.0f %7.0f%%\n", ROWS[i].name, ms, rate, 100 * rate / copy);
    }
    release(&device, &pools);
    device_close(&device);
    return 0;
}
