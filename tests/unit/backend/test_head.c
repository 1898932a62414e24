/* SPDX-License-Identifier: Apache-2.0
 *
 * The output head and the draw at temperatures from 1e-9 to 100, against softmax in double: the
 * log-probability, the entropy, the gradient of both, and which token a uniform number takes. The
 * sampler and the trainer share this code, so their agreement says nothing about it.
 */
#include "fixture.h"

enum { ROWS = 6 };

static const float TEMPERATURES[] = {1e-9f, 1e-7f, 1e-6f, 1e-4f, 1e-3f, 0.01f, 0.05f, 0.1f,
                                     0.3f,  0.7f,  1.0f,  1.3f,  2.5f,  10.0f, 100.0f};

/* Results of the head on rows of logits. */
struct result {
    float *logprob, *entropy;
    struct head_shift *shift;
};

static struct result result_new(struct fixture *f, int64_t R) {
    return (struct result){.logprob = fixture_floats(f, NULL, R),
                           .entropy = fixture_floats(f, NULL, R),
                           .shift = fixture_upload(f, NULL, (size_t)R * sizeof(struct head_shift))};
}

/* The head over blocks handed in by `step` columns at a time. */
static void run_head(struct fixture *f, const float *logits, const int32_t *targets, int64_t R,
                     int64_t V, int64_t step, float temperature, struct result out) {
    struct head_row *rows = fixture_upload(f, NULL, (size_t)R * sizeof *rows);
    for (int64_t begin = 0; begin < V; begin += step)
        CHECK_OK(backend_run(&f->backend, head_block, .logits = logits + begin, .targets = targets,
                             .rows = rows, .R = R, .columns = V - begin < step ? V - begin : step,
                             .ld = V, .begin = begin, .temperature = temperature));
    CHECK_OK(backend_run(&f->backend, head_finish, .rows = rows, .logprob = out.logprob,
                         .entropy = out.entropy, .shift = out.shift, .R = R,
                         .temperature = temperature));
}

/* Normal logits; in row 1 the largest is met by its next smaller float, which shares in the
 * probability down to a temperature of 1e-6, in row 2 by an equal one, row 3 is far from 0, row 4
 * nearly flat, and in row 5 all are equal. */
static float *make_logits(struct fixture *f, int64_t V, int64_t *largest) {
    float *z = calloc((size_t)(ROWS * V), sizeof *z);
    ASSERT(z != NULL);
    for (int64_t r = 0; r < ROWS; r++) {
        const double mean = r == 3 ? -300 : 3, deviation = r == 4 ? 1e-4 : r == 5 ? 0 : 4;
        largest[r] = 0;
        for (int64_t v = 0; v < V; v++) {
            z[r * V + v] = (float)(mean + deviation * random_normal(7, RANDOM_TEST, (uint32_t)r,
                                                                    (uint32_t)v, 0, 0));
            if (z[r * V + v] > z[r * V + largest[r]])
                largest[r] = v;
        }
        const int64_t twin = (largest[r] + V / 2) % V;
        if (r == 1)
            z[r * V + twin] = nextafterf(z[r * V + largest[r]], -INFINITY);
        if (r == 2)
            z[r * V + twin] = z[r * V + largest[r]];
    }
    float *logits = fixture_floats(f, z, ROWS * V);
    free(z);
    return logits;
}

/* |have − want| ≤ tolerance · (size + |want|). */
static void compare(const struct fixture *f, const char *what, float temperature, int64_t at,
                    double have, double want, double size, double tolerance) {
    if (!(fabs(have - want) <= tolerance * (size + fabs(want))))
        CHECK_FAILED("%s: %s at T = %g, element %lld, is %.9g, expected %.9g", f->name, what,
                     (double)temperature, (long long)at, have, want);
}

struct problem {
    const float *logits;
    const double *z; /* the same */
    int32_t targets[ROWS];
    int64_t V;
    float temperature;
};

static void check_values(struct fixture *f, const struct problem *p, struct result have) {
    double *logprob = fixture_host(f, ROWS), *entropy = fixture_host(f, ROWS);
    reference_head(&(struct reference_head){.logits = p->z,
                                            .targets = p->targets,
                                            .logprob = logprob,
                                            .entropy = entropy,
                                            .R = ROWS,
                                            .V = p->V,
                                            .temperature = (double)p->temperature});
    const double *have_logprob = fixture_doubles(f, have.logprob, ROWS),
                 *have_entropy = fixture_doubles(f, have.entropy, ROWS);
    for (int64_t r = 0; r < ROWS; r++) {
        compare(f, "log-probability", p->temperature, r, have_logprob[r], logprob[r], 1, 4e-7);
        compare(f, "entropy", p->temperature, r, have_entropy[r], entropy[r], 1, 3e-7);
    }
}

