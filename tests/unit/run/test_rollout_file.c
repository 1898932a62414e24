/* SPDX-License-Identifier: Apache-2.0
 *
 * A batch comes back from its file number by number; what no answer has is absent; damaged files
 * give a sentence.
 */
#include "run/rollout_file.h"

#include "base/memory.h"
#include "base/random.h"
#include "check.h"
#include "unit/file/folder.h"

enum { GROUPS = 2, SIZE = 3, ANSWERS = GROUPS * SIZE };

static int32_t prompt_ids[GROUPS][2] = {{5, 6}, {7, 8}};
static int32_t ids[ANSWERS][4];
static float numbers[ANSWERS][4];
static struct rollout_group groups[GROUPS];
static struct rollout_answer answers[ANSWERS];
static const struct rollout rollout = {.group_count = GROUPS,
                                       .group_size = SIZE,
                                       .logprob_known = true,
                                       .groups = groups,
                                       .answers = answers};
static const struct provenance provenance = {.ranks = 2};

static void put(struct strbuf *text, const char *value) {
    CHECK_OK(strbuf_append_text(text, value));
}

static void make_batch(void) {
    for (int i = 0; i < GROUPS; i++) {
        groups[i] = (struct rollout_group){
            .source = i, .row = 1000000000000 + i, .prompt = prompt_ids[i], .prompt_length = 2};
        put(&groups[i].text, i == 0 ? "What is 1 + 1?" : "Größe?");
        if (i == 1)
            put(&groups[i].reference, "12");
    }
    for (int i = 0; i < ANSWERS; i++) {
        answers[i] = (struct rollout_answer){.n = i % 5, /* the first and last have no tokens */
                                             .finish = (enum finish_reason)(i % 4),
                                             .parts = {0.5 * i, -i},
                                             .reward = 0.1 * i,
                                             .advantage = i - 2.5,
                                             .tokens = ids[i],
                                             .logprob_sampler = numbers[i],
                                             .logprob = numbers[i],
                                             .entropy = numbers[i]};
        for (int t = 0; t < 4; t++) {
            ids[i][t] = 100 * i + t;
            numbers[i][t] = (float)i + 0.125f * (float)t;
        }
        put(&answers[i].text, i == 4 ? "an \x1b[31m odd one" : "an answer");
    }
}

static enum status write_batch(const char *path, bool rewards) {
    static const char *const parts[] = {"format", "answer"};
    const struct rollout_file_settings settings = {
        .rewards = rewards, .parts = parts, .part_count = 2, .provenance = &provenance};
    return rollout_file_write(path, &rollout, &settings);
}

static void check_double(const struct h5 *h5, const char *path, double factor, double shift) {
    double *values;
    int64_t n;
    CHECK_OK(h5_get_list(h5, path, H5_KIND_F64, &values, &n));
    CHECK_EQ(n, ANSWERS);
    for (int64_t i = 0; i < n; i++)
        CHECK_NEAR(values[i], factor * (double)i + shift, 0);
    memory_release(&values);
}

static void check_tokens(const struct h5 *h5) {
    int64_t *offsets, rows, n;
    int32_t *tokens;
    float *logprob;
    CHECK_OK(h5_get_list(h5, "/answer/offsets", H5_KIND_I64, &offsets, &rows));
    CHECK_EQ(rows, ANSWERS + 1);
    CHECK_OK(h5_get_list(h5, "/answer/token_ids", H5_KIND_I32, &tokens, &n));
    CHECK_EQ(n, offsets[ANSWERS]);
    CHECK_OK(h5_get_list(h5, "/token/logprob", H5_KIND_F32, &logprob, &n));
    CHECK_EQ(n, offsets[ANSWERS]);
    for (int i = 0; i < ANSWERS; i++) {
        CHECK_EQ(offsets[i + 1] - offsets[i], answers[i].n);
        for (int64_t t = 0; t < answers[i].n; t++) {
            CHECK_EQ(tokens[offsets[i] + t], ids[i][t]);
            CHECK_NEAR(logprob[offsets[i] + t], numbers[i][t], 0);
        }
    }
    memory_release(&logprob);
    memory_release(&tokens);
    memory_release(&offsets);
}

