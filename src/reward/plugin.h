/* SPDX-License-Identifier: Apache-2.0
 *
 * The C interface of a reward in a shared object: all that such an object includes. It exports one
 * table,
 *
 *     const struct gradus_reward_plugin gradus_reward_plugin = {
 *         .version = GRADUS_REWARD_VERSION, .grade = grade};
 *
 * and is named in the input file: reward.parts = ( { name = "plugin"; library = "my.so"; } ).
 * input/rewards/plugin.c is a whole one. C++ writes extern "C" before it.
 *
 * One thread of each rank calls, one answer at a time, in an order that depends on the ranks: a reward
 * that looks at its answer alone is the same on any number of them, one that remembers is not. Texts
 * are UTF-8, may hold zero bytes (a zero byte follows each, too), and are the caller's; they may not
 * be kept. A call that does not return stalls its rank until the deadlines of the run end it
 * (parallel.phase_deadline_s); work that can hang belongs into a program (reward/program.h).
 *
 * A failure is any value but 0, with a sentence in `error`: the run ends with it and keeps a
 * checkpoint. A reward that is not finite is a failure too.
 */
#ifndef GRADUS_REWARD_PLUGIN_H
#define GRADUS_REWARD_PLUGIN_H

#include <stddef.h>
#include <stdint.h>

/* Changes whenever anything below does; another version is refused. */
#define GRADUS_REWARD_VERSION 1

struct gradus_reward_text {
    const char *bytes;
    size_t length;
};

struct gradus_reward_answer {
    struct gradus_reward_text prompt;    /* the user's turn, the template filled in */
    struct gradus_reward_text text;      /* the answer, without special tokens */
    struct gradus_reward_text reference; /* the prompt's reference answer */
    int64_t tokens, max_new_tokens;      /* of the answer, the stop id included; of the run */
    const char *finish_reason;           /* "stop", "length", "stop_text", "forced" */
    int64_t step, group, answer;         /* from 1; from 0; from 0 */
    int64_t source, row;                 /* index into data.train, 0-based line of that file */
};

/* Where a function puts a sentence of at most `size` − 1 bytes and a zero. */
struct gradus_reward_error {
    char *text;
    size_t size;
};

struct gradus_reward_plugin {
    uint32_t version; /* GRADUS_REWARD_VERSION; the first member in every version */
    /* Called once before the first answer; `arguments` are those of the input file ("" without any).
     * What it puts into *state is given to the others. NULL: nothing to do. */
    int (*open)(const char *arguments, void **state, struct gradus_reward_error *error);
    /* The reward of one answer. Required. */
    int (*grade)(void *state, const struct gradus_reward_answer *answer, double *reward,
                 struct gradus_reward_error *error);
    /* Gives back what open made. Called once at the end of a run, and not where open has failed or the
     * run was killed. NULL: nothing to do. */
    void (*close)(void *state);
};

#endif
