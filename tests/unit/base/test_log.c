/* SPDX-License-Identifier: Apache-2.0
 *
 * The file of a log has all lines, also those before it was opened; a standard error that nobody
 * reads changes nothing.
 */
#include "base/log.h"

#include <signal.h>
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
    folder_remove();
    return CHECK_END();
}
