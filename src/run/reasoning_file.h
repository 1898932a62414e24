/* SPDX-License-Identifier: Apache-2.0
 *
 * What a discriminator that reasons has written in a step, beside what it has read (judged_file.h):
 * of each row of /discriminator/token_ids
 *
 *     /discriminator/completion_end                 where the completion ends, and the question goes on
 *     /discriminator/reason_begin, reason_end       the drawn tokens; what closes them by force follows
 *     /discriminator/reason_forced, advantage
 *     /discriminator/reason_text, reason_text_offsets
 *
 * and of each drawn token, [reason_offsets[i], reason_offsets[i + 1]) being those of row i,
 * /discriminator/{reason_logprob, reason_logprob_sampler, reason_entropy}.
 */
#ifndef RUN_REASONING_FILE_H
#define RUN_REASONING_FILE_H

#include "base/status.h"
#include "base/strbuf.h"
#include "file/h5.h"
#include "method/judged.h"

/* All tokens must be here, and /discriminator. */
enum status reasoning_file_write(struct h5 *h5, const struct judged *judged) MUST_USE;

/* For gradus inspect: how long they are; nothing where the file has none. */
enum status reasoning_file_describe(const struct h5 *h5, struct strbuf *out) MUST_USE;

#endif
