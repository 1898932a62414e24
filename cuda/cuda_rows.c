/* SPDX-License-Identifier: Apache-2.0
 *
 * Weights and rows: loading and packing, embedding, norms, rotation, the gated activation, rows by
 * index.
 */
#include "cuda/cuda.h"

#include "base/memory.h"
#include "cuda/kernel/embed.h"
#include "cuda/kernel/norm.h"
#include "cuda/kernel/rope.h"
#include "cuda/kernel/swiglu.h"
#include "cuda/kernel/vector.h"

/* --- weights --- */

enum status cuda_pack(struct backend *backend, const struct pack_args *args) {
    const struct weight *w = &args->weight;
    return CUDA_LAUNCH(backend, convert, .x = args->source, .out = w->panels,
                       .n = w->rows * w->columns, .from = DTYPE_F32, .to = w->dtype);
}

enum status cuda_unpack(struct backend *backend, const struct unpack_args *args) {
    const struct weight *w = &args->weight;
    return CUDA_LAUNCH(backend, convert, .x = w->panels, .out = args->out,
                       .n = w->rows * w->columns, .from = w->dtype, .to = DTYPE_F32);
}

enum { LOAD_PIECE = 4 << 20 }; /* numbers brought to the device at once */

/* Where a piece of a file goes: numbers [at, at + n) of the weight. */
struct load_piece {
    const void *values; /* host */
    enum dtype dtype;
    int64_t at, n;
};

/* Brings a piece to the device, widens and rounds it there, and looks for what is not finite. */
static enum status load_piece(struct backend *backend, const struct load_args *args,
                              const struct load_piece *piece, int64_t *bad) {
    struct cuda_need need = {0};
    const size_t raw_at = cuda_need(&need, LOAD_PIECE * (int64_t)sizeof(float)),
                 wide_at = cuda_need(&need, LOAD_PIECE * (int64_t)sizeof(float)),
                 first_at = cuda_need(&need, sizeof(int64_t)),
                 parts_at = cuda_need(&need, VECTOR_PARTS * sizeof(int64_t));
    TRY(cuda_reserve(backend, &need));
    void *raw = cuda_scratch(backend, raw_at);
    int64_t *first = cuda_scratch(backend, first_at), found = -1;
    float *wide = args->out != NULL ? args->out + piece->at : cuda_scratch(backend, wide_at);
    const struct weight *w = &args->weight;
    unsigned char *packed = (unsigned char *)w->panels + (size_t)piece->at * dtype_bytes(w->dtype);
    TRY(cuda_upload(backend, raw, piece->values, (size_t)piece->n * dtype_bytes(piece->dtype)));
    TRY(CUDA_LAUNCH(backend, convert, .x = raw, .out = wide, .n = piece->n, .from = piece->dtype,
                    .to = DTYPE_F32));
    TRY(CUDA_LAUNCH(backend, convert, .x = wide, .out = packed, .n = piece->n, .from = DTYPE_F32,
                    .to = w->dtype));
    TRY(CUDA_LAUNCH(backend, nonfinite, .x = wide, .first = first,
                    .parts = cuda_scratch(backend, parts_at), .n = piece->n, .dtype = DTYPE_F32));
    TRY(cuda_download(backend, &found, first, sizeof found));
    if (found >= 0 && *bad < 0)
        *bad = piece->at + found;
    return STATUS_OK;
}

enum status cuda_load(struct backend *backend, const struct load_args *args) {
    const int64_t columns = args->weight.columns;
    int64_t at = 0;
    *args->bad = -1;
    for (int64_t i = 0; i < args->source_count; i++) {
        const struct load_source *source = &args->sources[i];
        const size_t size = dtype_bytes(source->dtype);
        for (int64_t done = 0, n; done < source->rows * columns; done += n) {
            const int64_t left = source->rows * columns - done;
            const char *values = (const char *)source->values + (size_t)done * size;
            n = left < LOAD_PIECE ? left : LOAD_PIECE;
            TRY(load_piece(backend, args, &(struct load_piece){values, source->dtype, at + done, n},
                           args->bad));
            if (source->mapping != NULL)
                memory_forget_mapped(source->mapping, values, (size_t)n * size);
        }
        at += source->rows * columns;
    }
    return STATUS_OK;
}

/* --- rows by index --- */

