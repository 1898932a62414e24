/* SPDX-License-Identifier: Apache-2.0
 *
 * A group's answers survive the journey to another rank bit by bit, whichever numbers they hold;
 * bytes that do not fit are refused wherever they are cut.
 */
#include "base/memory.h"
#include "check.h"
#include "rollout/rollout.h"

enum { GROUPS = 2, SIZE = 3 };

static void fill_answer(struct rollout_answer *answer, int64_t n, int seed,
                        struct rollout_columns columns) {
    CHECK_OK(rollout_answer_reserve(answer, n, columns));
    float *numbers[] = {answer->logprob_sampler, answer->logprob, answer->logprob_reference,
                        answer->entropy,         answer->ratio,   answer->gate_derivative};
    for (int64_t t = 0; t < n; t++) {
        answer->tokens[t] = (int32_t)(1000 * seed + t);
        for (int c = 0; c < 6; c++)
            if (numbers[c] != NULL)
                numbers[c][t] = (float)(seed + 10 * c) + (float)t / 64;
    }
    CHECK_OK(strbuf_append(&answer->text, "a\0b", (size_t)(seed % 4)));
}

/* Makes of an answer of n ≥ 2 tokens one of two turns, with two tokens of others between them. */
static void part_turns(struct rollout_answer *answer) {
    const int32_t n = (int32_t)answer->n, begins[] = {0, 3}, ends[] = {1, n + 2};
    int32_t sequence[16] = {answer->tokens[0], -1, -2};
    for (int32_t t = 1; t < n; t++)
        sequence[2 + t] = answer->tokens[t];
    CHECK_OK(rollout_answer_set_turns(answer, sequence, n + 2, begins, ends, 2));
    CHECK_EQ(answer->between, 2);
    CHECK_EQ(rollout_answer_length(answer), n + 2);
}

static void fill(struct rollout *rollout, bool with_numbers) {
    CHECK_OK(rollout_init(rollout, GROUPS, SIZE));
    for (int k = 0; k < GROUPS * SIZE; k++)
        fill_answer(&rollout->answers[k], 1 + k, k,
                    (struct rollout_columns){
                        .sampler = with_numbers, .reference = k % 2 == 0, .gate = with_numbers});
    part_turns(&rollout->answers[SIZE + 1]);
    rollout->answers[SIZE + 1].forced = true;
}

static void same_numbers(const float *have, const float *want, int64_t n) {
    CHECK_EQ(have == NULL, want == NULL);
    for (int64_t t = 0; have != NULL && want != NULL && t < n; t++)
        CHECK_NEAR(have[t], want[t], 0);
}

static void same_answer(const struct rollout_answer *have, const struct rollout_answer *want) {
    CHECK_EQ(have->n, want->n);
    for (int64_t t = 0; t < want->n; t++)
        CHECK_EQ(have->tokens[t], want->tokens[t]);
    same_numbers(have->logprob_sampler, want->logprob_sampler, want->n);
    same_numbers(have->logprob, want->logprob, want->n);
    same_numbers(have->logprob_reference, want->logprob_reference, want->n);
    same_numbers(have->entropy, want->entropy, want->n);
    same_numbers(have->ratio, want->ratio, want->n);
    same_numbers(have->gate_derivative, want->gate_derivative, want->n);
    CHECK_EQ(have->between, want->between);
    CHECK_EQ(have->forced, want->forced);
    CHECK_EQ(have->turn_count, want->turn_count);
    for (int64_t t = 0; want->between > 0 && t < rollout_answer_length(want); t++)
        CHECK_EQ(have->sequence[t], want->sequence[t]);
    for (int64_t i = 0; i < want->turn_count; i++) {
        CHECK_EQ(have->turn_begins[i], want->turn_begins[i]);
        CHECK_EQ(have->turn_ends[i], want->turn_ends[i]);
    }
    CHECK_EQ(have->text.length, want->text.length);
    CHECK_EQ(memcmp(strbuf_text(&have->text), strbuf_text(&want->text), want->text.length), 0);
}

/* Another rank knows the lengths alone. */
static void summaries_only(struct rollout *rollout, const struct rollout *known) {
    CHECK_OK(rollout_init(rollout, GROUPS, SIZE));
    for (int k = 0; k < GROUPS * SIZE; k++) {
        rollout->answers[k].n = known->answers[k].n;
        rollout->answers[k].between = known->answers[k].between;
    }
}

static void test_journey(bool with_numbers) {
    struct rollout here, there;
    struct strbuf bytes = STRBUF_EMPTY;
    size_t at = 0;
    fill(&here, with_numbers);
    summaries_only(&there, &here);
    CHECK_OK(rollout_pack_group(&here, 1, &bytes));
    CHECK_OK(rollout_pack_group(&here, 0, &bytes));
    while (at < bytes.length && check_failures == 0)
        CHECK_OK(rollout_unpack_group(&there, bytes.text, bytes.length, &at));
    CHECK_EQ(at, bytes.length);
    for (int k = 0; k < GROUPS * SIZE; k++)
        same_answer(&there.answers[k], &here.answers[k]);
    at = 0; /* a second time over what is there */
    CHECK_OK(rollout_unpack_group(&there, bytes.text, bytes.length, &at));
    same_answer(&there.answers[SIZE], &here.answers[SIZE]);
    strbuf_release(&bytes);
    rollout_release(&here);
    rollout_release(&there);
}

static void test_refusals(void) {
    struct rollout here, there;
    struct strbuf bytes = STRBUF_EMPTY;
    fill(&here, true);
    CHECK_OK(rollout_pack_group(&here, 1, &bytes));
    for (size_t cut = 0; cut < bytes.length; cut++) {
        size_t at = 0;
        char *part = malloc(cut + 1); /* its end is where a sanitizer sees it */
        memcpy(part, bytes.text, cut);
        summaries_only(&there, &here);
        CHECK(rollout_unpack_group(&there, part, cut, &at) == STATUS_DEFECT);
        rollout_release(&there);
        free(part);
    }
    size_t at = 0;
    summaries_only(&there, &here);
    there.answers[SIZE + 1].n++;
    CHECK_STATUS(rollout_unpack_group(&there, bytes.text, bytes.length, &at), STATUS_DEFECT,
                 "5 tokens where 6 are known");
    const int64_t group = GROUPS;
    memcpy(bytes.text, &group, sizeof group);
    at = 0;
    CHECK_STATUS(rollout_unpack_group(&there, bytes.text, bytes.length, &at), STATUS_DEFECT,
                 "group 2 of 2");
    strbuf_release(&bytes);
    rollout_release(&here);
    rollout_release(&there);
}

int main(void) {
    test_journey(true);
    test_journey(false);
    test_refusals();
    return CHECK_END();
}
