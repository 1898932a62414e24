/* SPDX-License-Identifier: Apache-2.0 */
#include "rollout/tile.h"

#include "base/memory.h"

/* First of `parts` shares of n things: the longer shares first. */
static int64_t share_begin(int64_t n, int64_t part, int64_t parts) {
    const int64_t rest = n % parts;
    return part * (n / parts) + (part < rest ? part : rest);
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
    if (tiles->count < rank_count) {
        const int64_t count = tiles->count;
        tiles_release(tiles);
        return FAIL(
            STATUS_INPUT,
            "%d ranks share %lld tiles of a step (%lld prompts, parallel.groups_per_tile = %lld): start at most "
            "%lld ranks, or raise rollout.prompts_per_step",
            rank_count, (long long)count, (long long)groups, (long long)groups_per_tile,
            (long long)count);
    }
    return STATUS_OK;
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

void pass_begin(struct pass *pass, const struct tile *tile) {
    pass->next_group = tile->begin;
    pass->next_answer = 0;
    pass->answer_count = 0;
}

static enum status append_answer(struct pass *pass, const struct rollout_answer *answer,
                                 int32_t segment) {
    if (pass->answer_count == pass->answer_capacity) {
        pass->answer_capacity = 2 * pass->answer_capacity + 16;
        TRY(memory_grow(&pass->answers, pass->answer_capacity, "answers of a pass"));
    }
    pass->answers[pass->answer_count++] = (struct pass_answer){
        .group = pass->next_group, .answer = pass->next_answer, .target = pass->batch.target_count};
    return batch_append_answer(&pass->batch, segment, answer->tokens, answer->n);
}

enum status pass_next(struct pass *pass, const struct rollout *rollout, const struct tile *tile,
                      int64_t tokens_per_pass) {
    pass->answer_count = 0;
    batch_clear(&pass->batch);
    int64_t prompt_of = -1;
    int32_t segment = -1;
    while (pass->next_group < tile->end) {
        const struct rollout_group *group = &rollout->groups[pass->next_group];
        const struct rollout_answer *answer =
            &rollout_group_answers(rollout, pass->next_group)[pass->next_answer];
        const int64_t more = answer->n + (prompt_of == pass->next_group ? 0 : group->prompt_length);
        if (pass->answer_count > 0 && pass->batch.T + more > tokens_per_pass)
            break;
        if (prompt_of != pass->next_group) {
            TRY(batch_append_prompt(&pass->batch, group->prompt, group->prompt_length, &segment));
            prompt_of = pass->next_group;
        }
        TRY(append_answer(pass, answer, segment));
        if (++pass->next_answer == rollout->group_size) {
            pass->next_group++;
            pass->next_answer = 0;
        }
    }
    return STATUS_OK;
}

void pass_release(struct pass *pass) {
    batch_release(&pass->batch);
    memory_release(&pass->answers);
    pass->answer_count = pass->answer_capacity = 0;
}
