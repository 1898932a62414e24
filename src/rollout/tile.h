/* SPDX-License-Identifier: Apache-2.0
 *
 * The unit of work (design, section 3). A step's groups are cut into mini-batches of consecutive
 * groups, each mini-batch into tiles of a fixed number of groups, and a tile that is too long to be
 * computed at once into microbatches, between answers. All of this depends on the settings and the
 * answers' lengths alone; the rank count only decides who computes a tile.
 *
 * "Pass" is kept for a backward pass over a mini-batch (update/update.h); a microbatch is what goes
 * through the model at once.
 */
#ifndef ROLLOUT_TILE_H
#define ROLLOUT_TILE_H

#include <stdint.h>

#include "base/status.h"
#include "model/batch.h"
#include "rollout/rollout.h"

enum { TILES_AT_MOST = 64 }; /* per step, when groups_per_tile is left to the program */

struct tile {
    int64_t begin, end; /* groups [begin, end) */
    int mini_batch, owner;
};

struct tiles {
    struct tile *tiles; /* (count), in group order */
    int64_t count;
    int mini_batches;
};

/* Cuts `groups` groups into mini-batches (as even as possible, the longer ones first) and these
 * into tiles of groups_per_tile (0: as few groups as give at most TILES_AT_MOST tiles a step); each
 * mini-batch's tiles are dealt to the ranks in runs. More ranks than tiles is a sentence that names
 * the remedy. The caller releases *tiles. */
enum status tiles_init(struct tiles *tiles, int64_t groups, int mini_batches,
                       int64_t groups_per_tile, int rank_count) MUST_USE;
void tiles_release(struct tiles *tiles);

/* Tile that holds the group. */
const struct tile *tiles_of_group(const struct tiles *tiles, int64_t group);

/* What is computed at once of a tile: a packed batch of consecutive answers behind their prompts. */
struct microbatch {
    struct batch batch;
    struct batch teacher; /* the same answers behind their teacher's prompts; empty without these */
    struct microbatch_answer {
        int64_t group, answer; /* answer counts inside the group */
        int64_t target;        /* its first target in the batch, and in the teacher's */
    } * answers;               /* (answer_count) */
    int64_t answer_count, answer_capacity;
    int64_t next_group, next_answer; /* where the following microbatch begins */
};

#define MICROBATCH_EMPTY ((struct microbatch){.batch = BATCH_EMPTY, .teacher = BATCH_EMPTY})

/* Before the first microbatch of a tile. */
void microbatch_begin(struct microbatch *microbatch, const struct tile *tile);

/* Packs the answers that come next, as many as fit into tokens_per_pass positions (at least one),
 * those of the teacher counted; answer_count is 0 when the tile is done. A prompt stands once in
 * each microbatch that has answers of it. */
enum status microbatch_next(struct microbatch *microbatch, const struct rollout *rollout,
                            const struct tile *tile, int64_t tokens_per_pass) MUST_USE;
void microbatch_release(struct microbatch *microbatch);

/* How many microbatches a tile takes; needs the lengths of prompts and answers only, which every
 * rank knows. */
int64_t tile_microbatch_count(const struct rollout *rollout, const struct tile *tile,
                              int64_t tokens_per_pass);

#endif
