/* SPDX-License-Identifier: Apache-2.0
 *
 * A folder of its own for a test that writes files: made empty below $TMPDIR (ctest
 * sets it to the build folder), and removed with the files in it by folder_remove.
 */
#ifndef TESTS_FOLDER_H
#define TESTS_FOLDER_H

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char folder_path[256];

static inline void folder_make(void) {
    const char *base = getenv("TMPDIR");
    snprintf(folder_path, sizeof folder_path, "%s/gradus-test-XXXXXX", base != NULL ? base : ".");
    if (mkdtemp(folder_path) == NULL) {
        perror(folder_path);
        exit(1);
    }
}

/* The path of a file in the folder; four results stay valid. */
static inline const char *folder_file(const char *name) {
    static char paths[4][512];
    static int next;
    char *path = paths[next++ % 4];
    snprintf(path, sizeof paths[0], "%s/%s", folder_path, name);
    return path;
}

/* Number of entries of a directory; −1 when there is none. */
static inline int folder_entries(const char *path) {
    DIR *folder = opendir(path);
    int count = -2;
    if (folder == NULL)
        return -1;
    while (readdir(folder) != NULL)
        count++;
    closedir(folder);
    return count;
}

static inline void folder_clear(const char *path) {
    DIR *folder = opendir(path);
    if (folder == NULL)
        return;
    for (const struct dirent *entry; (entry = readdir(folder)) != NULL;) {
        char inner[1024];
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        const int length = snprintf(inner, sizeof inner, "%s/%s", path, entry->d_name);
        if (length < (int)sizeof inner && unlink(inner) != 0)
            folder_clear(inner);
    }
    closedir(folder);
    rmdir(path);
}

static inline void folder_remove(void) {
    folder_clear(folder_path);
}

/* A new file: writing over an old one makes some file systems wait for the disk. */
static inline void folder_write(const char *path, const void *bytes, size_t n) {
    unlink(path);
    FILE *stream = fopen(path, "wb");
    if (stream == NULL || fwrite(bytes, 1, n, stream) != n || fclose(stream) != 0) {
        perror(path);
        exit(1);
    }
}

/* The bytes of a file (malloc); ends the test when it cannot be read. */
static inline char *folder_read(const char *path, size_t *n) {
    FILE *stream = fopen(path, "rb");
    struct stat info;
    if (stream == NULL || stat(path, &info) != 0) {
        perror(path);
        exit(1);
    }
    char *bytes = malloc((size_t)info.st_size + 1);
    *n = bytes != NULL ? fread(bytes, 1, (size_t)info.st_size, stream) : 0;
    if (bytes != NULL)
        bytes[*n] = '\0';
    fclose(stream);
    return bytes;
}

#endif
