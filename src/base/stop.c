/* SPDX-License-Identifier: Apache-2.0 */
#include "base/stop.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static volatile sig_atomic_t received, urgent;
static time_t received_s; /* when, by the monotonic clock */
static pid_t launcher;    /* mpirun or its daemon on this node; 0: another parent */

static const struct {
    int number;
    bool may_be_ignored;
    const char *name;
} signals[] = {
    {SIGTERM, false, "SIGTERM"}, {SIGINT, true, "SIGINT"},    {SIGHUP, true, "SIGHUP"},
    {SIGUSR1, false, "SIGUSR1"}, {SIGUSR2, false, "SIGUSR2"}, {SIGXCPU, false, "SIGXCPU"},
};

enum {
    SIGNALS = sizeof signals / sizeof *signals,
    REPEATED_S = 1 /* launcher and batch system may both send what was asked for once */
};

static void remember(int signal_number) {
    if (signal_number == SIGINT)
        signal(SIGINT, SIG_DFL); /* the next one ends the process */
    struct timespec now = {.tv_sec = 0};
    clock_gettime(CLOCK_MONOTONIC, &now);
    if (received == 0) {
        received_s = now.tv_sec;
        received = signal_number;
    } else if (now.tv_sec - received_s > REPEATED_S) {
        urgent = 1;
    }
}

static void launcher_ends(int signal_number, siginfo_t *info, void *context) {
    (void)context;
    if (info->si_pid == launcher)
        remember(signal_number);
}

/* An mpirun that was told to forward job control sends SIGCONT after a pause as well. */
static void watch_launcher(void) {
    struct sigaction action;
    const char *forward = getenv("OMPI_MCA_orte_forward_job_control");
    if (getenv("OMPI_COMM_WORLD_RANK") == NULL || (forward != NULL && strcmp(forward, "0") != 0))
        return;
    launcher = getppid();
    memset(&action, 0, sizeof action);
    action.sa_sigaction = launcher_ends;
    action.sa_flags = SA_RESTART | SA_SIGINFO;
    sigemptyset(&action.sa_mask);
    sigaction(SIGCONT, &action, NULL);
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
    watch_launcher();
}

bool stop_requested(void) {
    return received != 0;
}

bool stop_is_urgent(void) {
    return urgent != 0;
}

const char *stop_reason(void) {
    for (int i = 0; i < SIGNALS; i++)
        if (signals[i].number == received)
            return signals[i].name;
    return received == SIGCONT ? "the launcher" : "";
}

const char *stop_command(char out[STOP_TEXT_BYTES]) {
    const char *job = getenv("SLURM_JOB_ID"), *step = getenv("SLURM_STEP_ID");
    char host[128] = "", slurm[128] = "";
    const char *note = "";
    gethostname(host, sizeof host - 1);
    if (launcher == 0 && job != NULL && step != NULL)
        snprintf(slurm, sizeof slurm, "scancel --signal=USR1 %.40s.%.40s, or ", job, step);
    if (launcher != 0 && getenv("OMPI_MCA_odls_base_sigkill_timeout") == NULL)
        note = " (mpirun ends the ranks 2 s after an interrupt or TERM; with "
               "--mca odls_base_sigkill_timeout 60 it leaves them 2 minutes)";
    snprintf(out, STOP_TEXT_BYTES, "%skill -USR1 %lld on %s%s", slurm, (long long)getpid(), host,
             note);
    return out;
}
