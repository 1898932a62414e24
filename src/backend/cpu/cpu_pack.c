/* SPDX-License-Identifier: Apache-2.0
 *
 * Between row-major matrices and panels, and rows by index.
 */
#include "backend/cpu/cpu_kernel_product.h"

#include "base/memory.h"
#include "tensor/finite.h"

#include <stdatomic.h>
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

struct load_work {
    const struct backend *backend;
    const struct load_args *args;
    _Atomic int64_t *bad; /* INT64_MAX for none */
};

/* Where the panel that begins with `row` stands: each of its columns, or of its pairs of columns,
 * takes 32 words. */
static float *panel_at(const struct weight *weight, int64_t row) {
    const int64_t words = weight->dtype == DTYPE_BF16 ? weight->columns / 2 : weight->columns;
    return (float *)weight->panels + row * words;
}

/* The panel that begins with `row` from its rows, which are at `source`. */
static void pack_panel(const struct backend *backend, const struct weight *weight, int64_t row,
                       const float *source) {
    const bool pairs = weight->dtype == DTYPE_BF16;
    const int64_t columns = weight->columns, words = pairs ? columns / 2 : columns;
    const int64_t rows = panel_rows(weight, row);
    float *panel = panel_at(weight, row);
    if (rows < WEIGHT_PANEL)
        memset(panel, 0, (size_t)(WEIGHT_PANEL * words) * sizeof *panel);
    if (pairs)
        CPU_CALL(backend, cpu_kernel_transpose_pairs, panel, WEIGHT_PANEL, source, columns, rows,
                 words);
    else
        CPU_CALL(backend, cpu_kernel_transpose, panel, WEIGHT_PANEL, source, columns, rows, words);
}

static void pack_panels(const void *context, struct cpu_range range) {
    const struct pack_work *work = context;
    for (int64_t row = range.begin; row < range.end; row += WEIGHT_PANEL)
        pack_panel(work->backend, &work->weight, row, work->source + row * work->weight.columns);
}

/* Rows [begin, end) of the sources, widened. */
static void read_rows(const struct load_args *args, int64_t begin, int64_t end, float *out) {
    const int64_t columns = args->weight.columns;
    int64_t first = 0; /* row of the weight where a source begins */
    for (int64_t i = 0; i < args->source_count; i++) {
        const struct load_source *source = &args->sources[i];
        const int64_t from = begin > first ? begin : first, last = first + source->rows,
                      to = end < last ? end : last;
        if (from < to) {
            const size_t row_bytes = (size_t)columns * dtype_bytes(source->dtype);
            const char *at = (const char *)source->values + (size_t)(from - first) * row_bytes;
            dtype_to_f32(source->dtype, at, out + (from - begin) * columns, (to - from) * columns);
            if (source->mapping != NULL)
                memory_forget_mapped(source->mapping, at, (size_t)(to - from) * row_bytes);
        }
        first = last;
    }
}

static void note_bad(_Atomic int64_t *bad, int64_t index) {
    int64_t seen = atomic_load(bad);
    while (index < seen && !atomic_compare_exchange_weak(bad, &seen, index))
        continue;
}

static void load_panels(const void *context, struct cpu_range range) {
    const struct load_work *work = context;
    const struct load_args *args = work->args;
    const int64_t columns = args->weight.columns;
    for (int64_t row = range.begin; row < range.end; row += WEIGHT_PANEL) {
        const int64_t rows = panel_rows(&args->weight, row);
        float *values =
            args->out != NULL ? args->out + row * columns : cpu_thread(work->backend, range.thread);
        read_rows(args, row, row + rows, values);
        const int64_t bad = first_not_finite(values, rows * columns);
        if (bad >= 0)
            note_bad(work->bad, row * columns + bad);
        pack_panel(work->backend, &args->weight, row, values);
    }
}

enum status cpu_load(struct backend *backend, const struct load_args *args) {
    const size_t panel = (size_t)(WEIGHT_PANEL * args->weight.columns) * sizeof(float);
    _Atomic int64_t bad = INT64_MAX;
    const struct load_work work = {backend, args, &bad};
    TRY(cpu_reserve(backend, 0, args->out == NULL ? panel : 0));
    cpu_run(backend, args->weight.rows, PANEL_GRAIN, load_panels, &work);
    *args->bad = bad < INT64_MAX ? bad : -1;
    return STATUS_OK;
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
