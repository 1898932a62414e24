/* SPDX-License-Identifier: Apache-2.0
 *
 * Between row-major matrices and panels, and rows by index.
 */
#include "backend/cpu/cpu_kernel_product.h"

#include <string.h>

enum { ROW_GRAIN = 16, PANEL_GRAIN = WEIGHT_PANEL };

static int64_t panel_rows(const struct weight *weight, int64_t row) {
    const int64_t left = weight->rows - row;
    return left < WEIGHT_PANEL ? left : WEIGHT_PANEL;
}

struct pack_work {
    const struct backend *backend;
    struct weight weight;
    const float *source;
    float *out;
};

/* Where the panel that begins with `row` stands: each of its columns, or of its pairs of columns,
 * takes 32 words. */
static float *panel_at(const struct weight *weight, int64_t row) {
    const int64_t words = weight->dtype == DTYPE_BF16 ? weight->columns / 2 : weight->columns;
    return (float *)weight->panels + row * words;
}

static void pack_panels(const void *context, struct cpu_range range) {
    const struct pack_work *work = context;
    const int64_t columns = work->weight.columns;
    const bool pairs = work->weight.dtype == DTYPE_BF16;
    for (int64_t row = range.begin; row < range.end; row += WEIGHT_PANEL) {
        const int64_t rows = panel_rows(&work->weight, row), words = pairs ? columns / 2 : columns;
        float *panel = panel_at(&work->weight, row);
        const float *source = work->source + row * columns;
        if (rows < WEIGHT_PANEL)
            memset(panel, 0, (size_t)(WEIGHT_PANEL * words) * sizeof *panel);
        if (pairs)
            CPU_CALL(work->backend, cpu_kernel_transpose_pairs, panel, WEIGHT_PANEL, source,
                     columns, rows, words);
        else
            CPU_CALL(work->backend, cpu_kernel_transpose, panel, WEIGHT_PANEL, source, columns,
                     rows, words);
    }
}

static void unpack_panels(const void *context, struct cpu_range range) {
    const struct pack_work *work = context;
    const int64_t columns = work->weight.columns;
    for (int64_t row = range.begin; row < range.end; row += WEIGHT_PANEL) {
        const int64_t rows = panel_rows(&work->weight, row);
        const float *panel = panel_at(&work->weight, row);
        float *out = work->out + row * columns;
        if (work->weight.dtype == DTYPE_BF16)
            CPU_CALL(work->backend, cpu_kernel_widen_pairs, out, columns, panel, WEIGHT_PANEL, rows,
                     columns / 2);
        else
            CPU_CALL(work->backend, cpu_kernel_transpose, out, columns, panel, WEIGHT_PANEL,
                     columns, rows);
    }
}

enum status cpu_pack(struct backend *backend, const struct pack_args *args) {
    const struct pack_work work = {backend, args->weight, args->source, NULL};
    cpu_run(backend, args->weight.rows, PANEL_GRAIN, pack_panels, &work);
    return STATUS_OK;
}

enum status cpu_unpack(struct backend *backend, const struct unpack_args *args) {
    const struct pack_work work = {backend, args->weight, NULL, args->out};
    cpu_run(backend, args->weight.rows, PANEL_GRAIN, unpack_panels, &work);
    return STATUS_OK;
}

static void embed_rows(const void *context, struct cpu_range range) {
    const struct embed_args *args = context;
    const int64_t C = args->table.columns;
    for (int64_t t = range.begin; t < range.end; t++) {
        const int64_t token = args->tokens[t], first = token - token % WEIGHT_PANEL;
        const float *from = panel_at(&args->table, first) + token % WEIGHT_PANEL;
        float *to = args->out + t * C;
        if (args->table.dtype == DTYPE_BF16)
            for (int64_t c = 0; c < C; c += 2)
                dtype_to_f32(DTYPE_BF16, from + c / 2 * WEIGHT_PANEL, to + c, 2);
        else
            for (int64_t c = 0; c < C; c++)
                to[c] = from[c * WEIGHT_PANEL];
    }
}

/* Tokens come from outside: one that the table lacks is refused before anything is read. */
enum status cpu_embed(struct backend *backend, const struct embed_args *args) {
    for (int64_t t = 0; t < args->T; t++)
        if (args->tokens[t] < 0 || args->tokens[t] >= args->table.rows)
            return FAIL(STATUS_INPUT, "token %d at row %lld is not one of the vocabulary's %lld",
                        (int)args->tokens[t], (long long)t, (long long)args->table.rows);
    cpu_run(backend, args->T, ROW_GRAIN, embed_rows, args);
    return STATUS_OK;
}

static void gather(const void *context, struct cpu_range range) {
    const struct gather_rows_args *args = context;
    for (int64_t r = range.begin; r < range.end; r++)
        memcpy(args->out + r * args->C, args->x + args->rows[r] * args->C,
               (size_t)args->C * sizeof *args->out);
}

enum status cpu_gather_rows(struct backend *backend, const struct gather_rows_args *args) {
    cpu_run(backend, args->R, ROW_GRAIN, gather, args);
    return STATUS_OK;
}

/* Threads share the columns, so that the order of the rows is kept whatever their number. */
static void scatter(const void *context, struct cpu_range range) {
    const struct scatter_rows_args *args = context;
    for (int64_t r = 0; r < args->R; r++) {
        const float *from = args->x + r * args->C;
        float *to = args->out + args->rows[r] * args->C;
        for (int64_t c = range.begin; c < range.end; c++)
            to[c] += from[c];
    }
}

enum status cpu_scatter_rows(struct backend *backend, const struct scatter_rows_args *args) {
    cpu_run(backend, args->C, 64, scatter, args);
    return STATUS_OK;
}
