/* SPDX-License-Identifier: Apache-2.0
 *
 * A reward that a program gives: one process for each rank, started once, asked by JSON lines on its
 * standard input, answering by JSON lines on its standard output. It is asked
 *
 *     {"id":0,"last":false,"step":1,"group":0,"answer":0,"source":0,"row":17,"prompt":"…","text":"…",
 *      "reference":"…","tokens":12,"max_new_tokens":64,"finish_reason":"stop"}
 *
 * and says
 *
 *     {"id":0,"reward":0.5}                               or, to end the run with a sentence,
 *     {"id":0,"error":"no answer from the judge"}
 *
 * One line for each line, in any order. `id` counts over the life of the process. The line with
 * "last":true ends a batch: nothing more is asked before all its answers are there, so a program may
 * collect lines up to it, and must write out what it holds back (flush). The batches depend on the
 * ranks, and `id` with them; a reward that looks at the other fields alone does not, and that is
 * what makes a run equal on any number of ranks. step counts from 1, group and answer from 0
 * (gradus generate: step 0, group is the line of the input); prompt is the user's turn, the template
 * filled in, text the answer without special tokens.
 *
 * GRADUS_RANK and GRADUS_RANKS stand in its environment. It ends when its input does, which is also
 * what it sees of a run that was killed; else by SIGTERM a second later, by SIGKILL after another.
 * What it writes on standard error goes to the log of rank 0; its last line there is in the sentence
 * when it dies.
 *
 * Nobody waits for a pipe here: both directions and the clock are watched together, so a program may
 * answer before it has read all, and a batch may be larger than a pipe.
 */
#ifndef REWARD_PROGRAM_H
#define REWARD_PROGRAM_H

#include <stdint.h>

#include "base/pulse.h"
#include "base/status.h"
#include "reward/reward.h"

struct reward_program;

struct reward_program_settings {
    const char *path, *arguments; /* borrowed; the words of a shell */
    double deadline_s;            /* for all answers of a batch */
    int rank, ranks;
};

/* STATUS_INPUT with a sentence where `path` is no file that can be run. */
enum status reward_program_check(const char *path) MUST_USE;

/* Starts it. The caller closes it. */
enum status reward_program_open(struct reward_program **program,
                                const struct reward_program_settings *settings) MUST_USE;

/* Asks for `count` rewards; scores (count). STATUS_REWARD with a sentence when the program has ended,
 * has not answered all in time, or has written what is no answer; what the pulse says when it gives
 * up. After any of them it is only good for closing. */
enum status reward_program_grade(struct reward_program *program, const struct reward_input *inputs,
                                 int64_t count, const struct pulse *pulse, double *scores) MUST_USE;

void reward_program_close(struct reward_program **program);

#endif
