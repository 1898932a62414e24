/* SPDX-License-Identifier: Apache-2.0 */
#include "cuda/kernel/product.h"

#include "cuda/kernel/kernel.h"

/* One element of the result from its sum. */
template <typename Y>
static __device__ __forceinline__ void write_element(const product_launch &p, int64_t row,
                                                     int64_t column, float sum) {
    const int64_t i = row * p.ldy + column;
    float y = p.scale * sum;
    if (p.bias != NULL)
        y += p.bias[column];
    if (p.residual != NULL)
        y += to_float(((const Y *)p.residual)[i]);
    ((Y *)p.y)[i] = from_float<Y>(y);
}

static __device__ __forceinline__ void write_sum(const product_launch &p, int64_t row,
                                                 int64_t column, float sum) {
    if (row >= p.M || column >= p.N)
        return;
    if (p.y_dtype == DTYPE_BF16)
        write_element<bf16>(p, row, column, sum);
    else
        write_element<float>(p, row, column, sum);
}

/* --- bf16 --- */

/* A tile of the result: ROWS × COLUMNS, by WARP_ROWS × WARP_COLUMNS warps; DEPTH of k at once in each
 * of STAGES buffers of shared memory, which asynchronous copies fill ahead. */
template <int ROWS_, int COLUMNS_, int WARP_ROWS_, int WARP_COLUMNS_, int DEPTH_, int STAGES_>
struct tile_shape {
    static constexpr int ROWS = ROWS_, COLUMNS = COLUMNS_, DEPTH = DEPTH_, STAGES = STAGES_;
    static constexpr int WARP_ROWS = WARP_ROWS_, WARP_COLUMNS = WARP_COLUMNS_;
    static constexpr int THREADS = 32 * WARP_ROWS * WARP_COLUMNS;
    static constexpr int ROW_TILES = ROWS / WARP_ROWS / 16;         /* of a warp, 16 rows each */
    static constexpr int COLUMN_TILES = COLUMNS / WARP_COLUMNS / 8; /* 8 columns each, in pairs */
};
typedef tile_shape<128, 128, 2, 4, 32, 4> large_tile;
typedef tile_shape<64, 64, 2, 2, 32, 4> medium_tile;
typedef tile_shape<16, 16, 1, 1, 64, 8> small_tile; /* few rows: what counts is reading b */

/* A tile of an operand in shared memory, LINES of DEPTH; transposed: DEPTH of LINES. Eight elements
 * more in every row put eight rows, as load_matrix reads them, into different banks. */
template <int LINES, int DEPTH, bool TRANSPOSED> struct operand {
    static constexpr int WIDTH = TRANSPOSED ? LINES : DEPTH, HEIGHT = TRANSPOSED ? DEPTH : LINES;
    static constexpr int STRIDE = WIDTH + 8, BYTES = HEIGHT * STRIDE * 2;

    static __device__ __forceinline__ unsigned char *at(unsigned char *tile, int line, int k) {
        return tile + 2 * (TRANSPOSED ? k * STRIDE + line : line * STRIDE + k);
    }

    /* Fills the tile from lines `line`.. and k.. of a matrix of lines × depth. ALIGNED: whole pieces
     * of 16 bytes are inside or outside of it. */
    template <bool ALIGNED>
    static __device__ __forceinline__ void fill(unsigned char *tile, const bf16 *x, int64_t ld,
                                                int64_t line, int64_t k, int64_t lines,
                                                int64_t depth, int threads) {
        constexpr int PIECE = ALIGNED ? 8 : 1, PIECES = WIDTH / PIECE;
        for (int i = thread_index(); i < HEIGHT * PIECES; i += threads) {
            const int y = i / PIECES, z = i % PIECES * PIECE;
            const int64_t at_line = line + (TRANSPOSED ? z : y), at_k = k + (TRANSPOSED ? y : z);
            const bool valid = at_line < lines && at_k < depth;
            const bf16 *from =
                valid ? x + (TRANSPOSED ? at_k * ld + at_line : at_line * ld + at_k) : x;
            unsigned char *to = tile + 2 * (y * STRIDE + z);
            if (ALIGNED)
                copy_async_16(to, from, valid);
            else
                *(bf16 *)to = valid ? *from : bf16{0};
        }
    }
};

