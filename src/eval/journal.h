/* SPDX-License-Identifier: Apache-2.0
 *
 * The samples of an evaluation that has not ended, in a folder: one file of JSON lines for each rank,
 *
 *     {"set": "gsm8k", "row": 3, "sample": 0, "finish_reason": 0, "length": 2, "token_ids": [9,4], "crc32": "0a1b2c3d"}
 *
 * a line for each sample, added by one write when it is finished, and the file `identity`, which says
 * what the samples are of. Texts and verdicts follow from the tokens. A kill leaves at worst one line
 * unfinished, which counts as not there, as any line does whose checksum is wrong.
 */
#ifndef EVAL_JOURNAL_H
#define EVAL_JOURNAL_H

#include <stdbool.h>

#include "base/status.h"
#include "base/strbuf.h"
#include "eval/evaluation.h"

/* Whether the folder is there and whose it is: appends its `identity`. */
enum status journal_find(const char *folder, bool *found, struct strbuf *identity) MUST_USE;

/* Makes the folder. */
enum status journal_begin(const char *folder, const struct strbuf *identity) MUST_USE;

enum status journal_add(const char *folder, int rank,
                        const struct evaluation_entry *entry) MUST_USE;

/* Calls `visit` for each sample of all ranks' files; lines that are torn or damaged are passed over,
 * and counted in a warning. */
enum status journal_read(const char *folder,
                         enum status (*visit)(void *context, const struct evaluation_entry *entry),
                         void *context) MUST_USE;

/* Removes the folder, of which nothing needs to be there. */
enum status journal_remove(const char *folder) MUST_USE;

#endif
