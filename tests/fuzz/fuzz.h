/* SPDX-License-Identifier: Apache-2.0
 *
 * What the fuzzing targets share. A target gives bytes to a reader, which must answer with
 * STATUS_OK or with STATUS_INPUT and one sentence, and give back all memory; what libFuzzer and
 * the sanitizers see besides is theirs. Built without libFuzzer, a target runs the files that it is
 * given (fuzz_files.c).
 */
#ifndef TESTS_FUZZ_FUZZ_H
#define TESTS_FUZZ_FUZZ_H

#include <stddef.h>
#include <stdint.h>

#include "base/log.h"
#include "base/memory.h"
#include "base/status.h"
#include "unit/file/folder.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A folder of this process, made at the first call and removed at its end. */
static inline const char *fuzz_folder(void) {
    if (folder_path[0] == '\0') {
        log_set_quiet(true);
        folder_make();
        atexit(folder_remove);
    }
    return folder_path;
}

static inline void fuzz_write(const char *name, const void *bytes, size_t n) {
    fuzz_folder();
    folder_write(folder_file(name), bytes, n);
}

/* A file of the repository beside the one that is fuzzed; tests run at its root. */
static inline void fuzz_copy(const char *from, const char *name) {
    size_t n;
    char *bytes = folder_read(from, &n);
    fuzz_write(name, bytes, n);
    free(bytes);
}

/* What a reader answered; all that it holds must have been given back but `held` bytes. */
static inline int fuzz_end(enum status status, int64_t held) {
    const bool refused = status == STATUS_INPUT;
    if (status != STATUS_OK && !refused) {
        fprintf(stderr, "status %d: %s\n", (int)status, status_sentence());
        abort();
    }
    if (refused && (strlen(status_sentence()) < 8 || strchr(status_sentence(), '\n') != NULL)) {
        fprintf(stderr, "no sentence: \"%s\"\n", status_sentence());
        abort();
    }
    status_clear();
    if (memory_totals().bytes != held) {
        fprintf(stderr, "%lld bytes were not given back\n",
                (long long)(memory_totals().bytes - held));
        abort();
    }
    return 0;
}

#endif
