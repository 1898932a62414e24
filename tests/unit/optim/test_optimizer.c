/* SPDX-License-Identifier: Apache-2.0
 *
 * Steps of AdamW against the same formulas in double; decay, and a learning rate of their own, on
 * their parts only; clipping.
 */
#include "optim/optimizer.h"

#include "base/memory.h"
#include "base/random.h"
#include "check.h"
#include "optim/clip.h"

enum { ELEMENTS = 5000, STEPS = 5 };
static const struct vector_part parts[] = {{0, 3000, true, DTYPE_F32, false},
                                           {3000, 10, false, DTYPE_F32, false},
                                           {3010, 90, false, DTYPE_F32, true},
                                           {3100, 1900, true, DTYPE_F32, true}};
static const struct optimizer_settings settings = {
    .beta1 = 0.9, .beta2 = 0.999, .epsilon = 1e-8, .weight_decay = 0.1};

static double number(uint32_t i, uint32_t what) {
    return random_normal(3, RANDOM_TEST, i, what, 0, 0);
}

struct state {
    double parameter, exp_avg, exp_avg_sq;
};

/* Step t of torch.optim.AdamW for one element. */
static void adamw(struct state *s, double g, int t, double learning_rate, double decay) {
    s->parameter *= 1 - learning_rate * decay;
    s->exp_avg = 0.9 * s->exp_avg + 0.1 * g;
    s->exp_avg_sq = 0.999 * s->exp_avg_sq + 0.001 * g * g;
    const double root = sqrt(s->exp_avg_sq / (1 - pow(0.999, t)));
    s->parameter -= learning_rate * s->exp_avg / (1 - pow(0.9, t)) / (root + 1e-8);
}

static bool decays(int i) {
    return i < 3000 || i >= 3100;
}

static bool is_head(int i) {
    return i >= 3010;
}

static void fill(float *x, uint32_t what) {
    for (uint32_t i = 0; i < ELEMENTS; i++)
        x[i] = (float)number(i, what);
}

static void check_state(const struct optimizer *optimizer, const float *master,
                        const struct state *want) {
    for (int i = 0; i < ELEMENTS; i++) {
        CHECK_NEAR(master[i], want[i].parameter, 2e-6 * (1 + fabs(want[i].parameter)));
        CHECK_NEAR(optimizer->exp_avg[i], want[i].exp_avg, 1e-6);
        CHECK_NEAR(optimizer->exp_avg_sq[i], want[i].exp_avg_sq, 1e-7);
    }
}

static void test_steps(struct backend *backend, const struct shard *shard, double weight_decay) {
    const struct optimizer_kept none = {.parameters = NULL};
    struct optimizer_settings how = settings;
    struct optimizer *optimizer = NULL;
    float *master = NULL, *gradient = NULL;
    struct state *want = NULL;
    how.weight_decay = weight_decay;
    CHECK_OK(optimizer_create(&optimizer, backend, shard, &how));
    CHECK_OK(backend_new(backend, &master, ELEMENTS, "master"));
    CHECK_OK(backend_new(backend, &gradient, ELEMENTS, "gradient"));
    CHECK_OK(memory_new(&want, ELEMENTS, "expected"));
    fill(master, 0);
    for (int i = 0; i < ELEMENTS; i++)
        want[i].parameter = master[i];
    for (int t = 1; t <= STEPS; t++) {
        const double rate = 0.02 / t, head_rate = 0.007 * t;
        const struct optimizer_step step = {.master = master,
                                            .gradient = gradient,
                                            .learning_rate = rate,
                                            .head_learning_rate = head_rate,
                                            .gradient_scale = 0.5};
        fill(gradient, (uint32_t)t);
        for (int i = 0; i < ELEMENTS; i++)
            adamw(&want[i], 0.5 * gradient[i], t, is_head(i) ? head_rate : rate,
                  decays(i) ? weight_decay : 0);
        CHECK_OK(optimizer_step_keeping(optimizer, &step, &none));
        CHECK_EQ(optimizer->steps, t);
    }
    check_state(optimizer, master, want);
    memory_release(&want);
    backend_release(backend, &master);
    backend_release(backend, &gradient);
    optimizer_destroy(&optimizer);
}

/* A learning rate of 0 moves nothing, decay included. */
static void test_no_rate(struct backend *backend, const struct shard *shard) {
    struct optimizer *optimizer = NULL;
    float *master = NULL, *gradient = NULL;
    CHECK_OK(optimizer_create(&optimizer, backend, shard, &settings));
    CHECK_OK(backend_new(backend, &master, ELEMENTS, "master"));
    CHECK_OK(backend_new(backend, &gradient, ELEMENTS, "gradient"));
    fill(master, 0);
    fill(gradient, 1);
    CHECK_OK(optimizer_step(optimizer, master, gradient, 0, 1));
    for (uint32_t i = 0; i < ELEMENTS; i++)
        CHECK(master[i] == (float)number(i, 0));
    CHECK_EQ(optimizer_bytes(ELEMENTS), 8 * ELEMENTS);
    backend_release(backend, &master);
    backend_release(backend, &gradient);
    optimizer_destroy(&optimizer);
    CHECK(optimizer == NULL);
}

