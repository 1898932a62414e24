/* SPDX-License-Identifier: Apache-2.0 */
#include "run/directory.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/memory.h"
#include "file/atomic.h"
#include "file/json.h"
#include "run/adapter_directory.h"
#include "run/checkpoint_folder.h"
#include "run/model_directory.h"
#include "run/step_name.h"

enum { NOTE_BYTES_MAX = 1 << 16, NAME_MAX_BYTES = 256 };

/* Everything that a run writes. status.json comes first and goes last: it says that the rest is a
 * run's. */
static const char *const root_names[] = {"diagnostics.h5", "metrics.jsonl", "log.txt",
                                         "settings.cfg",   "heartbeat",     "status.json"};
static const char *const step_folders[] = {"rollouts", "checkpoints"};

enum {
    ROOT_NAMES = sizeof root_names / sizeof *root_names,
    STEP_FOLDERS = sizeof step_folders / sizeof *step_folders
};

enum status directory_path(const char *root, char out[DIRECTORY_PATH_BYTES], const char *name) {
    if (snprintf(out, DIRECTORY_PATH_BYTES, "%s/%s", root, name) >= DIRECTORY_PATH_BYTES)
        return FAIL(STATUS_INPUT, "%.60s…: the path of %s in it is longer than %d characters", root,
                    name, DIRECTORY_PATH_BYTES - 1);
    return STATUS_OK;
}

