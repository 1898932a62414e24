/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE /* pipe2 */
#include "base/child.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/strbuf.h"

extern char **environ;

#define PATIENCE_S 1.0

/* --- pipes --- */

static void close_end(int *fd) {
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

/* An end above the standard streams, which may be closed here: the child's are put there. */
static bool lift(int *fd) {
    const int lifted = *fd > STDERR_FILENO ? *fd : fcntl(*fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
    if (lifted != *fd)
        close_end(fd);
    *fd = lifted;
    return lifted >= 0;
}

/* A pipe; our end, which does not block, is the one that is `ours`. */
static bool open_pipe(int ends[2], int ours) {
    if (pipe2(ends, O_CLOEXEC) != 0) {
        ends[0] = ends[1] = -1;
        return false;
    }
    return lift(&ends[0]) && lift(&ends[1]) && fcntl(ends[ours], F_SETFL, O_NONBLOCK) == 0;
}

/* --- start --- */

/* Signals that this process ignores or watches are the child's own business. */
static void set_attributes(posix_spawnattr_t *attributes) {
    sigset_t none, usual;
    sigemptyset(&none);
    sigemptyset(&usual);
    static const int ours[] = {SIGPIPE, SIGTERM, SIGINT,  SIGHUP,
                               SIGUSR1, SIGUSR2, SIGXCPU, SIGCONT};
    for (size_t i = 0; i < sizeof ours / sizeof *ours; i++)
        sigaddset(&usual, ours[i]);
    posix_spawnattr_setsigmask(attributes, &none);
    posix_spawnattr_setsigdefault(attributes, &usual);
    posix_spawnattr_setpgroup(attributes, 0);
    posix_spawnattr_setflags(attributes, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK |
                                             POSIX_SPAWN_SETSIGDEF);
}

/* streams: the child's ends. Returns an errno. */
static int spawn(const char *const *argv, const int streams[3], pid_t *pid) {
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    int failed = posix_spawn_file_actions_init(&actions);
    if (failed != 0)
        return failed;
    failed = posix_spawnattr_init(&attributes);
    if (failed == 0) {
        set_attributes(&attributes);
        for (int i = 0; i < 3 && failed == 0; i++)
            failed = posix_spawn_file_actions_adddup2(&actions, streams[i], i);
        if (failed == 0)
            failed = posix_spawn(pid, argv[0], &actions, &attributes, (char *const *)argv, environ);
        posix_spawnattr_destroy(&attributes);
    }
    posix_spawn_file_actions_destroy(&actions);
    return failed;
}

static int spawn_shell(const char *path, const char *arguments, const char *settings,
                       const int streams[3], pid_t *pid) {
    struct strbuf script = STRBUF_EMPTY;
    int failed = ENOMEM;
    if (strbuf_append_format(&script, "export %s; exec \"$0\" %s", settings, arguments) ==
        STATUS_OK) {
        const char *const argv[] = {"/bin/sh", "-c", strbuf_text(&script), path, NULL};
        failed = spawn(argv, streams, pid);
    }
    strbuf_release(&script);
    return failed;
}

enum status child_start(struct child *child, const char *path, const char *arguments,
                        const char *settings) {
    int in[2] = {-1, -1}, out[2] = {-1, -1}, err[2] = {-1, -1};
    pid_t pid = 0;
    char quoted[STATUS_QUOTE_MAX];
    *child = CHILD_NONE;
    signal(SIGPIPE, SIG_IGN);
    int failed = open_pipe(in, 1) && open_pipe(out, 0) && open_pipe(err, 0) ? 0 : errno;
    if (failed == 0)
        failed = spawn_shell(path, arguments, settings, (const int[]){in[0], out[1], err[1]}, &pid);
    close_end(&in[0]);
    close_end(&out[1]);
    close_end(&err[1]);
    child->pid = pid;
    child->input = in[1];
    child->output = out[0];
    child->errors = err[0];
    if (failed == 0)
        return STATUS_OK;
    child->pid = 0;
    child_stop(child, false);
    return FAIL(STATUS_IO, "the program '%s' cannot be started: %s",
                status_quote(quoted, path, SIZE_MAX), strerror(failed));
}

/* --- end --- */

static void tell_end(struct child *child, int status) {
    if (WIFEXITED(status))
        snprintf(child->end, sizeof child->end, "exit status %d", WEXITSTATUS(status));
    else
        snprintf(child->end, sizeof child->end, "signal %d", WTERMSIG(status));
}

/* Its group goes before its id can become another's. */
static bool reap(struct child *child) {
    siginfo_t info = {.si_pid = 0};
    int status = 0;
    if (waitid(P_PID, (id_t)child->pid, &info, WEXITED | WNOHANG | WNOWAIT) != 0)
        snprintf(child->end, sizeof child->end, "an unknown exit status");
    else if (info.si_pid == 0)
        return false;
    else {
        kill((pid_t)-child->pid, SIGKILL);
        waitpid((pid_t)child->pid, &status, 0);
        tell_end(child, status);
    }
    child->pid = 0;
    return true;
}

/* Looks now and then: a wait for a process has no deadline. */
bool child_ended(struct child *child, double patience_s) {
    const double start_s = clock_now_s();
    while (child->pid != 0 && !reap(child)) {
        if (clock_now_s() - start_s >= patience_s)
            return false;
        nanosleep(&(struct timespec){.tv_nsec = 5000000}, NULL);
    }
    return true;
}

void child_close_input(struct child *child) {
    close_end(&child->input);
}

void child_stop(struct child *child, bool gently) {
    child_close_input(child);
    close_end(&child->output);
    close_end(&child->errors);
    if (child->pid == 0 || (gently && child_ended(child, PATIENCE_S)))
        return;
    kill((pid_t)-child->pid, SIGTERM);
    if (child_ended(child, PATIENCE_S))
        return;
    kill((pid_t)-child->pid, SIGKILL);
    child_ended(child, PATIENCE_S);
}
