/* SPDX-License-Identifier: Apache-2.0 */
#include "base/guard.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/memory.h"

struct guard {
    pthread_t thread;
    pthread_mutex_t mutex;
    pthread_cond_t ended;
    bool end;           /* under the mutex */
    atomic_llong ticks; /* since the last sign of life */
    double tick_s, seconds;
    int exit_status;
    void (*expire)(void *context, double seconds);
    void *context;
};

/* Sleeps for a tick; whether the guard has ended meanwhile. */
static bool sleep_tick(struct guard *guard) {
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    const long ns = until.tv_nsec + (long)(guard->tick_s * 1e9);
    until.tv_sec += ns / 1000000000;
    until.tv_nsec = ns % 1000000000;
    pthread_mutex_lock(&guard->mutex);
    int waited = 0;
    while (!guard->end && waited == 0)
        waited = pthread_cond_timedwait(&guard->ended, &guard->mutex, &until);
    const bool end = guard->end;
    pthread_mutex_unlock(&guard->mutex);
    return end;
}

static void *watch(void *context) {
    struct guard *guard = context;
    while (!sleep_tick(guard)) {
        const long long ticks = atomic_fetch_add(&guard->ticks, 1) + 1;
        if ((double)ticks * guard->tick_s < guard->seconds)
            continue;
        guard->expire(guard->context, guard->seconds);
        _Exit(guard->exit_status); /* the process hangs: nothing of it can be asked to end */
    }
    return NULL;
}

/* Signals are for the main thread. */
static int start(struct guard *guard) {
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    const int code = pthread_create(&guard->thread, NULL, watch, guard);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return code;
}

enum status guard_create(struct guard **guard, double seconds, int exit_status,
                         void (*expire)(void *context, double seconds), void *context) {
    TRY(memory_new(guard, 1, "guard"));
    struct guard *g = *guard;
    g->seconds = seconds;
    g->tick_s = seconds < 10.0 ? seconds / 10.0 : 1.0;
    g->exit_status = exit_status;
    g->expire = expire;
    g->context = context;
    pthread_mutex_init(&g->mutex, NULL);
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&g->ended, &attributes);
    pthread_condattr_destroy(&attributes);
    const int code = start(g);
    if (code == 0)
        return STATUS_OK;
    memory_release(guard);
    return FAIL(STATUS_MEMORY, "a thread cannot be started: %s", strerror(code));
}

void guard_renew(struct guard *guard) {
    if (guard != NULL)
        atomic_store(&guard->ticks, 0);
}

void guard_destroy(struct guard **guard) {
    struct guard *g = *guard;
    if (g == NULL)
        return;
    pthread_mutex_lock(&g->mutex);
    g->end = true;
    pthread_cond_signal(&g->ended);
    pthread_mutex_unlock(&g->mutex);
    pthread_join(g->thread, NULL);
    pthread_cond_destroy(&g->ended);
    pthread_mutex_destroy(&g->mutex);
    memory_release(guard);
}
