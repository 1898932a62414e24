/* SPDX-License-Identifier: Apache-2.0 */
#include "run/directory.h"

#include <errno.h>
#include <glob.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "file/bytes.h"

enum status directory_path(const char *root, char out[DIRECTORY_PATH_BYTES], const char *name) {
    if (snprintf(out, DIRECTORY_PATH_BYTES, "%s/%s", root, name) >= DIRECTORY_PATH_BYTES)
        return FAIL(STATUS_INPUT, "run.directory is longer than %d characters",
                    DIRECTORY_PATH_BYTES);
    return STATUS_OK;
}

static enum status make_directory(const char *path) {
    char part[DIRECTORY_PATH_BYTES];
    snprintf(part, sizeof part, "%s", path);
    for (char *at = part + 1;; at++) {
        const char end = *at;
        if (end != '/' && end != '\0')
            continue;
        *at = '\0';
        if (mkdir(part, 0777) != 0 && errno != EEXIST)
            return FAIL(STATUS_INPUT, "%s: the folder cannot be made: %s", part, strerror(errno));
        *at = end;
        if (end == '\0')
            return STATUS_OK;
    }
}

/* Everything that a run writes, as patterns inside its directory. */
static const char *const run_files[] = {
    "settings.cfg",          "log.txt",        "status.json",
    "metrics.jsonl",         "diagnostics.h5", "rollouts/step-*.h5",
    "checkpoints/step-*.h5", "*.part",         "rollouts/*.part",
    "checkpoints/*.part",    "model/*"};

static enum status remove_files(const char *root) {
    for (size_t i = 0; i < sizeof run_files / sizeof *run_files; i++) {
        char pattern[DIRECTORY_PATH_BYTES];
        glob_t found;
        TRY(directory_path(root, pattern, run_files[i]));
        if (glob(pattern, GLOB_NOSORT, NULL, &found) != 0)
            continue;
        for (size_t k = 0; k < found.gl_pathc; k++)
            if (unlink(found.gl_pathv[k]) != 0 && errno != ENOENT && errno != EISDIR)
                log_warning("run", "%s cannot be removed: %s", found.gl_pathv[k], strerror(errno));
        globfree(&found);
    }
    return STATUS_OK;
}

/* run.directory/model is replaced when the run ends, and emptied by --fresh. */
static enum status check_model_path(const char *root, const char *model_path) {
    char path[DIRECTORY_PATH_BYTES];
    struct stat mine, start;
    TRY(directory_path(root, path, "model"));
    if (stat(path, &mine) == 0 && stat(model_path, &start) == 0 && mine.st_dev == start.st_dev &&
        mine.st_ino == start.st_ino)
        return FAIL(STATUS_INPUT,
                    "model.path is %s, which the run replaces at its end: choose another "
                    "run.directory",
                    path);
    return STATUS_OK;
}

enum status directory_claim(const char *root, const char *model_path, bool fresh) {
    static const char *const inner[] = {"", "rollouts", "checkpoints"};
    char path[DIRECTORY_PATH_BYTES];
    TRY(check_model_path(root, model_path));
    TRY(directory_path(root, path, "diagnostics.h5"));
    if (!fresh && bytes_is_file(path))
        return FAIL(
            STATUS_INPUT,
            "%s holds a run already: choose another run.directory, or start over with --fresh, which removes the "
            "files of that run",
            root);
    for (size_t i = 0; i < sizeof inner / sizeof *inner; i++) {
        TRY(directory_path(root, path, inner[i]));
        TRY(make_directory(path));
    }
    return fresh ? remove_files(root) : STATUS_OK;
}
