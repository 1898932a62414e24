/* SPDX-License-Identifier: Apache-2.0
 * Promises: tiles cover the step's groups in order whatever the rank count, every rank has work,
 * too many ranks are refused; the microbatches of a tile hold each answer once, cut by lengths alone, and
 * no prompt twice in one. */
#include "rollout/tile.h"

#include "base/memory.h"
#include "check.h"

static void cutting(void) {
    for (int64_t groups = 1; groups <= 20; groups++)
        for (int mini_batches = 1; mini_batches <= groups; mini_batches++)
            for (int64_t size = 0; size <= 5; size++)
                for (int ranks = 1; ranks <= 3; ranks++) {
                    struct tiles tiles, alone;
                    CHECK_OK(tiles_init(&alone, groups, mini_batches, size, 1));
                    if (alone.count < ranks) {
                        CHECK_STATUS(tiles_init(&tiles, groups, mini_batches, size, ranks),
                                     STATUS_INPUT, "at most");
                        tiles_release(&alone);
                        continue;
                    }
                    CHECK_OK(tiles_init(&tiles, groups, mini_batches, size, ranks));
                    CHECK_EQ(tiles.count, alone.count);
                    int64_t next = 0;
                    for (int64_t t = 0; t < tiles.count; t++) {
                        CHECK_EQ(tiles.tiles[t].begin, next);
                        CHECK_EQ(tiles.tiles[t].begin, alone.tiles[t].begin);
                        CHECK_EQ(tiles.tiles[t].end, alone.tiles[t].end);
                        CHECK(tiles.tiles[t].owner >= 0 && tiles.tiles[t].owner < ranks);
                        next = tiles.tiles[t].end;
                    }
                    CHECK_EQ(next, groups);
                    tiles_release(&tiles);
                    tiles_release(&alone);
                }
}

static void fill(struct rollout *rollout) {
    for (int64_t g = 0; g < rollout->group_count; g++) {
        rollout->groups[g].prompt_length = 3 + g;
        CHECK_OK(memory_new(&rollout->groups[g].prompt, 3 + g, "prompt"));
        for (int64_t i = 0; i < rollout->group_size; i++)
            CHECK_OK(rollout_answer_reserve(&rollout_group_answers(rollout, g)[i],
                                            1 + (5 * g + 3 * i) % 7,
                                            (struct rollout_columns){.sampler = true}));
    }
}

static void microbatches(int64_t limit, int64_t want_positions) {
    struct rollout rollout;
    struct microbatch microbatch = MICROBATCH_EMPTY;
    const struct tile tile = {.begin = 1, .end = 4};
    CHECK_OK(rollout_init(&rollout, 5, 4));
    fill(&rollout);
    int64_t expected = tile.begin * rollout.group_size, positions = 0, count = 0;
    for (microbatch_begin(&microbatch, &tile);;) {
        CHECK_OK(microbatch_next(&microbatch, &rollout, &tile, limit));
        if (microbatch.answer_count == 0)
            break;
        CHECK(microbatch.batch.T <= limit || microbatch.answer_count == 1);
        positions += microbatch.batch.T;
        count++;
        for (int64_t i = 0; i < microbatch.answer_count; i++)
            CHECK_EQ(microbatch.answers[i].group * rollout.group_size +
                         microbatch.answers[i].answer,
                     expected++);
    }
    CHECK_EQ(expected, tile.end * rollout.group_size);
    CHECK_EQ(count, tile_microbatch_count(&rollout, &tile, limit));
    if (want_positions > 0)
        CHECK_EQ(positions, want_positions);
    microbatch_release(&microbatch);
    rollout_release(&rollout);
}

/* Σ (prompt + Σ answers) of groups 1 to 3: no prompt twice. */
static int64_t positions_of_tile(void) {
    int64_t sum = 0;
    for (int64_t g = 1; g < 4; g++) {
        sum += 3 + g;
        for (int64_t i = 0; i < 4; i++)
            sum += 1 + (5 * g + 3 * i) % 7;
    }
    return sum;
}

static void packing(void) {
    struct rollout from, to;
    struct strbuf bytes = STRBUF_EMPTY;
    size_t at = 0;
    CHECK_OK(rollout_init(&from, 5, 4));
    CHECK_OK(rollout_init(&to, 5, 4));
    fill(&from);
    struct rollout_answer *answer = &rollout_group_answers(&from, 2)[1];
    answer->logprob_sampler[0] = -1.5f;
    answer->tokens[answer->n - 1] = 77;
    CHECK_OK(strbuf_append_text(&answer->text, "hello"));
    CHECK_OK(rollout_pack_group(&from, 2, &bytes));
    for (int64_t i = 0; i < 4; i++)
        rollout_group_answers(&to, 2)[i].n = rollout_group_answers(&from, 2)[i].n;
    CHECK_OK(rollout_unpack_group(&to, bytes.text, bytes.length, &at));
    CHECK_EQ(at, bytes.length);
    const struct rollout_answer *copy = &rollout_group_answers(&to, 2)[1];
    CHECK_NEAR(copy->logprob_sampler[0], -1.5, 0);
    CHECK_EQ(copy->tokens[copy->n - 1], 77);
    CHECK_TEXT(strbuf_text(&copy->text), "hello");
    CHECK(copy->logprob_reference == NULL);
    for (size_t cut = 0; cut < bytes.length; cut++) {
        at = 0;
        CHECK(rollout_unpack_group(&to, bytes.text, cut, &at) != STATUS_OK);
    }
    strbuf_release(&bytes);
    rollout_release(&from);
    rollout_release(&to);
}

/* More ranks than tiles: what the sentence names is enough, whatever the settings. */
static void remedies(void) {
    struct tiles tiles;
    for (int64_t groups = 1; groups <= 200; groups += 1 + groups / 7)
        for (int64_t per_tile = 0; per_tile <= 9; per_tile += 3)
            for (int parts = 1; parts <= 5 && parts <= groups; parts += 2)
                for (int ranks = 1; ranks <= 400; ranks += 1 + ranks / 5) {
                    if (tiles_init(&tiles, groups, parts, per_tile, ranks) != STATUS_OK) {
                        int64_t more = groups, size = per_tile;
                        const char *at = strstr(status_sentence(), "or set parallel.groups_per");
                        if (at != NULL)
                            size = atoll(strstr(at, " to ") + 4);
                        else if ((at = strstr(status_sentence(), "or raise rollout")) != NULL)
                            more = atoll(strstr(at, " to ") + 4);
                        if (at != NULL && strstr(at, "with parallel.groups_per_tile = 1") != NULL)
                            size = 1;
                        CHECK(at != NULL);
                        if (tiles_init(&tiles, more, parts, size, ranks) != STATUS_OK)
                            CHECK_FAILED("the remedy does not help: %s", status_sentence());
                    }
                    tiles_release(&tiles);
                }
}

int main(void) {
    remedies();
    cutting();
    microbatches(1000, positions_of_tile());
    microbatches(20, 0);
    microbatches(1, 0);
    packing();
    return CHECK_END();
}
