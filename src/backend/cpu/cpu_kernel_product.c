/* SPDX-License-Identifier: Apache-2.0
 *
 * Tiles of R rows and V vectors of columns are held in registers over the whole of k. Many rows: as
 * many as fit beside two vectors. Few rows: more vectors, from several panels at once, so that
 * enough sums (and, for one row, streams from memory) are under way to hide latency.
 */
#include "backend/cpu/cpu_kernel_product.h"

#include "backend/cpu/simd.h"

/* A loop that is written out, so that its arrays become registers. */
#if defined(__clang__)
#define EACH(i, n, step) _Pragma("clang loop unroll(full)") for (int i = 0; i < (n); i += (step))
#else
#define EACH(i, n, step) _Pragma("GCC unroll 32") for (int i = 0; i < (n); i += (step))
#endif

/* Shapes of tiles, as X(rows, vectors): for each number of rows its widest tile and those that
 * take what is left of the columns, down to LEAST_VECS. */
/* clang-format off */
#if defined(GRADUS_ISA_AVX512) /* 32 registers of 16 floats */
enum { TILE_ROWS = 12, TILE_VECS = 16, LEAST_VECS = 2 };
#define TILE_SHAPES(X)                                                                             \
    X(1, 16) X(1, 8) X(1, 4) X(1, 2)                                                               \
    X(2, 8) X(2, 4) X(2, 2) X(3, 8) X(3, 4) X(3, 2)                                                \
    X(4, 4) X(4, 2) X(5, 4) X(5, 2) X(6, 4) X(6, 2)                                                \
    X(7, 2) X(8, 2) X(9, 2) X(10, 2) X(11, 2) X(12, 2)
#elif defined(GRADUS_ISA_AVX2) /* 16 registers of 8 floats */
enum { TILE_ROWS = 6, TILE_VECS = 8, LEAST_VECS = 2 };
#define TILE_SHAPES(X)                                                                             \
    X(1, 8) X(1, 4) X(1, 2) X(2, 4) X(2, 2) X(3, 4) X(3, 2) X(4, 2) X(5, 2) X(6, 2)
#else /* 16 or 32 registers of 4 floats */
enum { TILE_ROWS = 4, TILE_VECS = 8, LEAST_VECS = 2 };
#define TILE_SHAPES(X) X(1, 8) X(1, 4) X(1, 2) X(2, 4) X(2, 2) X(3, 2) X(4, 2)
#endif
/* clang-format on */

enum { PANEL_VECS = WEIGHT_PANEL / VEC };

/* One tile at row i and column j of the product, written to c. */
struct tile {
    int64_t i, j;
    float *c;
    int64_t c_row;
    bool finish; /* add bias and residual */
};

/* Where the vector v of a tile begins in B. */
SIMD const float *column(const struct cpu_product *p, int64_t j) {
    return p->b + j / WEIGHT_PANEL * p->b_panel + j % WEIGHT_PANEL;
}

/* What the loop over k works on. Rows of A are addressed from every third one, so that few
 * registers hold addresses; so are panels of B. */
struct sums {
    vec sum[TILE_ROWS][TILE_VECS];
    const float *a[TILE_ROWS], *b[TILE_VECS];
};

/* The chains. R, V and `fetches` are constants where this is inlined. */
SIMD void add_terms(const int R, const int V, const bool fetches, const struct cpu_product *p,
                    struct sums *s) {
    const int panel = V < PANEL_VECS ? V : PANEL_VECS; /* vectors that lie side by side in B */
    const int64_t a_row = p->a_row, a_k = p->a_k, b_k = p->b_k, fetch_k = p->fetch_k;
    const float *fetch = p->fetch;
    for (int64_t k = p->k; k > 0; k--) {
        vec x[TILE_VECS];
        EACH(v, V, 1) {
            x[v] = v_load(s->b[v / panel * panel] + v % panel * VEC);
        }
        EACH(r, R, 1) {
            const vec y = v_set1(s->a[r / 3 * 3][r % 3 * a_row]);
            EACH(v, V, 1) {
                s->sum[r][v] = v_fma(y, x[v], s->sum[r][v]);
            }
        }
        if (fetches) {
            __builtin_prefetch(fetch);
            fetch += fetch_k;
        }
        EACH(r, R, 3) {
            s->a[r] += a_k;
        }
        EACH(v, V, panel) {
            s->b[v] += b_k;
        }
    }
}

/* R and V are constants where this is inlined. */
SIMD void run_tile(const int R, const int V, const struct cpu_product *p, struct tile tile) {
    const int panel = V < PANEL_VECS ? V : PANEL_VECS;
    struct sums s;
    EACH(r, R, 3) {
        s.a[r] = p->a + (tile.i + r) * p->a_row;
    }
    EACH(v, V, panel) {
        s.b[v] = column(p, tile.j + v * VEC);
    }
    EACH(r, R, 1) {
        EACH(v, V, 1) {
            s.sum[r][v] = p->accumulate ? v_load(tile.c + r * tile.c_row + v * VEC) : v_zero();
        }
    }
    if (p->fetch != NULL)
        add_terms(R, V, true, p, &s);
    else
        add_terms(R, V, false, p, &s);
    const float *const bias = tile.finish ? p->bias : NULL;
    const float *const residual = tile.finish ? p->residual : NULL;
    EACH(r, R, 1) {
        EACH(v, V, 1) {
            const int64_t j = tile.j + v * VEC;
            if (bias != NULL)
                s.sum[r][v] = v_add(s.sum[r][v], v_load(bias + j));
            if (residual != NULL)
                s.sum[r][v] =
                    v_add(s.sum[r][v], v_load(residual + (tile.i + r) * p->residual_row + j));
            v_store(tile.c + r * tile.c_row + v * VEC, s.sum[r][v]);
        }
    }
}

