/* SPDX-License-Identifier: Apache-2.0 */
#include "file/atomic.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/memory.h"
#include "file/bytes.h"

enum { PATH_BYTES = 4096 };

struct atomic {
    char path[PATH_BYTES], part[PATH_BYTES];
    int file; /* −1 for a directory */
    bool replace;
};

static enum status fail_io(const char *path, const char *what) {
    return FAIL(STATUS_IO, "%s: %s: %s", path, what, strerror(errno));
}

/* Removes a file, or a directory and the files in it. What is not there is no trouble. */
static enum status remove_thing(const char *path) {
    if (unlink(path) == 0 || errno == ENOENT)
        return STATUS_OK;
    DIR *folder = opendir(path);
    if (folder == NULL)
        return fail_io(path, "it cannot be removed");
    for (const struct dirent *entry; (entry = readdir(folder)) != NULL;)
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
            unlinkat(dirfd(folder), entry->d_name, 0); /* what stays makes rmdir fail */
    closedir(folder);
    return rmdir(path) == 0 ? STATUS_OK : fail_io(path, "the directory cannot be removed");
}

/* Reserves the names; a '/' at the end of `path` is dropped. */
static enum status name_parts(struct atomic **atomic, const char *path) {
    size_t length = strlen(path);
    while (length > 1 && path[length - 1] == '/')
        length--;
    if (length == 0 || length + sizeof ".part" > PATH_BYTES)
        return FAIL(STATUS_INPUT, "a path of %zu bytes cannot be written: 1 to %zu are possible",
                    length, PATH_BYTES - sizeof ".part");
    TRY(memory_new(atomic, 1, "output file"));
    snprintf((*atomic)->path, PATH_BYTES, "%.*s", (int)length, path);
    snprintf((*atomic)->part, PATH_BYTES, "%.*s.part", (int)length, path);
    (*atomic)->file = -1;
    return STATUS_OK;
}

static enum status fail_create(struct atomic **atomic) {
    const enum status status = fail_io((*atomic)->part, "it cannot be created");
    memory_release(atomic);
    return status;
}

enum status atomic_file_create(struct atomic **atomic, const char *path) {
    TRY(name_parts(atomic, path));
    (*atomic)->file =
        open((*atomic)->part, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0666);
    return (*atomic)->file >= 0 ? STATUS_OK : fail_create(atomic);
}

/* Nothing, or an empty directory, stands at `path`. */
static bool is_free(const char *path) {
    struct stat info;
    if (lstat(path, &info) != 0)
        return errno == ENOENT;
    DIR *folder = opendir(path);
    int entries = 0;
    while (folder != NULL && readdir(folder) != NULL)
        entries++;
    if (folder != NULL)
        closedir(folder);
    return folder != NULL && entries <= 2; /* "." and ".." */
}

enum status atomic_directory_create(struct atomic **atomic, const char *path, bool replace) {
    if (!replace && !is_free(path))
        return FAIL(STATUS_INPUT,
                    "%s: exists and is not an empty directory; name another or remove it", path);
    TRY(name_parts(atomic, path));
    (*atomic)->replace = replace;
    const enum status status = remove_thing((*atomic)->part);
    if (status != STATUS_OK) {
        memory_release(atomic);
        return status;
    }
    return mkdir((*atomic)->part, 0777) == 0 ? STATUS_OK : fail_create(atomic);
}

const char *atomic_part(const struct atomic *atomic) {
    return atomic->part;
}

int atomic_descriptor(const struct atomic *atomic) {
    ASSERT(atomic->file >= 0);
    return atomic->file;
}

static enum status sync_directory(const char *path) {
    const int folder = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (folder < 0)
        return fail_io(path, "the folder cannot be opened");
    const int failed =
        fsync(folder) != 0 && errno != EINVAL; /* EINVAL: it cannot be synchronised */
    const enum status status =
        failed ? fail_io(path, "the folder cannot be synchronised") : STATUS_OK;
    close(folder);
    return status;
}

/* Makes directory entries lasting: fsync of the folder that holds `path`. */
static enum status sync_folder_of(const char *path) {
    char folder[PATH_BYTES];
    const char *slash = strrchr(path, '/');
    const int length = slash == NULL ? 0 : slash == path ? 1 : (int)(slash - path);
    snprintf(folder, sizeof folder, "%.*s", length > 0 ? length : 1, length > 0 ? path : ".");
    return sync_directory(folder);
}

/* fsync and close; errors of both count (a network file system reports a full disk only here). */
static enum status finish_part(struct atomic *atomic) {
    if (atomic->file < 0)
        return sync_directory(atomic->part);
    const int file = atomic->file;
    atomic->file = -1;
    if (fsync(file) != 0) {
        const enum status status = fail_io(atomic->part, "writing failed");
        close(file);
        return status;
    }
    return close(file) == 0 ? STATUS_OK : fail_io(atomic->part, "writing failed");
}

/* A directory that is not empty cannot be renamed over: the old one steps aside first. */
static enum status put_in_place(const struct atomic *atomic) {
    char old[PATH_BYTES + 4] = "";
    if (atomic->replace && !is_free(atomic->path)) {
        snprintf(old, sizeof old, "%s.old", atomic->path);
        TRY(remove_thing(old));
        if (rename(atomic->path, old) != 0)
            return fail_io(atomic->path, "it cannot be renamed");
    }
    if (rename(atomic->part, atomic->path) != 0)
        return fail_io(atomic->part, "it cannot be renamed");
    TRY(sync_folder_of(atomic->path));
    return old[0] == '\0' ? STATUS_OK : remove_thing(old);
}

enum status atomic_commit(struct atomic **atomic) {
    enum status status = finish_part(*atomic);
    if (status == STATUS_OK)
        status = put_in_place(*atomic);
    if (status == STATUS_OK)
        memory_release(atomic);
    else
        atomic_abandon(atomic);
    return status;
}

void atomic_abandon(struct atomic **atomic) {
    char sentence[STATUS_SENTENCE_MAX]; /* the sentence of the failure that led here stays */
    if (*atomic == NULL)
        return;
    snprintf(sentence, sizeof sentence, "%s", status_sentence());
    if ((*atomic)->file >= 0)
        close((*atomic)->file);
    if (remove_thing((*atomic)->part) != STATUS_OK)
        status_set_sentence(sentence);
    memory_release(atomic);
}

enum status atomic_write_file(const char *path, const void *bytes, int64_t n) {
    struct atomic *atomic;
    TRY(atomic_file_create(&atomic, path));
    const enum status status = bytes_write(atomic->file, atomic->part, bytes, n);
    if (status == STATUS_OK)
        return atomic_commit(&atomic);
    atomic_abandon(&atomic);
    return status;
}
