/* SPDX-License-Identifier: Apache-2.0
 *
 * What a run will hold, compute and write, before it does. A plan is a rehearsal: the run is opened
 * as `train` opens it, so that whatever that refuses is refused here, and then goes through its
 * moments (run/rehearsal.h) with answers as long as they may get, on a backend that books memory and
 * computes nothing (backend_plan). What is booked is what would be allocated, by the very same calls.
 * Only what no backend holds (writing files) is booked by hand, in rehearsal.c.
 */
#ifndef RUN_PLAN_H
#define RUN_PLAN_H

#include <stdint.h>

#include "base/memory.h"
#include "base/status.h"
#include "config/settings.h"
#include "run/run.h"

/* The moments of a run. Rollout and training are those of the second step: what the first has left
 * is there. */
enum plan_moment { PLAN_LOADING, PLAN_ROLLOUT, PLAN_TRAINING, PLAN_SAVING, PLAN_MOMENTS };
const char *plan_moment_name(enum plan_moment moment);

/* What stands under a label in the books (base/memory.h): at the largest instant of each moment, and
 * the most at any. */
struct plan_part {
    char label[48];
    int64_t bytes[PLAN_MOMENTS], most;
};

struct plan_memory {
    struct plan_part parts[MEMORY_LABELS];
    int part_count;
    int64_t sums[PLAN_MOMENTS]; /* over the parts */
    int64_t outside;            /* program, libraries and the communicator, besides */
};
enum plan_moment plan_peak_moment(const struct plan_memory *memory);
int64_t plan_peak_bytes(const struct plan_memory *memory); /* outside included */

/* The peak and its largest parts in one sentence; returns `text`. */
enum { PLAN_SENTENCE_MAX = 512 };
const char *plan_sentence(const struct plan_memory *memory, char text[PLAN_SENTENCE_MAX]);

/* Floating-point operations of one step on all ranks, answers of full length. */
struct plan_work {
    double answers, positions; /* positions: prompts once, and answers */
    double block, head, pair;  /* per position, per target, per pair of a query and a key */
    double adapter;            /* per position, 0 without one */
    double rollout, reference, old, teacher, reasons, verdicts, forward, backward, recomputation,
        features; /* 0: not done */
};
double plan_work_sum(const struct plan_work *work);

/* Bytes of the files. */
struct plan_disk {
    int64_t checkpoint, rollouts, model; /* one each */
    /* Of a whole run; one checkpoint more stands while it is written. */
    int64_t total;
};

/* An opened plan; everything a plan is asked for is asked of it. */
struct plan {
    const struct settings *settings; /* borrowed */
    struct comm comm; /* pretends to be one rank of so many; never asked to do anything */
    struct run run;
    int ranks;
    int64_t outside;
    int64_t factors,
        factors_a; /* elements of the adapter, and of its A; 0: all weights are trained */
    int64_t head;  /* of the discriminator; 0: there is none */
};

/* Refuses what `train` refuses. threads 0: those that parallel.threads or the cores of this machine
 * leave to a rank. `fresh` as in train. elsewhere: the run is to be on another machine, and what is
 * absent here (run.lm.absent) is assumed. The settings must outlive it. */
struct plan_options {
    int ranks, threads;
    bool fresh, elsewhere;
};
enum status plan_open(struct plan *plan, const struct settings *settings,
                      const struct plan_options *options) MUST_USE;
void plan_close(struct plan *plan);

/* Memory of the rank with most to do, which also writes the files, under these settings: the plan's
 * own, or a copy with other values in model.recompute, update, rollout, parallel, or no KL. */
enum status plan_memory(const struct plan *plan, const struct settings *settings, int ranks,
                        struct plan_memory *memory) MUST_USE;

/* A setting that would take less: what it is, and the peak with it. */
struct plan_advice {
    char text[160];
    int64_t peak_bytes;
};
enum { PLAN_ADVICE_MAX = 12 };

/* Rehearses what could be set otherwise, and gives what lowers the peak by a hundredth or more,
 * most first. */
enum status plan_advise(const struct plan *plan, const struct plan_memory *memory,
                        struct plan_advice advice[PLAN_ADVICE_MAX], int *count) MUST_USE;

/* What plans are made of (run/plan_evaluation.h has another one): the books of the moment since
 * memory_watch; and what MPI takes, about. */
void plan_note(struct plan_memory *memory, enum plan_moment moment);
int64_t plan_comm_bytes(int ranks);

/* Operations that drawing takes: `answers` of so many tokens to `prompts`, each computed once; `adapter`:
 * its elements. */
struct plan_drawing {
    double prompts, prompt, answers, answer, adapter;
};
double plan_drawing_flop(const struct hparams *hparams, const struct plan_drawing *drawing);

struct plan_work plan_work_of(const struct plan *plan);
struct plan_disk plan_disk_of(const struct plan *plan);

/* The share of the ranks' time that is used when `ranks` share the tiles, by groups: mean over
 * ranks divided by the largest. */
enum status plan_balance(const struct plan *plan, int ranks, double *balance) MUST_USE;

#endif
