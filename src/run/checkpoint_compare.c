/* SPDX-License-Identifier: Apache-2.0 */
#include "run/checkpoint_compare.h"

#include <stdio.h>
#include <string.h>

#include "base/memory.h"
#include "run/checkpoint_read.h"

/* The manifest of a file: `count` names in order, `stride` bytes apart, and their digests. */
struct list {
    char *names;
    unsigned char *digests;
    int64_t stride, count;
};

static void list_release(struct list *list) {
    memory_release(&list->names);
    memory_release(&list->digests);
}

static enum status list_read(struct list *list, const char *path) {
    struct checkpoint *checkpoint;
    TRY(checkpoint_open(&checkpoint, path, false));
    const enum status status =
        checkpoint_sums(checkpoint, &list->names, &list->stride, &list->digests, &list->count);
    checkpoint_close(&checkpoint);
    return status;
}

static bool starts_with(const char *text, const char *start) {
    return strncmp(text, start, strlen(start)) == 0;
}

static bool is_compared(const char *name) {
    return !starts_with(name, "/provenance") && !starts_with(name, "/settings");
}

/* The next name that is compared, from *at on; NULL at the end. */
static const char *next(const struct list *list, int64_t *at) {
    while (*at < list->count && !is_compared(list->names + *at * list->stride))
        (*at)++;
    return *at < list->count ? list->names + *at * list->stride : NULL;
}

static bool same_digest(const struct list *a, int64_t i, const struct list *b, int64_t j) {
    return memcmp(a->digests + i * CHECKPOINT_DIGEST_BYTES,
                  b->digests + j * CHECKPOINT_DIGEST_BYTES, CHECKPOINT_DIGEST_BYTES) == 0;
}

/* Both lists are sorted, so that the first name that only one has shows at once. */
static const char *first_difference(const struct list *a, const struct list *b) {
    for (int64_t i = 0, j = 0;; i++, j++) {
        const char *one = next(a, &i), *two = next(b, &j);
        if (one == NULL || two == NULL)
            return one != NULL ? one : two;
        if (strcmp(one, two) != 0)
            return strcmp(one, two) < 0 ? one : two;
        if (!same_digest(a, i, b, j))
            return one;
    }
}

enum status checkpoint_first_difference(const char *path, const char *other,
                                        char name[CHECKPOINT_NAME_BYTES]) {
    struct list a = {.names = NULL}, b = {.names = NULL};
    enum status status = list_read(&a, path);
    if (status == STATUS_OK)
        status = list_read(&b, other);
    if (status == STATUS_OK) {
        const char *found = first_difference(&a, &b);
        snprintf(name, CHECKPOINT_NAME_BYTES, "%s", found != NULL ? found : "");
    }
    list_release(&a);
    list_release(&b);
    return status;
}
