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

/* What a product with a bf16 weight adds up. */
#if defined(GRADUS_ISA_AVX512BF16)
#define BF16_TERMS CPU_TERMS_PAIRS
#else
#define BF16_TERMS CPU_TERMS_WIDENED
#endif

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

/* Row r of A times vectors of B, added to the row's sums. */
SIMD void add_row(const int V, const enum cpu_terms terms, const float *a, const vec *x, vec *sum) {
    const vec y = v_set1(*a);
    EACH(v, V, 1) {
#if defined(GRADUS_ISA_AVX512BF16)
        if (terms == CPU_TERMS_PAIRS) {
            sum[v] = v_dot_pairs(y, x[v], sum[v]);
            continue;
        }
#endif
        (void)terms;
        sum[v] = v_fma(y, x[v], sum[v]);
    }
}

/* The term of one k, or, of pairs with fp32, its even (half 0) or odd half. */
SIMD void add_term(const int R, const int V, const enum cpu_terms terms, const int half,
                   const struct cpu_product *p, struct sums *s) {
    const int panel = V < PANEL_VECS ? V : PANEL_VECS; /* vectors that lie side by side in B */
    const int64_t a_row = p->a_row;
    vec x[TILE_VECS];
    EACH(v, V, 1) {
        x[v] = v_load(s->b[v / panel * panel] + v % panel * VEC);
        if (terms == CPU_TERMS_WIDENED)
            x[v] = half == 0 ? v_low(x[v]) : v_high(x[v]);
    }
    EACH(r, R, 1) {
        add_row(V, terms, s->a[r / 3 * 3] + r % 3 * a_row, x, s->sum[r]);
    }
    EACH(r, R, 3) {
        s->a[r] += p->a_k;
    }
}

/* The chains. R, V, `terms` and `fetches` are constants where this is inlined. */
SIMD void add_terms(const int R, const int V, const enum cpu_terms terms, const bool fetches,
                    const struct cpu_product *p, struct sums *s) {
    const int panel = V < PANEL_VECS ? V : PANEL_VECS;
    const int64_t b_k = p->b_k, fetch_k = p->fetch_k;
    const float *fetch = p->fetch;
    for (int64_t k = p->k; k > 0; k--) {
        add_term(R, V, terms, 0, p, s);
        if (terms == CPU_TERMS_WIDENED)
            add_term(R, V, terms, 1, p, s);
        if (fetches) {
            __builtin_prefetch(fetch);
            fetch += fetch_k;
        }
        EACH(v, V, panel) {
            s->b[v] += b_k;
        }
    }
}

/* R, V and `terms` are constants where this is inlined. */
SIMD void run_tile(const int R, const int V, const enum cpu_terms terms,
                   const struct cpu_product *p, struct tile tile) {
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
        add_terms(R, V, terms, true, p, &s);
    else
        add_terms(R, V, terms, false, p, &s);
    const bool scales = tile.finish && p->scale != 0.0f;
    const float *const bias = tile.finish ? p->bias : NULL;
    const float *const residual = tile.finish ? p->residual : NULL;
    EACH(r, R, 1) {
        EACH(v, V, 1) {
            const int64_t j = tile.j + v * VEC;
            if (scales)
                s.sum[r][v] = v_mul(s.sum[r][v], v_set1(p->scale));
            if (bias != NULL)
                s.sum[r][v] = v_add(s.sum[r][v], v_load(bias + j));
            if (residual != NULL)
                s.sum[r][v] =
                    v_add(s.sum[r][v], v_load(residual + (tile.i + r) * p->residual_row + j));
            v_store(tile.c + r * tile.c_row + v * VEC, s.sum[r][v]);
        }
    }
}

/* clang-format off */
#define TILE_FUNCTIONS(R, V)                                                                       \
    static void f32_##R##_##V(const struct cpu_product *p, struct tile tile) {                     \
        run_tile(R, V, CPU_TERMS_F32, p, tile);                                                    \
    }                                                                                              \
    static void bf16_##R##_##V(const struct cpu_product *p, struct tile tile) {                    \
        run_tile(R, V, BF16_TERMS, p, tile);                                                       \
    }
/* clang-format on */
TILE_SHAPES(TILE_FUNCTIONS)

typedef void tile_function(const struct cpu_product *, struct tile);
static tile_function *const tiles[CPU_TERMS_COUNT][TILE_ROWS + 1][TILE_VECS + 1] = {
#define F32_ENTRY(R, V)  [CPU_TERMS_F32][R][V] = f32_##R##_##V,
#define BF16_ENTRY(R, V) [BF16_TERMS][R][V] = bf16_##R##_##V,
    TILE_SHAPES(F32_ENTRY) TILE_SHAPES(BF16_ENTRY)};

enum cpu_terms ISA(cpu_kernel_bf16_terms)(void) {
    return BF16_TERMS;
}

