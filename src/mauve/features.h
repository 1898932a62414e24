/* SPDX-License-Identifier: Apache-2.0
 *
 * Features of texts: the hidden state of a model, after its final norm, at the last token of each text.
 */
#ifndef MAUVE_FEATURES_H
#define MAUVE_FEATURES_H

#include "base/pulse.h"
#include "base/status.h"
#include "comm/comm.h"
#include "model/model.h"
#include "text/tokenizer.h"

/* Texts as token ids, one behind another. The caller releases it; zeroed it is empty. */
struct feature_texts {
    struct token_list ids;
    int64_t *ends; /* (count): where each ends in ids */
    int64_t count, capacity, longest;
    int64_t empty, cut; /* texts without a token, which are left out, and texts that were cut */
};
void feature_texts_release(struct feature_texts *texts);

/* Appends a text as the tokenizer's post-processor writes it, cut after `most` tokens. */
enum status feature_texts_append(struct feature_texts *texts, struct tokenizer *tokenizer,
                                 const char *text, size_t length, int64_t most) MUST_USE;

/* The features of the texts [first, last), (last − first, C), with up to tokens_per_pass tokens in a
 * pass; a feature has the same bits whatever is computed beside it. `pulse` beats between passes. */
enum status features_of_texts(struct model *model, const struct feature_texts *texts, int64_t first,
                              int64_t last, int64_t tokens_per_pass, const struct pulse *pulse,
                              float *features) MUST_USE;

/* The features of all texts, which every rank knows, on rank 0: *features (count, C), NULL elsewhere;
 * the caller's, memory_release. Each rank computes a part of the texts. Collective. */
enum status features_compute(struct comm *comm, struct model *model,
                             const struct feature_texts *texts, int64_t tokens_per_pass,
                             float **features) MUST_USE;

#endif
