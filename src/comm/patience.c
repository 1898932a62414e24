/* SPDX-License-Identifier: Apache-2.0 */
#include "comm/patience.h"

#include "base/clock.h"

void patience_begin(struct patience *patience, double deadline_s, const char *what) {
    *patience = (struct patience){.deadline_s = deadline_s, .what = what};
    patience->start_s = patience->called_s = clock_now_s();
}

static enum status expire(const struct comm *comm, const struct patience *patience,
                          double waited_s) {
    return FAIL(STATUS_COMM,
                "rank %d of %d waited %.3g s in '%s' for another rank, which is lost or hangs: "
                "what it said stands in the output of its node",
                comm->rank, comm->size, waited_s, patience->what);
}

enum status patience_look(struct patience *patience, const struct comm *comm) {
    const double now_s = clock_now_s(), waited_s = now_s - patience->start_s;
    if (patience->deadline_s > 0.0 && waited_s > patience->deadline_s)
        return expire(comm, patience, patience->deadline_s);
    if (now_s - patience->called_s < 1.0)
        return STATUS_OK;
    patience->called_s = now_s;
    if (comm->wait != NULL)
        return comm->wait(comm->wait_context, patience->what, waited_s);
    if (comm->deadline_s > 0.0 && waited_s > comm->deadline_s)
        return expire(comm, patience, comm->deadline_s);
    return STATUS_OK;
}
