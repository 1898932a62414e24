/* SPDX-License-Identifier: Apache-2.0
 *
 * The teacher of a run of opsd (distill.teacher): the model of the start, a moving mean of what is
 * trained, or the model itself.
 *
 * The mean is fp32 and lives like the optimizer's state: on the shard, in the checkpoint. With
 * parallel.shard the whole of it exists for the moment in which the teacher's weights are made of
 * it, in the place of the parameters.
 */
#ifndef RUN_TEACHER_H
#define RUN_TEACHER_H

#include <stdint.h>

#include "base/status.h"
#include "model/model.h"

struct run;

struct teacher {
    struct model *model;     /* NULL: the trained model itself */
    struct weights *weights; /* of its own, or NULL with an adapter */
    struct adapter *adapter; /* of its own: the moving mean of one; or NULL */
    float *mean;             /* moving mean, backend memory, elements of run->shard; or NULL */
    float *exchanged;        /* the same, for a moment; NULL without shards */
    int64_t moves;           /* of the mean; before the first the model itself teaches */
};

/* Makes the teacher beside the model, which is loaded. Nothing where the method has none. */
enum status teacher_open(struct run *run, const struct model_settings *how) MUST_USE;
void teacher_close(struct run *run);

/* The model that teaches now. */
struct model *teacher_model(const struct run *run);

/* After an optimizer step: the mean moves. Collective. */
enum status teacher_follow(struct run *run) MUST_USE;

/* After the mean was read from a checkpoint. Collective. */
enum status teacher_restore(struct run *run) MUST_USE;

#endif