template <typename TILE, bool A_TRANSPOSED, bool B_TRANSPOSED> struct stage {
    typedef operand<TILE::ROWS, TILE::DEPTH, A_TRANSPOSED> a_tile;
    typedef operand<TILE::COLUMNS, TILE::DEPTH, B_TRANSPOSED> b_tile;
    static constexpr int BYTES = a_tile::BYTES + b_tile::BYTES;

    /* Fragments of 16 rows from `row` and 16 of k. */
    static __device__ __forceinline__ void load_a(uint32_t a[4], unsigned char *tile, int row,
                                                  int k) {
        const int i = lane_index() / 8, j = lane_index() % 8;
        if (A_TRANSPOSED)
            load_matrix_x4_transposed(a, a_tile::at(tile, row + i % 2 * 8, k + i / 2 * 8 + j));
        else
            load_matrix_x4(a, a_tile::at(tile, row + i % 2 * 8 + j, k + i / 2 * 8));
    }

    /* Of twice 8 columns: b[0], b[1] of the first, then of the second. */
    static __device__ __forceinline__ void load_b(uint32_t b[4], unsigned char *tile, int column,
                                                  int k) {
        const int i = lane_index() / 8, j = lane_index() % 8;
        if (B_TRANSPOSED)
            load_matrix_x4_transposed(b, b_tile::at(tile, column + i / 2 * 8, k + i % 2 * 8 + j));
        else
            load_matrix_x4(b, b_tile::at(tile, column + i / 2 * 8 + j, k + i % 2 * 8));
    }

    /* Adds the products of one stage to a warp's sums. */
    static __device__ __forceinline__ void
    multiply(float sums[TILE::ROW_TILES][TILE::COLUMN_TILES][4], unsigned char *a, unsigned char *b,
             int row, int column) {
#pragma unroll
        for (int k = 0; k < TILE::DEPTH; k += 16) {
            uint32_t fa[TILE::ROW_TILES][4], fb[TILE::COLUMN_TILES / 2][4];
#pragma unroll
            for (int i = 0; i < TILE::ROW_TILES; i++)
                load_a(fa[i], a, row + 16 * i, k);
#pragma unroll
            for (int j = 0; j < TILE::COLUMN_TILES / 2; j++)
                load_b(fb[j], b, column + 16 * j, k);
#pragma unroll
            for (int i = 0; i < TILE::ROW_TILES; i++)
#pragma unroll
                for (int j = 0; j < TILE::COLUMN_TILES; j++)
                    mma_bf16_16x8x16(sums[i][j], fa[i], fb[j / 2] + j % 2 * 2);
        }
    }
};

/* Grid: tiles of rows, tiles of columns. Shared memory: STAGES stages. */
template <typename TILE, bool A_TRANSPOSED, bool B_TRANSPOSED, bool ALIGNED>
static __global__ void __launch_bounds__(TILE::THREADS) product_bf16(product_launch p) {
    typedef stage<TILE, A_TRANSPOSED, B_TRANSPOSED> stage;
    unsigned char *shared = shared_memory();
    const int64_t row = (int64_t)blockIdx.x * TILE::ROWS,
                  column = (int64_t)blockIdx.y * TILE::COLUMNS;
    const int steps = (int)((p.K + TILE::DEPTH - 1) / TILE::DEPTH);
    const auto fill = [&](int step) {
        unsigned char *tile = shared + step % TILE::STAGES * stage::BYTES;
        const int64_t k = (int64_t)step * TILE::DEPTH;
        if (step < steps) {
            stage::a_tile::template fill<ALIGNED>(tile, (const bf16 *)p.a, p.lda, row, k, p.M, p.K,
                                                  TILE::THREADS);
            stage::b_tile::template fill<ALIGNED>(tile + stage::a_tile::BYTES, (const bf16 *)p.b,
                                                  p.ldb, column, k, p.N, p.K, TILE::THREADS);
        }
        copy_async_commit();
    };
    const int warp_row = warp_index() / TILE::WARP_COLUMNS * TILE::ROW_TILES * 16,
              warp_column = warp_index() % TILE::WARP_COLUMNS * TILE::COLUMN_TILES * 8;
    float sums[TILE::ROW_TILES][TILE::COLUMN_TILES][4] = {};
    for (int step = 0; step < TILE::STAGES - 1; step++)
        fill(step);
    for (int step = 0; step < steps; step++) {
        copy_async_wait<TILE::STAGES - 2>();
        __syncthreads(); /* the stage is there for all, and the one before it is free */
        fill(step + TILE::STAGES - 1);
        unsigned char *tile = shared + step % TILE::STAGES * stage::BYTES;
        stage::multiply(sums, tile, tile + stage::a_tile::BYTES, warp_row, warp_column);
    }
    const int g = lane_index() / 4, t = lane_index() % 4;
#pragma unroll
    for (int i = 0; i < TILE::ROW_TILES; i++)
#pragma unroll
        for (int j = 0; j < TILE::COLUMN_TILES; j++)
#pragma unroll
            for (int e = 0; e < 4; e++)
                write_sum(p, row + warp_row + 16 * i + g + e / 2 * 8,
                          column + warp_column + 8 * j + 2 * t + e % 2, sums[i][j][e]);
}

