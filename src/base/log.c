/* SPDX-License-Identifier: Apache-2.0 */
#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/printable.h"

enum { LINE_BYTES = 2048, EARLY_BYTES = 1 << 15 };

static struct {
    int rank, file; /* file is 0 before log_open: standard input is never a log */
    bool quiet, live;
    int live_columns;        /* that the live line takes on the terminal */
    char early[EARLY_BYTES]; /* lines before log_open; what does not fit stays on standard error */
    size_t early_used;
} log_state;

void log_set_rank(int rank) {
    log_state.rank = rank;
}

void log_set_quiet(bool quiet) {
    log_state.quiet = quiet;
}

enum status log_open(const char *path) {
    const int file = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
    if (file < 0)
        return FAIL(STATUS_IO, "%s: the log cannot be opened: %s", path, strerror(errno));
    const size_t early = log_state.early_used;
    const bool written = early == 0 || write(file, log_state.early, early) == (ssize_t)early;
    const int cause = errno;
    log_close();
    log_state.file = file;
    return written ? STATUS_OK
                   : FAIL(STATUS_IO, "%s: the log cannot be written: %s", path, strerror(cause));
}

void log_close(void) {
    if (log_state.file > 0)
        close(log_state.file);
    log_state.file = 0;
    log_state.early_used = 0;
}

/* A line into the file, or kept for it. False when it is on no disk. */
static bool keep_line(const char *line, size_t n) {
    if (log_state.file > 0)
        return write(log_state.file, line, n) == (ssize_t)n;
    if (n <= EARLY_BYTES - log_state.early_used) {
        memcpy(log_state.early + log_state.early_used, line, n);
        log_state.early_used += n;
    }
    return true;
}

static void write_line(const char *kind, const char *module, const char *format, va_list arguments,
                       bool screen) {
    char line[LINE_BYTES];
    int used = snprintf(line, sizeof line, "[%d] %.3f %s: %s", log_state.rank, clock_elapsed_s(),
                        module, kind);
    char text[LINE_BYTES] = ""; /* names and values in it may be foreign */
    vsnprintf(text, sizeof text, format, arguments);
    used += (int)printable(line + used, sizeof line - (size_t)used - 1, SIZE_MAX, "", text,
                           strlen(text));
    line[used++] = '\n';
    if (screen)
        log_live_end();
    const bool kept = keep_line(line, (size_t)used);
    if (screen || !kept) /* a full disk: the line is not lost */
        fwrite(line, 1, (size_t)used, stderr);
}

void log_info(const char *module, const char *format, ...) {
    if (log_state.rank != 0)
        return;
    va_list arguments;
    va_start(arguments, format);
    write_line("", module, format, arguments, !log_state.quiet);
    va_end(arguments);
}

void log_warning(const char *module, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    write_line("warning: ", module, format, arguments, true);
    va_end(arguments);
}

void log_file(const char *module, const char *format, ...) {
    if (log_state.file <= 0)
        return;
    va_list arguments;
    va_start(arguments, format);
    write_line("", module, format, arguments, false);
    va_end(arguments);
}

/* Takes the live line off the terminal, with all rows into which a narrow one has broken it. */
static void live_erase(void) {
    struct winsize window = {.ws_col = 0};
    const bool known = ioctl(STDERR_FILENO, TIOCGWINSZ, &window) == 0 && window.ws_col > 0;
    const int rows_above =
        log_state.live && known ? (log_state.live_columns - 1) / window.ws_col : 0;
    fputc('\r', stderr);
    if (rows_above > 0)
        fprintf(stderr, "\033[%dA", rows_above);
    fputs("\033[J", stderr);
}

void log_live(const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    live_erase();
    log_state.live_columns = vfprintf(stderr, format, arguments);
    fflush(stderr);
    va_end(arguments);
    log_state.live = true;
}

void log_live_end(void) {
    if (log_state.live)
        fputc('\n', stderr);
    log_state.live = false;
}
