/* SPDX-License-Identifier: Apache-2.0
 *
 * The end of the job: when it comes, what a step and a checkpoint have taken lately, and whether
 * there is time for another of each.
 *
 * A batch system tells the end to each process in its environment (SLURM_JOB_END_TIME), or how long
 * a job may take (PBS_WALLTIME); run.wall_time_s says it where neither does. Slurm's own warning
 * signal comes up to a minute early or late, PBS has none, so the run looks at the clock itself.
 */
#ifndef RUN_WALL_TIME_H
#define RUN_WALL_TIME_H

#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"
#include "comm/comm.h"
#include "config/settings.h"

enum { WALL_TIME_RECENT = 8 };

/* The last few durations of one kind. */
struct durations {
    double last_s[WALL_TIME_RECENT];
    int64_t count; /* all there were */
};

struct wall_time {
    double end_s; /* by clock_now_s; INFINITY: nobody knows */
    double margin_s;
    struct durations steps, saves;
    double assumed_save_s; /* as long as none was measured */
};

void durations_add(struct durations *durations, double seconds);

/* The longest of the recent ones; 0 where there is none. */
double durations_longest(const struct durations *durations);

/* Finds the end, the earliest that any rank knows of, and says it in the log. A checkpoint of
 * `checkpoint_bytes` is taken for a slow one until the first is written. Collective. */
enum status wall_time_open(struct wall_time *wall, const struct settings *settings,
                           struct comm *comm, double checkpoint_bytes) MUST_USE;

/* Seconds from now until the end that the environment and a limit of `limit_s` from the start of
 * this process (0: none) give, and in *source what says so; INFINITY and "" where nothing does. An
 * end that has passed is that of another job, and counts for none. */
double wall_time_left_s(double limit_s, const char **source);

enum wall_verdict {
    WALL_GO_ON,
    WALL_SAVE, /* stop, with a checkpoint of the last finished step */
    WALL_LEAVE /* stop as it is: not even a checkpoint would be finished */
};

/* What can be done in left_s seconds, of which margin_s belong to the end of the job script: between
 * steps, a step and a checkpoint must fit; inside one, a checkpoint. */
enum wall_verdict wall_time_decide(double left_s, double margin_s, double step_s, double save_s,
                                   bool between_steps);

/* The same now, from what was measured. */
enum wall_verdict wall_time_look(const struct wall_time *wall, bool between_steps);

/* The numbers behind a decision to stop as the end of a log line, "" where no end is known; returns
 * `out`. */
enum { WALL_TIME_TEXT_BYTES = 160 };
const char *wall_time_text(const struct wall_time *wall, char out[WALL_TIME_TEXT_BYTES]);

#endif
