/* SPDX-License-Identifier: Apache-2.0 */
#include "optim/optimizer.h"

#include "base/memory.h"

#include <math.h>

static enum status create_moments(struct optimizer *optimizer) {
    const int64_t n = optimizer->layout->elements;
    TRY(backend_new(optimizer->backend, &optimizer->exp_avg, n, "first moments"));
    return backend_new(optimizer->backend, &optimizer->exp_avg_sq, n, "second moments");
}

enum status optimizer_create(struct optimizer **optimizer, struct backend *backend,
                             const struct vector_layout *layout,
                             const struct optimizer_settings *settings) {
    TRY(memory_new(optimizer, 1, "optimizer"));
    **optimizer = (struct optimizer){.backend = backend, .layout = layout, .settings = *settings};
    const enum status status = create_moments(*optimizer);
    if (status != STATUS_OK)
        optimizer_destroy(optimizer);
    return status;
}

void optimizer_destroy(struct optimizer **optimizer) {
    if (*optimizer == NULL)
        return;
    backend_release((*optimizer)->backend, &(*optimizer)->exp_avg);
    backend_release((*optimizer)->backend, &(*optimizer)->exp_avg_sq);
    memory_release(optimizer);
}

int64_t optimizer_bytes(int64_t elements) {
    return 2 * elements * (int64_t)sizeof(float);
}

/* The parts from `first` on that share their weight decay: one call of the backend. */
static int64_t run_end(const struct vector_layout *layout, double weight_decay, int64_t first) {
    int64_t i = first + 1;
    while (i < layout->count &&
           (weight_decay == 0 || layout->parts[i].decay == layout->parts[first].decay))
        i++;
    return i;
}

enum status optimizer_step(struct optimizer *optimizer, float *master, const float *gradient,
                           double learning_rate, double gradient_scale) {
    const struct vector_layout *layout = optimizer->layout;
    const struct optimizer_settings *s = &optimizer->settings;
    const double t = (double)(optimizer->steps + 1);
    for (int64_t first = 0, end; first < layout->count; first = end) {
        end = run_end(layout, s->weight_decay, first);
        const int64_t at = layout->parts[first].offset;
        const int64_t stop = end < layout->count ? layout->parts[end].offset : layout->elements;
        TRY(backend_run(optimizer->backend, adamw, .parameters = master + at,
                        .exp_avg = optimizer->exp_avg + at,
                        .exp_avg_sq = optimizer->exp_avg_sq + at, .gradient = gradient + at,
                        .n = stop - at, .learning_rate = learning_rate, .beta1 = s->beta1,
                        .beta2 = s->beta2, .epsilon = s->epsilon,
                        .weight_decay = layout->parts[first].decay ? s->weight_decay : 0,
                        .gradient_scale = gradient_scale, .correction1 = 1 - pow(s->beta1, t),
                        .correction2 = 1 - pow(s->beta2, t)));
    }
    optimizer->steps++;
    return STATUS_OK;
}
