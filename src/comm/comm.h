/* SPDX-License-Identifier: Apache-2.0
 *
 * The other processes of a run. Every function is collective: all ranks of the communicator call it
 * in the same order. Only the main thread calls. Implemented by `self` (this process alone) and
 * `mpi` (host buffers); data sizes are 64 bits wide and sent in pieces where a library counts in
 * int.
 *
 * Ranks agree before they part: a rank that failed does not leave by itself but brings its status
 * to comm_agree before the next collective, and all ranks return the status and sentence of the
 * lowest failing rank. Where that was forgotten, or cannot be done because another rank is gone,
 * the rank says so itself and ends the job (comm_leaves_alone,
 * comm_abort), so that the others do not wait for ever.
 *
 * A rank that waits for others sleeps between looks, so that ranks may share cores, and looks at
 * deadlines: no call here blocks in a library. Wrong arguments
 * are defects of ours and end the process (ASSERT). To add a communicator: fill a struct comm_ops,
 * write X_open beside it, and add it to tests/comm.
 */
#ifndef COMM_COMM_H
#define COMM_COMM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

struct comm;
struct reducer_ops;

/* What a communicator fills in; every slot is required. The functions below check the arguments and
 * then call the slot of the same name, whose promise is theirs. In gather and all_gather all ranks
 * already know `sizes`, and `out` has room for their sum (gather: NULL but on root). abort ends all
 * processes of the job at once and does not return. */
struct comm_ops {
    const char *name, *text;
    enum status (*broadcast)(struct comm *, void *data, size_t bytes, int root);
    enum status (*gather)(struct comm *, const void *data, size_t bytes, void *out,
                          const size_t *sizes, int root);
    enum status (*all_gather)(struct comm *, const void *data, size_t bytes, void *out,
                              const size_t *sizes);
    enum status (*words_begin)(struct comm *, int64_t word, int64_t *words);
    enum status (*words_test)(struct comm *, bool wait, bool *come);
    enum status (*maximum)(struct comm *, double *values, int64_t n);
    enum status (*sum_exact)(struct comm *, int64_t *values, int64_t n);
    enum status (*barrier)(struct comm *, double deadline_s, const char *what);
    enum status (*split)(struct comm *, int color, struct comm *out);
    void (*close)(struct comm *);
    void (*abort)(struct comm *, int exit_status);
    const struct reducer_ops *reducer; /* sums of vectors in host memory: comm/reducer.h */
};

struct comm {
    const struct comm_ops *ops;
    void *state;
    int rank, size;
    bool parting; /* the last comm_agree gave a failure: all ranks know it */
    enum status (*wait)(void *context, const char *what, double waited_s); /* see comm_on_wait */
    void *wait_context;
    double deadline_s; /* see comm_deadline */
};

/* Fills *comm; the caller closes it. `self` is always there; comm_mpi_open (mpi/comm_mpi.h) is the
 * job that a launcher started, or this process alone where none did. comm_close accepts a
 * zero-filled or closed communicator. */
void comm_self_open(struct comm *comm);
void comm_close(struct comm *comm);

/* What a rank does about once a second while it waits for others, in few moments and without a call
 * of this interface; NULL: nothing. `what` is what it waits in, for waited_s seconds now. A status
 * other than OK gives up: the communicator is lost then, and every call returns STATUS_COMM at once
 * and leaves the sentence. Nothing but comm_close and comm_abort has a meaning after that, and
 * comm_close ends the job with the exit status of STATUS_COMM. */
void comm_on_wait(struct comm *comm,
                  enum status (*wait)(void *context, const char *what, double waited_s),
                  void *context);

/* Longest that a rank waits for others in one call while nobody decides by comm_on_wait; it gives up
 * in the same way. 0, as at first: for ever. */
void comm_deadline(struct comm *comm, double deadline_s);

/* Ends all processes of the job at once with this exit status. For a rank that can no longer meet
 * the others; not collective. */
__attribute__((noreturn)) void comm_abort(struct comm *comm, int exit_status);

/* Whether a rank that leaves with `status` must end the job: others wait for it and do not know. The
 * caller says its sentence and calls comm_abort then. */
bool comm_leaves_alone(const struct comm *comm, enum status status);

/* All ranks return the status of the lowest rank whose `status` is not OK, and its sentence; OK
 * when all are. */
enum status comm_agree(struct comm *comm, enum status status) MUST_USE;

/* `bytes` bytes of rank `root` go to all. */
enum status comm_broadcast(struct comm *comm, void *data, size_t bytes, int root) MUST_USE;

/* Blocks of any size, one per rank, in rank order. *out (owned by the caller, memory_release) holds
 * them one after another on `root` and is NULL elsewhere; *sizes likewise holds `size` byte counts.
 * comm_all_gather gives both to all ranks. */
enum status comm_gather(struct comm *comm, const void *data, size_t bytes, int root, void **out,
                        size_t **sizes) MUST_USE;
enum status comm_all_gather(struct comm *comm, const void *data, size_t bytes, void **out,
                            size_t **sizes) MUST_USE;

/* One word of each rank, in rank order, to all: words (size). */
enum status comm_words(struct comm *comm, int64_t word, int64_t *words) MUST_USE;

/* The same in two parts, between which a rank may compute: begin, then tests until *come says that all
 * words are there; `wait`: it comes back with them. One such exchange at a time; other calls may come
 * in between. begin is the collective part, a test is not. */
enum status comm_words_begin(struct comm *comm, int64_t word, int64_t *words) MUST_USE;
enum status comm_words_test(struct comm *comm, bool wait, bool *come) MUST_USE;

/* Element by element over the ranks, in place, the result on all ranks, for few values (sums of
 * vectors: comm/reducer.h). Integer sums wrap (modulo 2^64); they are equal for any number of ranks.
 * A NaN given to comm_maximum comes out. */
enum status comm_maximum(struct comm *comm, double *values, int64_t n) MUST_USE;
enum status comm_sum_exact(struct comm *comm, int64_t *values, int64_t n) MUST_USE;

/* Waits for all ranks, at most deadline_s seconds (0: as any other call). A rank that waits longer
 * gives up with STATUS_COMM, names the phase `what`, and the communicator is lost. */
enum status comm_barrier(struct comm *comm, double deadline_s, const char *what) MUST_USE;

/* The ranks with the same color (0 or more) form a communicator of their own, in the order of their
 * ranks here. The caller closes *out before *comm. */
enum status comm_split(struct comm *comm, int color, struct comm *out) MUST_USE;

#endif
