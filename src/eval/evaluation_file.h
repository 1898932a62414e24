/* SPDX-License-Identifier: Apache-2.0
 *
 * eval.h5: every sample of an evaluation with its verdict, and the figures.
 *
 *     /set/<name>/   one entry for each sample, those of a problem together
 *         row, sample               0-based line of the data file; number of the sample
 *         correct                   1 or 0
 *         tokens, finish_reason     length with the stop id, without a forced text; 0 stop id, 1 length,
 *                                   2 stop text, 3 forced
 *         token_ids, offsets        sample i is [offsets[i], offsets[i + 1])
 *         text, text_offsets        UTF-8, without special tokens
 *         extracted, extracted_offsets   the part of the text that was judged, "" where there is none
 *     /set/<name>/problem/          one entry for each problem
 *         row, right                samples that are right
 *         reference, reference_offsets
 *     attributes of /set/<name>     problems, samples, pass_at_1, pass_at_<k>, maj_at_<k>, each with
 *                                   _error behind it, mean_length, clipped_ratio; rule, path
 *     /identity                     what the samples depend on, for an evaluation that goes on
 *     /provenance
 *
 * Written whole and sealed.
 */
#ifndef EVAL_EVALUATION_FILE_H
#define EVAL_EVALUATION_FILE_H

#include <stdbool.h>

#include "base/status.h"
#include "base/strbuf.h"
#include "eval/evaluation.h"
#include "file/h5.h"
#include "file/provenance.h"

/* All samples must be here. */
enum status evaluation_file_write(const char *path, const struct evaluation *evaluation,
                                  const struct strbuf *identity,
                                  const struct provenance *provenance) MUST_USE;

/* Whether there is one, and what it is of: appends its /identity. STATUS_INPUT where something else or
 * a damaged one stands there. */
enum status evaluation_file_find(const char *path, bool *found, struct strbuf *identity) MUST_USE;

/* Takes all its samples; *figures says whether it has those of each eval.pass_at. */
enum status evaluation_file_read(const char *path, struct evaluation *evaluation,
                                 struct tokenizer *tokenizer, bool *figures) MUST_USE;

/* A readable account for gradus inspect. */
enum status evaluation_file_describe(const struct h5 *h5, struct strbuf *out) MUST_USE;

#endif
