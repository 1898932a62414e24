/* SPDX-License-Identifier: Apache-2.0
 *
 * A run stops while there is time for a checkpoint and not before; the end of its job is the
 * earliest that anything tells.
 */
#include "run/wall_time.h"

#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"

#include "check.h"

/* 10 s of margin, steps of 100 s, checkpoints of 7 s. */
static enum wall_verdict decide(double left_s, bool between_steps) {
    return wall_time_decide(left_s, 10, 100, 7, between_steps);
}

static void between_steps_a_step_and_a_checkpoint_fit(void) {
    CHECK_EQ(decide(INFINITY, true), WALL_GO_ON);
    CHECK_EQ(decide(117, true), WALL_GO_ON);
    CHECK_EQ(decide(116.9, true), WALL_SAVE);
    CHECK_EQ(decide(5, true), WALL_SAVE);
    CHECK_EQ(decide(-5, true), WALL_SAVE);
}

static void inside_a_step_a_checkpoint_fits(void) {
    CHECK_EQ(decide(INFINITY, false), WALL_GO_ON);
    CHECK_EQ(decide(17, false), WALL_GO_ON);
    CHECK_EQ(decide(16.9, false), WALL_SAVE);
    CHECK_EQ(decide(10, false), WALL_SAVE);
    CHECK_EQ(decide(9.9, false), WALL_LEAVE);
}

/* Whatever the figures: a run that keeps to the verdicts has written its checkpoint before the
 * margin begins, and wastes less than a step before it. */
static void a_run_ends_in_time(void) {
    for (int seed = 1; seed <= 200; seed++) {
        const double step_s = 1.0 + 7.0 * (seed % 13), save_s = 0.5 * (seed % 7),
                     margin_s = seed % 30, job_s = 100.0 + 11.0 * seed;
        double now_s = 0.0;
        while (wall_time_decide(job_s - now_s, margin_s, now_s > 0.0 ? step_s : 0.0, save_s,
                                true) == WALL_GO_ON)
            now_s += step_s;
        const double left_s = job_s - (now_s + save_s) - margin_s;
        if (!(left_s >= 0.0 && left_s < step_s))
            CHECK_FAILED("step_s = %g, save_s = %g, margin_s = %g, job_s = %g: %g s are left",
                         step_s, save_s, margin_s, job_s, left_s);
    }
}

static void the_longest_of_the_recent_counts(void) {
    struct durations durations = {.count = 0};
    CHECK_NEAR(durations_longest(&durations), 0, 0);
    durations_add(&durations, 9);
    durations_add(&durations, 3);
    CHECK_NEAR(durations_longest(&durations), 9, 0);
    for (int i = 0; i < WALL_TIME_RECENT - 1; i++)
        durations_add(&durations, 4);
    CHECK_NEAR(durations_longest(&durations), 4, 0);
}

static void set_time(const char *name, double in_s) {
    char text[32];
    snprintf(text, sizeof text, "%lld", (long long)time(NULL) + (long long)in_s);
    setenv(name, text, 1);
}

static void the_earliest_end_is_found(void) {
    const char *source;
    CHECK(isinf(wall_time_left_s(0, &source)));
    CHECK_TEXT(source, "");
    CHECK_NEAR(wall_time_left_s(500, &source), 500 - clock_elapsed_s(), 0.5);
    CHECK_TEXT(source, "run.wall_time_s");
    set_time("SLURM_JOB_END_TIME", 300);
    CHECK_NEAR(wall_time_left_s(500, &source), 300, 1.5);
    CHECK_TEXT(source, "SLURM_JOB_END_TIME");
    set_time("GRADUS_JOB_END_TIME", 200);
    CHECK_NEAR(wall_time_left_s(500, &source), 200, 1.5);
    set_time("GRADUS_JOB_END_TIME", -200); /* of a job that is over */
    CHECK_NEAR(wall_time_left_s(500, &source), 300, 1.5);
    setenv("SLURM_JOB_END_TIME", "tomorrow", 1);
    CHECK(isinf(wall_time_left_s(0, &source)));
    CHECK_TEXT(source, "");
    unsetenv("SLURM_JOB_END_TIME");
    unsetenv("GRADUS_JOB_END_TIME");
}

/* PBS says how long, the age of the list of nodes since when. */
static void pbs_counts_from_the_start_of_the_job(void) {
    const char *source;
    char path[] = "wall_time_nodes_XXXXXX";
    const int file = mkstemp(path);
    CHECK(file >= 0);
    const struct timespec begun[] = {{.tv_sec = time(NULL) - 100}, {.tv_sec = time(NULL) - 100}};
    CHECK_EQ(futimens(file, begun), 0);
    close(file);
    setenv("PBS_WALLTIME", "160", 1);
    setenv("PBS_NODEFILE", path, 1);
    CHECK_NEAR(wall_time_left_s(0, &source), 60, 1.5);
    CHECK_TEXT(source, "PBS_WALLTIME");
    unlink(path);
    CHECK_NEAR(wall_time_left_s(0, &source), 160, 1.5);
    unsetenv("PBS_WALLTIME");
}

int main(void) {
    unsetenv("GRADUS_JOB_END_TIME"); /* the test may be a job itself */
    unsetenv("SLURM_JOB_END_TIME");
    unsetenv("PBS_WALLTIME");
    unsetenv("PBS_NODEFILE");
    between_steps_a_step_and_a_checkpoint_fit();
    inside_a_step_a_checkpoint_fits();
    a_run_ends_in_time();
    the_longest_of_the_recent_counts();
    the_earliest_end_is_found();
    pbs_counts_from_the_start_of_the_job();
    return CHECK_END();
}
