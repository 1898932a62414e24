/* SPDX-License-Identifier: Apache-2.0
 *
 * Gradients on shards over the ranks of an MPI job: whoever computes a tile, every rank ends with
 * the bits that one rank alone has, for its elements, its moments and, after the all-gather, all
 * parameters; also where the ranks have unequal shares, where a gradient must be repeated at a
 * smaller scale or skipped, where the messages are cut small, and whether messages travel beside the
 * work or not. sharded BACKEND; "cuda" on the host that stands in for GPUs, by what stands in for NCCL.
 */
#include "check.h"

#include <float.h>

#include "backends.h"
#include "base/memory.h"
#include "base/random.h"
#include "mpi/comm_mpi.h"
#include "optim/extrapolate.h"
#include "optim/gradient.h"
#include "optim/optimizer.h"

/* An embedding of 700 rows that is also the head, a layer, a bias, an odd one. */
enum { ROWS = 700, COLUMNS = 100, TILES = 7, MOST = 4 * VECTOR_BLOCK };
static const struct vector_part parts[] = {
    {0, ROWS *COLUMNS, true, DTYPE_F32, false},
    {ROWS * COLUMNS, 2 * VECTOR_BLOCK + 77, true, DTYPE_F32, false},
    {ROWS * COLUMNS + 2 * VECTOR_BLOCK + 77, 130, false, DTYPE_F32, false},
    {ROWS * COLUMNS + 2 * VECTOR_BLOCK + 207, 12345, true, DTYPE_F32, false},
};
enum { PARTS = 4, ELEMENTS = ROWS * COLUMNS + 2 * VECTOR_BLOCK + 207 + 12345 };

/* What a backward gives, in order. */
static const struct exchange_piece pieces[] = {
    {.offset = 0, .n = 512 * COLUMNS},
    {.offset = 512 * COLUMNS, .n = (ROWS - 512) * COLUMNS},
    {.offset = ROWS * COLUMNS, .n = 2 * VECTOR_BLOCK + 207},
    {.offset = ROWS * COLUMNS + 2 * VECTOR_BLOCK + 207, .n = 12345},
    {.offset = 0, .n = ROWS * COLUMNS, .columns = COLUMNS},
};
enum { PIECES = sizeof pieces / sizeof *pieces };

/* How large the tiles' numbers are; which tile has one of the given size. */
struct trial {
    enum gradient_reduction reduction;
    float odd;
    int odd_tile;
};

static struct backend backend;
static float *values;    /* (2, MOST) of the piece at work and the one before, in turn */
static float host[MOST]; /* before it is uploaded */
static int32_t rows[ROWS];

static float number(uint32_t tile, uint32_t piece, int64_t i) {
    const double size = 10 * random_uniform(5, RANDOM_TEST, tile, piece, (uint32_t)i, 1) - 12;
    return (float)(random_normal(5, RANDOM_TEST, tile, piece, (uint32_t)i, 0) * pow(10, size));
}

/* The piece of a tile; of the matrix every (tile + 2)-th row, some of them neighbours. */
static struct exchange_piece piece_of(const struct trial *trial, int tile, int p) {
    struct exchange_piece piece = pieces[p];
    float *own = values + p % 2 * MOST;
    int64_t n = piece.n;
    if (piece.columns > 0) {
        for (int32_t row = 0; row < ROWS; row++)
            if (row % (tile + 2) < 2)
                rows[piece.count++] = row;
        n = piece.count * piece.columns;
        piece.rows = rows;
    }
    for (int64_t i = 0; i < n; i++)
        host[i] = number((uint32_t)tile, (uint32_t)p, i);
    if (tile == trial->odd_tile)
        host[n / 2] = trial->odd;
    CHECK_OK(backend.ops->upload(&backend, own, host, (size_t)n * sizeof *host));
    piece.values = own;
    return piece;
}

