/* SPDX-License-Identifier: Apache-2.0 */
#include "run/rollout_file.h"

#include <math.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "base/memory.h"
#include "run/judged_file.h"

enum { NAME_BYTES = 128 };

/* The elements that one group or answer gives to a dataset; data NULL: it has no such quantity. */
struct span {
    const void *data;
    int64_t n;
    /* Not NULL: data are numbers of its turns, which stand among the n where the turns do; between
     * them is NaN */
    const struct rollout_answer *turns;
};

static struct span span_of(const void *data, int64_t n) {
    return (struct span){data, n, NULL};
}

/* Where a number that stands in no array is put. */
union scalar {
    int32_t i32;
    uint8_t u8;
};

/* A dataset: what it holds, and the elements of its i-th row, one behind another. */
struct field {
    const char *path, *unit, *text;
    /* Where the rows begin, as a dataset of its own; NULL: one element each, or those of
     * /answer/token_ids */
    const char *offsets;
    enum h5_kind kind;
    bool per_answer; /* else per group */
    struct span (*row)(const struct field *field, const struct rollout *rollout, int64_t i,
                       union scalar *own);
    size_t offset; /* of a member in struct rollout_answer, for the rows that need it */
};

static int64_t row_count(const struct field *field, const struct rollout *rollout) {
    return field->per_answer ? rollout->group_count * rollout->group_size : rollout->group_count;
}

/* --- rows --- */

#define ROW(name)                                                                                  \
    static struct span name(const struct field *field, const struct rollout *rollout, int64_t i,   \
                            union scalar *own)

static struct span text_span(const struct strbuf *text) {
    return span_of(strbuf_text(text), (int64_t)text->length);
}

ROW(prompt_source) {
    (void)field, (void)own;
    return span_of(&rollout->groups[i].source, 1);
}

ROW(prompt_epoch) {
    (void)field, (void)own;
    return span_of(&rollout->groups[i].epoch, 1);
}

ROW(prompt_row) {
    (void)field, (void)own;
    return span_of(&rollout->groups[i].row, 1);
}

ROW(prompt_tokens) {
    (void)field, (void)own;
    return span_of(rollout->groups[i].prompt, rollout->groups[i].prompt_length);
}

ROW(teacher_tokens) {
    (void)field, (void)own;
    return span_of(rollout->groups[i].teacher, rollout->groups[i].teacher_length);
}

ROW(prompt_text) {
    (void)field, (void)own;
    return text_span(&rollout->groups[i].text);
}

ROW(prompt_reference) {
    (void)field, (void)own;
    return text_span(&rollout->groups[i].reference);
}

ROW(answer_group) {
    (void)field;
    own->i32 = (int32_t)(i / rollout->group_size);
    return span_of(&own->i32, 1);
}

ROW(answer_finish) {
    (void)field;
    own->u8 = (uint8_t)rollout_answer_finish(&rollout->answers[i]);
    return span_of(&own->u8, 1);
}

ROW(answer_tokens) {
    (void)field, (void)own;
    return span_of(rollout_answer_ids(&rollout->answers[i]),
                   rollout_answer_id_count(&rollout->answers[i]));
}

ROW(answer_text) {
    (void)field, (void)own;
    return text_span(&rollout->answers[i].text);
}

ROW(answer_sequence) {
    const struct rollout_answer *answer = &rollout->answers[i];
    (void)field, (void)own;
    return span_of(answer->between > 0 ? answer->sequence : answer->tokens,
                   rollout_answer_length(answer));
}

/* An answer without turns is one turn. */
ROW(turn_begins) {
    const struct rollout_answer *answer = &rollout->answers[i];
    (void)field;
    own->i32 = 0;
    return answer->between > 0 ? span_of(answer->turn_begins, answer->turn_count)
                               : span_of(&own->i32, 1);
}

ROW(turn_ends) {
    const struct rollout_answer *answer = &rollout->answers[i];
    (void)field;
    own->i32 = (int32_t)answer->n;
    return answer->between > 0 ? span_of(answer->turn_ends, answer->turn_count)
                               : span_of(&own->i32, 1);
}

/* A double of the answer's struct. */
ROW(answer_double) {
    (void)own;
    return span_of((const char *)&rollout->answers[i] + field->offset, 1);
}

