/* SPDX-License-Identifier: Apache-2.0 */
#include "backend/cpu/cpu_ceiling.h"

#include <string.h>

#include "backend/cpu/cpu_kernel_ceiling.h"
#include "base/clock.h"
#include "base/memory.h"

enum { FLOATS = 1 << 27, FMA_ROUNDS = 1 << 20, SHARE = 1024 };

struct probe {
    struct backend *backend;
    float *memory; /* (FLOATS) */
    float *sinks;  /* (threads), 16 floats apart */
};

static void run_fma(const void *context, struct cpu_range range) {
    const struct probe *probe = context;
    for (int64_t i = range.begin; i < range.end; i++)
        (void)CPU_CALL(probe->backend, cpu_kernel_ceiling_fma, FMA_ROUNDS,
                       probe->sinks + 16 * range.thread);
}

static void run_read(const void *context, struct cpu_range range) {
    const struct probe *probe = context;
    probe->sinks[16 * range.thread] +=
        CPU_CALL(probe->backend, cpu_kernel_ceiling_read, probe->memory + range.begin,
                 range.end - range.begin);
}

static void run_copy(const void *context, struct cpu_range range) {
    const struct probe *probe = context;
    memcpy(probe->memory + FLOATS / 2 + range.begin, probe->memory + range.begin,
           (size_t)(range.end - range.begin) * sizeof *probe->memory);
}

/* Units of work per second of the best round. */
static double best_rate(const struct probe *probe, double seconds, double units, int64_t n,
                        int64_t grain, void (*work)(const void *context, struct cpu_range range)) {
    double best = 0.0;
    const double end = clock_now_s() + seconds;
    do {
        const double start = clock_now_s();
        cpu_run(probe->backend, n, grain, work, probe);
        const double rate = units / (clock_now_s() - start);
        best = rate > best ? rate : best;
    } while (clock_now_s() < end);
    return best;
}

static enum status measure(int threads, double seconds, double *fma, double *read, double *copy) {
    struct backend backend;
    TRY(backend_open(&backend, "cpu", threads));
    struct probe probe = {&backend, NULL, NULL};
    enum status status;
    TRY_ELSE(status, done, memory_new(&probe.memory, FLOATS, "memory to measure"));
    TRY_ELSE(status, done, memory_new(&probe.sinks, 16 * backend.threads, "sums to measure"));
    memset(probe.memory, 0,
           (size_t)FLOATS * sizeof *probe.memory); /* pages that are really there */
    const double round = CPU_CALL(&backend, cpu_kernel_ceiling_fma, FMA_ROUNDS, probe.sinks);
    *fma = best_rate(&probe, seconds, round * backend.threads, backend.threads, 1, run_fma);
    *read = best_rate(&probe, seconds, (double)FLOATS * sizeof(float), FLOATS, SHARE, run_read);
    *copy = best_rate(&probe, seconds, (double)FLOATS * sizeof(float), FLOATS / 2, SHARE, run_copy);
done:
    memory_release(&probe.memory);
    memory_release(&probe.sinks);
    backend_close(&backend);
    return status;
}

enum status cpu_measure_ceilings(int threads, double seconds_each, struct machine_ceilings *out) {
    double copy_1;
    TRY(measure(1, seconds_each, &out->fma_flops_1, &out->read_bytes_1, &copy_1));
    return measure(threads, seconds_each, &out->fma_flops_all, &out->read_bytes_all,
                   &out->copy_bytes_all);
}