static void check_prompts(const struct h5 *h5) {
    int64_t row[GROUPS], ends[2];
    int32_t source[GROUPS], group[ANSWERS];
    uint8_t finish[ANSWERS];
    char text[8] = "";
    CHECK_OK(h5_get(h5, "/prompt/row", H5_KIND_I64, 0, GROUPS, row));
    CHECK_EQ(row[1], 1000000000001);
    CHECK_OK(h5_get(h5, "/prompt/source", H5_KIND_I32, 0, GROUPS, source));
    CHECK_EQ(source[1], 1);
    CHECK_OK(h5_get(h5, "/answer/group", H5_KIND_I32, 0, ANSWERS, group));
    CHECK_EQ(group[2], 0);
    CHECK_EQ(group[3], 1);
    CHECK_OK(h5_get(h5, "/answer/finish_reason", H5_KIND_U8, 0, ANSWERS, finish));
    CHECK_EQ(finish[3], FINISH_FORCED);
    CHECK_OK(h5_get(h5, "/prompt/reference_offsets", H5_KIND_I64, 1, 2, ends));
    CHECK_EQ(ends[0], 0);
    CHECK_EQ(ends[1], 2);
    CHECK_OK(h5_get(h5, "/prompt/reference", H5_KIND_U8, 0, 2, text));
    CHECK_TEXT(text, "12");
}

static void test_round_trip(void) {
    struct h5 *h5;
    struct strbuf text = STRBUF_EMPTY;
    CHECK_OK(write_batch(folder_file("step-000001.h5"), true));
    CHECK_OK(h5_open(&h5, folder_file("step-000001.h5")));
    check_double(h5, "/answer/reward", 0.1, 0);
    check_double(h5, "/answer/advantage", 1, -2.5);
    check_double(h5, "/answer/reward_format", 0.5, 0);
    check_double(h5, "/answer/reward_answer", -1, 0);
    check_tokens(h5);
    check_prompts(h5);
    CHECK(h5_has(h5, "/provenance/version") && h5_has(h5, "/token/entropy"));
    CHECK(!h5_has(h5, "/token/ratio") && !h5_has(h5, "/answer/reward_penalised"));
    CHECK_OK(rollout_file_describe(h5, 5, &text));
    CHECK(strstr(strbuf_text(&text), "2 prompts, 6 answers, 10 answer tokens") != NULL);
    CHECK(strstr(strbuf_text(&text), "reward 0.4") != NULL);
    CHECK(strstr(strbuf_text(&text), "an \\x1b[31m odd one") != NULL);
    CHECK(strstr(strbuf_text(&text), "Größe?") != NULL);
    CHECK_OK(h5_close(&h5));
    strbuf_release(&text);
}