/* A token that the table lacks gives a row of NaN: the host does not wait to look. */
enum status cuda_embed(struct backend *backend, const struct embed_args *args) {
    return CUDA_LAUNCH(backend, embed, .table = args->table.panels, .tokens = args->tokens,
                       .out = args->out, .T = args->T, .V = args->table.rows,
                       .C = args->table.columns, .dtype = args->table.dtype);
}

enum status cuda_gather_rows(struct backend *backend, const struct gather_rows_args *args) {
    return CUDA_LAUNCH(backend, gather_rows, .x = args->x, .rows = args->rows, .out = args->out,
                       .R = args->R, .C = args->C);
}

enum status cuda_scatter_rows(struct backend *backend, const struct scatter_rows_args *args) {
    struct cuda_need need = {0};
    const size_t at = cuda_need(&need, 2 * args->R * (int64_t)sizeof(int32_t));
    TRY(cuda_reserve(backend, &need));
    return CUDA_LAUNCH(backend, scatter_rows, .x = args->x, .rows = args->rows, .out = args->out,
                       .places = cuda_scratch(backend, at), .R = args->R, .C = args->C);
}

/* --- norms --- */

enum status cuda_rmsnorm(struct backend *backend, const struct rmsnorm_args *args) {
    return CUDA_LAUNCH(backend, rmsnorm, .x = args->x, .weight = args->weight, .y = args->y,
                       .inverse_rms = args->inverse_rms, .T = args->T, .C = args->C,
                       .epsilon = args->epsilon, .dtype = args->dtype);
}

enum status cuda_rmsnorm_backward(struct backend *backend,
                                  const struct rmsnorm_backward_args *args) {
    struct cuda_need need = {0};
    float *partial = NULL;
    if (args->dweight != NULL) {
        const size_t at = cuda_need(&need, norm_slots(args->T) * args->C * (int64_t)sizeof(float));
        TRY(cuda_reserve(backend, &need));
        partial = cuda_scratch(backend, at);
    }
    return CUDA_LAUNCH(backend, rmsnorm_backward, .x = args->x, .weight = args->weight,
                       .inverse_rms = args->inverse_rms, .dy = args->dy, .dx = args->dx,
                       .dweight = args->dweight, .partial = partial, .T = args->T, .C = args->C,
                       .dtype = args->dtype);
}

/* --- rotation --- */

static struct rope_launch rope_of(const struct rope_args *args) {
    return (struct rope_launch){.qkv = args->qkv,
                                .positions = args->positions,
                                .table = args->table,
                                .q_norm = args->q_norm,
                                .k_norm = args->k_norm,
                                .out = args->out,
                                .T = args->T,
                                .H = args->H,
                                .K = args->K,
                                .D = args->D,
                                .epsilon = args->epsilon,
                                .dtype = args->dtype};
}

enum status cuda_rope(struct backend *backend, const struct rope_args *args) {
    const struct rope_launch rope = rope_of(args);
    return cuda_counted(backend)
               ? STATUS_OK
               : device_launched(launch_rope(cuda_stream(backend), &rope), "rope");
}

enum status cuda_rope_backward(struct backend *backend, const struct rope_backward_args *args) {
    const struct rope_args *forward = &args->forward;
    struct cuda_need need = {0};
    float *partial = NULL;
    if (args->dq_norm != NULL) {
        const size_t at =
            cuda_need(&need, rope_slots(forward->T) * 2 * forward->D * (int64_t)sizeof(float));
        TRY(cuda_reserve(backend, &need));
        partial = cuda_scratch(backend, at);
    }
    return CUDA_LAUNCH(backend, rope_backward, .forward = rope_of(forward), .dqkv = args->dqkv,
                       .dq_norm = args->dq_norm, .dk_norm = args->dk_norm, .partial = partial);
}

/* --- the gated activation --- */

enum status cuda_swiglu(struct backend *backend, const struct swiglu_args *args) {
    return CUDA_LAUNCH(backend, swiglu, .gate_up = args->gate_up, .out = args->out, .T = args->T,
                       .F = args->F, .dtype = args->dtype);
}

enum status cuda_swiglu_backward(struct backend *backend, const struct swiglu_backward_args *args) {
    return CUDA_LAUNCH(backend, swiglu_backward, .gate_up = args->gate_up, .dout = args->dout,
                       .dgate_up = args->dgate_up, .T = args->T, .F = args->F,
                       .dtype = args->dtype);
}
