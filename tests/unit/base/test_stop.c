/* SPDX-License-Identifier: Apache-2.0
 *
 * Each signal that a batch system or a terminal sends asks to stop, once; a second interrupt ends
 * the process; what the caller had set aside (nohup) stays so.
 */
#include "base/stop.h"

#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
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

/* Open MPI's launcher announces with SIGCONT that it will kill; from anybody else it means nothing. */
static int end_after_continue(bool under_mpirun, bool from_parent) {
    int how, ready[2];
    char word;
    if (pipe(ready) != 0)
        return -1;
    const pid_t child = fork();
    if (child == 0) {
        if (under_mpirun)
            setenv("OMPI_COMM_WORLD_RANK", "0", 1);
        else
            unsetenv("OMPI_COMM_WORLD_RANK");
        stop_watch();
        if (!from_parent)
            raise(SIGCONT);
        if (write(ready[1], "y", 1) == 1 && from_parent)
            sleep(1); /* the signal ends it */
        _exit(stop_requested() && strcmp(stop_reason(), "the launcher") == 0 ? 85 : 1);
    }
    if (read(ready[0], &word, 1) == 1 && from_parent)
        kill(child, SIGCONT);
    waitpid(child, &how, 0);
    close(ready[0]);
    close(ready[1]);
    return WIFEXITED(how) ? WEXITSTATUS(how) : -WTERMSIG(how);
}

/* The command names this process; under mpirun also what an interrupt there does. */
static void test_command(void) {
    char text[STOP_TEXT_BYTES], want[64];
    snprintf(want, sizeof want, "kill -USR1 %lld on ", (long long)getpid());
    if (strstr(stop_command(text), want) == NULL)
        CHECK_FAILED("\"%s\" lacks \"%s\"", text, want);
    setenv("SLURM_JOB_ID", "12", 1);
    setenv("SLURM_STEP_ID", "0", 1);
    if (strstr(stop_command(text), "scancel --signal=USR1 12.0, or kill") == NULL)
        CHECK_FAILED("\"%s\" lacks scancel", text);
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
    CHECK_EQ(end_after_continue(true, true), 85);
    CHECK_EQ(end_after_continue(true, false), 1);
    CHECK_EQ(end_after_continue(false, true), 1);
    test_command();
    signal(SIGHUP, SIG_IGN);
    CHECK_EQ(end_after(none, 1, ""), 1);
    return CHECK_END();
}