/* A gradient near the end of fp32 under the scale that clips it moves the parameters as the same
 * gradient of ordinary size does, to the bit. */
static void test_large(struct backend *backend, const struct shard *shard) {
    const int bits[] = {0, 125};
    float *masters[2] = {NULL, NULL}, *gradient = NULL;
    CHECK_OK(backend_new(backend, &gradient, ELEMENTS, "gradient"));
    for (int i = 0; i < 2; i++) {
        struct optimizer *optimizer = NULL;
        CHECK_OK(optimizer_create(&optimizer, backend, shard, &settings));
        CHECK_OK(backend_new(backend, &masters[i], ELEMENTS, "master"));
        fill(masters[i], 0);
        fill(gradient, 1);
        for (int e = 0; e < ELEMENTS; e++)
            gradient[e] = ldexpf(gradient[e], bits[i]);
        CHECK_OK(optimizer_step(optimizer, masters[i], gradient, 0.02, ldexp(0.3, -15 - bits[i])));
        optimizer_destroy(&optimizer);
    }
    CHECK(memcmp(masters[0], masters[1], ELEMENTS * sizeof *masters[0]) == 0);
    backend_release(backend, &masters[0]);
    backend_release(backend, &masters[1]);
    backend_release(backend, &gradient);
}

static void test_clip(void) {
    CHECK_NEAR(clip_scale(4, 1), 0.25, 0);
    CHECK_NEAR(clip_scale(0.5, 1), 1, 0);
    CHECK_NEAR(clip_scale(0, 1), 1, 0);
    CHECK_NEAR(clip_scale(1e9, 0), 1, 0);
}

/* The shards of three ranks, one after another on one master, move it as the whole does. */
static void test_shards(struct backend *backend, const struct shard *whole) {
    struct optimizer *optimizer = NULL;
    float *masters[2] = {NULL, NULL}, *gradient = NULL, *part = NULL;
    CHECK_OK(backend_new(backend, &gradient, ELEMENTS, "gradient"));
    CHECK_OK(backend_new(backend, &part, ELEMENTS, "gradient"));
    fill(gradient, 1);
    for (int i = 0; i < 2; i++) {
        CHECK_OK(backend_new(backend, &masters[i], ELEMENTS, "master"));
        fill(masters[i], 0);
    }
    CHECK_OK(optimizer_create(&optimizer, backend, whole, &settings));
    CHECK_OK(optimizer_step(optimizer, masters[0], gradient, 0.02, 0.5));
    optimizer_destroy(&optimizer);
    for (int rank = 0; rank < 3; rank++) {
        struct shard *shard = NULL;
        CHECK_OK(shard_create(&shard, whole->layout, rank, 3));
        CHECK(shard->elements > 0 && shard->elements < ELEMENTS);
        for (int64_t i = 0; i < shard_range_count(shard, rank); i++) {
            const struct shard_range range = shard_range_at(shard, rank, i);
            memcpy(part + range.place, gradient + range.begin,
                   (size_t)(range.end - range.begin) * sizeof *part);
        }
        CHECK_OK(optimizer_create(&optimizer, backend, shard, &settings));
        CHECK_OK(optimizer_step(optimizer, masters[1], part, 0.02, 0.5));
        optimizer_destroy(&optimizer);
        shard_destroy(&shard);
    }
    CHECK(memcmp(masters[0], masters[1], ELEMENTS * sizeof *masters[0]) == 0);
    backend_release(backend, &masters[0]);
    backend_release(backend, &masters[1]);
    backend_release(backend, &gradient);
    backend_release(backend, &part);
}

static void test_all(const char *name) {
    struct backend backend;
    struct vector_layout *layout = NULL;
    struct shard *shard = NULL;
    CHECK_OK(backend_open(&backend, name, 2));
    CHECK_OK(vector_layout_create(&layout, &backend, parts, 4));
    CHECK_OK(shard_create(&shard, layout, 0, 1));
    test_steps(&backend, shard, 0.1);
    test_steps(&backend, shard, 0);
    test_no_rate(&backend, shard);
    test_large(&backend, shard);
    test_shards(&backend, shard);
    shard_destroy(&shard);
    vector_layout_destroy(&layout);
    backend_close(&backend);
}

int main(void) {
    test_all("cpu");
    test_all("check");
    test_clip();
    CHECK_EQ(memory_totals().bytes, 0);
    return CHECK_END();
}
