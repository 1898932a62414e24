/* SPDX-License-Identifier: Apache-2.0
 *
 * The three products of a linear layer. Forward: the weight is in panels already. For the gradients
 * a matrix is first brought into panels in the shared scratch (dX = dY W: the transposed weight; dW
 * = dYᵀ X: X), then it is the same product.
 *
 * A weight of bf16 keeps pairs of inputs in words. The forward goes through it word by word (see
 * cpu_kernel_product.h for what a term is); for dX it is widened, so that gradients are products of
 * fp32 numbers.
 *
 * Blocks, as in Goto and van de Geijn, "Anatomy of high-performance matrix multiplication" (2008):
 * rows of A are repacked tile by tile and stay in the second-level cache while panels of B pass.
 */
#include "backend/cpu/cpu_kernel_product.h"

enum {
    BLOCK_FLOATS = 112 * 1024, /* of repacked A: under half of a second-level cache of 1 MiB */
    BLOCK_K = 2048,            /* longest piece of a sum taken at once */
    BLOCK_PANELS = 16,         /* panels of an item when sums are cut into pieces */
    ITEMS_PER_THREAD = 6,      /* so that a thread that is held up costs little */
    WORTH_A_THREAD = 100000    /* multiply-adds */
};

/* How a product is cut: into items of some row tiles by some panels. */
struct cut {
    const struct backend *backend;
    const struct cpu_product *product;
    int64_t tile_rows;                  /* rows of a whole tile */
    int64_t row_tiles, panels, k_block; /* of the product */
    int64_t a_words;                    /* of a row of A for each k */
    int64_t row_items, panel_items;     /* its grid of items */
    size_t pack_floats, sum_floats;     /* scratch of a thread */
};

static int64_t ceil_div(int64_t a, int64_t b) {
    return (a + b - 1) / b;
}

static int64_t at_least(int64_t a, int64_t b) {
    return a > b ? a : b;
}

static int64_t at_most(int64_t a, int64_t b) {
    return a < b ? a : b;
}

static struct cut cut_product(const struct backend *backend, const struct cpu_product *p) {
    struct cut cut = {.backend = backend, .product = p};
    cut.tile_rows = CPU_KERNEL(backend, cpu_kernel_tile_rows)();
    cut.row_tiles = ceil_div(p->rows, cut.tile_rows);
    cut.panels = ceil_div(p->columns, WEIGHT_PANEL);
    const int64_t pieces = cut.row_tiles > 2 ? ceil_div(p->k, BLOCK_K) : 1;
    cut.k_block = at_least(ceil_div(p->k, pieces), 1);
    cut.a_words = p->terms == CPU_TERMS_WIDENED ? 2 : 1;
    const int64_t tiles = at_least(BLOCK_FLOATS / (cut.tile_rows * cut.k_block * cut.a_words), 1);
    cut.row_items = ceil_div(cut.row_tiles, tiles);
    const double work = (double)p->rows * (double)p->columns * (double)p->k;
    const int64_t threads = at_most(backend->threads, 1 + (int64_t)(work / WORTH_A_THREAD));
    const int64_t items = threads > 1 ? threads * (p->rows > 1 ? ITEMS_PER_THREAD : 1) : 1;
    cut.panel_items = ceil_div(items, cut.row_items);
    if (pieces > 1)
        cut.panel_items = at_least(cut.panel_items, ceil_div(cut.panels, BLOCK_PANELS));
    cut.panel_items = at_most(cut.panel_items, cut.panels);
    const int64_t item_rows = ceil_div(cut.row_tiles, cut.row_items) * cut.tile_rows;
    cut.pack_floats = (size_t)(item_rows * cut.k_block * cut.a_words);
    if (pieces > 1)
        cut.sum_floats = (size_t)(item_rows * ceil_div(cut.panels, cut.panel_items) * WEIGHT_PANEL);
    return cut;
}

/* Rows [begin, end) of row tile t: the rows are shared out evenly. */
static int64_t tile_begin(const struct cut *cut, int64_t t) {
    return cut->product->rows * t / cut->row_tiles;
}

