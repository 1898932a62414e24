/* SPDX-License-Identifier: Apache-2.0
 *
 * A library to preload: on one rank the n-th event of a kind meets its end, or a fault of the disk.
 *
 *   KILL_RANK    the rank, as the launcher numbers it
 *   KILL_EVENT   rollout, gradient, reduction, optimizer, writing: the clock is looked at in that
 *                phase of the rank's heartbeat
 *                write, rename: a checkpoint is written to, a file gets its name
 *                piece: a checkpoint is written to beside the computation
 *                call, read: any call that changes, or reads, a file
 *   KILL_STEP    of phases: only those of this step and later ones
 *   KILL_PATH    of files: only those whose path holds this, or ends with it where it ends with $
 *   KILL_AT      n, from 1; 0: nothing happens
 *   KILL_LAST    all events up to this one are meant, not the n-th alone
 *   KILL_ACTION  kill (this rank), all (every process in the file KILL_PIDS); hang: for ever; slow:
 *                KILL_MS milliseconds later; or for a call enospc, eio, short: it fails, or does half
 *                of what it was asked for; flip: pwrite writes one bit wrong; list: all are reported
 *   KILL_REPORT  a file that gets the event before it happens, and the number of events at the end
 *   KILL_CLOCK   so many times as fast runs the clock, on every rank
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define NEXT(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

static const char *event, *action, *path_words, *report;
static long kill_at, kill_last, kill_step, slow_ms;
static double clock_speed;
static struct timespec clock_start;
static atomic_long seen;

/* --- what happens --- */

static void say(const char *what, const char *detail, long n) {
    char line[PATH_MAX + 128];
    const int file = report != NULL ? NEXT(open)(report, O_WRONLY | O_CREAT | O_APPEND, 0666) : -1;
    if (file < 0)
        return;
    const int length = snprintf(line, sizeof line, "%s %ld %s %s\n", what, n, event, detail);
    if (NEXT(write)(file, line, (size_t)length) != length)
        abort();
    close(file);
}

/* Every process of the job, this one last. */
static void kill_all(void) {
    const char *path = getenv("KILL_PIDS");
    FILE *pids = path != NULL ? fopen(path, "r") : NULL;
    long pid;
    while (pids != NULL && fscanf(pids, "%ld", &pid) == 1)
        if (pid != (long)getpid())
            kill((pid_t)pid, SIGKILL);
}

static bool is_action(const char *name) {
    return strcmp(action, name) == 0;
}

/* Counts one; true when it is meant, and this process still lives: the call must fail then. */
static bool meets(const char *detail) {
    const struct timespec delay = {.tv_sec = slow_ms / 1000, .tv_nsec = slow_ms % 1000 * 1000000};
    const long n = atomic_fetch_add(&seen, 1) + 1;
    if (is_action("list"))
        say("call", detail, n);
    if (n < kill_at || n > kill_last || kill_at == 0)
        return false;
    if (n == kill_at)
        say("hit", detail, kill_at);
    while (is_action("hang"))
        pause();
    if (is_action("slow"))
        nanosleep(&delay, NULL);
    if (is_action("all"))
        kill_all();
    if (is_action("all") || is_action("kill"))
        kill(getpid(), SIGKILL);
    return !is_action("slow");
}

static bool is_event(const char *name) {
    return event != NULL && strcmp(event, name) == 0;
}

/* --- the computation --- */

/* What this rank is at, as it writes it into the run's file of heartbeats. */
static char phase[32];
static long step;

static void note_phase(const char *path, const void *bytes, size_t n) {
    static const char mark[] = " phase ", step_mark[] = " step ";
    const size_t length = strlen(path), tail = sizeof "/heartbeat" - 1;
    const char *at = length > tail && strcmp(path + length - tail, "/heartbeat") == 0
                         ? memmem(bytes, n, mark, sizeof mark - 1)
                         : NULL;
    const char *number = at != NULL ? memmem(bytes, n, step_mark, sizeof step_mark - 1) : NULL;
    if (number != NULL)
        step = strtol(number + sizeof step_mark - 1, NULL, 10);
    if (at != NULL)
        snprintf(phase, sizeof phase, "%.*s", (int)strcspn(at + sizeof mark - 1, " "),
                 at + sizeof mark - 1);
}

