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
static enum status shrink(struct model *model, const struct adapter *adapter, int64_t layer, int g,
                          const void *x, int64_t T) {
    const struct weight *a = &adapter->layers[layer].a[g];
    return backend_run(model->backend, gemm, .x = x, .weight = *a, .y = SPACE(ADAPTED), .M = T,
                       .x_dtype = model->activations, .y_dtype = model->activations,
                       .ldx = a->columns, .ldy = a->rows);
}

/* Column `column` of a matrix of elements of that type. */
static void *column_of(const void *matrix, enum dtype dtype, int64_t column) {
    return (char *)matrix + column * (int64_t)dtype_bytes(dtype);
}

/* y += what one adapter, or none, makes of x. */
static enum status adapt_by(struct model *model, const struct adapter *adapter, int64_t layer,
                            enum layer_part part, const void *x, void *y, int64_t T) {
    const int g = adapter_group_of(adapter, part);
    if (g < 0)
        return STATUS_OK;
    const struct adapter_group *group = &adapter->groups[g];
    const int64_t rank = adapter->settings.rank, width = model->weights->layout.parts[part].rows;
    const enum dtype inner = model->activations, outer = product_dtype(model, part);
    TRY(shrink(model, adapter, layer, g, x, T));
    for (int i = 0; i < group->count; i++) {
        void *out = column_of(y, outer, group->row_begin[i]);
        TRY(backend_run(model->backend, gemm, .x = column_of(SPACE(ADAPTED), inner, i * rank),
                        .weight = adapter->layers[layer].b[g][i], .residual = out, .y = out,
                        .x_dtype = inner, .y_dtype = outer, .M = T, .ldx = group->count * rank,
                        .ldy = width, .scale = adapter->scale));
    }
    return STATUS_OK;
}

enum status adapt(struct model *model, int64_t layer, enum layer_part part, const void *x, void *y,
                  int64_t T) {
    const struct part_place *place = &model->weights->layout.parts[part];
    const struct guest *guest = model->guest;
    const bool apart = guest != NULL && guest->adapter != model->adapter;
    const int64_t own = apart ? guest->first : T;
    TRY(adapt_by(model, model->adapter, layer, part, x, y, own));
    if (own == T)
        return STATUS_OK;
    return adapt_by(model, guest->adapter, layer, part,
                    column_of(x, model->activations, own * place->columns),
                    column_of(y, product_dtype(model, part), own * place->rows), T - own);
}

/* du, and the gradient of a target's B. */
static enum status expand_backward(struct model *model, int64_t layer, int g, int i, const void *dy,
                                   int64_t T) {
    const struct adapter *adapter = model->adapter;
    const struct adapter_group *group = &adapter->groups[g];
    const int64_t rank = adapter->settings.rank, ldu = group->count * rank,
                  width = model->weights->layout.parts[group->part].rows;
    const enum dtype inner = model->activations, outer = product_dtype(model, group->part);
    float *gradient = SPACE(GRADIENT);
    const void *own = column_of(dy, outer, group->row_begin[i]);
    TRY(backend_run(model->backend, gemm_dx, .dy = own, .weight = adapter->layers[layer].b[g][i],
                    .dx = column_of(SPACE(D_ADAPTED), inner, i * rank), .dy_dtype = outer,
                    .dx_dtype = inner, .M = T, .ldy = width, .ldx = ldu, .scale = adapter->scale));
    return backend_run(
        model->backend, gemm_dw, .dy = own, .x = column_of(SPACE(ADAPTED), inner, i * rank),
        .dw = gradient + group->b_offset[i], .dy_dtype = outer, .x_dtype = inner, .M = T,
        .N = group->rows[i], .K = rank, .ldy = width, .ldx = ldu, .scale = adapter->scale);
}

enum status adapt_backward(struct model *model, int64_t layer, enum layer_part part, const void *x,
                           const void *dy, void *dx, int64_t T) {
    const struct adapter *adapter = model->adapter;
    const int g = adapter_group_of(adapter, part);
    if (g < 0)
        return STATUS_OK;
    const struct adapter_group *group = &adapter->groups[g];
    const struct weight *a = &adapter->layers[layer].a[g];
    const enum dtype inner = model->activations;
    float *gradient = SPACE(GRADIENT);
    TRY(shrink(model, adapter, layer, g, x, T));
    for (int i = 0; i < group->count; i++)
        TRY(expand_backward(model, layer, g, i, dy, T));
    TRY(backend_run(model->backend, gemm_dw, .dy = SPACE(D_ADAPTED), .x = x,
                    .dw = gradient + group->a_offset, .dy_dtype = inner, .x_dtype = inner, .M = T,
                    .N = a->rows, .K = a->columns, .ldy = a->rows, .ldx = a->columns));
    if (dx == NULL)
        return STATUS_OK;
    return backend_run(model->backend, gemm_dx, .dy = SPACE(D_ADAPTED), .weight = *a, .dx = dx,
                       .dy_dtype = inner, .dx_dtype = inner, .M = T, .ldy = a->rows,
                       .ldx = a->columns, .add = true);
}
