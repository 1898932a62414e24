/* SPDX-License-Identifier: Apache-2.0
 *
 * The kernels' exponential, seen through the softmax of a row whose largest score is 0: within 1.5
 * units of the last place of the double's, down to the smallest subnormal number; exp(x) − 1 and
 * log(1 + x), seen through the divergence of one entry.
 */
#include "backend/cpu/cpu_kernel_attention.h"
#include "backend/cpu/cpu_kernel_distill.h"
#include "fixture.h"

enum { COUNT = 1024 };

/* |have − want| in units of the last place of want, which is 2^-149 for subnormal numbers. */
static double units(float have, double want) {
    int exponent;
    frexp(want, &exponent);
    return fabs((double)have - want) / ldexp(1.0, exponent - 24 < -149 ? -149 : exponent - 24);
}

static void test_exp(struct fixture *f) {
    double worst = 0.0;
    float at = 0.0f;
    if (strcmp(f->backend.ops->name, "cpu") != 0)
        return;
    for (uint32_t block = 0; block < 1024; block++) {
        float x[COUNT], y[COUNT], largest;
        for (uint32_t i = 0; i < COUNT; i++)
            x[i] = y[i] =
                i == 0 ? 0.0f : (float)(-110.0 * random_uniform(3, RANDOM_TEST, block, i, 0, 0));
        CPU_KERNEL(&f->backend, cpu_kernel_softmax)(y, COUNT, 1.0f, &largest);
        for (int i = 0; i < COUNT; i++)
            if (!(units(y[i], exp((double)x[i])) <= worst)) {
                worst = units(y[i], exp((double)x[i]));
                at = x[i];
            }
    }
    if (!(worst <= 1.5))
        CHECK_FAILED("%s: exp(%.9g) is %.3g units of the last place off, allowed 1.5", f->name,
                     (double)at, worst);
}

static void test_limits(struct fixture *f) {
    float x[] = {-INFINITY, 0.0f, -1e30f, -104.0f, -0.0f}, largest;
    if (strcmp(f->backend.ops->name, "cpu") != 0)
        return;
    CHECK_NEAR(CPU_KERNEL(&f->backend, cpu_kernel_softmax)(x, 5, 1.0f, &largest), 2.0, 0.0);
    CHECK_NEAR(largest, 0.0, 0.0);
    CHECK(x[0] == 0.0f && x[1] == 1.0f && x[2] == 0.0f && x[3] == 0.0f && x[4] == 1.0f);
    float bad[20] = {[13] = NAN};
    const float sum = CPU_KERNEL(&f->backend, cpu_kernel_softmax)(bad, 20, 1.0f, &largest);
    CHECK(isnan(sum) && isnan(bad[13]));
}

/* The sums of one entry with log p_S = log_student and p_T = 1. */
static struct cpu_distill_sums one_entry(struct fixture *f, struct divergence_rule rule,
                                         float log_student) {
    const float z = 0.0f;
    const struct cpu_distill_entries entry = {.student = &z,
                                              .teacher = &z,
                                              .student_shift = {0.0f, -log_student},
                                              .n = 1,
                                              .scale = 1.0f,
                                              .rule = rule};
    return CPU_KERNEL(&f->backend, cpu_kernel_distill_sums)(&entry);
}

/* −exp(−16 u) or −u of a uniform u, by turns: all sizes of numbers in (−1, 0). */
static float below_zero(uint32_t i) {
    const double u = random_uniform(3, RANDOM_TEST, 1, i, 0, 0);
    return (float)(i % 2 == 0 ? -exp(-16.0 * u) : -u);
}

/* A forward KL pulls by p_S − p_T = expm1(log p_S). Of a JSD in which the student has no part in what
 * the teacher is sure of, h is β log(1 / β) = −β log1p(x) with x = β − 1; otherwise h − pull is
 * −β log1p((1 − β) expm1(log p_S)). */
static void test_near_zero(struct fixture *f) {
    const struct divergence_rule forward = {DIVERGENCE_FORWARD_KL, 0.0f, INFINITY},
                                 middle = {DIVERGENCE_JSD, 0.5f, INFINITY};
    if (strcmp(f->backend.ops->name, "cpu") != 0)
        return;
    for (uint32_t i = 0; i < 200000; i++) {
        const float x = below_zero(i), y = i % 4 == 3 ? 60.0f * x : x;
        const float fall = (float)one_entry(f, forward, y).pull;
        if (!(units(fall, expm1((double)y)) <= 1.5))
            CHECK_FAILED("%s: expm1(%.9g) is %.9g, expected %.9g", f->name, (double)y, (double)fall,
                         expm1((double)y));
        const struct cpu_distill_sums half = one_entry(f, middle, x);
        const float log_half = (float)(2.0 * (half.pull - half.divergence));
        if (!(units(log_half, log1p(0.5 * expm1((double)x))) <= 6.0))
            CHECK_FAILED("%s: log1p of half expm1(%.9g) is %.9g, expected %.9g", f->name, (double)x,
                         (double)log_half, log1p(0.5 * expm1((double)x)));
        const float beta = 1.0f + x, rest = 1.0f - beta;
        const struct divergence_rule jsd = {DIVERGENCE_JSD, beta, INFINITY};
        const float have = (float)one_entry(f, jsd, -200.0f).divergence;
        const double want = -(double)beta * log1p(-(double)rest);
        if (rest > 0.0f && beta > 0.0f && !(units(have, want) <= 4.0))
            CHECK_FAILED("%s: log1p(%.9g) beta is %.9g, expected %.9g", f->name, -(double)rest,
                         (double)have, want);
    }
}

int main(void) {
    fixture_each(test_near_zero);
    fixture_each(test_exp);
    fixture_each(test_limits);
    return CHECK_END();
}