static void run_ahead(struct timespec *time) {
    const double since_s = (double)(time->tv_sec - clock_start.tv_sec) +
                           1e-9 * (double)(time->tv_nsec - clock_start.tv_nsec),
                 ahead_s = (clock_speed - 1.0) * since_s + 1e-9 * (double)time->tv_nsec;
    time->tv_sec += (time_t)ahead_s;
    time->tv_nsec = (long)(1e9 * (ahead_s - (double)(time_t)ahead_s));
}

/* Between the parts of a phase the program looks at the clock. */
int clock_gettime(clockid_t clock, struct timespec *out) {
    if (event != NULL && phase[0] != '\0' && is_event(phase) && step >= kill_step)
        (void)meets("");
    const int result = NEXT(clock_gettime)(clock, out);
    if (clock_speed > 1.0 && clock == CLOCK_MONOTONIC)
        run_ahead(out);
    return result;
}

/* --- files --- */

static long number_of(const char *name, long otherwise) {
    const char *text = getenv(name);
    return text != NULL ? strtol(text, NULL, 10) : otherwise;
}

__attribute__((constructor)) static void begin(void) {
    const char *rank = getenv("KILL_RANK"), *mine = getenv("OMPI_COMM_WORLD_RANK"),
               *at = getenv("KILL_AT");
    NEXT(clock_gettime)(CLOCK_MONOTONIC, &clock_start);
    clock_speed = (double)number_of("KILL_CLOCK", 1);
    if (mine == NULL)
        mine = getenv("PMI_RANK");
    if (mine == NULL)
        mine = getenv("PMIX_RANK");
    if (rank == NULL || at == NULL || strcmp(rank, mine != NULL ? mine : "0") != 0)
        return;
    action = getenv("KILL_ACTION");
    path_words = getenv("KILL_PATH");
    report = getenv("KILL_REPORT");
    kill_at = strtol(at, NULL, 10);
    kill_last = number_of("KILL_LAST", kill_at);
    kill_step = number_of("KILL_STEP", 0);
    slow_ms = number_of("KILL_MS", 0);
    event = getenv("KILL_EVENT");
}

__attribute__((destructor)) static void end(void) {
    if (event != NULL)
        say("seen", "", atomic_load(&seen));
}

static bool is_meant(const char *path) {
    const size_t words = path_words != NULL ? strlen(path_words) : 0, length = strlen(path);
    if (words == 0 || path_words[words - 1] != '$')
        return words == 0 || strstr(path, path_words) != NULL;
    return length >= words - 1 && strncmp(path + length - (words - 1), path_words, words - 1) == 0;
}

/* Whether a call on that path is the one. */
static bool strikes(const char *call, const char *path) {
    char detail[PATH_MAX + 32];
    if (event == NULL || path == NULL)
        return false;
    const bool reads = strcmp(call, "read") == 0, writes = strcmp(call, "pwrite") == 0,
               checkpoint = strstr(path, "/checkpoints/step-") != NULL;
    const bool counts = (is_event("call") && !reads) || (is_event("read") && reads) ||
                        (is_event("write") && checkpoint && writes) ||
                        (is_event("piece") && checkpoint && writes && gettid() != getpid()) ||
                        (is_event("rename") && strcmp(call, "rename") == 0);
    const char *slash = strrchr(path, '/');
    snprintf(detail, sizeof detail, "%s %s", call, slash != NULL ? slash + 1 : path);
    if (!counts || !is_meant(path) || !meets(detail))
        return false;
    errno = is_action("eio") ? EIO : ENOSPC;
    return true;
}

/* The path of an open file; "" where there is none. */
static const char *path_of(int file, char path[PATH_MAX]) {
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", file);
    const ssize_t n = readlink(link, path, PATH_MAX - 1);
    path[n > 0 ? n : 0] = '\0';
    return path;
}

