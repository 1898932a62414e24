/* SPDX-License-Identifier: Apache-2.0
 *
 * A step's batch: groups of one prompt with its answers, and what becomes known of them on their
 * way from the data through the sampler and the rewards to the loss.
 *
 * Every rank holds all groups and, of every answer, the summary (length, finish reason, rewards,
 * advantage). Tokens, texts and numbers per token are held by the rank that owns the answer's tile
 * alone, until rollout_collect brings them to rank 0.
 */
#ifndef ROLLOUT_ROLLOUT_H
#define ROLLOUT_ROLLOUT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"
#include "base/strbuf.h"

enum finish_reason { FINISH_STOP, FINISH_LENGTH, FINISH_STOP_TEXT, FINISH_FORCED };

/* "stop", "length", "stop_text", "forced". */
const char *finish_reason_word(enum finish_reason reason);

enum { REWARD_PARTS_MAX = 8 };

struct rollout_group {
    int32_t source;  /* index into data.train */
    int64_t row;     /* 0-based line of that file */
    int64_t epoch;   /* of the source, from 0 */
    int32_t *prompt; /* (prompt_length) token ids */
    int64_t prompt_length;
    struct strbuf text, reference; /* the prompt as text, the reference answer */
    int32_t *teacher;              /* (teacher_length) what the teacher of opsd reads; or NULL */
    int64_t teacher_length;
};

struct rollout_answer {
    /* The summary, known to all ranks. */
    int64_t n; /* tokens, the stop id included */
    /* Tokens of others between an answer's turns (data/supervised.h), or the forced end of its
     * thinking (rollout/budgets.h): computed, without loss and numbers */
    int64_t between;
    bool forced; /* what is between was forced */
    int64_t
        thinking; /* of n, those before what it says: up to the end of thinking that has a budget */
    enum finish_reason finish;      /* how it ended; FINISH_FORCED is for files alone */
    double parts[REWARD_PARTS_MAX]; /* unweighted, in the order of reward.parts */
    double reward;                  /* weighted sum */
    double reward_penalised;        /* after the KL penalty, the reward itself without one */
    double advantage;
    /* Known to the owner. Arrays of n, NULL where the run has no such quantity. */
    int32_t *tokens;
    float *logprob_sampler;         /* as drawn */
    float *logprob;                 /* under π_old: the trainer's first pass */
    float *logprob_reference;       /* under the frozen copy */
    float *entropy;                 /* first pass */
    float *ratio, *gate_derivative; /* last pass */
    /* Of opsd, first pass: of the token under the teacher, of its distribution, the divergence of the
     * two before any clip; and, which the owner keeps for itself, whether both hold the same token
     * most probable, and the share of entries over the clip (of clip_at = token, 0 or 1) */
    float *logprob_teacher, *entropy_teacher, *divergence, *agreement, *clipped;
    struct strbuf text; /* without special tokens */
    /* Where between > 0: all n + between tokens behind the prompt, and the turns of the answer in
     * them, [turn_begins[i], turn_ends[i]) */
    int32_t *sequence, *turn_begins, *turn_ends;
    int64_t turn_count;
};

/* Tokens that are computed behind the prompt. */
static inline int64_t rollout_answer_length(const struct rollout_answer *answer) {
    return answer->n + answer->between;
}

/* Those of an answer with a forced text are its own and that text; of others its own. */
static inline const int32_t *rollout_answer_ids(const struct rollout_answer *answer) {
    return answer->forced ? answer->sequence : answer->tokens;
}
static inline int64_t rollout_answer_id_count(const struct rollout_answer *answer) {
    return answer->forced ? rollout_answer_length(answer) : answer->n;
}

/* What files say: a forced text counts more than what came behind it. */
static inline enum finish_reason rollout_answer_finish(const struct rollout_answer *answer) {
    return answer->forced ? FINISH_FORCED : answer->finish;
}

/* What is asked of an answer's tokens where they are computed: each from what stands before it, or the
 * hidden states at the last of them, or at all, or before its first turn and at the last. */
enum rollout_targets { ROLLOUT_TOKENS, ROLLOUT_LAST_STATE, ROLLOUT_STATES, ROLLOUT_END_STATES };

struct rollout {
    int64_t group_count, group_size;
    enum rollout_targets targets;
    bool logprob_known; /* the answers' logprob are filled in; else the first pass does it */
    struct rollout_group *groups;   /* (group_count) */
    struct rollout_answer *answers; /* (group_count × group_size), those of a group together */
};

/* Room for groups × group_size answers, all empty; rollout_release gives everything back. */
enum status rollout_init(struct rollout *rollout, int64_t group_count, int64_t group_size) MUST_USE;
void rollout_release(struct rollout *rollout);

/* Empties one group and its answers, so that another prompt can take its place. */
void rollout_clear_group(struct rollout *rollout, int64_t group);

/* Gives back what an answer holds and empties it. */
void rollout_answer_release(struct rollout_answer *answer);

/* Which numbers per token an answer holds. */
struct rollout_columns {
    bool sampler, reference, gate, teacher;
};

/* Allocates the token arrays of an answer of n tokens: tokens, logprob and entropy always, the
 * others where asked for. */
enum status rollout_answer_reserve(struct rollout_answer *answer, int64_t n,
                                   struct rollout_columns columns) MUST_USE;

/* Gives an answer, reserved for its n tokens, the sequence that it stands in, and fills in tokens
 * and between. */
enum status rollout_answer_set_turns(struct rollout_answer *answer, const int32_t *sequence,
                                     int64_t length, const int32_t *begins, const int32_t *ends,
                                     int64_t count) MUST_USE;

static inline struct rollout_answer *rollout_group_answers(const struct rollout *rollout,
                                                           int64_t group) {
    return rollout->answers + group * rollout->group_size;
}

/* Bytes that carry the owner's part of a group's answers to another rank, and back. `unpack` starts
 * at *at, advances it and fails on bytes that do not fit. */
enum status rollout_pack_group(const struct rollout *rollout, int64_t group,
                               struct strbuf *out) MUST_USE;
enum status rollout_unpack_group(struct rollout *rollout, const char *bytes, size_t length,
                                 size_t *at) MUST_USE;

#endif