enum status directory_make(const char *path) {
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

/* --- whose a file is --- */

/* The name without ".gradus.part", which a killed run leaves: the same file, unfinished; and
 * without that of a damaged checkpoint. */
static void finished_name(char out[NAME_MAX_BYTES], const char *name) {
    static const char *const tails[] = {ATOMIC_PART, CHECKPOINT_DAMAGED};
    size_t length = strlen(name);
    for (int i = 0; i < 2; i++) {
        const size_t tail = strlen(tails[i]);
        if (length > tail && strcmp(name + length - tail, tails[i]) == 0) {
            length -= tail;
            break;
        }
    }
    snprintf(out, NAME_MAX_BYTES, "%.*s", (int)length, name);
}

static bool is_root_name(const char *name) {
    for (int i = 0; i < ROOT_NAMES; i++)
        if (strcmp(root_names[i], name) == 0)
            return true;
    return false;
}

/* All but the one that says whose they are. */
static bool is_other_root_name(const char *name) {
    return is_root_name(name) && strcmp(name, "status.json") != 0;
}

static bool is_step_name(const char *name) {
    return step_name_parse(name) >= 0;
}

/* A text of a small JSON file in an open directory; "" when there is none. */
static void read_note(int folder, const char *root, const char *file, const char *name, char *out,
                      size_t size) {
    char text[NOTE_BYTES_MAX];
    out[0] = '\0';
    const int note = openat(folder, file, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    const ssize_t length = note >= 0 ? read(note, text, sizeof text) : -1;
    if (note >= 0)
        close(note);
    json_t *value = NULL;
    if (length > 0 && json_parse(text, (size_t)length, root, 0, &value) == STATUS_OK) {
        const char *word = json_string_value(json_object_get(value, name));
        snprintf(out, size, "%s", word != NULL ? word : "");
        json_decref(value);
    } else {
        status_clear();
    }
}

/* --- going through the directory --- */

/* One look at a run.directory: what a run has left there, and what is somebody else's. */
struct sweep {
    const char *root;
    int folder;        /* of root */
    const char *inner; /* the folder that is looked at: "", "rollouts", … */
    bool remove;
    char first[DIRECTORY_PATH_BYTES]; /* a run's file that was found, "" when none */
};

/* "root/inner/name: what"; `name` may be "" for the folder itself. */
static enum status fail_entry(const struct sweep *sweep, const char *name, const char *what) {
    char quoted[STATUS_QUOTE_MAX];
    const char *slash = sweep->inner[0] != '\0' && name[0] != '\0' ? "/" : "";
    return FAIL(STATUS_INPUT, "%s/%s%s%s: %s", sweep->root, sweep->inner, slash,
                status_quote(quoted, name, SIZE_MAX), what);
}

/* Notes or removes one file of a run. Links are removed themselves, not what they point to; a device
 * (/dev/null) is the user's wish and stays. */
static enum status sweep_file(struct sweep *sweep, int folder, const char *name) {
    struct stat info;
    if (fstatat(folder, name, &info, 0) == 0 && S_ISCHR(info.st_mode))
        return STATUS_OK;
    if (sweep->first[0] == '\0')
        snprintf(sweep->first, sizeof sweep->first, "%s%s%s", sweep->inner,
                 sweep->inner[0] != '\0' ? "/" : "", name);
    if (sweep->remove && unlinkat(folder, name, 0) != 0 && errno != ENOENT)
        return fail_entry(sweep, name, strerror(errno));
    return STATUS_OK;
}

/* Opens a folder of the directory, which must lie in it; *file is −1 when there is none. */
static enum status open_inner(const struct sweep *sweep, const char *name, int *file) {
    *file = openat(sweep->folder, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (*file >= 0 || errno == ENOENT)
        return STATUS_OK;
    return FAIL(STATUS_INPUT,
                "%s/%s is a link or no folder: a run writes into folders of its own; move it away",
                sweep->root, name);
}

/* Every entry of a folder that `is_ours` knows; takes over the descriptor. */
static enum status sweep_folder(struct sweep *sweep, int file, bool (*is_ours)(const char *name)) {
    DIR *folder = fdopendir(file);
    char name[NAME_MAX_BYTES];
    enum status status = STATUS_OK;
    if (folder == NULL) {
        close(file);
        return fail_entry(sweep, "", "the folder cannot be read");
    }
    for (const struct dirent *entry; status == STATUS_OK && (entry = readdir(folder)) != NULL;) {
        finished_name(name, entry->d_name);
        if (is_ours(name))
            status = sweep_file(sweep, dirfd(folder), entry->d_name);
    }
    closedir(folder);
    return status;
}

static enum status sweep_steps(struct sweep *sweep) {
    for (int i = 0; i < STEP_FOLDERS; i++) {
        int file;
        TRY(open_inner(sweep, step_folders[i], &file));
        sweep->inner = step_folders[i];
        if (file >= 0)
            TRY(sweep_folder(sweep, file, is_step_name));
        sweep->inner = "";
    }
    return STATUS_OK;
}

/* --- what a run leaves at its end: a model or an adapter --- */

static const char *const results[] = {"model", "adapter"};
enum { RESULTS = sizeof results / sizeof *results };

static bool is_result_file(const char *name) {
    return model_directory_writes(name) || adapter_directory_writes(name);
}

/* Whether the result was written by the run whose status.json lies beside it, and holds nothing
 * else. */
static enum status check_result(const struct sweep *sweep, int file) {
    char mine[128], its[128], name[NAME_MAX_BYTES];
    enum status status = STATUS_OK;
    read_note(sweep->folder, sweep->root, "status.json", "run", mine, sizeof mine);
    read_note(file, sweep->root, DIRECTORY_RESULT_NOTE, "run", its, sizeof its);
    const int again = openat(file, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *folder = again >= 0 ? fdopendir(again) : NULL;
    if (folder == NULL)
        return fail_entry(sweep, "", "the folder cannot be read");
    for (const struct dirent *entry; status == STATUS_OK && (entry = readdir(folder)) != NULL;) {
        finished_name(name, entry->d_name);
        if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
            continue;
        if (mine[0] == '\0' || strcmp(mine, its) != 0)
            status = fail_entry(sweep, "",
                                "one that no run here has left stands where this run's would go: "
                                "move it away, or choose another run.directory");
        else if (strcmp(name, DIRECTORY_RESULT_NOTE) != 0 && !is_result_file(name))
            status = fail_entry(sweep, entry->d_name,
                                "no run has written this: move it away, or choose another "
                                "run.directory");
    }
    closedir(folder);
    return status;
}

/* Removes the result of the earlier run; its note goes last, so that what a kill leaves is known. */
static enum status remove_result(struct sweep *sweep, int file) {
    const int again = openat(file, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (again >= 0)
        TRY(sweep_folder(sweep, again, is_result_file));
    if (unlinkat(file, DIRECTORY_RESULT_NOTE, 0) != 0 && errno != ENOENT)
        return fail_entry(sweep, DIRECTORY_RESULT_NOTE, strerror(errno));
    unlinkat(sweep->folder, sweep->inner, AT_REMOVEDIR); /* an empty one may stay */
    return STATUS_OK;
}

static enum status sweep_result(struct sweep *sweep, const char *result) {
    int file;
    TRY(open_inner(sweep, result, &file));
    if (file < 0)
        return STATUS_OK;
    sweep->inner = result;
    enum status status = check_result(sweep, file);
    if (status == STATUS_OK && sweep->remove)
        status = remove_result(sweep, file);
    sweep->inner = "";
    close(file);
    return status;
}

static enum status sweep_results(struct sweep *sweep) {
    for (int i = 0; i < RESULTS; i++)
        TRY(sweep_result(sweep, results[i]));
    return STATUS_OK;
}

/* What the run starts from must not be what it replaces when it ends. */
static enum status check_start(const struct sweep *sweep, const char *parameter, const char *path) {
    struct stat mine, start;
    if (path == NULL || stat(path, &start) != 0)
        return STATUS_OK;
    for (int i = 0; i < RESULTS; i++)
        if (fstatat(sweep->folder, results[i], &mine, 0) == 0 && mine.st_dev == start.st_dev &&
            mine.st_ino == start.st_ino)
            return FAIL(STATUS_INPUT,
                        "%s is %s/%s, which the run replaces at its end: choose another "
                        "run.directory",
                        parameter, sweep->root, results[i]);
    return STATUS_OK;
}

/* --- the whole --- */

static enum status look_around(struct sweep *sweep, const struct directory_starts *starts) {
    char state[128];
    TRY(check_start(sweep, "model.path", starts->model));
    TRY(check_start(sweep, "lora.adapter", starts->adapter));
    for (int i = 0; i < ROOT_NAMES; i++) {
        struct stat info;
        if (fstatat(sweep->folder, root_names[i], &info, AT_SYMLINK_NOFOLLOW) == 0)
            TRY(sweep_file(sweep, sweep->folder, root_names[i]));
    }
    TRY(sweep_steps(sweep));
    TRY(sweep_results(sweep));
    if (sweep->first[0] == '\0')
        return STATUS_OK;
    read_note(sweep->folder, sweep->root, "status.json", "state", state, sizeof state);
    if (state[0] == '\0')
        return FAIL(STATUS_INPUT,
                    "%s holds %s, but not the status.json of a run: it is not a run's to replace; "
                    "choose another run.directory, or move that file away",
                    sweep->root, sweep->first);
    return STATUS_OK;
}

static enum status remove_all(struct sweep *sweep) {
    sweep->remove = true;
    TRY(sweep_steps(sweep));
    TRY(sweep_results(sweep));
    const int again = openat(sweep->folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (again >= 0)
        TRY(sweep_folder(sweep, again, is_other_root_name));
    return sweep_file(sweep, sweep->folder, "status.json");
}

/* Opens the directory and looks around in it; with `remove`, empties it. *found: a run is there. */
static enum status sweep_root(const char *root, const struct directory_starts *starts, bool remove,
                              bool *found) {
    struct sweep *sweep;
    *found = false;
    TRY(memory_new(&sweep, 1, "look at run.directory"));
    *sweep = (struct sweep){.root = root, .inner = ""};
    sweep->folder = open(root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    enum status status = STATUS_OK;
    if (sweep->folder >= 0)
        status = look_around(sweep, starts);
    else if (errno != ENOENT)
        status = FAIL(STATUS_INPUT, "%s: it cannot be read: %s", root, strerror(errno));
    *found = status == STATUS_OK && sweep->first[0] != '\0';
    if (*found && remove)
        status = remove_all(sweep);
    if (sweep->folder >= 0)
        close(sweep->folder);
    memory_release(&sweep);
    return status;
}

enum status directory_check(const char *root, const struct directory_starts *starts, bool *found) {
    char path[DIRECTORY_PATH_BYTES];
    TRY(directory_path(root, path, DIRECTORY_LOCK));
    TRY(lock_check(path));
    return sweep_root(root, starts, false, found);
}

static enum status claim(const char *root, const struct directory_starts *starts, bool fresh,
                         bool *found) {
    char path[DIRECTORY_PATH_BYTES];
    for (int i = 0; i < RESULTS; i++) {
        TRY(directory_path(root, path, results[i]));
        TRY(atomic_recover(path));
    }
    TRY(sweep_root(root, starts, fresh, found));
    for (int i = 0; i < STEP_FOLDERS; i++) {
        TRY(directory_path(root, path, step_folders[i]));
        TRY(directory_make(path));
    }
    return STATUS_OK;
}

enum status directory_claim(struct lock **lock, const char *root,
                            const struct directory_starts *starts, bool fresh, bool *found) {
    char path[DIRECTORY_PATH_BYTES];
    TRY(directory_path(root, path, DIRECTORY_LOCK));
    TRY(directory_make(root));
    TRY(lock_take(lock, path));
    const enum status status = claim(root, starts, fresh, found);
    if (status != STATUS_OK)
        lock_release(lock);
    return status;
}

enum status directory_discard(const char *root) {
    const struct directory_starts nothing = {.model = NULL};
    char path[DIRECTORY_PATH_BYTES];
    struct lock *lock = NULL;
    bool found;
    TRY(directory_claim(&lock, root, &nothing, true, &found));
    lock_release(&lock);
    for (int i = 0; i < STEP_FOLDERS; i++) {
        TRY(directory_path(root, path, step_folders[i]));
        rmdir(path); /* what is not empty is not a run's alone, and stays */
    }
    rmdir(root);
    return STATUS_OK;
}