/* Adds the tiles [begin, end) and attends `rounds` in all; some ranks look often between pieces, others
 * never. */
static void add_tiles(struct gradient *gradient, const struct trial *trial, int begin, int end,
                      int rounds) {
    for (int t = begin; t < begin + rounds; t++)
        for (int p = 0; p < PIECES; p++) {
            const struct exchange_piece piece = t < end ? piece_of(trial, t, p) : pieces[p];
            if (t < end || gradient_is_shared(gradient))
                CHECK_OK(gradient_add(gradient, &piece));
            for (int look = 0; look < 40 * (gradient->shard->rank % 3) && p < 3; look++)
                CHECK_OK(gradient_progress(gradient));
        }
    CHECK_OK(gradient_settle(gradient));
}

/* The first rank has most tiles, the last may have none. */
static int first_tile(int rank, int size) {
    const int first = size == 1 ? 0 : rank == 0 ? 0 : 3 + (TILES - 3) * (rank - 1) / (size - 1);
    return rank == size ? TILES : first;
}

struct side {
    struct shard *shard;
    struct reducer reducer;
    struct gradient *gradient;
    struct optimizer *optimizer;
    float *master;
    int outcomes[3], count;
};

static void side_open(struct side *side, struct comm *comm, const struct vector_layout *layout,
                      const struct trial *trial) {
    static const struct optimizer_settings settings = {
        .beta1 = 0.9, .beta2 = 0.99, .epsilon = 1e-8, .weight_decay = 0.1};
    *side = (struct side){.shard = NULL};
    CHECK_OK(gradient_open_reducer(&side->reducer, &backend, comm));
    CHECK_OK(shard_create(&side->shard, layout, comm->rank, comm->size));
    CHECK_OK(
        gradient_create(&side->gradient, &backend, side->shard, &side->reducer, trial->reduction));
    CHECK_OK(optimizer_create(&side->optimizer, &backend, side->shard, &settings));
    CHECK_OK(backend_new(&backend, &side->master, ELEMENTS, "parameters"));
    float *first = NULL;
    CHECK_OK(memory_new(&first, ELEMENTS, "test"));
    for (uint32_t i = 0; i < ELEMENTS; i++)
        first[i] = (float)random_uniform(6, RANDOM_TEST, i, 0, 0, 0);
    CHECK_OK(backend.ops->upload(&backend, side->master, first, ELEMENTS * sizeof *first));
    memory_release(&first);
}

/* n elements on the host; the caller releases them. */
static float *fetch(const float *from, int64_t n) {
    float *out = NULL;
    CHECK_OK(memory_new(&out, n, "test"));
    CHECK_OK(backend.ops->download(&backend, out, from, (size_t)n * sizeof *out));
    return out;
}

static void side_close(struct side *side) {
    backend_release(&backend, &side->master);
    optimizer_destroy(&side->optimizer);
    gradient_destroy(&side->gradient);
    shard_destroy(&side->shard);
    reducer_close(&side->reducer);
}

/* Gradient, step, all-gather. */
static void side_step(struct side *side, const struct trial *trial) {
    const struct comm *comm = side->reducer.comm;
    const int begin = first_tile(comm->rank, comm->size),
              end = first_tile(comm->rank + 1, comm->size);
    enum gradient_outcome outcome;
    CHECK_OK(gradient_begin(side->gradient, 2 * TILES));
    do {
        add_tiles(side->gradient, trial, begin, end, comm->size == 1 ? TILES : 4);
        CHECK_OK(gradient_finish(side->gradient, &outcome));
        side->outcomes[side->count++ % 3] = (int)outcome;
    } while (outcome == GRADIENT_REPEAT && side->count < 3);
    if (outcome != GRADIENT_READY)
        return;
    CHECK_OK(optimizer_step(side->optimizer, side->master, side->gradient->values, 0.01, 0.5));
    CHECK_OK(shard_gather(side->shard, &side->reducer, side->master));
}

