/* SPDX-License-Identifier: Apache-2.0 */
#include "run/checkpoint_folder.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "base/memory.h"

/* The number in "step-000100.h5"; −1 for any other name. */
static int64_t step_of(const char *name) {
    long long step;
    int length = 0;
    if (strncmp(name, "step-", 5) != 0 || name[5] < '0' || name[5] > '9' || strlen(name) > 24)
        return -1;
    return sscanf(name, "step-%lld.h5%n", &step, &length) == 1 && length > 0 && name[length] == '\0'
               ? (int64_t)step
               : -1;
}

static int newest_first(const void *a, const void *b) {
    const int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return x < y ? 1 : x > y ? -1 : 0;
}

/* The steps of the checkpoints in an open folder, newest first. */
static enum status list_steps(DIR *folder, int64_t **steps, int64_t *count) {
    *steps = NULL;
    *count = 0;
    for (const struct dirent *entry; (entry = readdir(folder)) != NULL;) {
        if (step_of(entry->d_name) < 0)
            continue;
        TRY(memory_grow(steps, *count + 1, "list of checkpoints"));
        (*steps)[(*count)++] = step_of(entry->d_name);
    }
    if (*count > 0)
        qsort(*steps, (size_t)*count, sizeof **steps, newest_first);
    return STATUS_OK;
}

enum status checkpoint_prune(const char *directory, int64_t keep) {
    int64_t *steps, count;
    char name[32];
    ASSERT(keep >= 1);
    DIR *folder = opendir(directory);
    if (folder == NULL)
        return FAIL(STATUS_IO, "%s: the folder cannot be read: %s", directory, strerror(errno));
    enum status status = list_steps(folder, &steps, &count);
    for (int64_t i = keep; i < count && status == STATUS_OK; i++) {
        snprintf(name, sizeof name, "step-%06lld.h5", (long long)steps[i]);
        if (unlinkat(dirfd(folder), name, 0) != 0)
            log_warning("checkpoint", "%s/%s cannot be removed: %s", directory, name,
                        strerror(errno));
    }
    closedir(folder);
    memory_release(&steps);
    return status;
}
