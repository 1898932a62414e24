/* SPDX-License-Identifier: Apache-2.0
 *
 * gradus inspect: which prompts a run took, counted over the epochs of its sources.
 */
#ifndef CLI_INSPECT_PROMPTS_H
#define CLI_INSPECT_PROMPTS_H

#include "base/status.h"
#include "base/strbuf.h"

/* Appends a line for each epoch of each source in the rollouts of a run: its prompts, and whether
 * one came twice, which no restart may lead to. Nothing where there are no rollouts. */
enum status inspect_prompts(const char *directory, struct strbuf *out) MUST_USE;

#endif
