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

static void pack_panels(const void *context, struct cpu_range range) {
    const struct pack_work *work = context;
    const int64_t columns = work->weight.columns;
    for (int64_t row = range.begin; row < range.end; row += WEIGHT_PANEL) {
        const int64_t rows = panel_rows(&work->weight, row);
        float *panel = (float *)work->weight.panels + row * columns;
        if (rows < WEIGHT_PANEL)
            memset(panel, 0, (size_t)(WEIGHT_PANEL * columns) * sizeof *panel);
        CPU_KERNEL(work->backend, cpu_kernel_transpose)
        (panel, WEIGHT_PANEL, work->source + row * columns, columns, rows, columns);
    }
}

static void unpack_panels(const void *context, struct cpu_range range) {
    const struct pack_work *work = context;
    const int64_t columns = work->weight.columns;
    for (int64_t row = range.begin; row < range.end; row += WEIGHT_PANEL)
        CPU_KERNEL(work->backend, cpu_kernel_transpose)
    (work->out + row * columns, columns, (const float *)work->weight.panels + row * columns,
     WEIGHT_PANEL, columns, panel_rows(&work->weight, row));
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
        const int64_t token = args->tokens[t];
        const float *from = (const float *)args->table.panels +
                            token / WEIGHT_PANEL * WEIGHT_PANEL * C + token % WEIGHT_PANEL;
        for (int64_t c = 0; c < C; c++)
            args->out[t * C + c] = from[c * WEIGHT_PANEL];
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
