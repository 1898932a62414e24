/* SPDX-License-Identifier: Apache-2.0
 *
 * The second fast step over the tensors of a vector: thresholds by tensor, the precision of each, heads
 * by a learning rate of their own, and a state that is taken back. Ranks are tests/comm/sharded.c's.
 */
#include "optim/extrapolate.h"

#include "base/memory.h"
#include "base/random.h"
#include "check.h"

enum { ELEMENTS = 2 * VECTOR_BLOCK + 5000, SLOTS = 3 };
static const struct vector_part parts[] = {{0, 3000, true, DTYPE_F32, false},
                                           {3000, 10, false, DTYPE_F32, false},
                                           {3010, ELEMENTS - 3110, true, DTYPE_BF16, false},
                                           {ELEMENTS - 100, 100, false, DTYPE_F32, true}};
static const struct optimizer_settings settings = {
    .beta1 = 0.9, .beta2 = 0.999, .epsilon = 1e-8, .weight_decay = 0.1};
static struct backend backend;
static struct vector_layout *layout;
static double head_rate = 1e-3; /* as of the others */

/* A rank's part: all in places of its shard but for the master. */
struct side {
    struct shard *shard;
    struct optimizer *optimizer;
    float *master, *first, *second, *slots[SLOTS];
};

static float number(int64_t i, uint32_t what) {
    return (float)random_normal(3, RANDOM_TEST, (uint32_t)i, what, 0, 0);
}

/* The gradients' size differs from tensor to tensor. */
static float gradient_at(int64_t i, uint32_t which) {
    const float size = i < 3000 ? 1.0f : i < 3010 ? 1e-6f : 1e-3f;
    return size * (number(i, 5) + 0.3f * (float)which * number(i, 6));
}

static void side_open(struct side *s, int rank, int size) {
    *s = (struct side){.shard = NULL};
    CHECK_OK(shard_create(&s->shard, layout, rank, size));
    CHECK_OK(optimizer_create(&s->optimizer, &backend, s->shard, &settings));
    CHECK_OK(backend_new(&backend, &s->master, ELEMENTS, "master"));
    CHECK_OK(backend_new(&backend, &s->first, s->shard->elements, "gradient"));
    CHECK_OK(backend_new(&backend, &s->second, s->shard->elements, "gradient"));
    for (int i = 0; i < SLOTS; i++)
        CHECK_OK(backend_new(&backend, &s->slots[i], s->shard->elements, "slot"));
    for (int64_t i = 0; i < ELEMENTS; i++)
        s->master[i] = number(i, 1);
    for (int64_t r = 0; r < shard_range_count(s->shard, rank); r++) {
        const struct shard_range range = shard_range_at(s->shard, rank, r);
        for (int64_t i = range.begin; i < range.end; i++) {
            s->first[range.place + i - range.begin] = gradient_at(i, 0);
            s->second[range.place + i - range.begin] = gradient_at(i, 1);
        }
    }
}

static void side_close(struct side *s) {
    backend_release(&backend, &s->master);
    backend_release(&backend, &s->first);
    backend_release(&backend, &s->second);
    for (int i = 0; i < SLOTS; i++)
        backend_release(&backend, &s->slots[i]);
    optimizer_destroy(&s->optimizer);
    shard_destroy(&s->shard);
}

/* How a trial is made: ratios of directions, thresholds relative to the tensor, moments left. */
struct kind {
    bool directions, relative, leaves;
    double activity;
};

static struct optimizer_extrapolation args_of(struct side *s, const struct kind *kind) {
    return (struct optimizer_extrapolation){
        .step = {.master = s->master,
                 .gradient = s->second,
                 .learning_rate = 1e-3,
                 .head_learning_rate = head_rate,
                 .gradient_scale = 0.5},
        .start = {.parameters = s->slots[0],
                  .gradient = s->slots[1],
                  .direction = kind->directions ? s->slots[2] : NULL},
        .start_scale = 0.7,
        .how = {.steps = 5,
                .reposition = 0.5,
                .ratio_least = -2,
                .ratio_most = 3,
                .scale_least = 1,
                .scale_most = 3.5},
        .activity = kind->activity,
        .relative = kind->relative,
        .leaves_state = kind->leaves};
}

static void take_first(struct side *s, const struct kind *kind) {
    const struct optimizer_step step = {.master = s->master,
                                        .gradient = s->first,
                                        .learning_rate = 1e-3,
                                        .head_learning_rate = head_rate,
                                        .gradient_scale = 0.7};
    const struct optimizer_kept kept = {.parameters = s->slots[0],
                                        .gradient = s->slots[1],
                                        .direction = kind->directions ? s->slots[2] : NULL};
    CHECK_OK(optimizer_step_keeping(s->optimizer, &step, &kept));
}

static struct extrapolation_sums run_side(struct side *s, struct comm *comm,
                                          const struct kind *kind) {
    struct extrapolation_sums found = {.active = 0};
    take_first(s, kind);
    const struct optimizer_extrapolation args = args_of(s, kind);
    CHECK_OK(optimizer_extrapolate(s->optimizer, comm, &args, &found));
    CHECK_EQ(s->optimizer->steps, 2);
    return found;
}