#define TILE_FUNCTION(R, V)                                                                        \
    static void tile_##R##_##V(const struct cpu_product *p, struct tile tile) {                    \
        run_tile(R, V, p, tile);                                                                   \
    }
TILE_SHAPES(TILE_FUNCTION)

static void (*const tiles[TILE_ROWS + 1][TILE_VECS + 1])(const struct cpu_product *,
                                                         struct tile) = {
#define TILE_ENTRY(R, V) [R][V] = tile_##R##_##V,
    TILE_SHAPES(TILE_ENTRY)};

/* The widest tile of `rows` rows that stays within the columns that are left. */
static int widest(int rows, int64_t columns) {
    int vecs = TILE_VECS;
    while (vecs > LEAST_VECS && (tiles[rows][vecs] == NULL || vecs * VEC > columns))
        vecs /= 2;
    return vecs;
}

/* A tile of which only the first `columns` columns are to be written: through a copy. */
static void run_edge(const struct cpu_product *p, struct tile tile, int rows, int64_t columns) {
    float copy[TILE_ROWS][LEAST_VECS * VEC];
    float *const c = tile.c;
    const int64_t c_row = tile.c_row;
    memset(copy, 0, sizeof copy);
    for (int r = 0; p->accumulate && r < rows; r++)
        memcpy(copy[r], c + r * c_row, (size_t)columns * sizeof *c);
    tile.c = copy[0];
    tile.c_row = LEAST_VECS * VEC;
    tile.finish = false;
    tiles[rows][LEAST_VECS](p, tile);
    for (int r = 0; r < rows; r++)
        for (int64_t j = 0; j < columns; j++) {
            float sum = copy[r][j];
            if (p->bias != NULL)
                sum += p->bias[tile.j + j];
            if (p->residual != NULL)
                sum += p->residual[(tile.i + r) * p->residual_row + tile.j + j];
            c[r * c_row + j] = sum;
        }
}

/* Columns outside, rows inside: a panel is read from memory once and stays in the cache for all
 * rows, which are shared out evenly over the tiles. */
void ISA(cpu_kernel_product)(const struct cpu_product *p) {
    const int64_t row_tiles = (p->rows + TILE_ROWS - 1) / TILE_ROWS;
    if (row_tiles == 0)
        return;
    const int most = (int)((p->rows + row_tiles - 1) / row_tiles);
    for (int64_t j = 0, width; j < p->columns; j += width) {
        const int vecs = widest(most, p->columns - j);
        width = vecs * VEC;
        for (int64_t t = 0; t < row_tiles; t++) {
            const int64_t begin = p->rows * t / row_tiles, end = p->rows * (t + 1) / row_tiles;
            const int rows = (int)(end - begin);
            const struct tile tile = {begin, j, p->c + begin * p->c_row + j, p->c_row, true};
            if (j + width <= p->columns)
                tiles[rows][vecs](p, tile);
            else
                run_edge(p, tile, rows, p->columns - j);
        }
    }
}

int64_t ISA(cpu_kernel_tile_rows)(void) {
    return TILE_ROWS;
}

#if defined(GRADUS_ISA_PLAIN)

enum { BLOCK = 1 };

SIMD void transpose_block(float *to, int64_t to_row, const float *from, int64_t from_row) {
    (void)to_row, (void)from_row;
    *to = *from;
}

#else

enum { BLOCK = 4 };

SIMD void transpose_block(float *to, int64_t to_row, const float *from, int64_t from_row) {
    __m128 a = _mm_loadu_ps(from), b = _mm_loadu_ps(from + from_row),
           c = _mm_loadu_ps(from + 2 * from_row), d = _mm_loadu_ps(from + 3 * from_row);
    _MM_TRANSPOSE4_PS(a, b, c, d);
    _mm_storeu_ps(to, a);
    _mm_storeu_ps(to + to_row, b);
    _mm_storeu_ps(to + 2 * to_row, c);
    _mm_storeu_ps(to + 3 * to_row, d);
}

#endif

void ISA(cpu_kernel_transpose)(float *to, int64_t to_row, const float *from, int64_t from_row,
                               int64_t rows, int64_t columns) {
    const int64_t whole_rows = rows - rows % BLOCK, whole_columns = columns - columns % BLOCK;
    for (int64_t i = 0; i < whole_rows; i += BLOCK) {
        for (int64_t j = 0; j < whole_columns; j += BLOCK)
            transpose_block(to + j * to_row + i, to_row, from + i * from_row + j, from_row);
        for (int64_t j = whole_columns; j < columns; j++)
            for (int64_t r = i; r < i + BLOCK; r++)
                to[j * to_row + r] = from[r * from_row + j];
    }
    for (int64_t i = whole_rows; i < rows; i++)
        for (int64_t j = 0; j < columns; j++)
            to[j * to_row + i] = from[i * from_row + j];
}

void ISA(cpu_kernel_copy)(float *to, int64_t to_row, const float *from, int64_t from_row,
                          int64_t rows, int64_t columns) {
    const int64_t whole = columns - columns % VEC, rest = columns - whole;
    for (int64_t i = 0; i < rows; i++, to += to_row, from += from_row) {
        for (int64_t j = 0; j < whole; j += VEC)
            v_store(to + j, v_load(from + j));
        if (rest > 0)
            v_store_n(to + whole, v_load_n(from + whole, rest, 0.0f), rest);
    }
}
