/* SPDX-License-Identifier: Apache-2.0 */
#include "base/stop.h"

#include <signal.h>
#include <string.h>

static volatile sig_atomic_t received;

static void remember(int signal_number) {
    if (signal_number == SIGINT)
        signal(SIGINT, SIG_DFL); /* the next one ends the process */
    received = signal_number;
}

void stop_watch(void) {
    struct sigaction action;
    memset(&action, 0, sizeof action);
    action.sa_handler = remember;
    action.sa_flags = SA_RESTART;
    sigemptyset(&action.sa_mask);
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGUSR1, &action, NULL);
}

bool stop_requested(void) {
    return received != 0;
}

const char *stop_reason(void) {
    return received == SIGTERM   ? "SIGTERM"
           : received == SIGINT  ? "SIGINT"
           : received == SIGUSR1 ? "SIGUSR1"
                                 : "";
}
