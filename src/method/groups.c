/* SPDX-License-Identifier: Apache-2.0 */
#include "method/groups.h"

#include "base/memory.h"
#include "base/strbuf.h"

#include <string.h>

bool groups_own(const struct tiles *tiles, const struct comm *comm, int64_t group) {
    return tiles_of_group(tiles, group)->owner == comm->rank;
}

static enum status pack_own(const struct tiles *tiles, const struct comm *comm, int64_t begin,
                            int64_t end, const char *records, size_t bytes, struct strbuf *out) {
    for (int64_t g = begin; g < end; g++)
        if (groups_own(tiles, comm, g))
            TRY(strbuf_append(out, records + (size_t)(g - begin) * bytes, bytes));
    return STATUS_OK;
}

/* The gathered records stand rank by rank, each rank's in group order. */
static void unpack(const struct tiles *tiles, int ranks, int64_t begin, int64_t end,
                   const char *all, size_t bytes, char *records) {
    for (int rank = 0; rank < ranks; rank++)
        for (int64_t g = begin; g < end; g++)
            if (tiles_of_group(tiles, g)->owner == rank) {
                memcpy(records + (size_t)(g - begin) * bytes, all, bytes);
                all += bytes;
            }
}

enum status groups_share(const struct tiles *tiles, struct comm *comm, int64_t begin, int64_t end,
                         void *records, size_t bytes) {
    struct strbuf mine = STRBUF_EMPTY;
    char *all = NULL;
    size_t *sizes = NULL;
    enum status status = comm_agree(comm, pack_own(tiles, comm, begin, end, records, bytes, &mine));
    if (status == STATUS_OK)
        status = comm_agree(
            comm, comm_all_gather(comm, strbuf_text(&mine), mine.length, (void **)&all, &sizes));
    if (status == STATUS_OK)
        unpack(tiles, comm->size, begin, end, all, bytes, records);
    strbuf_release(&mine);
    memory_release(&all);
    memory_release(&sizes);
    return status;
}
