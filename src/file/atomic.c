/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE /* renameat2 */
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

/* Behind the name of a directory that gave way and is not removed yet. Like ATOMIC_PART it is long,
 * so that no file of anybody else is called so. */
#define OLD ".gradus.old"

struct names {
    char path[PATH_BYTES], part[PATH_BYTES], old[PATH_BYTES];
};

struct atomic {
    struct names names;
    int file; /* −1 for a directory */
    bool replace;
};

static enum status fail_io(const char *path, const char *what) {
    return FAIL(STATUS_IO, "%s: %s: %s", path, what, strerror(errno));
}

/* Removes a file, a link, or a directory and the files in it. What is not there is no trouble. */
static enum status remove_thing(const char *path) {
    if (unlink(path) == 0 || errno == ENOENT)
        return STATUS_OK;
    const int file = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    DIR *folder = file >= 0 ? fdopendir(file) : NULL;
    if (folder == NULL) {
        const enum status status = fail_io(path, "it cannot be removed");
        if (file >= 0)
            close(file);
        return status;
    }
    for (const struct dirent *entry; (entry = readdir(folder)) != NULL;)
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
            unlinkat(dirfd(folder), entry->d_name, 0); /* what stays makes rmdir fail */
    closedir(folder);
    return rmdir(path) == 0 ? STATUS_OK : fail_io(path, "the directory cannot be removed");
}

/* Reserves the names; a '/' at the end of `path` is dropped. */
static enum status name_parts(struct names *names, const char *path) {
    size_t length = strlen(path);
    while (length > 1 && path[length - 1] == '/')
        length--;
    if (length == 0 || length + sizeof ATOMIC_PART > PATH_BYTES)
        return FAIL(STATUS_INPUT, "a path of %zu bytes cannot be written: 1 to %zu are possible",
                    length, PATH_BYTES - sizeof ATOMIC_PART);
    snprintf(names->path, PATH_BYTES, "%.*s", (int)length, path);
    snprintf(names->part, PATH_BYTES, "%.*s" ATOMIC_PART, (int)length, path);
    snprintf(names->old, PATH_BYTES, "%.*s" OLD, (int)length, path);
    return STATUS_OK;
}

/* A thing in the making: its names, and no file yet. */
static enum status new_atomic(struct atomic **atomic, const char *path) {
    struct names names;
    TRY(name_parts(&names, path));
    TRY(memory_new(atomic, 1, "output file"));
    (*atomic)->names = names;
    (*atomic)->file = -1;
    return STATUS_OK;
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

/* After a kill in the middle of a commit: an old directory that had stepped aside gets its name
 * back, or is removed where the new one has it. */
static enum status recover(const struct names *names) {
    struct stat info;
    if (lstat(names->old, &info) != 0)
        return STATUS_OK;
    if (!is_free(names->path))
        return remove_thing(names->old);
    if (rename(names->old, names->path) != 0)
        return fail_io(names->old, "it cannot be renamed");
    return sync_folder_of(names->path);
}

enum status atomic_recover(const char *path) {
    struct names names;
    TRY(name_parts(&names, path));
    TRY(recover(&names));
    return remove_thing(names.part);
}

static enum status fail_create(struct atomic **atomic) {
    const enum status status = fail_io((*atomic)->names.part, "it cannot be created");
    memory_release(atomic);
    return status;
}

/* A new file, never the one that is there: who made that may be alive, stopped, and write on. */
enum status atomic_file_create(struct atomic **atomic, const char *path) {
    TRY(new_atomic(atomic, path));
    const char *part = (*atomic)->names.part;
    if (unlink(part) == 0 || errno == ENOENT)
        (*atomic)->file = open(part, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    return (*atomic)->file >= 0 ? STATUS_OK : fail_create(atomic);
}

enum status atomic_directory_create(struct atomic **atomic, const char *path, bool replace) {
    TRY(new_atomic(atomic, path));
    (*atomic)->replace = replace;
    enum status status = recover(&(*atomic)->names);
    if (status == STATUS_OK && !replace && !is_free((*atomic)->names.path))
        status = FAIL(STATUS_INPUT,
                      "%s: exists and is not an empty directory; name another or remove it", path);
    if (status == STATUS_OK)
        status = remove_thing((*atomic)->names.part);
    if (status != STATUS_OK) {
        memory_release(atomic);
        return status;
    }
    return mkdir((*atomic)->names.part, 0777) == 0 ? STATUS_OK : fail_create(atomic);
}

const char *atomic_part(const struct atomic *atomic) {
    return atomic->names.part;
}

int atomic_descriptor(const struct atomic *atomic) {
    ASSERT(atomic->file >= 0);
    return atomic->file;
}

/* fsync and close; errors of both count (a network file system reports a full disk only here). */
static enum status finish_part(struct atomic *atomic) {
    if (atomic->file < 0)
        return sync_directory(atomic->names.part);
    const int file = atomic->file;
    atomic->file = -1;
    if (fsync(file) != 0) {
        const enum status status = fail_io(atomic->names.part, "writing failed");
        close(file);
        return status;
    }
    return close(file) == 0 ? STATUS_OK : fail_io(atomic->names.part, "writing failed");
}

/* Two names change places in one step; false where the system or the file system cannot. */
static bool exchange(const char *a, const char *b) {
#ifdef RENAME_EXCHANGE
    return renameat2(AT_FDCWD, a, AT_FDCWD, b, RENAME_EXCHANGE) == 0;
#else
    (void)a;
    (void)b;
    return false;
#endif
}

static enum status rename_thing(const char *from, const char *to) {
    return rename(from, to) == 0 ? STATUS_OK : fail_io(from, "it cannot be renamed");
}

/* A directory that is not empty cannot be renamed over. It changes places with the new one, or it
 * steps aside first: a kill then leaves it as .old, which `recover` finds. */
static enum status replace_directory(const struct names *names) {
    const bool exchanged = exchange(names->part, names->path);
    if (!exchanged) {
        TRY(remove_thing(names->old));
        TRY(rename_thing(names->path, names->old));
        if (rename_thing(names->part, names->path) != STATUS_OK) {
            char sentence[STATUS_SENTENCE_MAX];
            snprintf(sentence, sizeof sentence, "%s", status_sentence());
            if (rename(names->old, names->path) != 0)
                return FAIL(STATUS_IO, "%s; what stood there is now %s", sentence, names->old);
            return STATUS_IO;
        }
    }
    TRY(sync_folder_of(names->path));
    return remove_thing(exchanged ? names->part : names->old);
}

static enum status put_in_place(const struct atomic *atomic) {
    if (atomic->replace && !is_free(atomic->names.path))
        return replace_directory(&atomic->names);
    TRY(rename_thing(atomic->names.part, atomic->names.path));
    return sync_folder_of(atomic->names.path);
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
    if (remove_thing((*atomic)->names.part) != STATUS_OK)
        status_set_sentence(sentence);
    memory_release(atomic);
}

enum status atomic_write_file(const char *path, const void *bytes, int64_t n) {
    struct atomic *atomic;
    TRY(atomic_file_create(&atomic, path));
    const enum status status = bytes_write(atomic->file, atomic->names.part, bytes, n);
    if (status == STATUS_OK)
        return atomic_commit(&atomic);
    atomic_abandon(&atomic);
    return status;
}
