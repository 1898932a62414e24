/* SPDX-License-Identifier: Apache-2.0
 *
 * A process killed before any of its calls that change files leaves, of a file or a directory that
 * it replaces, the old or the new one whole, or what the next start makes whole; also when that
 * start is killed at any of its calls. With renameat2 and where the file system does not know it.
 *
 * The calls are taken over here: this program's rename, unlink, … stand before the C library's.
 */
#define _GNU_SOURCE
#include "file/atomic.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "check.h"
#include "file/bytes.h"
#include "unit/file/folder.h"

enum { KILLED = 77, NEVER = -1, FILES = 3 };

static int calls_left = NEVER; /* the process ends before this call */
static bool no_exchange;

static void count_call(void) {
    if (calls_left == 0)
        _exit(KILLED);
    if (calls_left > 0)
        calls_left--;
}

ssize_t write(int file, const void *bytes, size_t n) {
    count_call();
    return syscall(SYS_write, file, bytes, n);
}

/* A kill loses nothing that was not synchronised; the disk need not be waited for. */
int fsync(int file) {
    (void)file;
    count_call();
    return 0;
}

int mkdir(const char *path, mode_t mode) {
    count_call();
    return (int)syscall(SYS_mkdirat, AT_FDCWD, path, mode);
}

int rename(const char *from, const char *to) {
    count_call();
    return (int)syscall(SYS_renameat2, AT_FDCWD, from, AT_FDCWD, to, 0);
}

int renameat2(int from_folder, const char *from, int to_folder, const char *to, unsigned flags) {
    count_call();
    if (no_exchange && flags != 0) {
        errno = EINVAL;
        return -1;
    }
    return (int)syscall(SYS_renameat2, from_folder, from, to_folder, to, flags);
}

int unlink(const char *path) {
    count_call();
    return (int)syscall(SYS_unlinkat, AT_FDCWD, path, 0);
}

int unlinkat(int folder, const char *path, int flags) {
    count_call();
    return (int)syscall(SYS_unlinkat, folder, path, flags);
}

int rmdir(const char *path) {
    count_call();
    return (int)syscall(SYS_unlinkat, AT_FDCWD, path, AT_REMOVEDIR);
}

/* A directory of files that all hold the word, written to "model" in place of what stands there. */
static enum status write_directory(const char *word) {
    struct atomic *made;
    char path[1024];
    TRY(atomic_directory_create(&made, folder_file("model"), true));
    enum status status = STATUS_OK;
    for (int i = 0; i < FILES && status == STATUS_OK; i++) {
        snprintf(path, sizeof path, "%s/%d", atomic_part(made), i);
        status = atomic_write_file(path, word, (int64_t)strlen(word));
    }
    if (status == STATUS_OK)
        return atomic_commit(&made);
    atomic_abandon(&made);
    return status;
}

/* The word that "model" holds whole, or what is wrong with it. */
static const char *content_of(void) {
    static char words[FILES][32];
    char path[1024];
    if (folder_entries(folder_file("model")) != FILES)
        return "not all files";
    for (int i = 0; i < FILES; i++) {
        struct strbuf text = STRBUF_EMPTY;
        snprintf(path, sizeof path, "%s/model/%d", folder_path, i);
        CHECK_OK(bytes_read_file(path, 16, &text));
        snprintf(words[i], sizeof words[i], "%s", strbuf_text(&text));
        strbuf_release(&text);
        if (strcmp(words[i], words[0]) != 0)
            return "a mixture";
    }
    return words[0];
}

static enum status write_new(void) {
    return write_directory("new");
}

static enum status recover(void) {
    return atomic_recover(folder_file("model"));
}

static enum status write_file(void) {
    return atomic_write_file(folder_file("file"), "new", 3);
}

/* Runs `work` in a process that is killed before its call n; false when it came to its end. */
static bool killed(enum status (*work)(void), int n) {
    int how;
    const pid_t child = fork();
    if (child == 0) {
        calls_left = n;
        _exit(work() == STATUS_OK ? 0 : 1);
    }
    CHECK(waitpid(child, &how, 0) == child && WIFEXITED(how));
    if (WEXITSTATUS(how) != KILLED)
        CHECK_EQ(WEXITSTATUS(how), 0);
    return WEXITSTATUS(how) == KILLED;
}

static bool is_old_or_new(void) {
    const char *word = content_of();
    return strcmp(word, "old") == 0 || strcmp(word, "new") == 0;
}

/* A kill before call n of the writer, then one before call m of the start that follows. */
static void check_kill(int n, int *whole) {
    for (int m = 0;; m++) {
        folder_clear(folder_file("model.gradus.old"));
        CHECK_OK(write_directory("old"));
        const bool first = killed(write_new, n);
        *whole += m == 0 && is_old_or_new();
        const bool second = killed(recover, m);
        CHECK_OK(recover());
        if (!is_old_or_new() || folder_entries(folder_path) != 1)
            CHECK_FAILED("killed before call %d%s and %d: %s, %d entries", n, first ? "" : " (end)",
                         m, content_of(), folder_entries(folder_path));
        if (!second)
            return;
    }
}

static void test_directory(bool exchange) {
    int n = 0, whole = 0;
    no_exchange = !exchange;
    for (bool more = true; more; n++) {
        check_kill(n, &whole);
        CHECK_OK(write_directory("old"));
        more = killed(write_new, n);
    }
    printf("directory %s exchange: %d points of kill, whole at once after %d\n",
           exchange ? "with" : "without", n, whole);
    CHECK(n > 10 && whole >= (exchange ? n : n - 1));
    folder_clear(folder_file("model"));
}

/* The next writer of the name finds what was left as well. */
static void test_next_writer(void) {
    no_exchange = true;
    for (int n = 0;; n++) {
        CHECK_OK(write_directory("old"));
        const bool more = killed(write_new, n);
        CHECK_OK(write_directory("later"));
        CHECK_TEXT(content_of(), "later");
        CHECK_EQ(folder_entries(folder_path), 1);
        if (!more)
            break;
    }
    folder_clear(folder_file("model"));
}

static void test_file(void) {
    bool more = true;
    for (int n = 0; more; n++) {
        struct strbuf text = STRBUF_EMPTY;
        CHECK_OK(atomic_write_file(folder_file("file"), "old", 3));
        more = killed(write_file, n);
        CHECK_OK(bytes_read_file(folder_file("file"), 16, &text));
        if (strcmp(strbuf_text(&text), "old") != 0)
            CHECK_TEXT(strbuf_text(&text), "new");
        strbuf_release(&text);
    }
}

int main(void) {
    folder_make();
    test_directory(true);
    test_directory(false);
    test_next_writer();
    test_file();
    folder_remove();
    return CHECK_END();
}
