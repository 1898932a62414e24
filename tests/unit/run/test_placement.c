/* SPDX-License-Identifier: Apache-2.0
 *
 * Where a rank runs, in words.
 */
#define _GNU_SOURCE /* cpu_set_t */
#include "run/placement.h"

#include <sched.h>

#include "check.h"

static void cores_are_ranges(void) {
    char text[PLACEMENT_TEXT_BYTES];
    cpu_set_t cores;
    CPU_ZERO(&cores);
    CHECK_TEXT(placement_cores(&cores, text), "");
    CPU_SET(0, &cores);
    CHECK_TEXT(placement_cores(&cores, text), "0");
    for (int i = 1; i < 4; i++)
        CPU_SET(i, &cores);
    CPU_SET(8, &cores);
    CPU_SET(CPU_SETSIZE - 1, &cores);
    CHECK_TEXT(placement_cores(&cores, text), "0-3,8,1023");
    for (int i = 0; i < CPU_SETSIZE; i += 2)
        CPU_SET(i, &cores);
    placement_cores(&cores, text);
    CHECK(strlen(text) < PLACEMENT_TEXT_BYTES && strstr(text, ",…") != NULL);
    for (int i = 0; i < CPU_SETSIZE; i++)
        CPU_SET(i, &cores);
    CHECK_TEXT(placement_cores(&cores, text), "0-1023");
}

static void launchers_have_names(void) {
    static const char *const names[] = {"OMPI_COMM_WORLD_RANK", "PALS_APID", "SLURM_JOB_ID",
                                        "SLURM_STEP_ID", "PMI_RANK"};
    char text[PLACEMENT_TEXT_BYTES];
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        unsetenv(names[i]);
    CHECK_TEXT(placement_launcher(text), "none");
    setenv("SLURM_JOB_ID", "12", 1); /* in the batch script itself, nothing has started ranks */
    CHECK_TEXT(placement_launcher(text), "none");
    setenv("PMI_RANK", "0", 1);
    CHECK_TEXT(placement_launcher(text), "mpiexec of MPICH or its kin");
    setenv("SLURM_STEP_ID", "3", 1);
    CHECK_TEXT(placement_launcher(text), "srun (step 12.3)");
    setenv("OMPI_COMM_WORLD_RANK", "0", 1);
    CHECK_TEXT(placement_launcher(text), "mpirun of Open MPI");
}

int main(void) {
    cores_are_ranges();
    launchers_have_names();
    return CHECK_END();
}
