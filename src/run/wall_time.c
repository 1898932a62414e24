/* SPDX-License-Identifier: Apache-2.0 */
#include "run/wall_time.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>

#include "base/clock.h"
#include "base/log.h"

/* Of a checkpoint that was never timed: a shared file system on a bad day. */
#define ASSUMED_BYTES_PER_S 1e8

void durations_add(struct durations *durations, double seconds) {
    durations->last_s[durations->count++ % WALL_TIME_RECENT] = seconds;
}

double durations_longest(const struct durations *durations) {
    double longest = 0.0;
    for (int i = 0; i < WALL_TIME_RECENT && i < durations->count; i++)
        longest = fmax(longest, durations->last_s[i]);
    return longest;
}

/* --- when the job ends --- */

/* A number of the environment; NaN where there is none. */
static double environment_number(const char *name) {
    const char *text = getenv(name);
    char *end;
    const double value = text != NULL ? strtod(text, &end) : NAN;
    return text == NULL || end == text || *end != '\0' ? NAN : value;
}

/* Since when a PBS job runs: its list of nodes is written then, and is on the first node alone. */
static double pbs_age_s(double now_s) {
    const char *path = getenv("PBS_NODEFILE");
    struct stat info;
    if (path == NULL || stat(path, &info) != 0)
        return clock_elapsed_s();
    return now_s - (double)info.st_mtime;
}

double wall_time_left_s(double limit_s, const char **source) {
    const double now_s = (double)time(NULL);
    const struct {
        double left_s;
        const char *source;
    } known[] = {
        {environment_number("GRADUS_JOB_END_TIME") - now_s, "GRADUS_JOB_END_TIME"},
        {environment_number("SLURM_JOB_END_TIME") - now_s, "SLURM_JOB_END_TIME"},
        {environment_number("PBS_WALLTIME") - pbs_age_s(now_s), "PBS_WALLTIME"},
        {limit_s > 0.0 ? limit_s - clock_elapsed_s() : NAN, "run.wall_time_s"},
    };
    double left_s = INFINITY;
    *source = "";
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (known[i].left_s > 0.0 && known[i].left_s < left_s) {
            left_s = known[i].left_s;
            *source = known[i].source;
        }
    return left_s;
}

enum status wall_time_open(struct wall_time *wall, const struct settings *settings,
                           struct comm *comm, double checkpoint_bytes) {
    const char *source;
    const double own_s = wall_time_left_s((double)settings->run.wall_time_s, &source);
    double earliest = -own_s;
    TRY(comm_maximum(comm, &earliest, 1));
    *wall = (struct wall_time){.end_s = clock_now_s() - earliest,
                               .margin_s = (double)settings->run.wall_margin_s,
                               .assumed_save_s = checkpoint_bytes / ASSUMED_BYTES_PER_S};
    if (isfinite(earliest))
        log_info("run", "job_end_s = %.0f, source = %s, margin_s = %.0f", -earliest,
                 source[0] != '\0' ? source : "another rank", wall->margin_s);
    return STATUS_OK;
}

/* --- whether there is time --- */

enum wall_verdict wall_time_decide(double left_s, double margin_s, double step_s, double save_s,
                                   bool between_steps) {
    const double needed_s = margin_s + save_s + (between_steps ? step_s : 0.0);
    if (left_s >= needed_s)
        return WALL_GO_ON;
    return between_steps || left_s >= margin_s ? WALL_SAVE : WALL_LEAVE;
}

static double save_s(const struct wall_time *wall) {
    return wall->saves.count > 0 ? durations_longest(&wall->saves) : wall->assumed_save_s;
}

enum wall_verdict wall_time_look(const struct wall_time *wall, bool between_steps) {
    return wall_time_decide(wall->end_s - clock_now_s(), wall->margin_s,
                            durations_longest(&wall->steps), save_s(wall), between_steps);
}

const char *wall_time_text(const struct wall_time *wall, char out[WALL_TIME_TEXT_BYTES]) {
    out[0] = '\0';
    if (isfinite(wall->end_s))
        snprintf(out, WALL_TIME_TEXT_BYTES,
                 ", left_s = %.1f, step_s = %.1f, checkpoint_s = %.1f, margin_s = %.0f",
                 wall->end_s - clock_now_s(), durations_longest(&wall->steps), save_s(wall),
                 wall->margin_s);
    return out;
}