template <typename TILE, bool A_TRANSPOSED, bool B_TRANSPOSED, bool ALIGNED>
static int launch_bf16(void *stream, const product_launch &p) {
    const dim3 grid((unsigned)((p.M + TILE::ROWS - 1) / TILE::ROWS),
                    (unsigned)((p.N + TILE::COLUMNS - 1) / TILE::COLUMNS));
    return LAUNCH(stream, product_bf16<TILE, A_TRANSPOSED, B_TRANSPOSED, ALIGNED>, grid,
                  TILE::THREADS,
                  (size_t)(TILE::STAGES * stage<TILE, A_TRANSPOSED, B_TRANSPOSED>::BYTES), p);
}

/* Whether the operand can be copied in pieces of 16 bytes. */
static bool in_pieces(const void *x, int64_t ld, int64_t width) {
    return (uintptr_t)x % 16 == 0 && ld % 8 == 0 && width % 8 == 0;
}

enum { MANY_TILES = 132, SMALL_ROWS = 64 };

/* Which tile does not matter to the bits. */
template <bool A_TRANSPOSED, bool B_TRANSPOSED>
static int choose_bf16(void *stream, const product_launch &p) {
    const int64_t large = ((p.M + 127) / 128) * ((p.N + 127) / 128);
    if (!in_pieces(p.a, p.lda, A_TRANSPOSED ? p.M : p.K) ||
        !in_pieces(p.b, p.ldb, B_TRANSPOSED ? p.N : p.K))
        return launch_bf16<medium_tile, A_TRANSPOSED, B_TRANSPOSED, false>(stream, p);
    if (!A_TRANSPOSED && p.M <= SMALL_ROWS)
        return launch_bf16<small_tile, false, B_TRANSPOSED, true>(stream, p);
    if (large >= MANY_TILES)
        return launch_bf16<large_tile, A_TRANSPOSED, B_TRANSPOSED, true>(stream, p);
    return launch_bf16<medium_tile, A_TRANSPOSED, B_TRANSPOSED, true>(stream, p);
}

/* --- fp32 --- */

enum { PLAIN_TILE = 64, PLAIN_DEPTH = 16, PLAIN_EACH = 4, PLAIN_STRIDE = PLAIN_TILE + 4 };

/* Brings 64 lines × 16 of k to shared memory, k outermost, zeros outside the matrix. */
static __device__ __forceinline__ void fill_plain(float *tile, const float *x, int64_t ld,
                                                  bool transposed, int64_t line, int64_t k,
                                                  int64_t lines, int64_t depth) {
    for (int i = thread_index(); i < PLAIN_TILE * PLAIN_DEPTH; i += 256) {
        const int y = transposed ? i % PLAIN_TILE : i / PLAIN_DEPTH,
                  z = transposed ? i / PLAIN_TILE : i % PLAIN_DEPTH;
        const int64_t at_line = line + y, at_k = k + z;
        const bool valid = at_line < lines && at_k < depth;
        tile[z * PLAIN_STRIDE + y] =
            valid ? x[transposed ? at_k * ld + at_line : at_line * ld + at_k] : 0.0f;
    }
}

/* 16 × 16 threads, each with 4 × 4 elements of the result. */
static __global__ void __launch_bounds__(256) product_fp32(product_launch p) {
    auto *a = (float *)shared_memory(), *b = a + PLAIN_DEPTH * PLAIN_STRIDE;
    const int64_t row = (int64_t)blockIdx.x * PLAIN_TILE, column = (int64_t)blockIdx.y * PLAIN_TILE;
    const int y = (int)threadIdx.x / 16 * PLAIN_EACH, x = (int)threadIdx.x % 16 * PLAIN_EACH;
    const bool works = row + y < p.M && column + x < p.N;
    float sums[PLAIN_EACH][PLAIN_EACH] = {};
    for (int64_t k = 0; k < p.K; k += PLAIN_DEPTH) {
        fill_plain(a, (const float *)p.a, p.lda, p.a_transposed, row, k, p.M, p.K);
        fill_plain(b, (const float *)p.b, p.ldb, p.b_transposed, column, k, p.N, p.K);
        __syncthreads();
        if (works) {
            const int depth = p.K - k < PLAIN_DEPTH ? (int)(p.K - k) : (int)PLAIN_DEPTH;
            for (int z = 0; z < depth; z++)
#pragma unroll
                for (int i = 0; i < PLAIN_EACH; i++)
#pragma unroll
                    for (int j = 0; j < PLAIN_EACH; j++)
                        sums[i][j] = fmaf(a[z * PLAIN_STRIDE + y + i], b[z * PLAIN_STRIDE + x + j],
                                          sums[i][j]);
        }
        __syncthreads();
    }
    for (int i = 0; i < PLAIN_EACH; i++)
        for (int j = 0; j < PLAIN_EACH; j++)
            write_sum(p, row + y + i, column + x + j, sums[i][j]);
}

