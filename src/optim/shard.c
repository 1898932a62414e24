/* SPDX-License-Identifier: Apache-2.0 */
#include "optim/shard.h"

#include "base/memory.h"

#include <math.h>
#include <string.h>

/* Elements of a piece, about. */
static int64_t piece_target(const struct vector_layout *layout, int size) {
    const int64_t even = layout->elements / ((int64_t)SHARD_ROUNDS * size);
    if (size == 1)
        return layout->elements;
    return even < 1 ? 1 : even < SHARD_PIECE ? even : SHARD_PIECE;
}

/* Walks over the blocks of all tensors and closes a piece at the first border at or behind every
 * multiple of `target`, so that what one piece has too much the next has less; without arrays it
 * only counts. Returns the number of pieces. */
static int64_t cut(const struct vector_layout *layout, int64_t target, int64_t *borders,
                   int64_t *blocks) {
    int64_t pieces = 0, block = 0, full = target;
    for (int64_t i = 0; i < layout->count; i++) {
        const struct vector_part *part = &layout->parts[i];
        for (int64_t at = 0; at < part->elements; at += VECTOR_BLOCK) {
            const int64_t left = part->elements - at;
            const int64_t end = part->offset + at + (left < VECTOR_BLOCK ? left : VECTOR_BLOCK);
            block++;
            if (end < full && end < layout->elements)
                continue;
            pieces++;
            full = (end / target + 1) * target;
            if (borders != NULL) {
                borders[pieces] = end;
                blocks[pieces] = block;
            }
        }
    }
    return pieces;
}

static enum status fill(struct shard *shard) {
    const int64_t target = piece_target(shard->layout, shard->size);
    int64_t *ends;
    shard->piece_count = cut(shard->layout, target, NULL, NULL);
    const int64_t rounds = (shard->piece_count + shard->size - 1) / shard->size;
    TRY(memory_new(&shard->borders, rounds * shard->size + 1, "borders of shards"));
    TRY(memory_new(&shard->blocks, shard->piece_count + 1, "borders of shards"));
    TRY(memory_new(&shard->places, shard->piece_count, "borders of shards"));
    TRY(memory_new(&ends, shard->size, "borders of shards"));
    cut(shard->layout, target, shard->borders, shard->blocks);
    for (int64_t p = shard->piece_count; p <= rounds * shard->size; p++)
        shard->borders[p] = shard->layout->elements;
    for (int64_t p = 0; p < shard->piece_count; p++) {
        int64_t *end = &ends[p % shard->size];
        shard->places[p] = *end;
        *end += shard->borders[p + 1] - shard->borders[p];
    }
    shard->elements = ends[shard->rank];
    memory_release(&ends);
    return STATUS_OK;
}

enum status shard_create(struct shard **shard, const struct vector_layout *layout, int rank,
                         int size) {
    ASSERT(rank >= 0 && rank < size);
    TRY(memory_new(shard, 1, "shard"));
    **shard = (struct shard){.layout = layout, .rank = rank, .size = size};
    const enum status status = fill(*shard);
    if (status != STATUS_OK)
        shard_destroy(shard);
    return status;
}

void shard_destroy(struct shard **shard) {
    if (*shard == NULL)
        return;
    memory_release(&(*shard)->borders);
    memory_release(&(*shard)->blocks);
    memory_release(&(*shard)->places);
    memory_release(shard);
}

static int64_t elements_of(const struct shard *shard, int rank) {
    int64_t elements = 0;
    for (int64_t p = rank; p < shard->piece_count; p += shard->size)
        elements += shard->borders[p + 1] - shard->borders[p];
    return elements;
}

int shard_fullest_rank(const struct shard *shard) {
    int fullest = 0;
    for (int r = 1; r < shard->size; r++)
        if (elements_of(shard, r) > elements_of(shard, fullest))
            fullest = r;
    return fullest;
}

int64_t shard_range_count(const struct shard *shard, int rank) {
    return (shard->piece_count - rank + shard->size - 1) / shard->size;
}

struct shard_range shard_range_at(const struct shard *shard, int rank, int64_t i) {
    const int64_t piece = i * shard->size + rank;
    ASSERT(i >= 0 && piece < shard->piece_count);
    return (struct shard_range){.begin = shard->borders[piece],
                                .end = shard->borders[piece + 1],
                                .place = shard->places[piece]};
}

int64_t shard_round_count(const struct shard *shard) {
    return shard_range_count(shard, 0);
}

const int64_t *shard_round_borders(const struct shard *shard, int64_t round) {
    ASSERT(round >= 0 && round < shard_round_count(shard));
    return shard->borders + round * shard->size;
}

enum status shard_gather(const struct shard *shard, struct reducer *reducer, float *vector) {
    if (shard->size == 1)
        return STATUS_OK;
    ASSERT(shard->size == reducer->comm->size);
    TRY(reducer_follow(reducer));
    for (int64_t round = 0; round < shard_round_count(shard); round++)
        TRY(reducer_all_gather(reducer, vector, shard_round_borders(shard, round)));
    return reducer_join(reducer, "all-gather of parameters");
}

