/* SPDX-License-Identifier: Apache-2.0
 *
 * A student and its teacher over the same answers, each behind prompts of its own: the divergence of
 * their distributions at every token, and its gradient with respect to the student (backend.h,
 * "Distillation"). Of the teacher no activations are kept, of neither the logits.
 *
 * A teacher that computes with the student's own weights, perhaps through another adapter or none,
 * goes through the blocks beside it, in one batch; one with weights of its own goes before it. Both
 * give the same bits, since a row's depend on its own context alone.
 */
#ifndef MODEL_DISTILL_H
#define MODEL_DISTILL_H

#include <stdbool.h>
#include <stdint.h>

#include "backend/backend.h"
#include "base/status.h"
#include "model/batch.h"
#include "model/model.h"

struct distill_pair {
    struct model *student;
    struct model *teacher;                     /* uses the student's workspace, or is the student */
    const struct batch *batch, *teacher_batch; /* with the same target tokens, in the same order */
    struct distill_settings settings;
    int32_t top_k; /* entries that count, the teacher's most probable; 0: all */
};

/* Host arrays (target_count). Log-probability and entropy are over the whole vocabulary. */
struct distill_numbers {
    float *logprob, *entropy, *logprob_teacher, *entropy_teacher;
    float *divergence;  /* before any clip */
    float *loss;        /* after it */
    int32_t *clipped;   /* entries that the clip took; of a clip by token 0 or 1 */
    int32_t *agreement; /* 1: both hold the same token most probable; else 0 */
};

/* The loss of a token is to be taken with its weight (host, (target_count)). Activations of the
 * student stay for distill_backward until the next forward. Fails as model_forward does. */
enum status distill_forward(const struct distill_pair *pair, const float *weight,
                            const struct distill_numbers *out) MUST_USE;

/* Makes room, as model_reserve does, for so many positions of the student and of the teacher. */
enum status distill_reserve(const struct distill_pair *pair, int64_t T, int64_t teacher_T,
                            int64_t R, bool lasts) MUST_USE;

/* Gradient of the sum of weight times loss, of the last forward. */
enum status distill_backward(const struct distill_pair *pair,
                             const struct gradient_sink *sink) MUST_USE;

#endif
