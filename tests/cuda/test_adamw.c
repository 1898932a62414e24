/* SPDX-License-Identifier: Apache-2.0
 *
 * AdamW on the device: bits of the CPU backend with AVX2 or AVX-512, and the formula in double.
 */
#include "arrays.h"
#include "cuda/kernel/adamw.h"

struct state {
    float *parameters, *exp_avg, *exp_avg_sq;
};

static struct adamw_args settings_of(int step, double gradient_scale) {
    return (struct adamw_args){.learning_rate = 3e-3,
                               .beta1 = 0.9,
                               .beta2 = 0.999,
                               .epsilon = 1e-8,
                               .weight_decay = 0.1,
                               .gradient_scale = gradient_scale,
                               .correction1 = 1 - pow(0.9, step),
                               .correction2 = 1 - pow(0.999, step)};
}

static void step_on_device(struct arrays *a, struct state s, const float *gradient, int64_t n,
                           const struct adamw_args *settings) {
    const struct adamw_launch args = {.parameters = s.parameters,
                                      .exp_avg = s.exp_avg,
                                      .exp_avg_sq = s.exp_avg_sq,
                                      .gradient = gradient,
                                      .n = n,
                                      .learning_rate = settings->learning_rate,
                                      .beta1 = settings->beta1,
                                      .beta2 = settings->beta2,
                                      .epsilon = settings->epsilon,
                                      .weight_decay = settings->weight_decay,
                                      .gradient_scale = settings->gradient_scale,
                                      .correction1 = settings->correction1,
                                      .correction2 = settings->correction2};
    RUN(a, launch_adamw(a->device.stream, &args));
}

/* The same step by the CPU backend, on the host's arrays; false where it has no fused
 * multiply-add. */
static bool step_on_cpu(struct state s, const float *gradient, int64_t n,
                        const struct adamw_args *settings) {
    struct backend backend;
    struct adamw_args args = *settings;
    setenv("GRADUS_ISA", "avx2", 1);
    if (backend_open(&backend, "cpu", 1) != STATUS_OK)
        return false;
    args.parameters = s.parameters;
    args.exp_avg = s.exp_avg;
    args.exp_avg_sq = s.exp_avg_sq;
    args.gradient = gradient;
    args.n = n;
    CHECK_OK(backend.ops->adamw(&backend, &args));
    backend_close(&backend);
    return true;
}

/* Three steps; `offset`: elements by which the arrays miss the address of a quad. */
static void test_steps(struct arrays *a, int64_t n, int64_t offset, double gradient_scale) {
    const int64_t all = n + offset;
    struct state host = {arrays_normal(a, all, 0, 0.1), arrays_normal(a, all, 0, 1e-3),
                         arrays_normal(a, all, 1e-4, 1e-5)};
    struct state device = {arrays_put(a, host.parameters, all, DTYPE_F32),
                           arrays_put(a, host.exp_avg, all, DTYPE_F32),
                           arrays_put(a, host.exp_avg_sq, all, DTYPE_F32)};
    double *p = arrays_widen(a, host.parameters, all), *m = arrays_widen(a, host.exp_avg, all),
           *v = arrays_widen(a, host.exp_avg_sq, all);
    bool cpu = true;
    const struct state shifted = {device.parameters + offset, device.exp_avg + offset,
                                  device.exp_avg_sq + offset};
    const struct state host_shifted = {host.parameters + offset, host.exp_avg + offset,
                                       host.exp_avg_sq + offset};
    for (int step = 1; step <= 3; step++) {
        const struct adamw_args settings = settings_of(step, gradient_scale);
        float *gradient = arrays_normal(a, all, 0, 1e-2 / gradient_scale);
        const float *on_device = arrays_put(a, gradient, all, DTYPE_F32);
        step_on_device(a, shifted, on_device + offset, n, &settings);
        cpu = step_on_cpu(host_shifted, gradient + offset, n, &settings) && cpu;
        for (int64_t i = offset; i < all; i++)
            reference_adamw(&settings, (double)gradient[i], &p[i], &m[i], &v[i]);
    }
    const float *have = arrays_get(a, device.parameters, all, DTYPE_F32);
    if (cpu) {
        arrays_same("parameters", have, host.parameters, all);
        arrays_same("exp_avg", arrays_get(a, device.exp_avg, all, DTYPE_F32), host.exp_avg, all);
        arrays_same("exp_avg_sq", arrays_get(a, device.exp_avg_sq, all, DTYPE_F32), host.exp_avg_sq,
                    all);
    } else {
        printf("not on this machine: the CPU backend with AVX2\n");
    }
    arrays_compare("parameters", have, p, all, 1e-6);
    arrays_reset(a);
}

int main(void) {
    struct arrays a;
    arrays_open(&a);
    test_steps(&a, 1, 0, 0.7);
    test_steps(&a, 1027, 0, 1);
    test_steps(&a, 2048, 0, 0.7);
    test_steps(&a, 1021, 3, 0.7);
    test_steps(&a, 1024, 4, 0x1p-120); /* as clipping a gradient of 1e36 leaves it */
    arrays_close(&a);
    return CHECK_END();
}