/* The share of a thread: tiles by panels, with the thread's scratch. */
struct item {
    int64_t tile_begin, tile_end, panel_begin, panel_end;
    float *packed; /* [tile][k][row of the tile] */
    float *sums;   /* [row][column], where sums are cut into pieces */
};

/* Repacks the terms [k, k + count) of a tile's rows, which begin at `row`. */
static void pack_tile(const struct cut *cut, int64_t row, int64_t rows, int64_t k, int64_t count,
                      float *to) {
    const struct cpu_product *p = cut->product;
    const float *from = p->a + row * p->a_row;
    if (p->terms == CPU_TERMS_PAIRS)
        CPU_CALL(cut->backend, cpu_kernel_transpose_pairs, to, rows, from + 2 * k, p->a_row, rows,
                 count);
    else if (p->a_k == 1)
        CPU_CALL(cut->backend, cpu_kernel_transpose, to, rows, from + cut->a_words * k, p->a_row,
                 rows, cut->a_words * count);
    else /* a_row is 1 */
        CPU_CALL(cut->backend, cpu_kernel_copy, to, rows, from + k * p->a_k, p->a_k, count, rows);
}

/* Repacks the terms [k, k + count) of the item's rows, tile by tile. */
static void pack_rows(const struct cut *cut, const struct item *item, int64_t k, int64_t count) {
    float *to = item->packed;
    for (int64_t t = item->tile_begin; t < item->tile_end; t++) {
        const int64_t row = tile_begin(cut, t), rows = tile_begin(cut, t + 1) - row;
        pack_tile(cut, row, rows, k, count, to);
        to += rows * count * cut->a_words;
    }
}

/* Adds the terms [k, k + count) to the sums of some panels of the item. The first piece begins the
 * sums; a piece that is the whole finishes them too. */
static void multiply(const struct cut *cut, const struct item *item, int64_t panel, int64_t panels,
                     int64_t k, int64_t count) {
    const struct cpu_product *whole = cut->product;
    const bool cuts = count < whole->k;
    const int64_t column = panel * WEIGHT_PANEL, top = tile_begin(cut, item->tile_begin),
                  left = item->panel_begin * WEIGHT_PANEL,
                  sum_row = (item->panel_end - item->panel_begin) * WEIGHT_PANEL;
    struct cpu_product p = *whole;
    p.b += panel * p.b_panel + k * p.b_k;
    p.columns = at_most(panels * WEIGHT_PANEL, p.columns - column);
    p.k = count;
    p.a_row = 1;
    p.accumulate = k > 0;
    p.scale = cuts ? 0.0f : whole->scale;
    p.bias = p.bias != NULL && !cuts ? p.bias + column : NULL;
    const float *packed = item->packed;
    const int64_t tiles = item->tile_end - item->tile_begin;
    if (tiles > 1) { /* each fetches its share of the next panel; one alone is slowed by it */
        p.fetch = p.b + p.b_panel;
        p.fetch_k = at_least(WEIGHT_PANEL / tiles, 1);
    }
    for (int64_t t = item->tile_begin; t < item->tile_end; t++) {
        const int64_t row = tile_begin(cut, t);
        p.rows = tile_begin(cut, t + 1) - row;
        p.a = packed;
        p.a_k = p.rows;
        p.c_row = cuts ? sum_row : whole->c_row;
        p.c = cuts ? item->sums + (row - top) * sum_row + (column - left)
                   : whole->c + row * whole->c_row + column;
        p.residual = whole->residual != NULL && !cuts
                         ? whole->residual + row * whole->residual_row + column
                         : NULL;
        CPU_CALL(cut->backend, cpu_kernel_product, &p);
        packed += p.rows * count * cut->a_words;
        if (p.fetch != NULL)
            p.fetch += count * p.fetch_k;
    }
}

/* C = scale sums + bias + residual, where sums were cut into pieces. */
static void finish(const struct cut *cut, const struct item *item) {
    const struct cpu_product *p = cut->product;
    const int64_t top = tile_begin(cut, item->tile_begin), left = item->panel_begin * WEIGHT_PANEL,
                  right = at_most(item->panel_end * WEIGHT_PANEL, p->columns),
                  sum_row = (item->panel_end - item->panel_begin) * WEIGHT_PANEL;
    for (int64_t i = top; i < tile_begin(cut, item->tile_end); i++)
        for (int64_t j = left; j < right; j++) {
            float sum = item->sums[(i - top) * sum_row + (j - left)];
            if (p->scale != 0.0f)
                sum *= p->scale;
            if (p->bias != NULL)
                sum += p->bias[j];
            if (p->residual != NULL)
                sum += p->residual[i * p->residual_row + j];
            p->c[i * p->c_row + j] = sum;
        }
}

