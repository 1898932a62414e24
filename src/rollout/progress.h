/* SPDX-License-Identifier: Apache-2.0
 *
 * A line, now and then, on how far a rank has come with its answers and how long it will take: on a
 * terminal one that is rewritten in place. Of all ranks one tells; the others have as much to do.
 */
#ifndef ROLLOUT_PROGRESS_H
#define ROLLOUT_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

struct progress {
    const char *module; /* of the log line */
    double start_s, told_s;
    int64_t answers; /* in all */
    bool live;       /* on a terminal */
};

/* Begins now. */
struct progress progress_of(const char *module, int64_t answers);

/* Hears of finished answers and drawn tokens, as a struct generate_listener; `progress` is a struct
 * progress. */
void progress_hear(void *progress, int64_t answers, int64_t tokens);

#endif
