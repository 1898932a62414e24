/* SPDX-License-Identifier: Apache-2.0
 *
 * The samples of an evaluation, drawn by all ranks. Problems are dealt to the ranks in turn; each rank
 * decodes its own as they fit, judges them, and rank 0 gets all.
 */
#ifndef EVAL_DRAW_H
#define EVAL_DRAW_H

#include "base/pulse.h"
#include "base/status.h"
#include "comm/comm.h"
#include "eval/evaluation.h"
#include "model/model.h"
#include "rollout/generate.h"

/* What draws; everything is borrowed. */
struct evaluation_draw {
    struct model *model;
    struct tokenizer *tokenizer;
    const int32_t *stop_ids; /* (stop_id_count) */
    int64_t stop_id_count;
    struct comm *comm;
    const struct pulse *pulse; /* NULL: none */
    /* Hears of finished answers on this rank (rollout/generate.h, `hear`); may be empty */
    struct generate_listener listener;
    const char *journal; /* a folder that keeps each sample at once (eval/journal.h); NULL: none */
};

/* Samples that this rank draws at once and in all. */
int64_t evaluation_in_flight(const struct evaluation *evaluation, const struct comm *comm);
int64_t evaluation_share(const struct evaluation *evaluation, const struct comm *comm);

/* Draws every sample of the sets that are not skipped which rank 0 has not; afterwards rank 0 has
 * all of them with verdicts. Collective; what it returns is agreed. */
enum status evaluation_draw(struct evaluation *evaluation,
                            const struct evaluation_draw *how) MUST_USE;

#endif