int64_t shard_round_of(const struct shard *shard, int64_t element) {
    int64_t low = 0, high = shard->piece_count;
    ASSERT(element >= 0 && element < shard->layout->elements);
    while (high - low > 1) {
        const int64_t middle = (low + high) / 2;
        *(shard->borders[middle] <= element ? &low : &high) = middle;
    }
    return low / shard->size;
}

struct shard_range shard_range_within(const struct shard *shard, int rank, int64_t round,
                                      int64_t begin, int64_t end) {
    if (round >= shard_range_count(shard, rank))
        return (struct shard_range){.begin = begin, .end = begin};
    const struct shard_range piece = shard_range_at(shard, rank, round);
    const int64_t first = begin > piece.begin ? begin : piece.begin,
                  last = end < piece.end ? end : piece.end;
    if (first >= last)
        return (struct shard_range){.begin = begin, .end = begin};
    return (struct shard_range){
        .begin = first, .end = last, .place = piece.place + (first - piece.begin)};
}

int64_t shard_longest_piece(const struct shard *shard) {
    int64_t longest = 0;
    for (int64_t p = 0; p < shard->piece_count; p++)
        if (shard->borders[p + 1] - shard->borders[p] > longest)
            longest = shard->borders[p + 1] - shard->borders[p];
    return longest;
}

/* --- products --- */

/* Block sums of this rank's ranges, one behind the other; *count of them. */
static enum status own_blocks(const struct shard *shard, const float *x, const float *y,
                              int64_t *count) {
    const struct vector_layout *layout = shard->layout;
    *count = 0;
    for (int64_t i = 0; i < shard_range_count(shard, shard->rank); i++) {
        const struct shard_range range = shard_range_at(shard, shard->rank, i);
        const int64_t piece = i * shard->size + shard->rank;
        TRY(vector_dot_blocks(layout, range.begin, range.end, x + range.place, y + range.place,
                              layout->products + *count));
        *count += shard->blocks[piece + 1] - shard->blocks[piece];
    }
    return layout->backend->ops->download(layout->backend, layout->blocks, layout->products,
                                          (size_t)*count * sizeof *layout->blocks);
}

/* From lists that hold each rank's blocks in order to all of them in the order of the vector. */
static void order_blocks(const struct shard *shard, const char *gathered, const size_t *sizes,
                         size_t size, char *all) {
    for (int r = 0; r < shard->size; gathered += sizes[r], r++) {
        const char *list = gathered;
        for (int64_t p = r; p < shard->piece_count; p += shard->size) {
            const size_t bytes = (size_t)(shard->blocks[p + 1] - shard->blocks[p]) * size;
            memcpy(all + (size_t)shard->blocks[p] * size, list, bytes);
            list += bytes;
        }
    }
}

enum status shard_gather_blocks(const struct shard *shard, struct comm *comm, const void *own,
                                int64_t count, size_t size, void *all) {
    char *gathered = NULL;
    size_t *sizes = NULL;
    if (shard->size == 1) {
        memcpy(all, own, (size_t)count * size);
        return STATUS_OK;
    }
    TRY(comm_all_gather(comm, own, (size_t)count * size, (void **)&gathered, &sizes));
    order_blocks(shard, gathered, sizes, size, all);
    memory_release(&gathered);
    memory_release(&sizes);
    return STATUS_OK;
}

/* *all: the products of all blocks, which the caller releases. */
static enum status all_blocks(const struct shard *shard, struct comm *comm, const float *x,
                              const float *y, double **all) {
    int64_t count = 0;
    enum status status = memory_new(all, shard->layout->block_count, "sums of blocks");
    if (status == STATUS_OK)
        status = own_blocks(shard, x, y, &count);
    if (shard->size > 1)
        status = comm_agree(comm, status);
    TRY(status);
    return shard_gather_blocks(shard, comm, shard->layout->blocks, count, sizeof **all, *all);
}

enum status shard_dot(const struct shard *shard, struct comm *comm, const float *x, const float *y,
                      double *product) {
    double *all = NULL, sum = 0;
    const enum status status = all_blocks(shard, comm, x, y, &all);
    for (int64_t b = 0; status == STATUS_OK && b < shard->layout->block_count; b++)
        sum += all[b];
    memory_release(&all);
    *product = sum;
    return status;
}

enum status shard_dot_parts(const struct shard *shard, struct comm *comm, const float *x,
                            const float *y, double *products) {
    const struct vector_layout *layout = shard->layout;
    double *all = NULL;
    const enum status status = all_blocks(shard, comm, x, y, &all);
    for (int64_t i = 0, block = 0; status == STATUS_OK && i < layout->count; i++) {
        products[i] = 0;
        for (int64_t at = 0; at < layout->parts[i].elements; at += VECTOR_BLOCK)
            products[i] += all[block++];
    }
    memory_release(&all);
    return status;
}

enum status shard_norm(const struct shard *shard, struct comm *comm, const float *x, double *norm) {
    TRY(shard_dot(shard, comm, x, x, norm));
    *norm = sqrt(*norm);
    return STATUS_OK;
}
