/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/inspect_prompts.h"

#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/memory.h"
#include "file/h5.h"
#include "run/directory.h"
#include "run/step_name.h"

struct prompt {
    int64_t source, epoch, row;
};

struct prompts {
    struct prompt *items;
    int64_t count;
};

static enum status add_file(struct prompts *prompts, const struct h5 *h5) {
    int32_t *sources = NULL;
    int64_t *epochs = NULL, *rows = NULL, n = 0, same[2] = {0};
    enum status status = h5_get_list(h5, "/prompt/source", H5_KIND_I32, &sources, &n);
    if (status == STATUS_OK)
        status = h5_get_list(h5, "/prompt/epoch", H5_KIND_I64, &epochs, &same[0]);
    if (status == STATUS_OK)
        status = h5_get_list(h5, "/prompt/row", H5_KIND_I64, &rows, &same[1]);
    if (status == STATUS_OK && (same[0] != n || same[1] != n))
        status = FAIL(STATUS_INPUT, "/prompt has lists of different lengths");
    if (status == STATUS_OK)
        status = memory_grow(&prompts->items, prompts->count + n, "prompts");
    for (int64_t i = 0; status == STATUS_OK && i < n; i++)
        prompts->items[prompts->count++] = (struct prompt){sources[i], epochs[i], rows[i]};
    memory_release(&sources);
    memory_release(&epochs);
    memory_release(&rows);
    return status;
}

/* Files of earlier versions do not say the epoch. */
static enum status add_path(struct prompts *prompts, const char *path) {
    struct h5 *h5;
    TRY(h5_open(&h5, path));
    const enum status status = h5_has(h5, "/prompt/epoch") ? add_file(prompts, h5) : STATUS_OK;
    (void)h5_close(&h5);
    return status;
}

static enum status add_folder(struct prompts *prompts, const char *folder) {
    char path[DIRECTORY_PATH_BYTES];
    enum status status = STATUS_OK;
    DIR *stream = opendir(folder);
    for (const struct dirent *entry;
         stream != NULL && status == STATUS_OK && (entry = readdir(stream)) != NULL;) {
        if (step_name_parse(entry->d_name) < 0)
            continue;
        status = directory_path(folder, path, entry->d_name);
        if (status == STATUS_OK)
            status = add_path(prompts, path);
    }
    if (stream != NULL)
        closedir(stream);
    return status;
}

static int compare(const void *a, const void *b) {
    const struct prompt *x = a, *y = b;
    if (x->source != y->source)
        return x->source < y->source ? -1 : 1;
    if (x->epoch != y->epoch)
        return x->epoch < y->epoch ? -1 : 1;
    return (x->row > y->row) - (x->row < y->row);
}

/* The prompts [begin, end) are those of one epoch, by row. */
static enum status append_epoch(const struct prompt *items, int64_t begin, int64_t end,
                                struct strbuf *out) {
    int64_t again = 0;
    for (int64_t i = begin + 1; i < end; i++)
        again += items[i].row == items[i - 1].row;
    TRY(strbuf_append_format(out, "  epoch %lld of source %lld: %lld prompts, ",
                             (long long)items[begin].epoch + 1, (long long)items[begin].source,
                             (long long)(end - begin)));
    return again == 0 ? strbuf_append_text(out, "none twice\n")
                      : strbuf_append_format(out, "%lld of them AGAIN\n", (long long)again);
}

static enum status append_epochs(const struct prompts *prompts, struct strbuf *out) {
    const struct prompt *items = prompts->items;
    if (prompts->count > 0)
        TRY(strbuf_append_text(out, "prompts in rollouts/\n"));
    for (int64_t begin = 0, end; begin < prompts->count; begin = end) {
        for (end = begin; end < prompts->count && items[end].source == items[begin].source &&
                          items[end].epoch == items[begin].epoch;
             end++)
            ;
        TRY(append_epoch(items, begin, end, out));
    }
    return STATUS_OK;
}

enum status inspect_prompts(const char *directory, struct strbuf *out) {
    struct prompts prompts = {.items = NULL};
    char folder[DIRECTORY_PATH_BYTES];
    TRY(directory_path(directory, folder, "rollouts"));
    enum status status = add_folder(&prompts, folder);
    if (status == STATUS_OK && prompts.count > 0)
        qsort(prompts.items, (size_t)prompts.count, sizeof *prompts.items, compare);
    if (status == STATUS_OK)
        status = append_epochs(&prompts, out);
    memory_release(&prompts.items);
    return status;
}