static void run_item(const void *context, struct cpu_range range) {
    const struct cut *cut = context;
    const int64_t by_row = range.begin % cut->row_items, by_panel = range.begin / cut->row_items;
    struct item item = {.tile_begin = cut->row_tiles * by_row / cut->row_items,
                        .tile_end = cut->row_tiles * (by_row + 1) / cut->row_items,
                        .panel_begin = cut->panels * by_panel / cut->panel_items,
                        .panel_end = cut->panels * (by_panel + 1) / cut->panel_items};
    item.packed = cpu_thread(cut->backend, range.thread);
    item.sums = item.packed + cut->pack_floats;
    const int64_t width = item.tile_end - item.tile_begin > 1 ? 1 : cut->panels;
    int64_t k = 0;
    do { /* once even for an empty sum, which is 0 */
        const int64_t count = at_most(cut->k_block, cut->product->k - k);
        pack_rows(cut, &item, k, count);
        for (int64_t panel = item.panel_begin; panel < item.panel_end; panel += width)
            multiply(cut, &item, panel, at_most(width, item.panel_end - panel), k, count);
        k += cut->k_block;
    } while (k < cut->product->k);
    if (cut->k_block < cut->product->k)
        finish(cut, &item);
}

static enum status matmul(struct backend *backend, const struct cpu_product *product) {
    if (product->rows == 0)
        return STATUS_OK;
    const struct cut cut = cut_product(backend, product);
    TRY(cpu_reserve(backend, 0, (cut.pack_floats + cut.sum_floats) * sizeof(float)));
    cpu_run_items(backend, cut.row_items * cut.panel_items,
                  product->rows * product->columns * product->k, run_item, &cut);
    return STATUS_OK;
}

enum status cpu_gemm(struct backend *backend, const struct gemm_args *args) {
    const bool pairs = args->weight.dtype == DTYPE_BF16;
    const int64_t k = pairs ? args->weight.columns / 2 : args->weight.columns;
    return matmul(backend,
                  &(struct cpu_product){
                      .terms = pairs ? CPU_KERNEL(backend, cpu_kernel_bf16_terms)() : CPU_TERMS_F32,
                      .a = args->x,
                      .a_row = args->ldx,
                      .a_k = 1,
                      .b = args->weight.panels,
                      .b_panel = k * WEIGHT_PANEL,
                      .b_k = WEIGHT_PANEL,
                      .c = args->y,
                      .c_row = args->ldy,
                      .rows = args->M,
                      .columns = args->weight.rows,
                      .k = k,
                      .scale = args->scale,
                      .bias = args->bias,
                      .residual = args->residual,
                      .residual_row = args->ldy});
}

/* --- dX = dY W --- */

struct transpose {
    struct backend *backend;
    const struct gemm_dx_args *args;
    float *out; /* [columns / 32][rows][32] */
};

/* A block of a weight's panel, 32 inputs from k on by 32 outputs from n on, turned around. */
static void transpose_block(const struct transpose *t, int64_t k, int64_t n) {
    const int64_t N = t->args->weight.rows, K = t->args->weight.columns;
    const int64_t outputs = at_most(WEIGHT_PANEL, N - n), inputs = at_most(WEIGHT_PANEL, K - k);
    const float *panels = t->args->weight.panels;
    float *to = t->out + k * N + n * WEIGHT_PANEL;
    if (t->args->weight.dtype == DTYPE_BF16)
        CPU_CALL(t->backend, cpu_kernel_widen_pairs, to, WEIGHT_PANEL,
                 panels + (n * K + k * WEIGHT_PANEL) / 2, WEIGHT_PANEL, outputs, inputs / 2);
    else
        CPU_CALL(t->backend, cpu_kernel_transpose, to, WEIGHT_PANEL,
                 panels + n * K + k * WEIGHT_PANEL, WEIGHT_PANEL, inputs, outputs);
}