/* Elements of this rank's vector that are not those of the whole one. */
static int64_t wrong_in(const struct shard *shard, const float *shards, const float *all,
                        double tolerance) {
    int64_t wrong = 0;
    float *mine = fetch(shards, shard->elements), *whole = fetch(all, ELEMENTS);
    for (int64_t i = 0; i < shard_range_count(shard, shard->rank); i++) {
        const struct shard_range r = shard_range_at(shard, shard->rank, i);
        for (int64_t e = r.begin; e < r.end; e++)
            wrong += !(fabs((double)mine[r.place + e - r.begin] - (double)whole[e]) <= tolerance);
    }
    memory_release(&mine);
    memory_release(&whole);
    return wrong;
}

static void check_sides(const struct side *shared, const struct side *alone, double tolerance) {
    const struct shard *shard = shared->shard;
    int64_t wrong = 0;
    CHECK_EQ(shared->count, alone->count);
    for (int i = 0; i < 3; i++)
        CHECK_EQ(shared->outcomes[i], alone->outcomes[i]);
    if (alone->outcomes[alone->count - 1] != GRADIENT_READY) {
        CHECK(isnan(shared->gradient->norm));
        return;
    }
    CHECK_NEAR(shared->gradient->norm / alone->gradient->norm, 1, tolerance);
    CHECK_EQ(wrong_in(shard, shared->gradient->values, alone->gradient->values, tolerance), 0);
    CHECK_EQ(wrong_in(shard, shared->optimizer->exp_avg, alone->optimizer->exp_avg, tolerance), 0);
    float *mine = fetch(shared->master, ELEMENTS), *whole = fetch(alone->master, ELEMENTS);
    for (int64_t i = 0; i < ELEMENTS; i++)
        wrong += !(fabs((double)mine[i] - (double)whole[i]) <= 1e3 * tolerance);
    CHECK_EQ(wrong, 0);
    memory_release(&mine);
    memory_release(&whole);
    CHECK(shard->size == 1 || shard->elements < ELEMENTS);
}

/* overlaps: pieces are on their way while the next are made. width: elements of a message at most, 0
 * for what the room gives. */
static void check_trial(struct comm *comm, const struct vector_layout *layout,
                        const struct trial *trial, bool overlaps, int64_t width) {
    struct comm self;
    struct side shared, alone;
    comm_self_open(&self);
    side_open(&shared, comm, layout, trial);
    side_open(&alone, &self, layout, trial);
    shared.gradient->overlaps = overlaps;
    if (width > 0 && comm->size > 1)
        shared.gradient->exchange.width = width;
    side_step(&shared, trial);
    side_step(&alone, trial);
    check_sides(&shared, &alone, trial->reduction == GRADIENT_EXACT ? 0.0 : 1e-6);
    side_close(&shared);
    side_close(&alone);
    comm_close(&self);
}

/* --- two fast steps and the place that they foretell --- */

/* Both steps go along one gradient, by half and by a fifth of it. */
static struct extrapolation_sums side_look_ahead(struct side *side, const struct trial *trial,
                                                 bool directions) {
    struct optimizer_extrapolation args = {.start_scale = 0.5,
                                           .how = {.steps = 5,
                                                   .reposition = 0.5,
                                                   .ratio_least = -2,
                                                   .ratio_most = 3,
                                                   .scale_least = 1,
                                                   .scale_most = 3.5},
                                           .activity = 0.1,
                                           .relative = true};
    struct comm *comm = side->reducer.comm;
    struct extrapolation_sums found = {.active = 0};
    float **kept[] = {&args.start.parameters, &args.start.gradient, &args.start.direction};
    side_step(side, trial);
    for (int i = 0; i < (directions ? 3 : 2); i++)
        CHECK_OK(backend_new(&backend, kept[i], side->shard->elements, "kept"));
    args.step = (struct optimizer_step){.master = side->master,
                                        .gradient = side->gradient->values,
                                        .learning_rate = 0.01,
                                        .gradient_scale = 0.5};
    CHECK_OK(optimizer_step_keeping(side->optimizer, &args.step, &args.start));
    args.step.gradient_scale = 0.2;
    CHECK_OK(optimizer_extrapolate(side->optimizer, comm, &args, &found));
    CHECK_OK(shard_gather(side->shard, &side->reducer, side->master));
    for (int i = 0; i < 3; i++)
        backend_release(&backend, kept[i]);
    return found;
}

