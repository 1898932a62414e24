/* SPDX-License-Identifier: Apache-2.0
 *
 * rollouts/step-000001.h5: every answer of a step, as flat arrays plus offsets (row i of a ragged
 * array is [offsets[i], offsets[i + 1])), packed and with checksums; written whole and renamed into
 * place. Names are those of the design, section 8.
 */
#ifndef RUN_ROLLOUT_FILE_H
#define RUN_ROLLOUT_FILE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"
#include "base/strbuf.h"
#include "file/h5.h"
#include "file/provenance.h"
#include "rollout/rollout.h"
#include "text/tokenizer.h"

struct judged;

struct rollout_file_settings {
    bool rewards;                /* write reward, advantage and the parts */
    bool penalised;              /* write reward_penalised as well */
    bool forced;                 /* write which tokens were forced */
    const struct judged *judged; /* what the discriminator has read; NULL: there is none */
    bool valued;                 /* it has a value head */
    const char *const *parts;    /* (part_count) names, in the order of answer->parts */
    int part_count;
    const struct provenance *provenance;
};

/* Writes all groups and answers, whose tokens must all be here (rank 0, after they were gathered).
 * A forced token's numbers are NaN. A number per token (logprob_sampler, logprob, logprob_reference, entropy, ratio,
 * gate_derivative) is left out when no answer has it; STATUS_DEFECT when only some have it. */
enum status rollout_file_write(const char *path, const struct rollout *rollout,
                               const struct rollout_file_settings *settings) MUST_USE;

/* A readable account for gradus inspect: counts, means, and the texts of the first `answers`
 * answers. */
enum status rollout_file_describe(const struct h5 *h5, int64_t answers,
                                  struct strbuf *out) MUST_USE;

/* One answer token by token: id, text, and each number that the file holds of it. Without a
 * tokenizer (NULL) ids stand for the texts. STATUS_INPUT when there is no such answer. */
enum status rollout_file_describe_answer(const struct h5 *h5, int64_t answer,
                                         const struct tokenizer *tokenizer,
                                         struct strbuf *out) MUST_USE;

#endif