/* --- thresholds --- */

/* Coordinates whose gradient or direction is above the bound, with the root mean square of its
 * tensor. */
static int64_t count_active(const float *x, const struct kind *kind) {
    int64_t active = 0;
    for (size_t p = 0; p < sizeof parts / sizeof *parts; p++) {
        double squares = 0;
        for (int64_t i = parts[p].offset; i < parts[p].offset + parts[p].elements; i++)
            squares += (double)x[i] * (double)x[i];
        const double size = kind->relative ? sqrt(squares / (double)parts[p].elements) : 1;
        for (int64_t i = parts[p].offset; i < parts[p].offset + parts[p].elements; i++)
            active += fabs((double)x[i]) > kind->activity * size;
    }
    return active;
}

static void test_thresholds(struct comm *comm) {
    static const struct kind kinds[] = {{.activity = 1e-4},
                                        {.activity = 0.5, .relative = true},
                                        {.activity = 0.5, .relative = true, .directions = true}};
    for (size_t k = 0; k < sizeof kinds / sizeof *kinds; k++) {
        struct side s;
        side_open(&s, 0, 1);
        const struct extrapolation_sums found = run_side(&s, comm, &kinds[k]);
        CHECK_EQ(found.active, count_active(s.slots[kinds[k].directions ? 2 : 1], &kinds[k]));
        CHECK_EQ(found.coordinates, ELEMENTS);
        CHECK(found.active > 0 && found.active < ELEMENTS);
        side_close(&s);
    }
}

/* Weights that are computed with in bf16 change less often. */
static void test_changed(struct comm *comm) {
    struct side s;
    const struct kind kind = {.activity = 0};
    side_open(&s, 0, 1);
    const struct extrapolation_sums found = run_side(&s, comm, &kind);
    CHECK(found.changed >= 3110 && found.changed < 0.9 * ELEMENTS);
    side_close(&s);
}

/* Another learning rate of the head changes the head alone, whose two steps are as much longer and with
 * them the place that they foretell: it has no decay, and ratios and scales know no learning rate. */
static void test_head(struct comm *comm) {
    const struct kind kind = {.activity = 0};
    struct side sides[2];
    for (int i = 0; i < 2; i++) {
        head_rate = i == 0 ? 1e-3 : 4e-3;
        side_open(&sides[i], 0, 1);
        (void)run_side(&sides[i], comm, &kind);
    }
    head_rate = 1e-3;
    CHECK(memcmp(sides[0].master, sides[1].master, (ELEMENTS - 100) * sizeof(float)) == 0);
    for (int i = ELEMENTS - 100; i < ELEMENTS; i++) {
        const double start = (double)number(i, 1), moved = (double)sides[0].master[i] - start;
        CHECK_NEAR((double)sides[1].master[i] - start, 4 * moved, 2e-6);
        CHECK(fabs(moved) > 1e-5);
    }
    side_close(&sides[0]);
    side_close(&sides[1]);
}

/* The vectors that the state had, and its count, are back; of leaves_state moments are the first
 * step's. */
static void test_state(struct comm *comm) {
    struct side s;
    struct optimizer_saved saved = {.steps = 0};
    const struct kind kind = {.leaves = true};
    side_open(&s, 0, 1);
    take_first(&s, &kind);
    CHECK_OK(backend_new(&backend, &saved.exp_avg, ELEMENTS, "saved"));
    CHECK_OK(backend_new(&backend, &saved.exp_avg_sq, ELEMENTS, "saved"));
    CHECK_OK(optimizer_save(s.optimizer, &saved));
    struct extrapolation_sums found;
    const struct optimizer_extrapolation args = args_of(&s, &kind);
    CHECK_OK(optimizer_extrapolate(s.optimizer, comm, &args, &found));
    CHECK(memcmp(s.optimizer->exp_avg, saved.exp_avg, ELEMENTS * sizeof(float)) == 0);
    CHECK_OK(optimizer_step(s.optimizer, s.master, s.second, 1e-3, 1));
    CHECK(memcmp(s.optimizer->exp_avg, saved.exp_avg, ELEMENTS * sizeof(float)) != 0);
    const float *had = saved.exp_avg;
    CHECK_EQ(s.optimizer->steps, 3);
    optimizer_take_back(s.optimizer, &saved);
    CHECK_EQ(s.optimizer->steps, 1);
    CHECK(s.optimizer->exp_avg == had && saved.exp_avg != had);
    backend_release(&backend, &saved.exp_avg);
    backend_release(&backend, &saved.exp_avg_sq);
    side_close(&s);
}

int main(void) {
    struct comm comm;
    CHECK_OK(backend_open(&backend, "check", 1));
    CHECK_OK(vector_layout_create(&layout, &backend, parts, sizeof parts / sizeof *parts));
    comm_self_open(&comm);
    test_thresholds(&comm);
    test_changed(&comm);
    test_head(&comm);
    test_state(&comm);
    comm_close(&comm);
    vector_layout_destroy(&layout);
    backend_close(&backend);
    return CHECK_END();
}