/* An array of the answer's struct, with an element for each token. */
ROW(answer_numbers) {
    const float *values;
    (void)own;
    const struct rollout_answer *answer = &rollout->answers[i];
    memcpy(&values, (const char *)answer + field->offset, sizeof values);
    return (struct span){values, rollout_answer_id_count(answer), answer->forced ? answer : NULL};
}

/* --- the datasets --- */

#define PER_GROUP(path, kind, row, unit, text)                                                     \
    { path, unit, text, NULL, kind, false, row, 0 }
#define PER_ANSWER(path, kind, row, unit, text)                                                    \
    { path, unit, text, NULL, kind, true, row, 0 }
#define RAGGED(path, offsets, kind, per_answer, row, unit, text)                                   \
    { path, unit, text, offsets, kind, per_answer, row, 0 }
#define NUMBER(path, member, unit, text)                                                           \
    {                                                                                              \
        path, unit, text, NULL, H5_KIND_F64, true, answer_double,                                  \
            offsetof(struct rollout_answer, member)                                                \
    }
#define PER_TOKEN(path, member, unit, text)                                                        \
    {                                                                                              \
        path, unit, text, NULL, H5_KIND_F32, true, answer_numbers,                                 \
            offsetof(struct rollout_answer, member)                                                \
    }

static const struct field fields[] = {
    PER_GROUP("/prompt/source", H5_KIND_I32, prompt_source, "1",
              "index into data.train, or data.corpus, of the source that the prompt is from"),
    PER_GROUP("/prompt/row", H5_KIND_I64, prompt_row, "1", "0-based line of that source's file"),
    PER_GROUP("/prompt/epoch", H5_KIND_I64, prompt_epoch, "1",
              "epoch of that source, from 0: it gives each of its prompts once in each"),
    RAGGED("/prompt/token_ids", "/prompt/offsets", H5_KIND_I32, false, prompt_tokens, "1",
           "token ids of the prompts as the model reads them"),
    RAGGED("/prompt/text", "/prompt/text_offsets", H5_KIND_U8, false, prompt_text, "1",
           "UTF-8 bytes of the prompts, prompt.template filled in, before the chat form"),
    RAGGED("/prompt/reference", "/prompt/reference_offsets", H5_KIND_U8, false, prompt_reference,
           "1", "UTF-8 bytes of the reference answers"),
    PER_ANSWER("/answer/group", H5_KIND_I32, answer_group, "1",
               "which prompt of this file the answer belongs to"),
    PER_ANSWER("/answer/finish_reason", H5_KIND_U8, answer_finish, "1",
               "why the answer ended: 0 stop id, 1 length, 2 stop text, 3 forced"),
    RAGGED("/answer/token_ids", "/answer/offsets", H5_KIND_I32, true, answer_tokens, "1",
           "token ids of the answers, the stop id included"),
    RAGGED("/answer/text", "/answer/text_offsets", H5_KIND_U8, true, answer_text, "1",
           "UTF-8 bytes of the answers, without special tokens"),
};

/* What the teachers of opsd have read. */
static const struct field teacher_field =
    RAGGED("/teacher/token_ids", "/teacher/offsets", H5_KIND_I32, false, teacher_tokens, "1",
           "token ids that the teacher of each prompt reads before an answer to it");

/* Where an answer of the file has several turns. */
static const struct field turn_fields[] = {
    RAGGED("/answer/sequence_ids", "/answer/sequence_offsets", H5_KIND_I32, true, answer_sequence,
           "1",
           "all token ids behind the prompt up to the end of the answer, the turns of others among "
           "them"),
    RAGGED("/answer/turn_begin", "/answer/turn_offsets", H5_KIND_I32, true, turn_begins, "1",
           "where a turn of the answer begins in its row of /answer/sequence_ids; the turns one "
           "after another are its row of /answer/token_ids"),
    PER_ANSWER("/answer/turn_end", H5_KIND_I32, turn_ends, "1",
               "where the turn of /answer/turn_begin ends"),
};

static const struct field reward_fields[] = {
    NUMBER("/answer/reward", reward, "1", "weighted sum of the reward parts, before a KL penalty"),
    NUMBER("/answer/advantage", advantage, "1", "advantage of the answer over its group"),
};

static const struct field penalised_field =
    NUMBER("/answer/reward_penalised", reward_penalised, "1", "reward after the KL penalty");