static bool strikes_file(const char *call, int file) {
    char path[PATH_MAX];
    return event != NULL && strikes(call, path_of(file, path));
}

static bool strikes_write(int file, const void *bytes, size_t n) {
    char path[PATH_MAX];
    if (event == NULL)
        return false;
    note_phase(path_of(file, path), bytes, n);
    return strikes("pwrite", path);
}

/* How much of n bytes is written by a call that was struck; −1: none, and it fails. */
static ssize_t half_of(size_t n) {
    return is_action("short") && n > 1 ? (ssize_t)(n / 2) : -1;
}

ssize_t write(int file, const void *bytes, size_t n) {
    if (!strikes_file("write", file) || is_action("flip"))
        return NEXT(write)(file, bytes, n);
    const ssize_t half = half_of(n);
    return half > 0 ? NEXT(write)(file, bytes, (size_t)half) : half;
}

/* The lowest bit in the middle: of a number, where they are four or eight bytes long. */
static ssize_t write_flipped(int file, const void *bytes, size_t n, off64_t at) {
    char *copy = malloc(n);
    if (copy == NULL)
        abort();
    memcpy(copy, bytes, n);
    copy[n / 2] ^= 1;
    const ssize_t written = NEXT(pwrite64)(file, copy, n, at);
    free(copy);
    return written;
}

ssize_t pwrite64(int file, const void *bytes, size_t n, off64_t at) {
    if (!strikes_write(file, bytes, n))
        return NEXT(pwrite64)(file, bytes, n, at);
    if (is_action("flip"))
        return write_flipped(file, bytes, n, at);
    const ssize_t half = half_of(n);
    return half > 0 ? NEXT(pwrite64)(file, bytes, (size_t)half, at) : half;
}

ssize_t pwrite(int file, const void *bytes, size_t n, off_t at) {
    return pwrite64(file, bytes, n, at);
}

ssize_t read(int file, void *bytes, size_t n) {
    return strikes_file("read", file) ? -1 : NEXT(read)(file, bytes, n);
}

ssize_t pread64(int file, void *bytes, size_t n, off64_t at) {
    return strikes_file("read", file) ? -1 : NEXT(pread64)(file, bytes, n, at);
}

ssize_t pread(int file, void *bytes, size_t n, off_t at) {
    return pread64(file, bytes, n, at);
}

/* A call that does all or nothing is not cut short, and has no bits to flip. */
#define FAILS(condition) ((condition) && !is_action("short") && !is_action("flip"))

int fsync(int file) {
    return FAILS(strikes_file("fsync", file)) ? -1 : NEXT(fsync)(file);
}

int ftruncate(int file, off_t size) {
    return FAILS(strikes_file("ftruncate", file)) ? -1 : NEXT(ftruncate)(file, size);
}

int ftruncate64(int file, off64_t size) {
    return FAILS(strikes_file("ftruncate", file)) ? -1 : NEXT(ftruncate64)(file, size);
}

int rename(const char *from, const char *to) {
    return FAILS(strikes("rename", from)) ? -1 : NEXT(rename)(from, to);
}

int unlink(const char *path) {
    return FAILS(strikes("unlink", path)) ? -1 : NEXT(unlink)(path);
}

int open(const char *path, int flags, ...) {
    va_list arguments;
    va_start(arguments, flags);
    const int mode = (flags & O_CREAT) != 0 ? va_arg(arguments, int) : 0;
    va_end(arguments);
    if ((flags & O_ACCMODE) != O_RDONLY && FAILS(strikes("open", path)))
        return -1;
    return NEXT(open)(path, flags, mode);
}

int open64(const char *path, int flags, ...) {
    va_list arguments;
    va_start(arguments, flags);
    const int mode = (flags & O_CREAT) != 0 ? va_arg(arguments, int) : 0;
    va_end(arguments);
    if ((flags & O_ACCMODE) != O_RDONLY && FAILS(strikes("open", path)))
        return -1;
    return NEXT(open64)(path, flags, mode);
}
