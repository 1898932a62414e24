/* SPDX-License-Identifier: Apache-2.0
 *
 * The two fast steps of GXPO: what the first keeps on its way, and the second with the place that both
 * foretell, against the same step by itself and the arithmetic of extrapolation.h element by element,
 * to the bit; sums against plain ones.
 */
#include "fixture.h"
#include "tensor/dtype.h"

enum { VECTORS = 3 }; /* parameters, exp_avg, exp_avg_sq */

/* Everything of one trial, in backend memory but for `how`. */
struct trial {
    int64_t n;
    float *state[VECTORS], *alone[VECTORS]; /* of the pass, and of the step by itself */
    float *start, *gradient, *direction,
        *after;          /* kept of the first step; direction of the second */
    const float *second; /* its gradient */
    struct adamw_extrapolate_args args;
};

static struct adamw_args step_args(float *state[VECTORS], const float *gradient, int64_t n,
                                   int step) {
    return (struct adamw_args){.parameters = state[0],
                               .exp_avg = state[1],
                               .exp_avg_sq = state[2],
                               .gradient = gradient,
                               .n = n,
                               .learning_rate = 3e-3,
                               .beta1 = 0.9,
                               .beta2 = 0.999,
                               .epsilon = 1e-8,
                               .weight_decay = 0.1,
                               .gradient_scale = step == 1 ? 0.7 : 0.4,
                               .correction1 = 1 - pow(0.9, step),
                               .correction2 = 1 - pow(0.999, step)};
}

static void same(const char *what, const double *have, const double *want, int64_t n) {
    for (int64_t i = 0; i < n; i++)
        if (memcmp(&have[i], &want[i], sizeof *have) != 0) {
            CHECK_FAILED("%s: element %lld of %lld is %.9g, expected %.9g", what, (long long)i,
                         (long long)n, have[i], want[i]);
            return;
        }
}

/* The second gradient is 0.3 to 1.3 times the first, which at some places is small or 0. */
static const float *second_gradient(struct fixture *f, float *first, int64_t n) {
    const double *g = fixture_doubles(f, first, n);
    float *values = calloc((size_t)n, sizeof *values);
    for (int64_t i = 0; i < n; i++)
        values[i] = (float)((0.8 + 0.5 * sin((double)i)) * g[i] + (i % 7 == 3 ? 1e-3 : 0));
    float *out = fixture_floats(f, values, n);
    free(values);
    return out;
}

static float *first_gradient(struct fixture *f, int64_t n) {
    float *values = calloc((size_t)n, sizeof *values);
    for (int64_t i = 0; i < n; i++)
        values[i] = i % 11 == 5   ? 0
                    : i % 13 == 5 ? 1e-9f
                                  : (float)random_normal(9, RANDOM_TEST, (uint32_t)i, 0, 0, 0);
    float *out = fixture_floats(f, values, n);
    free(values);
    return out;
}

/* The first step; what it keeps is what it began with and went along. */
static void take_first(struct fixture *f, struct trial *t, bool directions) {
    float *first = first_gradient(f, t->n);
    t->state[0] = fixture_normal(f, t->n, 0, 0.05);
    t->state[1] = fixture_normal(f, t->n, 0, 1e-2);
    t->state[2] = fixture_normal(f, t->n, 1e-3, 1e-5);
    t->start = fixture_floats(f, NULL, t->n);
    t->gradient = fixture_floats(f, NULL, t->n);
    t->direction = directions ? fixture_floats(f, NULL, t->n) : NULL;
    const double *before = fixture_doubles(f, t->state[0], t->n);
    struct adamw_args args = step_args(t->state, first, t->n, 1);
    args.kept_parameters = t->start;
    args.kept_gradient = t->gradient;
    args.kept_direction = t->direction;
    CHECK_OK(f->backend.ops->adamw(&f->backend, &args));
    same("kept parameters", fixture_doubles(f, t->start, t->n), before, t->n);
    same("kept gradient", fixture_doubles(f, t->gradient, t->n), fixture_doubles(f, first, t->n),
         t->n);
    t->second = second_gradient(f, first, t->n);
    if (!directions)
        return;
    const double *d = fixture_doubles(f, t->direction, t->n);
    double *moved = fixture_host(f, t->n);
    for (int64_t i = 0; i < t->n; i++)
        moved[i] = (1 - 3e-3 * 0.1) * before[i] - 3e-3 * d[i];
    fixture_compare(f, "the direction's step", t->state[0], moved, t->n, 1e-7);
}

/* The second step by itself, on copies. */
static void take_second(struct fixture *f, struct trial *t) {
    for (int i = 0; i < VECTORS; i++) {
        t->alone[i] = fixture_floats(f, NULL, t->n);
        CHECK_OK(backend_run(&f->backend, copy, .x = t->state[i], .out = t->alone[i], .n = t->n));
    }
    t->after = fixture_floats(f, NULL, t->n);
    struct adamw_args args = step_args(t->alone, t->second, t->n, 2);
    args.kept_direction = t->after;
    CHECK_OK(f->backend.ops->adamw(&f->backend, &args));
}

static bool changes(enum dtype dtype, double a, double b) {
    const float x = (float)a, y = (float)b;
    uint32_t to_x = 0, to_y = 0;
    dtype_from_f32(dtype, &x, &to_x, 1);
    dtype_from_f32(dtype, &y, &to_y, 1);
    return to_x != to_y;
}