/* Over the logits, or to a place of its own. */
static void check_gradient(struct fixture *f, const struct problem *p, const int32_t *targets,
                           struct result have, float entropy_share, bool over) {
    const int64_t V = p->V, n = ROWS * V;
    float *gradient = fixture_floats(f, NULL, n), d_logprob[ROWS], d_entropy[ROWS];
    double *want = fixture_host(f, V);
    for (int64_t r = 0; r < ROWS; r++) {
        d_logprob[r] = 1 - 0.3f * (float)r;
        d_entropy[r] = entropy_share * (0.5f + 0.2f * (float)r);
    }
    const float *d1 = fixture_floats(f, d_logprob, ROWS), *d2 = fixture_floats(f, d_entropy, ROWS);
    const float *logits = over ? gradient : p->logits;
    CHECK_OK(backend_run(&f->backend, copy, .x = p->logits, .out = gradient, .n = n));
    for (int64_t begin = 0; begin < V; begin += HEAD_BLOCK)
        CHECK_OK(backend_run(&f->backend, head_backward, .logits = logits + begin,
                             .targets = targets, .shift = have.shift, .entropy = have.entropy,
                             .d_logprob = d1, .d_entropy = d2, .out = gradient + begin, .R = ROWS,
                             .columns = V - begin < HEAD_BLOCK ? V - begin : HEAD_BLOCK, .ld = V,
                             .begin = begin, .temperature = p->temperature, .dtype = DTYPE_F32));
    const double *got = fixture_doubles(f, gradient, n);
    for (int64_t r = 0; r < ROWS; r++) {
        reference_head_gradient(p->z + r * V, V, p->targets[r], (double)p->temperature,
                                (double)d_logprob[r], (double)d_entropy[r], want);
        for (int64_t v = 0; v < V; v++)
            compare(f, "gradient", p->temperature, r * V + v, got[r * V + v], want[v],
                    0.3 / (double)p->temperature, 1e-6);
    }
}

static void check_draw(struct fixture *f, const struct problem *p) {
    enum { DRAWS = 4 };
    const double rounding = 1e-6;
    double *chances = fixture_host(f, p->V);
    for (uint32_t draw = 0; draw < DRAWS; draw++) {
        const struct sample_settings settings = {.temperature = p->temperature, .top_p = 1};
        double uniforms[ROWS];
        int32_t tokens[ROWS], *drawn = fixture_ints(f, NULL, ROWS);
        for (uint32_t r = 0; r < ROWS; r++)
            uniforms[r] = random_uniform(3, RANDOM_TEST, r, draw, 0, 0);
        CHECK_OK(backend_run(&f->backend, sample, .logits = p->logits,
                             .uniforms = fixture_upload(f, uniforms, sizeof uniforms),
                             .tokens = drawn, .B = ROWS, .V = p->V, .ld = p->V,
                             .settings = settings));
        CHECK_OK(f->backend.ops->download(&f->backend, tokens, drawn, sizeof tokens));
        for (int64_t r = 0; r < ROWS; r++) {
            double before = 0;
            reference_sample(p->z + r * p->V, p->V, &settings, NULL, 0, chances);
            for (int64_t v = 0; v < tokens[r]; v++)
                before += chances[v];
            if (!(chances[tokens[r]] > 0 && before - rounding <= uniforms[r] &&
                  uniforms[r] <= before + chances[tokens[r]] + rounding))
                CHECK_FAILED("%s: row %lld at T = %g drew %d (probability %.3g) for u = %.9g",
                             f->name, (long long)r, (double)p->temperature, (int)tokens[r],
                             chances[tokens[r]], uniforms[r]);
        }
    }
}

/* The same bits in one call, block by block, and row by row. */
static void check_same(struct fixture *f, const struct problem *p, const int32_t *targets,
                       struct result have) {
    struct result other = result_new(f, ROWS);
    run_head(f, p->logits, targets, ROWS, p->V, HEAD_BLOCK, p->temperature, other);
    fixture_same_arrays(f, "log-probability, block by block", have.logprob, other.logprob, ROWS);
    fixture_same_arrays(f, "entropy, block by block", have.entropy, other.entropy, ROWS);
    for (int64_t r = 0; r < ROWS; r++)
        run_head(f, p->logits + r * p->V, targets + r, 1, p->V, p->V, p->temperature,
                 (struct result){other.logprob + r, other.entropy + r, other.shift + r});
    fixture_same_arrays(f, "log-probability, row by row", have.logprob, other.logprob, ROWS);
    fixture_same_arrays(f, "entropy, row by row", have.entropy, other.entropy, ROWS);
}

