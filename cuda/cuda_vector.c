/* SPDX-License-Identifier: Apache-2.0
 *
 * Flat vectors: sums in fixed point, scalars, the optimizer's step.
 */
#include "cuda/cuda.h"
#include "cuda/kernel/adamw.h"
#include "cuda/kernel/vector.h"

enum status cuda_accumulate(struct backend *backend, const struct accumulate_args *args) {
    struct vector_refused refused = {.largest = 0, .nonfinite = 0};
    struct cuda_need need = {0};
    const size_t refused_at = cuda_need(&need, sizeof refused),
                 parts_at = cuda_need(&need, VECTOR_PARTS * sizeof(struct vector_refused));
    TRY(cuda_reserve(backend, &need));
    struct vector_refused *device = cuda_scratch(backend, refused_at);
    TRY(cuda_clear(backend, device, sizeof *device));
    TRY(CUDA_LAUNCH(backend, accumulate, .values = args->values, .total = args->total, .n = args->n,
                    .scale_bits = args->scale_bits, .bound = args->bound, .refused = device,
                    .parts = cuda_scratch(backend, parts_at)));
    TRY(cuda_download(backend, &refused, device, sizeof refused));
    if (refused.largest > *args->refused)
        *args->refused = refused.largest;
    *args->nonfinite += refused.nonfinite;
    return STATUS_OK;
}

enum status cuda_resolve(struct backend *backend, const struct resolve_args *args) {
    return CUDA_LAUNCH(backend, resolve, .total = args->total, .out = args->out, .n = args->n,
                       .scale_bits = args->scale_bits);
}

enum status cuda_dot(struct backend *backend, const struct dot_args *args) {
    const int64_t count = (args->n + VECTOR_BLOCK - 1) / VECTOR_BLOCK;
    struct cuda_need need = {0};
    const size_t at = cuda_need(&need, count * (int64_t)sizeof(double));
    TRY(cuda_reserve(backend, &need));
    double *blocks = cuda_scratch(backend, at);
    TRY(CUDA_LAUNCH(backend, dot, .x = args->x, .y = args->y, .blocks = blocks, .n = args->n));
    return cuda_download(backend, args->blocks, blocks, (size_t)count * sizeof *blocks);
}

enum status cuda_copy(struct backend *backend, const struct copy_args *args) {
    struct device *device = &cuda_state(backend)->device;
    if (cuda_plans(backend))
        return STATUS_OK;
    return device_copy(device, device->stream, args->out, args->x,
                       (size_t)args->n * sizeof *args->out);
}

enum status cuda_add(struct backend *backend, const struct add_args *args) {
    return CUDA_LAUNCH(backend, add, .x = args->x, .out = args->out, .n = args->n);
}

enum status cuda_lerp(struct backend *backend, const struct lerp_args *args) {
    return CUDA_LAUNCH(backend, lerp, .x = args->x, .y = args->y, .out = args->out, .n = args->n,
                       .factor = args->factor);
}

enum status cuda_adamw(struct backend *backend, const struct adamw_args *args) {
    return CUDA_LAUNCH(backend, adamw, .parameters = args->parameters, .exp_avg = args->exp_avg,
                       .exp_avg_sq = args->exp_avg_sq, .gradient = args->gradient, .n = args->n,
                       .learning_rate = args->learning_rate, .beta1 = args->beta1,
                       .beta2 = args->beta2, .epsilon = args->epsilon,
                       .weight_decay = args->weight_decay, .gradient_scale = args->gradient_scale,
                       .correction1 = args->correction1, .correction2 = args->correction2);
}
