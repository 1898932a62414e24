/* SPDX-License-Identifier: Apache-2.0
 *
 * Answers of the rollout files of runs as rows to learn from: the prompt as it was shown, and what
 * is to be written behind it.
 */
#ifndef CLI_TRACES_H
#define CLI_TRACES_H

#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"
#include "base/strbuf.h"

struct traces_settings {
    double least_reward; /* −INFINITY: all answers */
    bool reference; /* behind the reasoning stands the reference in place of the answer's own end */
    const char *think_close; /* where reasoning ends: the closing tag */
};

struct traces {
    struct traces_settings settings;
    struct strbuf output; /* JSON lines */
    uint64_t *seen;       /* (capacity, a power of 2) hashes of prompt and response; 0: free */
    int64_t capacity, written, answers, again, poor, open;
};

/* Appends the answers of the run's rollout files, step after step. Of equal rows the first one is
 * taken (by 64 bits of SHA-256); the counts say what became of the others: written twice (again),
 * below the least reward (poor), or without the end of their reasoning where the reference is to
 * follow it (open). */
enum status traces_add_run(struct traces *traces, const char *directory) MUST_USE;
void traces_release(struct traces *traces);

#endif