static void test_temperature(struct fixture *f, int64_t V, float temperature, int target) {
    struct problem p = {.V = V, .temperature = temperature};
    int64_t largest[ROWS];
    p.logits = make_logits(f, V, largest);
    p.z = fixture_doubles(f, p.logits, ROWS * V);
    for (int64_t r = 0; r < ROWS; r++) { /* the most probable token, its twin, any other */
        const int64_t ids[] = {largest[r], (largest[r] + V / 2) % V, (7 * r + 1) % V};
        p.targets[r] = (int32_t)ids[target];
    }
    const int32_t *targets = fixture_ints(f, p.targets, ROWS);
    struct result have = result_new(f, ROWS);
    run_head(f, p.logits, targets, ROWS, V, V, temperature, have);
    check_values(f, &p, have);
    check_same(f, &p, targets, have);
    check_gradient(f, &p, targets, have, 0, false);
    check_gradient(f, &p, targets, have, 1, true);
    if (target == 0)
        check_draw(f, &p);
    fixture_reset(f);
}

/* A number that is not finite reaches one of the results, at any temperature, and the gradient. */
static void test_nonfinite(struct fixture *f) {
    static const float bad[] = {NAN, INFINITY, -INFINITY}, temperatures[] = {1.0f, 1e-9f};
    static const int64_t places[] = {0, 1500, 2499};
    if (strncmp(f->name, "cpu", 3) != 0)
        return;
    for (int i = 0; i < 18; i++) {
        const int64_t V = 2500;
        const float temperature = temperatures[i / 9], one = 1;
        float *logits = fixture_normal(f, V, 0, 1);
        logits[places[i % 3]] = bad[i / 3 % 3];
        const int32_t *target = fixture_ints(f, NULL, 1);
        const struct result out = result_new(f, 1);
        run_head(f, logits, target, 1, V, V, temperature, out);
        CHECK(!isfinite(*out.logprob) || !isfinite(*out.entropy));
        CHECK_OK(backend_run(&f->backend, head_backward, .logits = logits, .targets = target,
                             .shift = out.shift, .entropy = out.entropy, .d_logprob = &one,
                             .d_entropy = fixture_floats(f, NULL, 1), .out = logits, .R = 1,
                             .columns = V, .ld = V, .begin = 0, .temperature = temperature,
                             .dtype = DTYPE_F32));
        CHECK(!isfinite(logits[0]) && !isfinite(logits[V - 1]));
        fixture_reset(f);
    }
}

/* The gradient in double is the slope of the values in double. */
static void test_reference(void) {
    enum { V = 13 };
    const double step = 1e-6, weights[] = {0.7, -1.3};
    double z[V], gradient[V], logprob, entropy;
    for (uint32_t v = 0; v < V; v++)
        z[v] = 2 * random_normal(8, RANDOM_TEST, v, 0, 0, 0);
    const int32_t target = 5;
    const struct reference_head args = {z, &target, &logprob, &entropy, 1, V, 0.8};
    reference_head_gradient(z, V, target, 0.8, weights[0], weights[1], gradient);
    for (int v = 0; v < V; v++) {
        double loss[2];
        const double middle = z[v];
        for (int side = 0; side < 2; side++) {
            z[v] = middle + (side == 0 ? -step : step);
            reference_head(&args);
            loss[side] = weights[0] * logprob + weights[1] * entropy;
        }
        z[v] = middle;
        CHECK_NEAR((loss[1] - loss[0]) / (2 * step), gradient[v], 1e-8);
    }
}

static void test_all(struct fixture *f) {
    for (size_t t = 0; t < sizeof TEMPERATURES / sizeof *TEMPERATURES; t++)
        for (int target = 0; target < 3; target++) {
            test_temperature(f, 12, TEMPERATURES[t], target);
            test_temperature(f, 1300, TEMPERATURES[t], target);
        }
    test_temperature(f, 1024, 0.7f, 0);
    test_nonfinite(f);
}

int main(void) {
    test_reference();
    fixture_every(test_all);
    return CHECK_END();
}
