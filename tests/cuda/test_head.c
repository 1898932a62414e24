/* SPDX-License-Identifier: Apache-2.0
 *
 * The output head on the device at temperatures from 1e-9 to 100, against softmax in double: the
 * log-probability, the entropy, the gradient of both. The bits do not depend on how wide the blocks
 * are that are handed in, nor on other rows.
 */
#include "arrays.h"
#include "cuda/kernel/head.h"

enum { ROWS = 6 };

static const float TEMPERATURES[] = {1e-9f, 1e-4f, 0.1f, 1.0f, 2.5f, 100.0f};

struct problem {
    float *z; /* (ROWS, V) */
    float *logits;
    double *wide;
    int32_t targets[ROWS], *device_targets;
    int64_t V;
    float temperature;
};

struct result {
    float *logprob, *entropy;
    struct head_shift *shift;
};

static struct result result_new(struct arrays *a) {
    return (struct result){arrays_blank(a, ROWS, DTYPE_F32), arrays_blank(a, ROWS, DTYPE_F32),
                           arrays_upload(a, NULL, ROWS * sizeof(struct head_shift))};
}

/* Row 1: the largest is met by its next smaller float; row 2: by an equal one; row 3 is far from 0,
 * row 4 nearly flat, in row 5 all are equal. */
static struct problem problem_make(struct arrays *a, int64_t V, float temperature, int target) {
    struct problem p = {.V = V, .temperature = temperature};
    p.z = arrays_normal(a, ROWS * V, 3, 4);
    for (int64_t r = 0; r < ROWS; r++) {
        float *z = p.z + r * V;
        int64_t largest = 0;
        for (int64_t v = 0; v < V; v++) {
            z[v] = r == 3 ? z[v] - 300 : r == 4 ? 3 + 2.5e-5f * (z[v] - 3) : r == 5 ? 3 : z[v];
            largest = z[v] > z[largest] ? v : largest;
        }
        const int64_t twin = (largest + V / 2) % V;
        if (r == 1 || r == 2)
            z[twin] = r == 1 && V > 1 ? nextafterf(z[largest], -INFINITY) : z[largest];
        const int64_t ids[] = {largest, twin, (7 * r + 1) % V};
        p.targets[r] = (int32_t)ids[target];
    }
    p.logits = arrays_upload(a, p.z, (size_t)(ROWS * V) * sizeof *p.z);
    p.wide = arrays_widen(a, p.z, ROWS * V);
    p.device_targets = arrays_upload(a, p.targets, sizeof p.targets);
    return p;
}

/* The head over `rows` rows from `first` on, `step` columns at a time. */
static void run_head(struct arrays *a, const struct problem *p, int64_t first, int64_t rows,
                     int64_t step, struct result out) {
    struct head_row *state = arrays_upload(a, NULL, ROWS * sizeof *state);
    struct head_sums *sums =
        arrays_upload(a, NULL, (size_t)(ROWS * head_sums_of(p->V)) * sizeof *sums);
    for (int64_t begin = 0; begin < p->V; begin += step) {
        const struct head_block_launch block = {.logits = p->logits + first * p->V + begin,
                                                .targets = p->device_targets + first,
                                                .rows = state,
                                                .sums = sums,
                                                .begin = begin,
                                                .R = rows,
                                                .columns =
                                                    p->V - begin < step ? p->V - begin : step,
                                                .ld = p->V,
                                                .temperature = p->temperature};
        RUN(a, launch_head_block(a->device.stream, &block));
    }
    const struct head_finish_launch finish = {.rows = state,
                                              .logprob = out.logprob + first,
                                              .entropy = out.entropy + first,
                                              .shift = out.shift + first,
                                              .R = rows,
                                              .temperature = p->temperature};
    RUN(a, launch_head_finish(a->device.stream, &finish));
}

/* |have − want| ≤ tolerance · (size + |want|). */
static void compare(const char *what, float temperature, int64_t at, double have, double want,
                    double size, double tolerance) {
    if (!(fabs(have - want) <= tolerance * (size + fabs(want))))
        CHECK_FAILED("%s at T = %g, element %lld, is %.9g, expected %.9g", what,
                     (double)temperature, (long long)at, have, want);
}

static void check_values(struct arrays *a, const struct problem *p, struct result have) {
    double logprob[ROWS], entropy[ROWS];
    reference_head(&(struct reference_head){.logits = p->wide,
                                            .targets = p->targets,
                                            .logprob = logprob,
                                            .entropy = entropy,
                                            .R = ROWS,
                                            .V = p->V,
                                            .temperature = (double)p->temperature});
    const float *have_logprob = arrays_get(a, have.logprob, ROWS, DTYPE_F32),
                *have_entropy = arrays_get(a, have.entropy, ROWS, DTYPE_F32);
    for (int64_t r = 0; r < ROWS; r++) {
        compare("log-probability", p->temperature, r, (double)have_logprob[r], logprob[r], 1, 4e-7);
        compare("entropy", p->temperature, r, (double)have_entropy[r], entropy[r], 1, 4e-7);
    }
}

