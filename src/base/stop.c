/* SPDX-License-Identifier: Apache-2.0 */
#include "base/stop.h"

#include <signal.h>
#include <stddef.h>
#include <string.h>

static volatile sig_atomic_t received;

static const struct {
    int number;
    bool may_be_ignored;
    const char *name;
} signals[] = {
    {SIGTERM, false, "SIGTERM"}, {SIGINT, true, "SIGINT"},    {SIGHUP, true, "SIGHUP"},
    {SIGUSR1, false, "SIGUSR1"}, {SIGUSR2, false, "SIGUSR2"}, {SIGXCPU, false, "SIGXCPU"},
};

enum { SIGNALS = sizeof signals / sizeof *signals };

static void remember(int signal_number) {
    if (signal_number == SIGINT)
        signal(SIGINT, SIG_DFL); /* the next one ends the process */
    if (received == 0)
        received = signal_number;
}

void stop_watch(void) {
    struct sigaction action, before;
    memset(&action, 0, sizeof action);
    action.sa_handler = remember;
    action.sa_flags = SA_RESTART;
    sigemptyset(&action.sa_mask);
    for (int i = 0; i < SIGNALS; i++) {
        sigaction(signals[i].number, NULL, &before);
        if (!signals[i].may_be_ignored || before.sa_handler != SIG_IGN)
            sigaction(signals[i].number, &action, NULL);
    }
    signal(SIGPIPE, SIG_IGN);
}

bool stop_requested(void) {
    return received != 0;
}

const char *stop_reason(void) {
    for (int i = 0; i < SIGNALS; i++)
        if (signals[i].number == received)
            return signals[i].name;
    return "";
}
