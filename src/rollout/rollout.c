/* SPDX-License-Identifier: Apache-2.0 */
#include "rollout/rollout.h"

#include <string.h>

#include "base/memory.h"

const char *finish_reason_word(enum finish_reason reason) {
    static const char *const words[] = {[FINISH_STOP] = "stop",
                                        [FINISH_LENGTH] = "length",
                                        [FINISH_STOP_TEXT] = "stop_text",
                                        [FINISH_FORCED] = "forced"};
    return words[reason];
}

enum status rollout_init(struct rollout *rollout, int64_t group_count, int64_t group_size) {
    *rollout = (struct rollout){.group_count = group_count, .group_size = group_size};
    TRY(memory_new(&rollout->groups, group_count, "groups"));
    return memory_new(&rollout->answers, group_count * group_size, "answers");
}

/* The numbers per token of an answer, in the order in which they travel. */
enum { COLUMNS = 9 };
static void columns_of(struct rollout_answer *answer, float **columns[COLUMNS]) {
    columns[0] = &answer->logprob_sampler;
    columns[1] = &answer->logprob;
    columns[2] = &answer->logprob_reference;
    columns[3] = &answer->entropy;
    columns[4] = &answer->ratio;
    columns[5] = &answer->gate_derivative;
    columns[6] = &answer->logprob_teacher;
    columns[7] = &answer->entropy_teacher;
    columns[8] = &answer->divergence;
}

void rollout_answer_release(struct rollout_answer *answer) {
    float **columns[COLUMNS];
    columns_of(answer, columns);
    memory_release(&answer->tokens);
    for (int i = 0; i < COLUMNS; i++)
        memory_release(columns[i]);
    memory_release(&answer->agreement);
    memory_release(&answer->clipped);
    strbuf_release(&answer->text);
    memory_release(&answer->sequence);
    memory_release(&answer->turn_begins);
    memory_release(&answer->turn_ends);
    *answer = (struct rollout_answer){.n = 0};
}

void rollout_clear_group(struct rollout *rollout, int64_t group) {
    struct rollout_group *prompt = &rollout->groups[group];
    memory_release(&prompt->prompt);
    memory_release(&prompt->teacher);
    strbuf_release(&prompt->text);
    strbuf_release(&prompt->reference);
    *prompt = (struct rollout_group){.source = 0};
    for (int64_t i = 0; i < rollout->group_size; i++)
        rollout_answer_release(&rollout_group_answers(rollout, group)[i]);
}

void rollout_release(struct rollout *rollout) {
    if (rollout->groups != NULL && rollout->answers != NULL)
        for (int64_t g = 0; g < rollout->group_count; g++)
            rollout_clear_group(rollout, g);
    memory_release(&rollout->groups);
    memory_release(&rollout->answers);
}

enum status rollout_answer_reserve(struct rollout_answer *answer, int64_t n,
                                   struct rollout_columns wanted) {
    const bool present[COLUMNS] = {wanted.sampler, true,           wanted.reference,
                                   true,           wanted.gate,    wanted.gate,
                                   wanted.teacher, wanted.teacher, wanted.teacher};
    float **columns[COLUMNS];
    columns_of(answer, columns);
    answer->n = n;
    TRY(memory_new(&answer->tokens, n, "answer tokens"));
    for (int i = 0; i < COLUMNS; i++)
        if (present[i])
            TRY(memory_new(columns[i], n, "numbers per token"));
    if (!wanted.teacher)
        return STATUS_OK;
    TRY(memory_new(&answer->agreement, n, "numbers per token"));
    return memory_new(&answer->clipped, n, "numbers per token");
}

/* Copies n ids into a new array. */
static enum status copy_ids(int32_t **out, const void *ids, int64_t n) {
    memory_release(out);
    TRY(memory_new(out, n, "turns of an answer"));
    if (n > 0)
        memcpy(*out, ids, (size_t)n * sizeof **out);
    return STATUS_OK;
}

enum status rollout_answer_set_turns(struct rollout_answer *answer, const int32_t *sequence,
                                     int64_t length, const int32_t *begins, const int32_t *ends,
                                     int64_t count) {
    int64_t n = 0;
    for (int64_t i = 0; i < count; i++)
        for (int32_t t = begins[i]; t < ends[i]; t++) {
            ASSERT(t < length && n < answer->n);
            answer->tokens[n++] = sequence[t];
        }
    ASSERT(n == answer->n);
    answer->between = length - n;
    if (answer->between == 0)
        return STATUS_OK;
    answer->turn_count = count;
    TRY(copy_ids(&answer->sequence, sequence, length));
    TRY(copy_ids(&answer->turn_begins, begins, count));
    return copy_ids(&answer->turn_ends, ends, count);
}

struct answer_head {
    int64_t n, between, forced, turn_count, text_length;
    uint32_t columns; /* bit i: column i follows */
};

static enum status pack_ids(const int32_t *ids, int64_t n, struct strbuf *out) {
    return strbuf_append(out, (const char *)ids, (size_t)n * sizeof *ids);
}