/* In two pieces, in place, and in bf16 to a place of its own. */
static void check_gradient(struct arrays *a, const struct problem *p, struct result have,
                           float entropy_share) {
    const int64_t V = p->V, n = ROWS * V, half = V > HEAD_BLOCK ? HEAD_BLOCK : V;
    float d_logprob[ROWS], d_entropy[ROWS];
    double *want = arrays_doubles(a, V);
    for (int64_t r = 0; r < ROWS; r++) {
        d_logprob[r] = 1 - 0.3f * (float)r;
        d_entropy[r] = entropy_share * (0.5f + 0.2f * (float)r);
    }
    float *gradient = arrays_upload(a, p->z, (size_t)n * sizeof *gradient);
    struct head_backward_launch args = {.logits = p->logits,
                                        .targets = p->device_targets,
                                        .shift = have.shift,
                                        .entropy = have.entropy,
                                        .d_logprob = arrays_upload(a, d_logprob, sizeof d_logprob),
                                        .d_entropy = arrays_upload(a, d_entropy, sizeof d_entropy),
                                        .out = arrays_blank(a, n, DTYPE_BF16),
                                        .R = ROWS,
                                        .columns = V,
                                        .ld = V,
                                        .temperature = p->temperature,
                                        .dtype = DTYPE_BF16};
    RUN(a, launch_head_backward(a->device.stream, &args));
    const float *rounded = arrays_get(a, args.out, n, DTYPE_BF16);
    args.dtype = DTYPE_F32;
    for (int64_t begin = 0; begin < V; begin += half) {
        args.logits = args.out = gradient + begin;
        args.begin = begin;
        args.columns = V - begin < half ? V - begin : half;
        RUN(a, launch_head_backward(a->device.stream, &args));
    }
    float *got = arrays_get(a, gradient, n, DTYPE_F32);
    for (int64_t r = 0; r < ROWS; r++) {
        reference_head_gradient(p->wide + r * V, V, p->targets[r], (double)p->temperature,
                                (double)d_logprob[r], (double)d_entropy[r], want);
        for (int64_t v = 0; v < V; v++)
            compare("gradient", p->temperature, r * V + v, (double)got[r * V + v], want[v],
                    0.3 / (double)p->temperature, 1e-6);
    }
    arrays_put(a, got, n, DTYPE_BF16);
    arrays_same("gradient in bf16", rounded, got, n);
}

static void check_same(struct arrays *a, const struct problem *p, struct result have) {
    struct result other = result_new(a);
    const float *logprob = arrays_get(a, have.logprob, ROWS, DTYPE_F32),
                *entropy = arrays_get(a, have.entropy, ROWS, DTYPE_F32);
    for (int64_t step = HEAD_BLOCK; step <= 2 * HEAD_BLOCK; step += HEAD_BLOCK) {
        run_head(a, p, 0, ROWS, step, other);
        arrays_same("log-probability, block by block",
                    arrays_get(a, other.logprob, ROWS, DTYPE_F32), logprob, ROWS);
        arrays_same("entropy, block by block", arrays_get(a, other.entropy, ROWS, DTYPE_F32),
                    entropy, ROWS);
    }
    other = result_new(a);
    for (int64_t r = 0; r < ROWS; r++)
        run_head(a, p, r, 1, p->V, other);
    arrays_same("log-probability, row by row", arrays_get(a, other.logprob, ROWS, DTYPE_F32),
                logprob, ROWS);
    arrays_same("entropy, row by row", arrays_get(a, other.entropy, ROWS, DTYPE_F32), entropy,
                ROWS);
}

static void test_temperature(struct arrays *a, int64_t V, float temperature, int target) {
    const struct problem p = problem_make(a, V, temperature, target);
    struct result have = result_new(a);
    run_head(a, &p, 0, ROWS, V, have);
    check_values(a, &p, have);
    check_same(a, &p, have);
    check_gradient(a, &p, have, 0);
    check_gradient(a, &p, have, 1);
    arrays_reset(a);
}

/* A number that is not finite reaches one of the results, and the gradient. */
static void test_nonfinite(struct arrays *a) {
    static const float bad[] = {NAN, INFINITY, -INFINITY};
    for (int i = 0; i < 9; i++) {
        struct problem p = problem_make(a, 2500, 1, 2);
        static const int64_t places[] = {0, 1500, 2499};
        p.z[places[i % 3]] = bad[i / 3];
        p.logits = arrays_upload(a, p.z, (size_t)(ROWS * p.V) * sizeof *p.z);
        struct result have = result_new(a);
        run_head(a, &p, 0, ROWS, p.V, have);
        const float *logprob = arrays_get(a, have.logprob, ROWS, DTYPE_F32),
                    *entropy = arrays_get(a, have.entropy, ROWS, DTYPE_F32);
        for (int r = 0; r < ROWS; r++)
            CHECK((isfinite(logprob[r]) && isfinite(entropy[r])) == (r > 0));
        arrays_reset(a);
    }
}

int main(void) {
    struct arrays a;
    static const int64_t sizes[] = {1, 1000, 1025, 2500, 40 * HEAD_BLOCK + 3};
    arrays_open(&a);
    const bool host = arrays_on_host(&a);
    for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++)
        for (size_t t = 0; t < sizeof TEMPERATURES / sizeof *TEMPERATURES; t++)
            for (int target = 0; target < 3; target++)
                if (sizes[s] < 3000 || !host || (TEMPERATURES[t] == 1 && target == 0))
                    test_temperature(&a, sizes[s], TEMPERATURES[t], target);
    if (!host)
        test_temperature(&a, 151936, 1, 0);
    test_nonfinite(&a);
    arrays_close(&a);
    return CHECK_END();
}