/* Two own tokens, two forced ones, one own: the file has all five, numbers for three. */
static void test_forced(void) {
    static int32_t sequence[] = {100, 101, 7, 8, 102}, begins[] = {0, 4}, ends[] = {2, 5};
    const struct rollout_file_settings settings = {.forced = true, .provenance = &provenance};
    const struct rollout_answer plain = answers[3];
    int64_t *offsets, n;
    int32_t tokens[5];
    float logprob[5];
    uint8_t forced[5], finish;
    struct h5 *h5;
    answers[3].between = answers[3].turn_count = 2;
    answers[3].forced = true;
    answers[3].finish = FINISH_STOP;
    answers[3].sequence = sequence;
    answers[3].turn_begins = begins;
    answers[3].turn_ends = ends;
    CHECK_OK(rollout_file_write(folder_file("forced.h5"), &rollout, &settings));
    CHECK_OK(h5_open(&h5, folder_file("forced.h5")));
    CHECK_OK(h5_get_list(h5, "/answer/offsets", H5_KIND_I64, &offsets, &n));
    CHECK_EQ(offsets[4] - offsets[3], 5);
    CHECK_EQ(offsets[ANSWERS], 12);
    CHECK_OK(h5_get(h5, "/answer/token_ids", H5_KIND_I32, offsets[3], 5, tokens));
    CHECK_OK(h5_get(h5, "/token/logprob", H5_KIND_F32, offsets[3], 5, logprob));
    CHECK_OK(h5_get(h5, "/token/forced", H5_KIND_U8, offsets[3], 5, forced));
    CHECK_OK(h5_get(h5, "/answer/finish_reason", H5_KIND_U8, 3, 1, &finish));
    CHECK_EQ(finish, FINISH_FORCED);
    for (int t = 0; t < 5; t++) {
        const bool own = t < 2 || t == 4;
        CHECK_EQ(tokens[t], sequence[t]);
        CHECK_EQ(forced[t], !own);
        CHECK(own ? logprob[t] == numbers[3][t < 2 ? t : 2] : isnan(logprob[t]));
    }
    CHECK_OK(h5_get(h5, "/token/forced", H5_KIND_U8, offsets[4], 4, forced));
    CHECK_EQ(forced[0] + forced[1] + forced[2] + forced[3], 0);
    CHECK(!h5_has(h5, "/answer/sequence_ids"));
    CHECK_OK(h5_close(&h5));
    memory_release(&offsets);
    answers[3] = plain;
}

static void test_absent(void) {
    struct h5 *h5;
    for (int i = 0; i < ANSWERS; i++)
        answers[i].logprob_sampler = NULL;
    CHECK_OK(write_batch(folder_file("sft.h5"), false));
    CHECK_OK(h5_open(&h5, folder_file("sft.h5")));
    CHECK(!h5_has(h5, "/token/logprob_sampler") && !h5_has(h5, "/answer/reward"));
    CHECK_OK(h5_close(&h5));
    answers[1].entropy = NULL;
    CHECK_STATUS(write_batch(folder_file("part.h5"), false), STATUS_DEFECT, "/token/entropy");
    CHECK_EQ(folder_entries(folder_path), 3);
}

static void open_any(const char *path) {
    struct h5 *h5;
    struct strbuf text = STRBUF_EMPTY;
    if (h5_open(&h5, path) != STATUS_OK)
        return;
    (void)!rollout_file_describe(h5, ANSWERS, &text);
    CHECK_OK(h5_close(&h5));
    strbuf_release(&text);
}

static void test_damage(void) {
    size_t n;
    char *bytes = folder_read(folder_file("step-000001.h5"), &n);
    const char *path = folder_file("bad.h5");
    for (size_t cut = 0; cut < n; cut += 97) {
        folder_write(path, bytes, cut);
        open_any(path);
    }
    for (uint32_t i = 0; i < 600; i++) {
        const size_t at = (size_t)(random_bits(5, RANDOM_TEST, i, 0, 0, 0) % n);
        bytes[at] ^= (char)(1 << i % 8);
        folder_write(path, bytes, n);
        open_any(path);
        bytes[at] ^= (char)(1 << i % 8);
    }
    free(bytes);
}

static void release_batch(void) {
    for (int i = 0; i < GROUPS; i++) {
        strbuf_release(&groups[i].text);
        strbuf_release(&groups[i].reference);
    }
    for (int i = 0; i < ANSWERS; i++)
        strbuf_release(&answers[i].text);
}

int main(void) {
    folder_make();
    make_batch();
    test_round_trip();
    test_forced();
    test_absent();
    test_damage();
    release_batch();
    folder_remove();
    CHECK_EQ(memory_totals().bytes, 0);
    return CHECK_END();
}