/* The weight's columns, 32 at a time, become panels. */
static void transpose_weight(const void *context, struct cpu_range range) {
    const struct transpose *t = context;
    for (int64_t k = range.begin; k < range.end; k += WEIGHT_PANEL)
        for (int64_t n = 0; n < t->args->weight.rows; n += WEIGHT_PANEL)
            transpose_block(t, k, n);
}

static size_t panel_bytes(int64_t rows, int64_t columns) {
    return (size_t)(ceil_div(rows, WEIGHT_PANEL) * WEIGHT_PANEL * columns) * sizeof(float);
}

enum status cpu_gemm_dx(struct backend *backend, const struct gemm_dx_args *args) {
    const int64_t N = args->weight.rows, K = args->weight.columns;
    TRY(cpu_reserve(backend, panel_bytes(K, N), 0));
    const struct transpose t = {backend, args, cpu_shared(backend)};
    cpu_run(backend, K, WEIGHT_PANEL, transpose_weight, &t);
    return matmul(backend, &(struct cpu_product){.a = args->dy,
                                                 .a_row = args->ldy,
                                                 .a_k = 1,
                                                 .b = t.out,
                                                 .b_panel = N * WEIGHT_PANEL,
                                                 .b_k = WEIGHT_PANEL,
                                                 .c = args->dx,
                                                 .c_row = args->ldx,
                                                 .rows = args->M,
                                                 .columns = K,
                                                 .k = N,
                                                 .scale = args->scale,
                                                 .residual = args->add ? args->dx : NULL,
                                                 .residual_row = args->ldx});
}

/* --- dW = dYᵀ X --- */

struct panel_copy {
    struct backend *backend;
    const struct gemm_dw_args *args;
    float *out; /* [K / 32][M][32] */
};

/* 32 columns of X become a panel. */
static void copy_columns(const void *context, struct cpu_range range) {
    const struct panel_copy *copy = context;
    const struct gemm_dw_args *args = copy->args;
    const float *x = args->x;
    for (int64_t k = range.begin; k < range.end; k += WEIGHT_PANEL)
        CPU_CALL(copy->backend, cpu_kernel_copy, copy->out + k * args->M, WEIGHT_PANEL, x + k,
                 args->ldx, args->M, at_most(WEIGHT_PANEL, args->K - k));
}

enum { BIAS_BLOCK = 256 };

static void sum_rows(const void *context, struct cpu_range range) {
    const struct gemm_dw_args *args = context;
    const float *dy = args->dy;
    for (int64_t n = range.begin; n < range.end; n += BIAS_BLOCK) {
        const int64_t count = at_most(BIAS_BLOCK, range.end - n);
        float sums[BIAS_BLOCK] = {0.0f};
        for (int64_t m = 0; m < args->M; m++)
            for (int64_t j = 0; j < count; j++)
                sums[j] += dy[m * args->ldy + n + j];
        for (int64_t j = 0; j < count; j++)
            args->dbias[n + j] = args->add ? args->dbias[n + j] + sums[j] : sums[j];
    }
}

enum status cpu_gemm_dw(struct backend *backend, const struct gemm_dw_args *args) {
    TRY(cpu_reserve(backend, panel_bytes(args->K, args->M), 0));
    const struct panel_copy copy = {backend, args, cpu_shared(backend)};
    cpu_run(backend, args->K, WEIGHT_PANEL, copy_columns, &copy);
    if (args->dbias != NULL)
        cpu_run(backend, args->N, BIAS_BLOCK, sum_rows, args);
    return matmul(backend, &(struct cpu_product){.a = args->dy,
                                                 .a_row = 1,
                                                 .a_k = args->ldy,
                                                 .b = copy.out,
                                                 .b_panel = args->M * WEIGHT_PANEL,
                                                 .b_k = WEIGHT_PANEL,
                                                 .c = args->dw,
                                                 .c_row = args->K,
                                                 .rows = args->N,
                                                 .columns = args->K,
                                                 .k = args->M,
                                                 .scale = args->scale,
                                                 .residual = args->add ? args->dw : NULL,
                                                 .residual_row = args->K});
}
