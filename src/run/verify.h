/* SPDX-License-Identifier: Apache-2.0
 *
 * Proves on the user's machine what the program promises of a run's numbers: a few steps of the run
 * are made several times, in different ways, and must leave the same checkpoint, bit for bit.
 */
#ifndef RUN_VERIFY_H
#define RUN_VERIFY_H

#include <stdint.h>

#include "base/status.h"
#include "comm/comm.h"

enum { VERIFY_CLAIMS_MAX = 8, VERIFY_DETAIL_BYTES = 320 };

enum verify_verdict { VERIFY_HOLDS, VERIFY_FAILS, VERIFY_NOT_TRIED };

struct verify_claim {
    const char *text; /* "two runs are equal" */
    enum verify_verdict verdict;
    char detail[VERIFY_DETAIL_BYTES]; /* what was compared, what differs first, why not tried */
};

struct verify_report {
    struct verify_claim claims[VERIFY_CLAIMS_MAX];
    int count;
};

/* What is run: the input file with the words of the command line, whose run.directory, run.steps and
 * parallel.threads are replaced. Runs go to folders of `directory`; those of a claim that holds are
 * removed. */
struct verify_request {
    const char *input;
    char *const *words;
    int word_count;
    int64_t steps; /* at least 2 */
    const char *directory;
};

/* Makes the runs; *report is the same on all ranks. A claim that fails is no failure of this call.
 * Collective. */
enum status verify_run(struct comm *comm, const struct verify_request *request,
                       struct verify_report *report) MUST_USE;

#endif
