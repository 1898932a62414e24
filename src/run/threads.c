/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE /* sched_getaffinity */
#include "run/threads.h"

#include <sched.h>
#include <string.h>
#include <unistd.h>

#include "base/memory.h"

/* What tells whether two ranks share their cores. */
struct place {
    char host[256];
    cpu_set_t cores;
};

enum status threads_choose(struct comm *comm, int wanted, int *threads) {
    struct place mine, *all = NULL;
    size_t *sizes = NULL;
    memset(&mine, 0, sizeof mine);
    gethostname(mine.host, sizeof mine.host - 1);
    if (sched_getaffinity(0, sizeof mine.cores, &mine.cores) != 0)
        CPU_SET(0, &mine.cores);
    TRY(comm_all_gather(comm, &mine, sizeof mine, (void **)&all, &sizes));
    int sharing = 0;
    for (int rank = 0; rank < comm->size; rank++)
        sharing += memcmp(&all[rank], &mine, sizeof mine) == 0;
    memory_release(&all);
    memory_release(&sizes);
    const int share = CPU_COUNT(&mine.cores) / sharing;
    *threads = wanted > 0 ? wanted : share > 1 ? share : 1;
    return STATUS_OK;
}
