/* SPDX-License-Identifier: Apache-2.0
 *
 * Flat vectors: sums in fixed point, scalars, the optimizer's step.
 */
#include "cuda/cuda.h"
#include "cuda/kernel/adamw.h"
#include "cuda/kernel/vector.h"

static enum status parts_of(struct backend *backend, struct refused **parts) {
    struct cuda_need need = {0};
    const size_t at = cuda_need(&need, VECTOR_PARTS * sizeof **parts);
    TRY(cuda_reserve(backend, &need));
    *parts = cuda_scratch(backend, at);
    return STATUS_OK;
}

enum status cuda_accumulate(struct backend *backend, const struct accumulate_args *args) {
    struct refused *parts;
    TRY(parts_of(backend, &parts));
    return CUDA_LAUNCH(backend, accumulate, .values = args->values, .total = args->total,
                       .n = args->n, .scale_bits = args->scale_bits, .bound = args->bound,
                       .refused = args->refused, .parts = parts);
}

enum status cuda_accumulate_rows(struct backend *backend, const struct accumulate_rows_args *args) {
    struct refused *parts;
    TRY(parts_of(backend, &parts));
    return CUDA_LAUNCH(backend, accumulate_rows, .values = args->values, .rows = args->rows,
                       .total = args->total, .count = args->R, .C = args->C,
                       .scale_bits = args->scale_bits, .bound = args->bound,
                       .refused = args->refused, .parts = parts);
}

enum status cuda_resolve(struct backend *backend, const struct resolve_args *args) {
    return CUDA_LAUNCH(backend, resolve, .total = args->total, .out = args->out, .n = args->n,
                       .scale_bits = args->scale_bits);
}

enum status cuda_dot(struct backend *backend, const struct dot_args *args) {
    return CUDA_LAUNCH(backend, dot, .x = args->x, .y = args->y, .blocks = args->blocks,
                       .n = args->n);
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

static struct adamw_launch adamw_of(const struct adamw_args *args) {
    return (struct adamw_launch){.parameters = args->parameters,
                                 .exp_avg = args->exp_avg,
                                 .exp_avg_sq = args->exp_avg_sq,
                                 .gradient = args->gradient,
                                 .n = args->n,
                                 .learning_rate = args->learning_rate,
                                 .beta1 = args->beta1,
                                 .beta2 = args->beta2,
                                 .epsilon = args->epsilon,
                                 .weight_decay = args->weight_decay,
                                 .gradient_scale = args->gradient_scale,
                                 .correction1 = args->correction1,
                                 .correction2 = args->correction2,
                                 .kept_parameters = args->kept_parameters,
                                 .kept_gradient = args->kept_gradient,
                                 .kept_direction = args->kept_direction};
}

enum status cuda_adamw(struct backend *backend, const struct adamw_args *args) {
    const struct adamw_launch launch = adamw_of(args);
    return cuda_plans(backend)
               ? STATUS_OK
               : device_launched(launch_adamw(cuda_stream(backend), &launch), "adamw");
}

enum status cuda_adamw_extrapolate(struct backend *backend,
                                   const struct adamw_extrapolate_args *args) {
    struct cuda_need need = {0};
    const int64_t parts = (args->step.n + EXTRAPOLATE_PART - 1) / EXTRAPOLATE_PART;
    const size_t at = cuda_need(&need, parts * (int64_t)sizeof(struct extrapolation_sums));
    TRY(cuda_reserve(backend, &need));
    return CUDA_LAUNCH(
        backend, adamw_extrapolate, .step = adamw_of(&args->step), .start = args->start,
        .start_gradient = args->start_gradient, .start_direction = args->start_direction,
        .start_scale = args->start_scale, .threshold = args->threshold, .how = args->how,
        .leaves_moments = args->leaves_moments, .rounds = args->working == DTYPE_BF16,
        .blocks = args->blocks, .parts = cuda_scratch(backend, at));
}
