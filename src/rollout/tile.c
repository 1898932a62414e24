/* SPDX-License-Identifier: Apache-2.0 */
#include "rollout/tile.h"

#include <stdio.h>

#include "base/memory.h"

/* First of `parts` shares of n things: the longer shares first. */
static int64_t share_begin(int64_t n, int64_t part, int64_t parts) {
    const int64_t rest = n % parts;
    return part * (n / parts) + (part < rest ? part : rest);
}

/* Smaller tiles help while there are as many groups as ranks; then only more groups do. */
static enum status too_few(int64_t count, int64_t groups, int64_t groups_per_tile, int rank_count) {
    char remedy[128];
    if (rank_count <= groups)
        snprintf(remedy, sizeof remedy, "set parallel.groups_per_tile to %lld",
                 (long long)(groups / rank_count));
    else
        snprintf(remedy, sizeof remedy, "raise rollout.prompts_per_step to %d%s", rank_count,
                 groups_per_tile > 1 || rank_count > TILES_AT_MOST
                     ? " with parallel.groups_per_tile = 1"
                     : "");
    return FAIL(STATUS_INPUT,
                "%d ranks share %lld tiles of a step (%lld prompts, parallel.groups_per_tile = "
                "%lld): start at most %lld ranks, or %s",
                rank_count, (long long)count, (long long)groups, (long long)groups_per_tile,
                (long long)count, remedy);
}

enum status tiles_init(struct tiles *tiles, int64_t groups, int mini_batches,
                       int64_t groups_per_tile, int rank_count) {
    *tiles = (struct tiles){.mini_batches = mini_batches};
    if (groups_per_tile == 0)
        groups_per_tile = (groups + TILES_AT_MOST - 1) / TILES_AT_MOST;
    TRY(memory_new(&tiles->tiles, groups, "tiles"));
    for (int m = 0; m < mini_batches; m++) {
        const int64_t begin = share_begin(groups, m, mini_batches),
                      end = share_begin(groups, m + 1, mini_batches);
        const int64_t n = (end - begin + groups_per_tile - 1) / groups_per_tile;
        for (int64_t t = 0; t < n; t++) {
            const int64_t first = begin + t * groups_per_tile, last = first + groups_per_tile;
            tiles->tiles[tiles->count++] = (struct tile){.begin = first,
                                                         .end = last < end ? last : end,
                                                         .mini_batch = m,
                                                         .owner = (int)(t * rank_count / n)};
        }
    }
    if (tiles->count >= rank_count)
        return STATUS_OK;
    const int64_t count = tiles->count;
    tiles_release(tiles);
    return too_few(count, groups, groups_per_tile, rank_count);
}

void tiles_release(struct tiles *tiles) {
    memory_release(&tiles->tiles);
    tiles->count = 0;
}

const struct tile *tiles_of_group(const struct tiles *tiles, int64_t group) {
    for (int64_t t = 0; t < tiles->count; t++)
        if (group < tiles->tiles[t].end)
            return &tiles->tiles[t];
    return NULL;
}

void microbatch_begin(struct microbatch *microbatch, const struct tile *tile) {
    microbatch->next_group = tile->begin;
    microbatch->next_answer = 0;
    microbatch->answer_count = 0;
}

/* Where a microbatch that begins at the given answer ends: before *answer of *group. By lengths
 * alone. */
static void microbatch_end(const struct rollout *rollout, const struct tile *tile,
                           int64_t tokens_per_pass, int64_t *group, int64_t *answer) {
    const int64_t first_group = *group, first_answer = *answer;
    int64_t tokens = 0, prompt_of = -1;
    while (*group < tile->end) {
        const struct rollout_group *of = &rollout->groups[*group];
        const int64_t prompt = prompt_of == *group ? 0 : of->prompt_length + of->teacher_length;
        const int64_t length =
            rollout_answer_length(&rollout_group_answers(rollout, *group)[*answer]);
        const int64_t more = prompt + (of->teacher_length > 0 ? 2 : 1) * length;
        const bool first = *group == first_group && *answer == first_answer;
        if (!first && tokens + more > tokens_per_pass)
            return;
        tokens += more;
        prompt_of = *group;
        if (++*answer == rollout->group_size) {
            ++*group;
            *answer = 0;
        }
    }
}