enum { LAUNCH_INVALID = 1 }; /* cudaErrorInvalidValue */

int launch_product(void *stream, const struct product_launch *args) {
    const product_launch p = *args;
    if (p.a_transposed && !p.b_transposed)
        return LAUNCH_INVALID;
    if (p.dtype == DTYPE_F32)
        return LAUNCH(stream, product_fp32,
                      dim3((unsigned)((p.M + PLAIN_TILE - 1) / PLAIN_TILE),
                           (unsigned)((p.N + PLAIN_TILE - 1) / PLAIN_TILE)),
                      256, 2 * PLAIN_DEPTH * PLAIN_STRIDE * sizeof(float), p);
    if (p.dtype != DTYPE_BF16)
        return LAUNCH_INVALID;
    if (p.a_transposed)
        return choose_bf16<true, true>(stream, p);
    if (p.b_transposed)
        return choose_bf16<false, true>(stream, p);
    return choose_bf16<false, false>(stream, p);
}

/* --- rows and columns --- */

enum { THREADS = 256 };

template <typename X, typename Y> static __global__ void convert_rows(product_rows_launch a) {
    const int64_t n = a.rows * a.columns, step = (int64_t)gridDim.x * blockDim.x;
    for (int64_t i = (int64_t)blockIdx.x * blockDim.x + threadIdx.x; i < n; i += step) {
        const int64_t row = i / a.columns, column = i % a.columns;
        ((Y *)a.out)[i] = from_float<Y>(to_float(((const X *)a.x)[row * a.ldx + column]));
    }
}

int launch_product_rows(void *stream, const struct product_rows_launch *args) {
    const product_rows_launch a = *args;
    const int64_t blocks = (a.rows * a.columns + THREADS - 1) / THREADS;
    const unsigned grid = (unsigned)(blocks < 4096 ? blocks : 4096);
    if (a.from == DTYPE_F32 && a.to == DTYPE_BF16)
        return LAUNCH(stream, convert_rows<float, bf16>, grid, THREADS, 0, a);
    if (a.from == DTYPE_BF16 && a.to == DTYPE_F32)
        return LAUNCH(stream, convert_rows<bf16, float>, grid, THREADS, 0, a);
    if (a.from == DTYPE_F32 && a.to == DTYPE_F32)
        return LAUNCH(stream, convert_rows<float, float>, grid, THREADS, 0, a);
    if (a.from == DTYPE_BF16 && a.to == DTYPE_BF16)
        return LAUNCH(stream, convert_rows<bf16, bf16>, grid, THREADS, 0, a);
    return LAUNCH_INVALID;
}

enum { SUM_COLUMNS = 32, SUM_RUNS = 32 };

/* Block: 32 columns by 32 runs of rows. */
template <typename X> static __global__ void sum_columns(column_sums_launch a) {
    auto *sums = (float *)shared_memory();
    const int64_t column = (int64_t)blockIdx.x * SUM_COLUMNS + threadIdx.x;
    const int64_t each = (a.rows + SUM_RUNS - 1) / SUM_RUNS, first = threadIdx.y * each;
    const int64_t last = first + each < a.rows ? first + each : a.rows;
    float sum = 0.0f;
    if (column < a.columns) {
#pragma unroll 8
        for (int64_t row = first; row < last; row++)
            sum += to_float(((const X *)a.x)[row * a.ldx + column]);
    }
    sums[threadIdx.y * SUM_COLUMNS + threadIdx.x] = sum;
    __syncthreads();
    if (threadIdx.y != 0 || column >= a.columns)
        return;
    for (int run = 1; run < SUM_RUNS; run++)
        sum += sums[run * SUM_COLUMNS + threadIdx.x];
    a.out[column] = a.add ? a.out[column] + sum : sum;
}

int launch_column_sums(void *stream, const struct column_sums_launch *args) {
    const column_sums_launch a = *args;
    const unsigned grid = (unsigned)((a.columns + SUM_COLUMNS - 1) / SUM_COLUMNS);
    const size_t shared_bytes = SUM_COLUMNS * SUM_RUNS * sizeof(float);
    if (a.dtype == DTYPE_BF16)
        return LAUNCH(stream, sum_columns<bf16>, grid, dim3(SUM_COLUMNS, SUM_RUNS), shared_bytes,
                      a);
    if (a.dtype == DTYPE_F32)
        return LAUNCH(stream, sum_columns<float>, grid, dim3(SUM_COLUMNS, SUM_RUNS), shared_bytes,
                      a);
    return LAUNCH_INVALID;
}
