/* SPDX-License-Identifier: Apache-2.0
 *
 * Going through what a file holds.
 */
#include "file/h5.h"

#include <stdio.h>
#include <string.h>

#include "file/h5_library.h"

enum { DEPTH_MAX = 16 };

struct listing {
    const struct h5 *h5;
    const char *group;
    enum status (*visit)(void *context, const char *path, bool is_group);
    void *context;
    enum status status;
};

static herr_t list_entry(hid_t group, const char *name, const H5L_info_t *info, void *context) {
    struct listing *listing = context;
    char path[H5_PATH_BYTES];
    H5O_info_t object;
    if (info->type != H5L_TYPE_HARD)
        return 0;
    const char *separator = strcmp(listing->group, "/") == 0 ? "" : "/";
    if (snprintf(path, sizeof path, "%s%s%s", listing->group, separator, name) >=
        (int)sizeof path) {
        listing->status = h5_fail_content(listing->h5, listing->group, "holds a name too long");
        return -1;
    }
    if (H5Oget_info_by_name(group, name, &object, H5P_DEFAULT) < 0) {
        listing->status = h5_fail_read(listing->h5, path);
        return -1;
    }
    if (object.type == H5O_TYPE_GROUP || object.type == H5O_TYPE_DATASET)
        listing->status = listing->visit(listing->context, path, object.type == H5O_TYPE_GROUP);
    return listing->status == STATUS_OK ? 0 : -1;
}

enum status h5_list(const struct h5 *h5, const char *group,
                    enum status (*visit)(void *context, const char *path, bool is_group),
                    void *context) {
    struct listing listing = {.h5 = h5, .group = group, .visit = visit, .context = context};
    if (!h5_is_inside(h5, group))
        return h5_fail_content(h5, group, "is not in the file");
    const hid_t id = H5Gopen2(h5->file, group, H5P_DEFAULT);
    if (id < 0)
        return h5_fail_read(h5, group);
    hsize_t at = 0;
    const herr_t failed = H5Literate(id, H5_INDEX_NAME, H5_ITER_INC, &at, list_entry, &listing);
    if (failed < 0 && listing.status == STATUS_OK)
        listing.status = h5_fail_read(h5, group);
    H5Gclose(id);
    H5Eclear2(H5E_DEFAULT);
    return listing.status;
}

struct walk {
    const struct h5 *h5;
    enum status (*visit)(void *context, const char *path);
    void *context;
    int depth;
};

static enum status walk_entry(void *context, const char *path, bool is_group) {
    struct walk *walk = context;
    if (!is_group)
        return walk->visit(walk->context, path);
    if (walk->depth == DEPTH_MAX)
        return h5_fail_content(walk->h5, path, "lies too deep");
    walk->depth++;
    const enum status status = h5_list(walk->h5, path, walk_entry, walk);
    walk->depth--;
    return status;
}

enum status h5_walk(const struct h5 *h5, const char *group,
                    enum status (*visit)(void *context, const char *path), void *context) {
    struct walk walk = {.h5 = h5, .visit = visit, .context = context};
    return h5_list(h5, group, walk_entry, &walk);
}
