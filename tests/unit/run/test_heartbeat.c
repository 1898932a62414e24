/* SPDX-License-Identifier: Apache-2.0
 *
 * A phase has a deadline: the user's, or by what it took before; a loop that gives signs of life is
 * ended by it and no sooner. What other ranks do about it is tests/system/hang.sh.
 */
#include "run/heartbeat.h"

#include <time.h>

#include "base/clock.h"
#include "base/memory.h"
#include "check.h"
#include "unit/file/folder.h"

static void pause_s(double seconds) {
    nanosleep(&(struct timespec){.tv_nsec = (long)(1e9 * seconds)}, NULL);
}

static struct heartbeat *open_with(struct comm *comm, double sign_s, double phase_s) {
    struct heartbeat *heartbeat = NULL;
    const struct heartbeat_deadlines deadlines = {.sign_s = sign_s, .phase_s = phase_s};
    comm_self_open(comm);
    CHECK_OK(heartbeat_open(&heartbeat, folder_file("heartbeat"), comm, &deadlines));
    return heartbeat;
}

/* Beats until that ends the phase, for at most `most_s`; returns how long it went well. */
static double beat(struct heartbeat *heartbeat, double most_s) {
    const double start_s = clock_now_s();
    double now_s = start_s;
    while (now_s - start_s < most_s && heartbeat_beat(heartbeat) == STATUS_OK) {
        pause_s(0.002);
        now_s = clock_now_s();
    }
    return now_s - start_s;
}

static void test_given(void) {
    struct comm comm;
    struct heartbeat *heartbeat = open_with(&comm, 500.0, 0.3);
    for (int64_t step = 1; step <= 3; step++) { /* each phase by itself */
        heartbeat_phase(heartbeat, "rollout", step);
        CHECK_NEAR(beat(heartbeat, 0.15), 0.15, 0.1);
        CHECK_OK(heartbeat_beat(heartbeat));
    }
    heartbeat_phase(heartbeat, "gradient", 4);
    heartbeat_tile(heartbeat, 7);
    const double held_s = beat(heartbeat, 5.0);
    CHECK(held_s >= 0.29 && held_s < 2.0);
    CHECK_STATUS(heartbeat_beat(heartbeat), STATUS_COMM,
                 "in phase 'gradient' of step 4, tile 7, longer than the 0 s that this may take");
    CHECK(strncmp(status_sentence(), "rank 0 (host ", 13) == 0);
    heartbeat_phase(heartbeat, "reduction", 4);
    CHECK_OK(heartbeat_beat(heartbeat));
    heartbeat_close(&heartbeat, true);
}

/* 20 times the longest of the same phase, and at least the deadline of signs of life; nothing to go
 * by the first time. */
static void test_learned(void) {
    struct comm comm;
    struct heartbeat *heartbeat = open_with(&comm, 0.05, 0.0);
    heartbeat_phase(heartbeat, "rollout", 1);
    CHECK_NEAR(beat(heartbeat, 0.3), 0.3, 0.1);
    heartbeat_took(heartbeat, "optimizer", 0.02);
    heartbeat_took(heartbeat, "optimizer", 0.01);
    heartbeat_phase(heartbeat, "optimizer", 1);
    const double held_s = beat(heartbeat, 5.0);
    CHECK(held_s >= 0.39 && held_s < 2.0);
    CHECK_STATUS(heartbeat_beat(heartbeat), STATUS_COMM, "20 times what it took before");
    heartbeat_phase(heartbeat, "rollout", 2); /* 6 s are allowed */
    CHECK_NEAR(beat(heartbeat, 0.8), 0.8, 0.3);
    CHECK_OK(heartbeat_beat(heartbeat));
    heartbeat_close(&heartbeat, true);
}

static void test_none(void) {
    struct comm comm;
    struct heartbeat *heartbeat = open_with(&comm, 0.0, 0.0);
    heartbeat_took(heartbeat, "rollout", 0.001);
    heartbeat_phase(heartbeat, "rollout", 1);
    CHECK_NEAR(beat(heartbeat, 0.2), 0.2, 0.1);
    CHECK_OK(heartbeat_beat(heartbeat));
    heartbeat_close(&heartbeat, true);
    CHECK_OK(heartbeat_beat(NULL));
}

int main(void) {
    folder_make();
    test_given();
    test_learned();
    test_none();
    folder_remove();
    CHECK_EQ(memory_totals().bytes, 0);
    return CHECK_END();
}
