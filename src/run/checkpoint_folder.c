/* SPDX-License-Identifier: Apache-2.0 */
#include "run/checkpoint_folder.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "base/memory.h"
#include "run/step_name.h"

static int newest_first(const void *a, const void *b) {
    const int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return x < y ? 1 : x > y ? -1 : 0;
}

/* The steps of the checkpoints in an open folder, newest first. */
static enum status list_steps(DIR *folder, int64_t **steps, int64_t *count) {
    *steps = NULL;
    *count = 0;
    for (const struct dirent *entry; (entry = readdir(folder)) != NULL;) {
        const int64_t step = step_name_parse(entry->d_name);
        if (step < 0)
            continue;
        TRY(memory_grow(steps, *count + 1, "list of checkpoints"));
        (*steps)[(*count)++] = step;
    }
    if (*count > 0)
        qsort(*steps, (size_t)*count, sizeof **steps, newest_first);
    return STATUS_OK;
}

enum status checkpoint_list(const char *directory, int64_t **steps, int64_t *count) {
    *steps = NULL;
    *count = 0;
    DIR *folder = opendir(directory);
    if (folder == NULL)
        return errno == ENOENT ? STATUS_OK
                               : FAIL(STATUS_IO, "%s: the folder cannot be read: %s", directory,
                                      strerror(errno));
    const enum status status = list_steps(folder, steps, count);
    closedir(folder);
    if (status != STATUS_OK)
        memory_release(steps);
    return status;
}

enum status checkpoint_prune(const char *directory, int64_t keep, int64_t best) {
    int64_t *steps, count;
    char name[STEP_NAME_BYTES];
    ASSERT(keep >= 1);
    DIR *folder = opendir(directory);
    if (folder == NULL)
        return FAIL(STATUS_IO, "%s: the folder cannot be read: %s", directory, strerror(errno));
    enum status status = list_steps(folder, &steps, &count);
    for (int64_t i = keep; i < count && status == STATUS_OK; i++) {
        if (steps[i] != best && unlinkat(dirfd(folder), step_name(name, steps[i]), 0) != 0)
            log_warning("checkpoint", "%s/%s cannot be removed: %s", directory, name,
                        strerror(errno));
    }
    closedir(folder);
    memory_release(&steps);
    return status;
}
