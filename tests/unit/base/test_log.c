/* SPDX-License-Identifier: Apache-2.0
 *
 * The file of a log has all lines, also those before it was opened; a standard error that nobody
 * reads changes nothing; a live line that a narrow terminal breaks into rows is rewritten in all of them.
 */
#define _XOPEN_SOURCE 700 /* pseudo-terminals */
#include "base/log.h"

#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/stop.h"
#include "check.h"
#include "unit/file/folder.h"

static void check_log(const char *const *words, int n) {
    size_t length;
    char *text = folder_read(folder_file("log.txt"), &length), *at = text;
    for (int i = 0; i < n && at != NULL; i++) {
        at = strstr(at, words[i]);
        if (at == NULL)
            CHECK_FAILED("\"%s\" is missing or out of order in:\n%s", words[i], text);
    }
    free(text);
}

/* On a terminal of `columns`: 25 characters, 5 in their place, and a line behind those. */
static void check_live(unsigned short columns, const char *expected) {
    const struct winsize window = {.ws_row = 24, .ws_col = columns};
    char seen[512] = "";
    const int master = posix_openpt(O_RDWR | O_NOCTTY);
    CHECK(master >= 0 && grantpt(master) == 0 && unlockpt(master) == 0);
    const int terminal = open(ptsname(master), O_RDWR | O_NOCTTY);
    CHECK(terminal >= 0 && ioctl(terminal, TIOCSWINSZ, &window) == 0);
    const int screen = dup(STDERR_FILENO);
    dup2(terminal, STDERR_FILENO);
    log_live("%s", "1234567890123456789012345");
    log_live("%s", "67890");
    log_live("%s", "12345");
    log_live_end();
    fflush(stderr);
    dup2(screen, STDERR_FILENO);
    close(screen);
    close(terminal);
    for (ssize_t got, n = 0; (got = read(master, seen + n, sizeof seen - 1 - (size_t)n)) > 0;)
        n += got;
    if (strcmp(seen, expected) != 0)
        CHECK_FAILED("on %d columns \"%s\" instead of \"%s\"", columns, seen, expected);
    close(master);
}

int main(void) {
    static const char *const words[] = {"run: before = 1", "run: warning: before = 2",
                                        "run: after = 3", "run: file = 4", "run: unread = 5"};
    int ends[2];
    folder_make();
    stop_watch();
    log_info("run", "before = %d", 1);
    log_warning("run", "before = %d", 2);
    log_file("run", "lost: no file yet");
    CHECK_OK(log_open(folder_file("log.txt")));
    log_info("run", "after = %d", 3);
    log_file("run", "file = %d", 4);
    CHECK(pipe(ends) == 0);
    const int screen = dup(STDERR_FILENO);
    dup2(ends[1], STDERR_FILENO);
    close(ends[0]); /* as when `head -1` has ended */
    close(ends[1]);
    log_info("run", "unread = %d", 5);
    log_live("step = %d", 6);
    log_live_end();
    dup2(screen, STDERR_FILENO);
    close(screen);
    log_close();
    check_log(words, 5);
    CHECK_STATUS(log_open(folder_file("none/log.txt")), STATUS_IO, "cannot be opened");
    check_live(80, "\r\033[J1234567890123456789012345\r\033[J67890\r\033[J12345\r\n");
    check_live(25, "\r\033[J1234567890123456789012345\r\033[J67890\r\033[J12345\r\n");
    check_live(10, "\r\033[J1234567890123456789012345\r\033[2A\033[J67890\r\033[J12345\r\n");
    folder_remove();
    return CHECK_END();
}
