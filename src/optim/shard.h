/* SPDX-License-Identifier: Apache-2.0
 *
 * Who owns which elements of the flat vector of trainable parameters: the one definition behind
 * sharded state, its reduction and the writing of checkpoints by all ranks.
 *
 * The vector is cut into pieces of consecutive blocks (VECTOR_BLOCK elements of one tensor), so that
 * no block's sum is made by two ranks, and the pieces are dealt to the ranks in turn. A tensor, a
 * layer and a run of the embedding's rows thus lie on all ranks about evenly, whichever of them is
 * exchanged at a time, and a round of the deal is one stretch of the vector in which every rank's
 * part stands in order: what an all-gather in place wants.
 *
 *     elements   | piece 0 | piece 1 | piece 2 | piece 3 | piece 4 |   of 3 ranks
 *     owner           0         1         2         0         1
 *     round      |           0                 |        1          |
 *
 * What a rank keeps of a vector are its pieces one behind the other ("places"). With one rank there
 * is one piece, and a place is the element itself.
 *
 * What an update rule may rely on. State that goes with the parameters is kept as shards: arrays of
 * shard->elements, of which places [0, shard->elements) are this rank's elements in ascending order,
 * so that elementwise operations take a whole shard in one call; a gradient's `values` and the
 * optimizer's moments are such arrays. Where the operation also reads the master, which is whole on
 * every rank, it goes range by range (shard_range_at: elements [begin, end) of the master beside
 * places from `place` on); afterwards shard_gather gives every rank the whole again. A product over the
 * whole vector is shard_dot: the same bits on all ranks and for any number of them, one meeting of
 * all ranks each. Which elements a rank owns depends on the layout and the number of ranks alone and
 * never changes during a run. With one rank all of this holds and nothing is sent.
 */
#ifndef OPTIM_SHARD_H
#define OPTIM_SHARD_H

#include <stddef.h>
#include <stdint.h>

#include "backend/backend.h"
#include "base/status.h"
#include "comm/comm.h"
#include "comm/reducer.h"
#include "optim/vector.h"

/* Elements of a piece, but for the block that fills it: 4 MiB of fp32. Shorter where a rank would
 * have less than SHARD_ROUNDS pieces. */
enum { SHARD_PIECE = 1 << 20, SHARD_ROUNDS = 16 };

struct shard {
    const struct vector_layout *layout; /* borrowed */
    int rank, size;                     /* this rank, and how many share the vector */
    int64_t elements;                   /* of this rank */
    int64_t piece_count;
    int64_t *borders; /* first element of each piece, then the end, up to whole rounds */
    int64_t *blocks;  /* (piece_count + 1) first block of each, counted over all tensors */
    int64_t *places;  /* (piece_count) where it begins in its owner's memory */
};

/* Elements [begin, end) of the vector, which stand from `place` on in the memory of their owner. */
struct shard_range {
    int64_t begin, end, place;
};

/* The layout must outlive it. The caller destroys it. */
enum status shard_create(struct shard **shard, const struct vector_layout *layout, int rank,
                         int size) MUST_USE;
void shard_destroy(struct shard **shard);

/* The rank that has most elements. */
int shard_fullest_rank(const struct shard *shard);

/* Ranges of a rank, in ascending order: for (i = 0; i < shard_range_count(s, r); i++) … They are
 * disjoint, and those of all ranks cover the vector. */
int64_t shard_range_count(const struct shard *shard, int rank);
struct shard_range shard_range_at(const struct shard *shard, int rank, int64_t i);

/* Rounds of the deal; rank r's piece of round i is its range i, which may be missing in the last. */
int64_t shard_round_count(const struct shard *shard);

/* Where the parts of rank 0, 1, … of a round begin, and where the last ends: (size + 1). */
const int64_t *shard_round_borders(const struct shard *shard, int64_t round);

/* Round that holds an element. */
int64_t shard_round_of(const struct shard *shard, int64_t element);

/* The part of rank r's piece of a round that lies in [begin, end); begin = end where none does. */
struct shard_range shard_range_within(const struct shard *shard, int rank, int64_t round,
                                      int64_t begin, int64_t end);

/* What this rank found in its blocks, `count` records of `size` bytes one behind the other, to those of
 * all blocks in the order of the vector on every rank: `all` (layout->block_count records). Collective
 * with more than one rank. */
enum status shard_gather_blocks(const struct shard *shard, struct comm *comm, const void *own,
                                int64_t count, size_t size, void *all) MUST_USE;

/* *product = Σ x y over two vectors of which every rank has its shard (backend memory); x may be y.
 * The sums of blocks are added in their order on every rank. Collective with more than one rank. */
enum status shard_dot(const struct shard *shard, struct comm *comm, const float *x, const float *y,
                      double *product) MUST_USE;

/* The same of each tensor: products (layout->count). */
enum status shard_dot_parts(const struct shard *shard, struct comm *comm, const float *x,
                            const float *y, double *products) MUST_USE;

/* *norm = √ Σ x². */
enum status shard_norm(const struct shard *shard, struct comm *comm, const float *x,
                       double *norm) MUST_USE;

/* Each rank has computed its elements of a whole vector (layout->elements, memory of the reducer's
 * kind): brings them to all, in place. Collective with more than one rank. */
enum status shard_gather(const struct shard *shard, struct reducer *reducer,
                         float *vector) MUST_USE;

/* Most elements that a piece has. */
int64_t shard_longest_piece(const struct shard *shard);

#endif