/* The widest tile of `rows` rows that stays within the columns that are left. */
static int widest(int rows, int64_t columns) {
    int vecs = TILE_VECS;
    while (vecs > LEAST_VECS && (tiles[CPU_TERMS_F32][rows][vecs] == NULL || vecs * VEC > columns))
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
    tiles[p->terms][rows][LEAST_VECS](p, tile);
    for (int r = 0; r < rows; r++)
        for (int64_t j = 0; j < columns; j++) {
            float sum = copy[r][j];
            if (p->scale != 0.0f)
                sum *= p->scale;
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
                tiles[p->terms][rows][vecs](p, tile);
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

SIMD void store_transposed(float *to, int64_t to_row, __m128 a, __m128 b, __m128 c, __m128 d) {
    _MM_TRANSPOSE4_PS(a, b, c, d);
    _mm_storeu_ps(to, a);
    _mm_storeu_ps(to + to_row, b);
    _mm_storeu_ps(to + 2 * to_row, c);
    _mm_storeu_ps(to + 3 * to_row, d);
}

SIMD void transpose_block(float *to, int64_t to_row, const float *from, int64_t from_row) {
    store_transposed(to, to_row, _mm_loadu_ps(from), _mm_loadu_ps(from + from_row),
                     _mm_loadu_ps(from + 2 * from_row), _mm_loadu_ps(from + 3 * from_row));
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

/* --- pairs of bf16 --- */

/* One word of two neighbours. */
SIMD void round_pair(float *to, const float *from) {
    const uint32_t word = dtype_bf16_bits(from[0]) | (uint32_t)dtype_bf16_bits(from[1]) << 16;
    memcpy(to, &word, sizeof word);
}

#if defined(GRADUS_ISA_PLAIN)

SIMD void round_block(float *to, int64_t to_row, const float *from, int64_t from_row) {
    (void)to_row, (void)from_row;
    round_pair(to, from);
}

#else

/* Four words of eight neighbours. */
SIMD __m128 round_pairs(const float *from) {
#if defined(GRADUS_ISA_AVX512BF16) /* takes subnormal numbers for 0, as the product does */
    return (__m128)_mm256_cvtneps_pbh(_mm256_loadu_ps(from));
#else
    const __m256 values = _mm256_loadu_ps(from);
    const __m256i bits = _mm256_castps_si256(values), top = _mm256_srli_epi32(bits, 16),
                  odd = _mm256_and_si256(top, _mm256_set1_epi32(1)),
                  up = _mm256_add_epi32(bits, _mm256_add_epi32(odd, _mm256_set1_epi32(0x7fff))),
                  quiet = _mm256_or_si256(top, _mm256_set1_epi32(0x40)),
                  is_nan = _mm256_castps_si256(_mm256_cmp_ps(values, values, _CMP_UNORD_Q)),
                  half = _mm256_blendv_epi8(_mm256_srli_epi32(up, 16), quiet, is_nan),
                  word = _mm256_or_si256(half, _mm256_srli_epi64(half, 16)),
                  even = _mm256_setr_epi32(0, 2, 4, 6, 0, 2, 4, 6);
    return _mm_castsi128_ps(_mm256_castsi256_si128(_mm256_permutevar8x32_epi32(word, even)));
#endif
}

SIMD void round_block(float *to, int64_t to_row, const float *from, int64_t from_row) {
    store_transposed(to, to_row, round_pairs(from), round_pairs(from + from_row),
                     round_pairs(from + 2 * from_row), round_pairs(from + 3 * from_row));
}

#endif

void ISA(cpu_kernel_transpose_pairs)(float *to, int64_t to_row, const float *from, int64_t from_row,
                                     int64_t rows, int64_t pairs) {
    const int64_t whole_rows = rows - rows % BLOCK, whole_pairs = pairs - pairs % BLOCK;
    for (int64_t i = 0; i < whole_rows; i += BLOCK) {
        for (int64_t j = 0; j < whole_pairs; j += BLOCK)
            round_block(to + j * to_row + i, to_row, from + i * from_row + 2 * j, from_row);
        for (int64_t j = whole_pairs; j < pairs; j++)
            for (int64_t r = i; r < i + BLOCK; r++)
                round_pair(to + j * to_row + r, from + r * from_row + 2 * j);
    }
    for (int64_t i = whole_rows; i < rows; i++)
        for (int64_t j = 0; j < pairs; j++)
            round_pair(to + j * to_row + i, from + i * from_row + 2 * j);
}

void ISA(cpu_kernel_widen_pairs)(float *to, int64_t to_row, const float *from, int64_t from_row,
                                 int64_t rows, int64_t pairs) {
    for (int64_t j = 0; j < pairs; j++)
        for (int64_t i = 0; i < rows; i++) {
            uint32_t halves[2];
            memcpy(&halves[1], from + j * from_row + i, sizeof *halves);
            halves[0] = halves[1] << 16;
            halves[1] &= 0xffff0000u;
            memcpy(to + i * to_row + 2 * j, halves, sizeof halves);
        }
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
