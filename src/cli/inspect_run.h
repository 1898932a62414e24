/* SPDX-License-Identifier: Apache-2.0
 *
 * What gradus inspect says of the directory of a run: how it stands and whether it is alive, its
 * checkpoints, the numbers of its last step, its files. Reads status.json and metrics.jsonl, which
 * a run replaces or appends to as a whole, so it may be asked at any moment.
 */
#ifndef CLI_INSPECT_RUN_H
#define CLI_INSPECT_RUN_H

#include <stdbool.h>

#include "base/status.h"
#include "base/strbuf.h"

/* Whether a run has been in the directory. */
bool inspect_is_run(const char *directory);

enum status inspect_run(const char *directory, struct strbuf *out) MUST_USE;

#endif
