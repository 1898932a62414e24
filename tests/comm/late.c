/* SPDX-License-Identifier: Apache-2.0
 *
 * What happens when ranks do not meet. late MODE, with the last rank as the late one:
 *   slow      it comes within the deadline: the others wait without burning their core
 *   never     it does not come: the others name the phase, and closing ends the job
 *   defect    it dies of a defect: the hook ends the others too
 *   alone     it fails and brings its status to nobody: it says so and ends the others too
 *   close     it does not come to the end: the others say so and end the job
 *   together  all agree that it failed: rank 0 says so, and nobody is ended
 */
#include "check.h"

#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "cli/cli.h"
#include "mpi/comm_mpi.h"

static void slow(struct comm *comm, bool late) {
    CHECK_OK(comm_barrier(comm, 0.0, "start"));
    const clock_t before = clock();
    const double start = clock_now_s();
    if (late)
        sleep(1);
    CHECK_OK(comm_barrier(comm, 60.0, "first meeting"));
    const double waited_s = clock_now_s() - start;
    const double burnt_s = (double)(clock() - before) / CLOCKS_PER_SEC;
    CHECK(waited_s > 0.9);
    if (burnt_s > 0.5)
        CHECK_FAILED("waiting %.3g s took %.3g s of the core, expected below 0.5", waited_s,
                     burnt_s);
}

static void never(struct comm *comm, bool late) {
    if (late)
        sleep(60);
    const double start = clock_now_s();
    CHECK_STATUS(comm_barrier(comm, 0.3, "warm-up"), STATUS_COMM, "in 'warm-up' for another rank");
    CHECK_NEAR(clock_now_s() - start, 0.3, 0.25);
    printf("gave up: %s\n", status_sentence());
    fflush(stdout);
}

static void end(struct comm *comm, bool late) {
    comm_deadline(comm, 1.0);
    if (late)
        sleep(60);
    comm_close(comm);
    printf("the end came without the last rank\n");
}

static void end_job(void) {
    comm_mpi_abort_job(status_exit(STATUS_DEFECT));
}

static void leave(struct comm *comm, bool late) {
    if (late) {
        printf("leaving\n");
        fflush(stdout);
        status_on_defect(end_job);
        ASSERT(!late);
    }
    CHECK_OK(comm_barrier(comm, 0.0, "for ever"));
    printf("not ended by the defect of another rank\n");
}

/* A command that ends with the status of the late rank. */
static enum status end_command(struct comm *comm, bool late, bool agrees) {
    struct cli cli = {.rank = comm->rank};
    enum status status =
        late ? FAIL(STATUS_IO, "rank %d: the disk is full", comm->rank) : STATUS_OK;
    if (agrees)
        status = comm_agree(comm, status);
    else if (!late)
        CHECK_OK(comm_barrier(comm, 0.0, "for ever"));
    return cli_comm_close(&cli, comm, status);
}

int main(int argc, char **argv) {
    struct comm comm;
    if (argc < 2 || comm_mpi_open(&comm, &argc, &argv) != STATUS_OK)
        return 1;
    const bool late = comm.rank == comm.size - 1;
    if (strcmp(argv[1], "slow") == 0)
        slow(&comm, late);
    else if (strcmp(argv[1], "never") == 0)
        never(&comm, late);
    else if (strcmp(argv[1], "close") == 0)
        end(&comm, late);
    else if (strcmp(argv[1], "defect") == 0)
        leave(&comm, late);
    else
        return status_exit(end_command(&comm, late, strcmp(argv[1], "together") == 0));
    const int result = CHECK_END();
    comm_close(&comm);
    return result;
}
