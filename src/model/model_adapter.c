/* SPDX-License-Identifier: Apache-2.0
 *
 * What an adapter adds to a product and what a gradient does to its factors. For a group of targets
 * with one input x and outputs side by side, with u = x Aᵀ:
 *
 *     y_i += γ u_i B_iᵀ      du_i = γ dy_i B_i     dB_i = γ dy_iᵀ u_i     dA = duᵀ x     dx += du A
 */
#include "model/model_state.h"

#define SPACE(name) model->workspace->memory[SPACE_##name]

/* u = x Aᵀ of all targets of the group, (T, count rank). */
static enum status shrink(struct model *model, int64_t layer, int g, const float *x, int64_t T) {
    const struct weight *a = &model->adapter->layers[layer].a[g];
    return backend_run(model->backend, gemm, .x = x, .weight = *a, .y = SPACE(ADAPTED), .M = T,
                       .ldx = a->columns, .ldy = a->rows);
}

enum status adapt(struct model *model, int64_t layer, enum layer_part part, const float *x,
                  float *y, int64_t T) {
    const struct adapter *adapter = model->adapter;
    const int g = adapter_group_of(adapter, part);
    if (g < 0)
        return STATUS_OK;
    const struct adapter_group *group = &adapter->groups[g];
    const int64_t rank = adapter->settings.rank, width = model->weights->layout.parts[part].rows;
    const float *u = SPACE(ADAPTED);
    TRY(shrink(model, layer, g, x, T));
    for (int i = 0; i < group->count; i++) {
        float *out = y + group->row_begin[i];
        TRY(backend_run(model->backend, gemm, .x = u + i * rank,
                        .weight = adapter->layers[layer].b[g][i], .residual = out, .y = out, .M = T,
                        .ldx = group->count * rank, .ldy = width, .scale = adapter->scale));
    }
    return STATUS_OK;
}

/* du, and the gradient of a target's B. */
static enum status expand_backward(struct model *model, int64_t layer, int g, int i,
                                   const float *dy, int64_t T) {
    const struct adapter *adapter = model->adapter;
    const struct adapter_group *group = &adapter->groups[g];
    const int64_t rank = adapter->settings.rank, ldu = group->count * rank,
                  width = model->weights->layout.parts[group->part].rows;
    float *u = SPACE(ADAPTED), *du = SPACE(D_ADAPTED), *gradient = SPACE(GRADIENT);
    const float *own = dy + group->row_begin[i];
    TRY(backend_run(model->backend, gemm_dx, .dy = own, .weight = adapter->layers[layer].b[g][i],
                    .dx = du + i * rank, .M = T, .ldy = width, .ldx = ldu,
                    .scale = adapter->scale));
    return backend_run(model->backend, gemm_dw, .dy = own, .x = u + i * rank,
                       .dw = gradient + group->b_offset[i], .M = T, .N = group->rows[i], .K = rank,
                       .ldy = width, .ldx = ldu, .scale = adapter->scale);
}

enum status adapt_backward(struct model *model, int64_t layer, enum layer_part part, const float *x,
                           const float *dy, float *dx, int64_t T) {
    const struct adapter *adapter = model->adapter;
    const int g = adapter_group_of(adapter, part);
    if (g < 0)
        return STATUS_OK;
    const struct adapter_group *group = &adapter->groups[g];
    const struct weight *a = &adapter->layers[layer].a[g];
    float *du = SPACE(D_ADAPTED), *gradient = SPACE(GRADIENT);
    TRY(shrink(model, layer, g, x, T));
    for (int i = 0; i < group->count; i++)
        TRY(expand_backward(model, layer, g, i, dy, T));
    TRY(backend_run(model->backend, gemm_dw, .dy = du, .x = x, .dw = gradient + group->a_offset,
                    .M = T, .N = a->rows, .K = a->columns, .ldy = a->rows, .ldx = a->columns));
    if (dx == NULL)
        return STATUS_OK;
    return backend_run(model->backend, gemm_dx, .dy = du, .weight = *a, .dx = dx, .M = T,
                       .ldy = a->rows, .ldx = a->columns, .add = true);
}