static const struct field token_fields[] = {
    PER_TOKEN("/token/logprob_sampler", logprob_sampler, "nat",
              "log-probability of the answer token as it was drawn"),
    PER_TOKEN("/token/logprob", logprob, "nat",
              "log-probability under the trainer's first pass, that of the policy that drew"),
    PER_TOKEN("/token/logprob_reference", logprob_reference, "nat",
              "log-probability under the reference, the frozen model of the start"),
    PER_TOKEN(
        "/token/entropy", entropy, "nat",
        "entropy of the next token over the whole vocabulary, in the first pass over the token's "
        "mini-batch"),
    PER_TOKEN("/token/logprob_teacher", logprob_teacher, "nat",
              "log-probability under the teacher, first pass"),
    PER_TOKEN("/token/entropy_teacher", entropy_teacher, "nat",
              "entropy of the teacher's next token over the whole vocabulary, first pass"),
    PER_TOKEN("/token/divergence", divergence, "nat",
              "divergence of the student from the teacher before any clip, first pass; of the "
              "sampled estimator log p_S - log p_T of the token"),
    PER_TOKEN("/token/ratio", ratio, "1",
              "probability ratio to the policy that drew, last pass over the batch"),
    PER_TOKEN("/token/gate_derivative", gate_derivative, "1",
              "derivative of the gate at the ratio, last pass over the batch"),
};

/* --- writing --- */

/* Elements of a field in all rows; *missing of them belong to rows without the quantity. */
static int64_t count_elements(const struct field *field, const struct rollout *rollout,
                              int64_t *missing) {
    int64_t elements = 0;
    union scalar own;
    *missing = 0;
    for (int64_t i = 0; i < row_count(field, rollout); i++) {
        const struct span span = field->row(field, rollout, i, &own);
        elements += span.n;
        *missing += span.data == NULL ? span.n : 0;
    }
    return elements;
}

static enum status write_offsets(struct h5 *h5, const struct field *field,
                                 const struct rollout *rollout) {
    const int64_t rows = row_count(field, rollout);
    char text[NAME_BYTES];
    int64_t *offsets;
    union scalar own;
    TRY(memory_new(&offsets, rows + 1, field->offsets));
    for (int64_t i = 0; i < rows; i++)
        offsets[i + 1] = offsets[i] + field->row(field, rollout, i, &own).n;
    enum status status = h5_put_list(h5, field->offsets, H5_KIND_I64, rows + 1, offsets);
    memory_release(&offsets);
    snprintf(text, sizeof text, "row i is elements [offsets[i], offsets[i + 1]) of %s",
             field->path);
    return status == STATUS_OK ? h5_describe(h5, field->offsets, "1", text) : status;
}

/* The numbers of turns to where the turns stand. */
static void spread_numbers(struct span span, float *out) {
    const struct rollout_answer *answer = span.turns;
    const float *numbers = span.data;
    for (int64_t t = 0; t < span.n; t++)
        out[t] = NAN;
    for (int64_t i = 0; i < answer->turn_count; i++)
        for (int32_t t = answer->turn_begins[i]; t < answer->turn_ends[i]; t++)
            out[t] = *numbers++;
}

static enum status write_elements(struct h5 *h5, const struct field *field,
                                  const struct rollout *rollout, int64_t elements) {
    const size_t bytes = (size_t)h5_kind_bytes(field->kind);
    char *flat, *at;
    union scalar own;
    TRY(memory_allocate(&flat, (size_t)elements, bytes, field->path));
    at = flat;
    for (int64_t i = 0; i < row_count(field, rollout); i++) {
        const struct span span = field->row(field, rollout, i, &own);
        if (span.turns != NULL)
            spread_numbers(span, (float *)(void *)at);
        else if (span.n > 0)
            memcpy(at, span.data, (size_t)span.n * bytes);
        at += (size_t)span.n * bytes;
    }
    const enum status status = h5_put_list(h5, field->path, field->kind, elements, flat);
    memory_release(&flat);
    return status;
}

/* The dataset with its attributes; nothing where no row has the quantity. */
static enum status write_field(struct h5 *h5, const struct field *field,
                               const struct rollout *rollout) {
    int64_t missing;
    const int64_t elements = count_elements(field, rollout, &missing);
    if (missing > 0 && missing == elements)
        return STATUS_OK;
    if (missing > 0)
        return FAIL(STATUS_DEFECT, "%s: %lld of %lld elements are missing", field->path,
                    (long long)missing, (long long)elements);
    TRY(write_elements(h5, field, rollout, elements));
    TRY(h5_describe(h5, field->path, field->unit, field->text));
    return field->offsets != NULL ? write_offsets(h5, field, rollout) : STATUS_OK;
}

