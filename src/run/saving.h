/* SPDX-License-Identifier: Apache-2.0
 *
 * A checkpoint in the making while the run goes on. Every rank writes the pieces that fall to it,
 * from a thread that calls neither MPI nor HDF5; the ranks meet at places that the run passes
 * anyway, and there the checkpoint goes on from one phase to the next:
 *
 *     begin      rank 0 lays the file out                             the run waits
 *     writing    each rank writes its pieces, fsync                   while the next rollout goes on
 *     checking   each rank reads back and hashes its share of them    likewise, or while the update
 *     committing rank 0 writes checksums and seal, fsync, rename,     does
 *                fsync of the folder, and removes what need not stay
 *
 * What is written is the run's own vectors where the host can read them: they change in an optimizer
 * step only, before which the run waits for the end of `writing` (saving_release). A device's are
 * copied to the host at the beginning. Nobody gives the file its name unless all ranks have done
 * their part, and no older one is removed before.
 */
#ifndef RUN_SAVING_H
#define RUN_SAVING_H

#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"

struct run;
struct saving;

/* Begins a checkpoint of the last finished step, once the one before is finished. Collective, as all
 * but the last two. */
enum status saving_begin(struct run *run) MUST_USE;

/* Goes on to the next phase if all ranks are through with the present one. */
enum status saving_poll(struct run *run) MUST_USE;

/* Waits until the vectors may change; goes on as saving_poll does. */
enum status saving_release(struct run *run) MUST_USE;

/* Waits until the checkpoint has its name. */
enum status saving_finish(struct run *run) MUST_USE;

/* Gives up what is in the making, whatever the other ranks do. */
void saving_abandon(struct run *run);

/* Seconds that this rank has waited since the last call. */
double saving_stall_s(struct run *run);

/* Host memory that a checkpoint in the making takes. */
int64_t saving_bytes(const struct run *run);

#endif
