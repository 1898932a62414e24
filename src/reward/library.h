/* SPDX-License-Identifier: Apache-2.0
 *
 * A reward in a shared object, whose side of the interface is reward/plugin.h.
 */
#ifndef REWARD_LIBRARY_H
#define REWARD_LIBRARY_H

#include "base/status.h"
#include "reward/reward.h"

struct reward_library;

/* Loads the object at `path` and opens its table with `arguments`. STATUS_INPUT with a sentence where
 * it cannot be loaded, has no table or one of another version; STATUS_REWARD where its own open fails.
 * The caller closes it. */
enum status reward_library_open(struct reward_library **library, const char *path,
                                const char *arguments) MUST_USE;

/* The reward of one answer; STATUS_REWARD with a sentence when it fails or is not finite. */
enum status reward_library_grade(struct reward_library *library, const struct reward_input *input,
                                 double *score) MUST_USE;

void reward_library_close(struct reward_library **library);

#endif