static enum status pack_turns(const struct rollout_answer *answer, struct strbuf *out) {
    if (answer->between == 0)
        return STATUS_OK;
    TRY(pack_ids(answer->sequence, rollout_answer_length(answer), out));
    TRY(pack_ids(answer->turn_begins, answer->turn_count, out));
    return pack_ids(answer->turn_ends, answer->turn_count, out);
}

static enum status pack_answer(struct rollout_answer *answer, struct strbuf *out) {
    float **columns[COLUMNS];
    columns_of(answer, columns);
    struct answer_head head = {.n = answer->n,
                               .between = answer->between,
                               .forced = answer->forced,
                               .turn_count = answer->turn_count,
                               .text_length = (int64_t)answer->text.length};
    for (int i = 0; i < COLUMNS; i++)
        head.columns |= (uint32_t)(*columns[i] != NULL) << i;
    TRY(strbuf_append(out, (const char *)&head, sizeof head));
    TRY(pack_ids(answer->tokens, answer->n, out));
    TRY(pack_turns(answer, out));
    for (int i = 0; i < COLUMNS; i++)
        if (*columns[i] != NULL)
            TRY(strbuf_append(out, (const char *)*columns[i],
                              (size_t)answer->n * sizeof **columns[i]));
    return strbuf_append(out, strbuf_text(&answer->text), answer->text.length);
}

enum status rollout_pack_group(const struct rollout *rollout, int64_t group, struct strbuf *out) {
    TRY(strbuf_append(out, (const char *)&group, sizeof group));
    for (int64_t i = 0; i < rollout->group_size; i++)
        TRY(pack_answer(&rollout_group_answers(rollout, group)[i], out));
    return STATUS_OK;
}

struct reader {
    const char *bytes;
    size_t length, at;
};

static enum status take(struct reader *reader, void *out, size_t bytes) {
    if (reader->length - reader->at < bytes)
        return FAIL(STATUS_DEFECT, "a gathered answer ends %zu bytes early",
                    bytes - (reader->length - reader->at));
    if (bytes > 0)
        memcpy(out, reader->bytes + reader->at, bytes);
    reader->at += bytes;
    return STATUS_OK;
}

static enum status take_ids(struct reader *reader, int64_t n, int32_t **out) {
    memory_release(out);
    if (n < 0 || (size_t)n > (reader->length - reader->at) / sizeof **out)
        return FAIL(STATUS_DEFECT, "a gathered answer of %lld tokens ends early", (long long)n);
    TRY(memory_new(out, n, "answer tokens"));
    return take(reader, *out, (size_t)n * sizeof **out);
}

static enum status take_turns(struct reader *reader, const struct answer_head *head,
                              struct rollout_answer *answer) {
    if (head->between == 0)
        return STATUS_OK;
    answer->turn_count = head->turn_count;
    TRY(take_ids(reader, rollout_answer_length(answer), &answer->sequence));
    TRY(take_ids(reader, head->turn_count, &answer->turn_begins));
    return take_ids(reader, head->turn_count, &answer->turn_ends);
}

static enum status unpack_answer(struct rollout_answer *answer, struct reader *reader) {
    struct answer_head head;
    float **columns[COLUMNS];
    columns_of(answer, columns);
    TRY(take(reader, &head, sizeof head));
    if (head.n != answer->n || head.between != answer->between || head.text_length < 0)
        return FAIL(STATUS_DEFECT, "a gathered answer has %lld tokens where %lld are known of it",
                    (long long)head.n, (long long)answer->n);
    answer->forced = head.forced != 0;
    TRY(take_ids(reader, head.n, &answer->tokens));
    TRY(take_turns(reader, &head, answer));
    for (int i = 0; i < COLUMNS; i++) {
        memory_release(columns[i]);
        if ((head.columns >> i & 1u) == 0)
            continue;
        TRY(memory_new(columns[i], head.n, "numbers per token"));
        TRY(take(reader, *columns[i], (size_t)head.n * sizeof **columns[i]));
    }
    if ((size_t)head.text_length > reader->length - reader->at)
        return FAIL(STATUS_DEFECT, "the text of a gathered answer ends early");
    strbuf_clear(&answer->text);
    TRY(strbuf_append(&answer->text, reader->bytes + reader->at, (size_t)head.text_length));
    reader->at += (size_t)head.text_length;
    return STATUS_OK;
}

enum status rollout_unpack_group(struct rollout *rollout, const char *bytes, size_t length,
                                 size_t *at) {
    struct reader reader = {.bytes = bytes, .length = length, .at = *at};
    int64_t group;
    TRY(take(&reader, &group, sizeof group));
    if (group < 0 || group >= rollout->group_count)
        return FAIL(STATUS_DEFECT, "a gathered answer names group %lld of %lld", (long long)group,
                    (long long)rollout->group_count);
    for (int64_t i = 0; i < rollout->group_size; i++)
        TRY(unpack_answer(&rollout_group_answers(rollout, group)[i], &reader));
    *at = reader.at;
    return STATUS_OK;
}