int64_t tile_microbatch_count(const struct rollout *rollout, const struct tile *tile,
                              int64_t tokens_per_pass) {
    int64_t count = 0;
    for (int64_t group = tile->begin, answer = 0; group < tile->end; count++)
        microbatch_end(rollout, tile, tokens_per_pass, &group, &answer);
    return count;
}

/* The segments of a prompt, and of the teacher's, −1 without one. */
struct segments {
    int32_t student, teacher;
};

static enum status append_prompt(struct microbatch *microbatch, const struct rollout_group *group,
                                 struct segments *segments) {
    segments->teacher = -1;
    TRY(batch_append_prompt(&microbatch->batch, group->prompt, group->prompt_length,
                            &segments->student));
    if (group->teacher_length == 0)
        return STATUS_OK;
    return batch_append_prompt(&microbatch->teacher, group->teacher, group->teacher_length,
                               &segments->teacher);
}

static enum status append_tokens(struct batch *batch, int32_t segment,
                                 const struct rollout_answer *answer,
                                 enum rollout_targets targets) {
    if (targets == ROLLOUT_END_STATES)
        return batch_append_ends(batch, segment, answer->sequence, rollout_answer_length(answer),
                                 answer->turn_begins[0]);
    if (targets != ROLLOUT_TOKENS)
        return batch_append_rows(batch, segment, answer->tokens, answer->n,
                                 targets == ROLLOUT_STATES ? BATCH_ALL_ROWS : BATCH_LAST_ROW);
    if (answer->between == 0)
        return batch_append_answer(batch, segment, answer->tokens, answer->n);
    return batch_append_turns(batch, segment, answer->sequence, rollout_answer_length(answer),
                              answer->turn_begins, answer->turn_ends, answer->turn_count);
}

static enum status append_answer(struct microbatch *microbatch, const struct rollout_answer *answer,
                                 const struct segments *segments, enum rollout_targets targets) {
    if (microbatch->answer_count == microbatch->answer_capacity) {
        microbatch->answer_capacity = 2 * microbatch->answer_capacity + 16;
        TRY(memory_grow(&microbatch->answers, microbatch->answer_capacity,
                        "answers of a microbatch"));
    }
    microbatch->answers[microbatch->answer_count++] =
        (struct microbatch_answer){.group = microbatch->next_group,
                                   .answer = microbatch->next_answer,
                                   .target = microbatch->batch.target_count};
    if (segments->teacher >= 0)
        TRY(append_tokens(&microbatch->teacher, segments->teacher, answer, targets));
    return append_tokens(&microbatch->batch, segments->student, answer, targets);
}

enum status microbatch_next(struct microbatch *microbatch, const struct rollout *rollout,
                            const struct tile *tile, int64_t tokens_per_pass) {
    int64_t end_group = microbatch->next_group, end_answer = microbatch->next_answer,
            prompt_of = -1;
    struct segments segments = {-1, -1};
    microbatch->answer_count = 0;
    batch_clear(&microbatch->batch);
    batch_clear(&microbatch->teacher);
    microbatch_end(rollout, tile, tokens_per_pass, &end_group, &end_answer);
    while (microbatch->next_group < end_group ||
           (microbatch->next_group == end_group && microbatch->next_answer < end_answer)) {
        const struct rollout_group *group = &rollout->groups[microbatch->next_group];
        if (prompt_of != microbatch->next_group)
            TRY(append_prompt(microbatch, group, &segments));
        prompt_of = microbatch->next_group;
        TRY(append_answer(
            microbatch,
            &rollout_group_answers(rollout, microbatch->next_group)[microbatch->next_answer],
            &segments, rollout->targets));
        if (++microbatch->next_answer == rollout->group_size) {
            microbatch->next_group++;
            microbatch->next_answer = 0;
        }
    }
    return STATUS_OK;
}

void microbatch_release(struct microbatch *microbatch) {
    batch_release(&microbatch->batch);
    batch_release(&microbatch->teacher);
    memory_release(&microbatch->answers);
    microbatch->answer_count = microbatch->answer_capacity = 0;
}
