/* SPDX-License-Identifier: Apache-2.0
 *
 * Each signal that a batch system or a terminal sends asks to stop, once; a second interrupt ends
 * the process; what the caller had set aside (nohup) stays so.
 */
#include "base/stop.h"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"

/* How a process ends that sends itself these signals: 85 when it was asked to stop by `reason`. */
static int end_after(const int *signals, int n, const char *reason) {
    int how;
    const pid_t child = fork();
    if (child == 0) {
        stop_watch();
        for (int i = 0; i < n; i++)
            raise(signals[i]);
        _exit(stop_requested() && strcmp(stop_reason(), reason) == 0 ? 85 : 1);
    }
    waitpid(child, &how, 0);
    return WIFEXITED(how) ? WEXITSTATUS(how) : -WTERMSIG(how);
}

static void test_each(void) {
    static const struct {
        int number;
        const char *name;
    } signals[] = {{SIGTERM, "SIGTERM"}, {SIGINT, "SIGINT"},   {SIGHUP, "SIGHUP"},
                   {SIGUSR1, "SIGUSR1"}, {SIGUSR2, "SIGUSR2"}, {SIGXCPU, "SIGXCPU"}};
    for (size_t i = 0; i < sizeof signals / sizeof *signals; i++)
        if (end_after(&signals[i].number, 1, signals[i].name) != 85)
            CHECK_FAILED("%s does not ask to stop", signals[i].name);
}

int main(void) {
    static const int two_terms[] = {SIGTERM, SIGTERM}, two_ints[] = {SIGINT, SIGINT},
                     broken[] = {SIGPIPE}, none[] = {SIGHUP};
    signal(SIGHUP, SIG_DFL); /* whatever started this test */
    signal(SIGINT, SIG_DFL);
    test_each();
    CHECK_EQ(end_after(two_terms, 2, "SIGTERM"), 85);
    CHECK_EQ(end_after(two_ints, 2, "SIGINT"), -SIGINT);
    CHECK_EQ(end_after(broken, 1, ""), 1); /* lives, and was not asked */
    signal(SIGHUP, SIG_IGN);
    CHECK_EQ(end_after(none, 1, ""), 1);
    return CHECK_END();
}