static enum status write_all(struct h5 *h5, const struct field *table, size_t count,
                             const struct rollout *rollout) {
    for (size_t i = 0; i < count; i++)
        TRY(write_field(h5, &table[i], rollout));
    return STATUS_OK;
}

#define WRITE_ALL(h5, table, rollout) write_all(h5, table, sizeof table / sizeof *table, rollout)

static enum status write_part(struct h5 *h5, const struct rollout *rollout, int index,
                              const char *name) {
    char path[NAME_BYTES], text[NAME_BYTES];
    struct field field = NUMBER(path, parts, "1", text);
    snprintf(path, sizeof path, "/answer/reward_%s", name);
    snprintf(text, sizeof text, "reward part %s, unweighted", name);
    field.offset += (size_t)index * sizeof(double);
    return write_field(h5, &field, rollout);
}

static enum status write_rewards(struct h5 *h5, const struct rollout *rollout,
                                 const struct rollout_file_settings *settings) {
    TRY(WRITE_ALL(h5, reward_fields, rollout));
    if (settings->penalised)
        TRY(write_field(h5, &penalised_field, rollout));
    for (int i = 0; i < settings->part_count; i++)
        TRY(write_part(h5, rollout, i, settings->parts[i]));
    return STATUS_OK;
}

static bool has_turns(const struct rollout *rollout) {
    for (int64_t i = 0; i < rollout->group_count * rollout->group_size; i++)
        if (rollout->answers[i].between > 0 && !rollout->answers[i].forced)
            return true;
    return false;
}

/* 1 for each token of an answer that lies between its turns. */
static void mark_forced(const struct rollout_answer *answer, uint8_t *out) {
    memset(out, answer->forced ? 1 : 0, (size_t)rollout_answer_id_count(answer));
    for (int64_t i = 0; answer->forced && i < answer->turn_count; i++)
        memset(out + answer->turn_begins[i], 0,
               (size_t)(answer->turn_ends[i] - answer->turn_begins[i]));
}

static enum status write_forced(struct h5 *h5, const struct rollout *rollout) {
    const int64_t answers = rollout->group_count * rollout->group_size;
    int64_t n = 0, at = 0;
    uint8_t *flat;
    for (int64_t i = 0; i < answers; i++)
        n += rollout_answer_id_count(&rollout->answers[i]);
    TRY(memory_new(&flat, n, "marks of forced tokens"));
    for (int64_t i = 0; i < answers; i++) {
        mark_forced(&rollout->answers[i], flat + at);
        at += rollout_answer_id_count(&rollout->answers[i]);
    }
    const enum status status = h5_put_list(h5, "/token/forced", H5_KIND_U8, n, flat);
    memory_release(&flat);
    TRY(status);
    return h5_describe(h5, "/token/forced", "1",
                       "1: the token closes thinking by force; nobody drew it, and its numbers are "
                       "NaN");
}

static enum status fill_file(struct h5 *h5, const struct rollout *rollout,
                             const struct rollout_file_settings *settings) {
    TRY(WRITE_ALL(h5, fields, rollout));
    if (has_turns(rollout))
        TRY(WRITE_ALL(h5, turn_fields, rollout));
    if (rollout->groups[0].teacher != NULL)
        TRY(write_field(h5, &teacher_field, rollout));
    if (settings->rewards)
        TRY(write_rewards(h5, rollout, settings));
    TRY(h5_put_group(h5, "/token"));
    TRY(WRITE_ALL(h5, token_fields, rollout));
    if (settings->forced)
        TRY(write_forced(h5, rollout));
    if (settings->judged != NULL)
        TRY(judged_file_write(h5, settings->judged, settings->valued));
    return provenance_write(h5, settings->provenance);
}

enum status rollout_file_write(const char *path, const struct rollout *rollout,
                               const struct rollout_file_settings *settings) {
    struct h5 *h5;
    TRY(h5_create(&h5, H5_FORMAT_CHECKED));
    const enum status status = fill_file(h5, rollout, settings);
    if (status == STATUS_OK)
        return h5_save(&h5, path);
    (void)h5_close(&h5);
    return status;
}
