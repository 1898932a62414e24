/* SPDX-License-Identifier: Apache-2.0
 *
 * A packed batch: segments, positions and targets of groups and texts, by hand.
 */
#include "model/batch.h"

#include "base/memory.h"
#include "check.h"

static void check_list(const char *what, const int32_t *have, const int32_t *want, int64_t n) {
    for (int64_t i = 0; i < n; i++)
        if (have[i] != want[i])
            CHECK_FAILED("%s[%d] = %d, expected %d", what, (int)i, have[i], want[i]);
}

static void fill(struct batch *batch) {
    int32_t prompt = -1;
    CHECK_OK(batch_append_prompt(batch, (const int32_t[]){10, 11, 12}, 3, &prompt));
    CHECK_EQ(prompt, 0);
    CHECK_OK(batch_append_answer(batch, prompt, (const int32_t[]){20, 21}, 2));
    CHECK_OK(batch_append_answer(batch, prompt, (const int32_t[]){30}, 1));
    CHECK_OK(batch_append_text(batch, (const int32_t[]){40, 41, 42}, 3));
    CHECK_OK(batch_append_text(batch, (const int32_t[]){50}, 1));
    CHECK_OK(batch_append_prompt(batch, (const int32_t[]){60}, 1, &prompt));
    CHECK_EQ(prompt, 5);
    CHECK_OK(batch_append_answer(batch, prompt, (const int32_t[]){70, 71}, 2));
}

static void check_content(const struct batch *batch) {
    const struct segment segments[] = {{0, 3, -1, 0}, {3, 2, 0, 3},   {5, 1, 0, 3}, {6, 3, -1, 0},
                                       {9, 1, -1, 0}, {10, 1, -1, 0}, {11, 2, 5, 1}};
    CHECK_EQ(batch->T, 13);
    CHECK_EQ(batch->segment_count, 7);
    CHECK_EQ(batch->target_count, 7);
    check_list("tokens", batch->tokens,
               (const int32_t[]){10, 11, 12, 20, 21, 30, 40, 41, 42, 50, 60, 70, 71}, 13);
    check_list("positions", batch->positions,
               (const int32_t[]){0, 1, 2, 3, 4, 3, 0, 1, 2, 0, 0, 1, 2}, 13);
    check_list("target_rows", batch->target_rows, (const int32_t[]){2, 3, 2, 6, 7, 10, 11}, 7);
    check_list("target_tokens", batch->target_tokens, (const int32_t[]){20, 21, 30, 41, 42, 70, 71},
               7);
    CHECK(memcmp(batch->segments, segments, sizeof segments) == 0);
}

/* A conversation: the turns [0, 2) and [3, 5) of the five tokens behind the prompt are predicted,
 * each token from the row before it, and all six rows are one sequence. */
static void check_turns(void) {
    struct batch batch = BATCH_EMPTY;
    int32_t prompt;
    CHECK_OK(batch_append_text(&batch, (const int32_t[]){1, 2}, 2));
    CHECK_OK(batch_append_prompt(&batch, (const int32_t[]){10}, 1, &prompt));
    CHECK_OK(batch_append_turns(&batch, prompt, (const int32_t[]){20, 21, 30, 40, 41}, 5,
                                (const int32_t[]){0, 3}, (const int32_t[]){2, 5}, 2));
    CHECK_EQ(batch.T, 8);
    CHECK_EQ(batch.target_count, 5);
    check_list("positions", batch.positions, (const int32_t[]){0, 1, 0, 1, 2, 3, 4, 5}, 8);
    check_list("target_rows", batch.target_rows, (const int32_t[]){0, 2, 3, 5, 6}, 5);
    check_list("target_tokens", batch.target_tokens, (const int32_t[]){2, 20, 21, 40, 41}, 5);
    batch_release(&batch);
}

/* The rows before a token and at the end, behind a prompt whose last row is the one before the first. */
static void check_ends(void) {
    struct batch batch = BATCH_EMPTY;
    int32_t prompt;
    CHECK_OK(batch_append_text(&batch, (const int32_t[]){1, 2}, 2));
    CHECK_OK(batch_append_prompt(&batch, (const int32_t[]){10, 11}, 2, &prompt));
    CHECK_OK(batch_append_ends(&batch, prompt, (const int32_t[]){20, 21, 30, 40, 41}, 5, 2));
    CHECK_OK(batch_append_ends(&batch, prompt, (const int32_t[]){50, 51}, 2, 0));
    CHECK_EQ(batch.T, 11);
    check_list("target_rows", batch.target_rows, (const int32_t[]){0, 5, 8, 3, 10}, 5);
    check_list("target_tokens", batch.target_tokens, (const int32_t[]){2, 30, 41, 50, 51}, 5);
    check_list("positions", batch.positions, (const int32_t[]){0, 1, 0, 1, 2, 3, 4, 5, 6, 2, 3},
               11);
    CHECK_EQ(batch.target_count, 5);
    batch_release(&batch);
}

int main(void) {
    struct batch batch = BATCH_EMPTY;
    int32_t prompt;
    check_turns();
    check_ends();
    fill(&batch);
    check_content(&batch);
    const int64_t before = memory_totals().allocations;
    batch_clear(&batch);
    fill(&batch);
    check_content(&batch);
    CHECK_EQ(memory_totals().allocations, before);
    CHECK_STATUS(batch_append_text(&batch, NULL, 0), STATUS_INPUT, "sequence of 0 tokens");
    CHECK_STATUS(batch_append_prompt(&batch, NULL, 0, &prompt), STATUS_INPUT, "at least 1");
    check_content(&batch);
    batch_release(&batch);
    CHECK_EQ(memory_totals().bytes, 0);
    return CHECK_END();
}