/* Element i of what is expected: its place, and its part of the sums. */
static float expect(const struct adamw_extrapolate_args *args, struct extrapolation_row *row,
                    const double *product, bool changed, struct extrapolation_sums *sums) {
    extrapolation_row_compute(&args->how, args->threshold, 1, row);
    const double moved = row->end[0] - row->start[0];
    sums->coordinates++;
    sums->active += row->active[0];
    sums->ratio_clamped += row->ratio_clamped[0];
    sums->scale_clamped += row->scale_clamped[0];
    sums->ratio += row->active[0] * row->ratio[0];
    sums->ratio_square += row->active[0] * row->ratio[0] * row->ratio[0];
    sums->scale += row->scale[0];
    sums->scale_most = fmax(sums->scale_most, row->scale[0]);
    sums->moved += moved * moved;
    sums->extended += row->scale[0] * moved * row->scale[0] * moved;
    sums->product += product[0] * product[1];
    sums->changed += changed;
    return (float)row->place[0];
}

static void check_sums(const struct extrapolation_sums *have,
                       const struct extrapolation_sums *want) {
    enum { FIELDS = sizeof *have / sizeof(double) };
    double a[FIELDS], b[FIELDS];
    memcpy(a, have, sizeof a);
    memcpy(b, want, sizeof b);
    for (int i = 0; i < FIELDS; i++)
        if (!(fabs(a[i] - b[i]) <= 1e-11 * fmax(1e-6, fabs(b[i]))))
            CHECK_FAILED("sum %d of a block is %.17g, expected %.17g", i, a[i], b[i]);
}

static void check_places(struct fixture *f, const struct trial *t, const double *middle) {
    const bool directions = t->direction != NULL;
    const double *start = fixture_doubles(f, t->start, t->n),
                 *g0 = fixture_doubles(f, t->gradient, t->n),
                 *g1 = fixture_doubles(f, t->second, t->n),
                 *d0 = directions ? fixture_doubles(f, t->direction, t->n) : g0,
                 *d1 = fixture_doubles(f, t->after, t->n),
                 *end = fixture_doubles(f, t->alone[0], t->n);
    const int64_t blocks = (t->n + VECTOR_BLOCK - 1) / VECTOR_BLOCK;
    struct extrapolation_sums *have = calloc((size_t)blocks, sizeof *have);
    double *want = fixture_host(f, t->n);
    CHECK_OK(
        f->backend.ops->download(&f->backend, have, t->args.blocks, (size_t)blocks * sizeof *have));
    for (int64_t block = 0, i = 0; block < blocks; block++) {
        struct extrapolation_sums sums = {.scale_most = -1e300};
        for (; i < t->n && i < (block + 1) * VECTOR_BLOCK; i++) {
            struct extrapolation_row row = {.start = {start[i]},
                                            .end = {end[i]},
                                            .before = {directions ? d0[i] : 0.7 * g0[i]},
                                            .after = {directions ? d1[i] : 0.4 * g1[i]},
                                            .size = {fabs(d0[i])}};
            const double product[] = {g0[i], g1[i]};
            want[i] = (double)expect(&t->args, &row, product,
                                     changes(t->args.working, start[i], middle[i]), &sums);
        }
        check_sums(&have[block], &sums);
    }
    same("places", fixture_doubles(f, t->state[0], t->n), want, t->n);
    free(have);
}

static void test_pass(struct fixture *f, int64_t n, int steps, bool directions, bool leaves,
                      enum dtype working) {
    struct trial t = {.n = n};
    const int64_t blocks = (n + VECTOR_BLOCK - 1) / VECTOR_BLOCK;
    take_first(f, &t, directions);
    take_second(f, &t);
    const double *middle = fixture_doubles(f, t.state[0], n);
    const double *moments[] = {fixture_doubles(f, leaves ? t.state[1] : t.alone[1], n),
                               fixture_doubles(f, leaves ? t.state[2] : t.alone[2], n)};
    t.args = (struct adamw_extrapolate_args){
        .step = step_args(t.state, t.second, n, 2),
        .start = t.start,
        .start_gradient = t.gradient,
        .start_direction = t.direction,
        .start_scale = 0.7,
        .threshold = 1e-8,
        .how = {.steps = steps,
                .reposition = 0.5,
                .ratio_least = 0.1,
                .ratio_most = 0.7,
                .scale_least = 1.05,
                .scale_most = 1.2},
        .leaves_moments = leaves,
        .working = working,
        .blocks = fixture_upload(f, NULL, (size_t)blocks * sizeof(struct extrapolation_sums))};
    CHECK_OK(f->backend.ops->adamw_extrapolate(&f->backend, &t.args));
    check_places(f, &t, middle);
    same("exp_avg", fixture_doubles(f, t.state[1], n), moments[0], n);
    same("exp_avg_sq", fixture_doubles(f, t.state[2], n), moments[1], n);
    fixture_reset(f);
}

static void test_all(struct fixture *f) {
    static const int64_t sizes[] = {1, 5, 15, 16, 17, 63, 4099};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        test_pass(f, sizes[i], 3, false, false, DTYPE_F32);
        test_pass(f, sizes[i], 4, true, true, DTYPE_BF16);
    }
    test_pass(f, VECTOR_BLOCK + 37, 5, false, true, DTYPE_BF16);
    test_pass(f, 2 * VECTOR_BLOCK, 10, true, false, DTYPE_F32);
}

int main(void) {
    fixture_every(test_all);
    return CHECK_END();
}
