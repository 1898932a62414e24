/* SPDX-License-Identifier: Apache-2.0
 *
 * A guard ends a process that gives no sign of life, says why, and leaves one alone that does.
 */
#include "base/guard.h"

#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/memory.h"
#include "check.h"

static void sleep_s(double seconds) {
    nanosleep(&(struct timespec){.tv_sec = (time_t)seconds,
                                 .tv_nsec = (long)((seconds - (double)(time_t)seconds) * 1e9)},
              NULL);
}

static void say(void *context, double seconds) {
    fprintf(stderr, "%s took %.1f s\n", (const char *)context, seconds);
}

/* Exit status of a child that works for 1 s under a guard of 0.4 s. */
static int child(bool renews, bool stops) {
    const pid_t pid = fork();
    if (pid == 0) {
        struct guard *guard = NULL;
        if (guard_create(&guard, 0.4, 75, say, "the child") != STATUS_OK)
            _exit(1);
        for (int i = 0; i < (stops ? 1 : 10); i++) {
            sleep_s(0.1);
            if (renews)
                guard_renew(guard);
        }
        if (stops)
            raise(SIGSTOP);
        guard_destroy(&guard);
        _exit(guard == NULL ? 0 : 2);
    }
    int status = 0;
    if (stops) {
        sleep_s(1.0);
        kill(pid, SIGCONT);
    }
    CHECK_EQ(waitpid(pid, &status, 0), pid);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

int main(void) {
    CHECK_EQ(child(true, false), 0);
    CHECK_EQ(child(false, false), 75);
    CHECK_EQ(child(false, true), 0); /* a second in which it was stopped does not count */
    struct guard *none = NULL;
    guard_renew(none);
    guard_destroy(&none);
    CHECK_EQ(memory_totals().bytes, 0);
    return CHECK_END();
}
