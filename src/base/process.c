/* SPDX-License-Identifier: Apache-2.0 */
#include "base/process.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

void process_read_line(const char *path, char *out, size_t size) {
    FILE *stream = fopen(path, "r");
    out[0] = '\0';
    if (stream == NULL)
        return;
    if (fgets(out, (int)size, stream) == NULL)
        out[0] = '\0';
    out[strcspn(out, "\n")] = '\0';
    fclose(stream);
}

/* Field 22 of /proc/PID/stat. */
int64_t process_start(int64_t pid) {
    char path[64], text[1024];
    long long start;
    if (access("/proc/self/stat", R_OK) != 0)
        return -1;
    snprintf(path, sizeof path, "/proc/%lld/stat", (long long)pid);
    process_read_line(path, text, sizeof text);
    const char *at = strrchr(text, ')'); /* the name before it may hold anything */
    if (at == NULL)
        return 0;
    at += 2;
    const bool zombie = *at == 'Z' || *at == 'X';
    for (int field = 3; field < 22 && at != NULL; field++) {
        at = strchr(at, ' ');
        at = at != NULL ? at + 1 : NULL;
    }
    return zombie || at == NULL || sscanf(at, "%lld", &start) != 1 ? 0 : (int64_t)start;
}
