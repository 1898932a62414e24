/* SPDX-License-Identifier: Apache-2.0
 *
 * The kernels' exponential, seen through the softmax of a row whose largest score is 0: within 1.5
 * units of the last place of the double's, down to the smallest subnormal number.
 */
#include "backend/cpu/cpu_kernel_attention.h"
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

int main(void) {
    fixture_each(test_exp);
    fixture_each(test_limits);
    return CHECK_END();
}
