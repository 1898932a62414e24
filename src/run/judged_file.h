/* SPDX-License-Identifier: Apache-2.0
 *
 * What the discriminator has read in a step, and its verdicts, in the file of the step's rollouts:
 * /discriminator/{token_ids, offsets, completion, label, group, answer, logits, value}. A row is a
 * sequence; of each group the real one comes first, the written ones follow. What it wrote before is
 * reasoning_file.h's.
 */
#ifndef RUN_JUDGED_FILE_H
#define RUN_JUDGED_FILE_H

#include <stdbool.h>

#include "base/status.h"
#include "base/strbuf.h"
#include "file/h5.h"
#include "method/judged.h"

/* All tokens must be here. valued: there is a value head. */
enum status judged_file_write(struct h5 *h5, const struct judged *judged, bool valued) MUST_USE;

/* For gradus inspect: how many sequences it has read, and how many it told; nothing where the file has
 * none. */
enum status judged_file_describe(const struct h5 *h5, struct strbuf *out) MUST_USE;

#endif
