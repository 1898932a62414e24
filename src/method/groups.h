/* SPDX-License-Identifier: Apache-2.0
 *
 * What each rank knows of its own groups, brought to all.
 */
#ifndef METHOD_GROUPS_H
#define METHOD_GROUPS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"
#include "comm/comm.h"
#include "rollout/tile.h"

/* Whether this rank computes the group. */
bool groups_own(const struct tiles *tiles, const struct comm *comm, int64_t group);

/* records[0 … end − begin), of `bytes` bytes each, belong to the groups [begin, end). A rank gives
 * those of its own groups and gets all others. Collective; what it returns is agreed. */
enum status groups_share(const struct tiles *tiles, struct comm *comm, int64_t begin, int64_t end,
                         void *records, size_t bytes) MUST_USE;

#endif