static void check_look_ahead(struct comm *comm, const struct vector_layout *layout,
                             bool directions) {
    const struct trial trial = {.odd_tile = -1};
    struct comm self;
    struct side shared, alone;
    comm_self_open(&self);
    side_open(&shared, comm, layout, &trial);
    side_open(&alone, &self, layout, &trial);
    const struct extrapolation_sums have = side_look_ahead(&shared, &trial, directions),
                                    want = side_look_ahead(&alone, &trial, directions);
    check_sides(&shared, &alone, 0);
    CHECK(memcmp(&have, &want, sizeof have) == 0);
    CHECK(want.coordinates == ELEMENTS && want.active > 0 && want.active < ELEMENTS);
    CHECK_NEAR(want.ratio / want.active, directions ? want.ratio / want.active : 0.4, 1e-12);
    side_close(&shared);
    side_close(&alone);
    comm_close(&self);
}

/* Ranks that are at different pieces find out. */
static void check_order(struct comm *comm, const struct vector_layout *layout) {
    const struct trial trial = {.odd_tile = -1};
    struct side side;
    side_open(&side, comm, layout, &trial);
    CHECK_OK(gradient_begin(side.gradient, 2));
    if (comm->size > 1)
        CHECK_STATUS(gradient_add(side.gradient, &pieces[comm->rank == 0 ? 0 : 2]), STATUS_DEFECT,
                     "gives the gradient at element");
    side_close(&side);
}

static const struct trial trials[] = {
    {GRADIENT_EXACT, 0, -1},          {GRADIENT_FAST, 0, -1},   {GRADIENT_EXACT, 1e4f, 6},
    {GRADIENT_EXACT, FLT_MAX / 8, 0}, {GRADIENT_EXACT, NAN, 3}, {GRADIENT_FAST, INFINITY, 6},
};

static void check_all(struct comm *comm, const struct vector_layout *layout) {
    for (size_t i = 0; i < sizeof trials / sizeof *trials; i++)
        check_trial(comm, layout, &trials[i], i != 1, 0);
    check_trial(comm, layout, &trials[0], false, 0);
    comm_mpi_set_piece(comm, 1003);
    check_trial(comm, layout, &trials[1], true, 0);
    check_trial(comm, layout, &trials[0], true, 1777);
    check_look_ahead(comm, layout, false);
    check_look_ahead(comm, layout, true);
}

int main(int argc, char **argv) {
    struct comm comm;
    struct vector_layout *layout = NULL;
    if (comm_mpi_open(&comm, &argc, &argv) != STATUS_OK || argc < 2)
        return 1;
    (void)backends_have_cuda();
    CHECK_OK(backend_open(&backend, argv[1], 1));
    CHECK_OK(backend_new(&backend, &values, 2 * MOST, "values"));
    CHECK_OK(vector_layout_create(&layout, &backend, parts, PARTS));
    if (strcmp(argv[1], "cuda") == 0) { /* fibers are slow */
        check_trial(&comm, layout, &trials[0], true, 0);
        check_trial(&comm, layout, &trials[0], true, 17777);
    } else {
        check_all(&comm, layout);
    }
    check_order(&comm, layout);
    vector_layout_destroy(&layout);
    backend_release(&backend, &values);
    backend_close(&backend);
    comm_close(&comm);
    return CHECK_END();
}
