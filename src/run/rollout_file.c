/* SPDX-License-Identifier: Apache-2.0 */
#include "run/rollout_file.h"

#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "base/memory.h"

enum { NAME_BYTES = 128, SHOWN_BYTES_MAX = 1 << 20 };

static int64_t answer_count(const struct rollout *rollout) {
    return rollout->group_count * rollout->group_size;
}

static int64_t token_count(const struct rollout *rollout) {
    int64_t tokens = 0;
    for (int64_t i = 0; i < answer_count(rollout); i++)
        tokens += rollout->answers[i].n;
    return tokens;
}

/* --- ragged arrays --- */

/* One row's elements. */
struct span {
    const void *data;
    int64_t n;
};

static struct span prompt_tokens(const struct rollout *rollout, int64_t i) {
    return (struct span){rollout->groups[i].prompt, rollout->groups[i].prompt_length};
}

static struct span prompt_text(const struct rollout *rollout, int64_t i) {
    return (struct span){rollout->groups[i].text.text, (int64_t)rollout->groups[i].text.length};
}

static struct span prompt_reference(const struct rollout *rollout, int64_t i) {
    const struct strbuf *reference = &rollout->groups[i].reference;
    return (struct span){reference->text, (int64_t)reference->length};
}

static struct span answer_tokens(const struct rollout *rollout, int64_t i) {
    return (struct span){rollout->answers[i].tokens, rollout->answers[i].n};
}

static struct span answer_text(const struct rollout *rollout, int64_t i) {
    return (struct span){rollout->answers[i].text.text, (int64_t)rollout->answers[i].text.length};
}

/* A ragged array: `rows` spans of elements of one kind, and their offsets. */
struct ragged {
    const char *path, *offsets_path;
    enum h5_kind kind;
    bool per_answer; /* else per group */
    struct span (*span)(const struct rollout *rollout, int64_t i);
};

static const struct ragged raggeds[] = {
    {"/prompt/token_ids", "/prompt/offsets", H5_KIND_I32, false, prompt_tokens},
    {"/prompt/text", "/prompt/text_offsets", H5_KIND_U8, false, prompt_text},
    {"/prompt/reference", "/prompt/reference_offsets", H5_KIND_U8, false, prompt_reference},
    {"/answer/token_ids", "/answer/offsets", H5_KIND_I32, true, answer_tokens},
    {"/answer/text", "/answer/text_offsets", H5_KIND_U8, true, answer_text},
};

static enum status write_flat(struct h5 *h5, const struct ragged *ragged,
                              const struct rollout *rollout, int64_t rows, const int64_t *offsets) {
    const size_t element = (size_t)h5_kind_bytes(ragged->kind);
    char *flat;
    TRY(memory_allocate(&flat, (size_t)offsets[rows], element, ragged->path));
    for (int64_t i = 0; i < rows; i++) {
        const struct span span = ragged->span(rollout, i);
        ASSERT(span.n == 0 || span.data != NULL);
        if (span.n > 0)
            memcpy(flat + (size_t)offsets[i] * element, span.data, (size_t)span.n * element);
    }
    const enum status status = h5_put_list(h5, ragged->path, ragged->kind, offsets[rows], flat);
    memory_release(&flat);
    return status;
}

static enum status write_ragged(struct h5 *h5, const struct ragged *ragged,
                                const struct rollout *rollout) {
    const int64_t rows = ragged->per_answer ? answer_count(rollout) : rollout->group_count;
    int64_t *offsets;
    TRY(memory_new(&offsets, rows + 1, ragged->offsets_path));
    for (int64_t i = 0; i < rows; i++)
        offsets[i + 1] = offsets[i] + ragged->span(rollout, i).n;
    enum status status = h5_put_list(h5, ragged->offsets_path, H5_KIND_I64, rows + 1, offsets);
    if (status == STATUS_OK)
        status = write_flat(h5, ragged, rollout, rows, offsets);
    memory_release(&offsets);
    return status;
}

/* --- one number per prompt or answer --- */

static enum status write_groups(struct h5 *h5, const struct rollout *rollout) {
    const int64_t n = rollout->group_count;
    int32_t *sources;
    int64_t *rows;
    TRY(memory_new(&sources, n, "prompt sources"));
    enum status status = memory_new(&rows, n, "prompt rows");
    for (int64_t i = 0; i < n && status == STATUS_OK; i++) {
        sources[i] = rollout->groups[i].source;
        rows[i] = rollout->groups[i].row;
    }
    if (status == STATUS_OK)
        status = h5_put_list(h5, "/prompt/source", H5_KIND_I32, n, sources);
    if (status == STATUS_OK)
        status = h5_put_list(h5, "/prompt/row", H5_KIND_I64, n, rows);
    memory_release(&rows);
    memory_release(&sources);
    return status;
}

static enum status write_answers(struct h5 *h5, const struct rollout *rollout) {
    const int64_t n = answer_count(rollout);
    int32_t *groups;
    uint8_t *finish;
    TRY(memory_new(&groups, n, "answer groups"));
    enum status status = memory_new(&finish, n, "finish reasons");
    for (int64_t i = 0; i < n && status == STATUS_OK; i++) {
        groups[i] = (int32_t)(i / rollout->group_size);
        finish[i] = (uint8_t)rollout->answers[i].finish;
    }
    if (status == STATUS_OK)
        status = h5_put_list(h5, "/answer/group", H5_KIND_I32, n, groups);
    if (status == STATUS_OK)
        status = h5_put_list(h5, "/answer/finish_reason", H5_KIND_U8, n, finish);
    memory_release(&finish);
    memory_release(&groups);
    TRY(status);
    return h5_put_attribute(h5, "/answer/finish_reason", "values",
                            "0 stop, 1 length, 2 stop_text, 3 forced");
}

/* A double of each answer, at `offset` in its struct. */
static enum status write_double(struct h5 *h5, const struct rollout *rollout, const char *path,
                                size_t offset) {
    const int64_t n = answer_count(rollout);
    double *values;
    TRY(memory_new(&values, n, path));
    for (int64_t i = 0; i < n; i++)
        memcpy(&values[i], (const char *)&rollout->answers[i] + offset, sizeof *values);
    const enum status status = h5_put_list(h5, path, H5_KIND_F64, n, values);
    memory_release(&values);
    return status;
}

static enum status write_rewards(struct h5 *h5, const struct rollout *rollout,
                                 const struct rollout_file_settings *settings) {
    char path[NAME_BYTES];
    TRY(write_double(h5, rollout, "/answer/reward", offsetof(struct rollout_answer, reward)));
    TRY(write_double(h5, rollout, "/answer/advantage", offsetof(struct rollout_answer, advantage)));
    if (settings->penalised)
        TRY(write_double(h5, rollout, "/answer/reward_penalised",
                         offsetof(struct rollout_answer, reward_penalised)));
    for (int i = 0; i < settings->part_count; i++) {
        snprintf(path, sizeof path, "/answer/reward_%s", settings->parts[i]);
        TRY(write_double(h5, rollout, path,
                         offsetof(struct rollout_answer, parts) + (size_t)i * sizeof(double)));
    }
    return STATUS_OK;
}

/* --- one number per answer token --- */

static const struct column {
    const char *path, *text;
    size_t offset; /* of the pointer in struct rollout_answer */
} columns[] = {
    {"/token/logprob_sampler", "log-probability as drawn",
     offsetof(struct rollout_answer, logprob_sampler)},
    {"/token/logprob", "log-probability under the trainer's first pass",
     offsetof(struct rollout_answer, logprob)},
    {"/token/logprob_reference", "log-probability under the reference",
     offsetof(struct rollout_answer, logprob_reference)},
    {"/token/entropy", "entropy at this position, first pass",
     offsetof(struct rollout_answer, entropy)},
    {"/token/ratio", "probability ratio, last pass", offsetof(struct rollout_answer, ratio)},
    {"/token/gate_derivative", "derivative of the gate at the ratio, last pass",
     offsetof(struct rollout_answer, gate_derivative)},
};

static const float *column_values(const struct rollout_answer *answer,
                                  const struct column *column) {
    const float *values;
    memcpy(&values, (const char *)answer + column->offset, sizeof values);
    return values;
}

/* Flattens a column; *have counts the answers that hold it, of *all that have tokens. */
static void gather_column(const struct rollout *rollout, const struct column *column, float *flat,
                          int64_t *have, int64_t *all) {
    *have = *all = 0;
    for (int64_t i = 0; i < answer_count(rollout); i++) {
        const struct rollout_answer *answer = &rollout->answers[i];
        const float *values = column_values(answer, column);
        if (answer->n > 0 && values != NULL)
            memcpy(flat, values, (size_t)answer->n * sizeof *flat);
        flat += answer->n;
        *all += answer->n > 0;
        *have += answer->n > 0 && values != NULL;
    }
}

static enum status write_column(struct h5 *h5, const struct rollout *rollout,
                                const struct column *column, float *flat) {
    int64_t have, all;
    gather_column(rollout, column, flat, &have, &all);
    if (have == 0)
        return STATUS_OK;
    if (have != all)
        return FAIL(STATUS_DEFECT, "%s: %lld of %lld answers have it", column->path,
                    (long long)have, (long long)all);
    TRY(h5_put_list(h5, column->path, H5_KIND_F32, token_count(rollout), flat));
    return h5_put_attribute(h5, column->path, "description", column->text);
}

static enum status write_columns(struct h5 *h5, const struct rollout *rollout) {
    enum status status = STATUS_OK;
    float *flat;
    TRY(h5_put_group(h5, "/token"));
    TRY(memory_new(&flat, token_count(rollout), "numbers per token"));
    for (size_t i = 0; i < sizeof columns / sizeof *columns && status == STATUS_OK; i++)
        status = write_column(h5, rollout, &columns[i], flat);
    memory_release(&flat);
    return status;
}

static enum status fill_file(struct h5 *h5, const struct rollout *rollout,
                             const struct rollout_file_settings *settings) {
    for (size_t i = 0; i < sizeof raggeds / sizeof *raggeds; i++)
        TRY(write_ragged(h5, &raggeds[i], rollout));
    TRY(write_groups(h5, rollout));
    TRY(write_answers(h5, rollout));
    if (settings->rewards)
        TRY(write_rewards(h5, rollout, settings));
    TRY(write_columns(h5, rollout));
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

/* --- inspection --- */

/* Row `i` of a ragged text, control characters escaped. */
static enum status append_row(const struct h5 *h5, const char *path, const char *offsets_path,
                              int64_t i, struct strbuf *out) {
    int64_t ends[2];
    char *bytes;
    TRY(h5_get(h5, offsets_path, H5_KIND_I64, i, 2, ends));
    const int64_t n = ends[1] - ends[0];
    if (ends[0] < 0 || n < 0 || n > SHOWN_BYTES_MAX)
        return FAIL(STATUS_INPUT, "%s: row %lld runs from %lld to %lld", offsets_path, (long long)i,
                    (long long)ends[0], (long long)ends[1]);
    TRY(memory_new(&bytes, n, path));
    enum status status = h5_get(h5, path, H5_KIND_U8, ends[0], n, bytes);
    for (int64_t at = 0; at < n && status == STATUS_OK; at++) {
        const unsigned char c = (unsigned char)bytes[at];
        const bool plain = (c >= 0x20 && c != 0x7f) || c == '\n' || c == '\t';
        status =
            plain ? strbuf_append(out, bytes + at, 1) : strbuf_append_format(out, "\\x%02x", c);
    }
    memory_release(&bytes);
    return status;
}

static enum status append_mean(const struct h5 *h5, const char *path, struct strbuf *out) {
    double *values, sum = 0;
    int64_t n;
    if (!h5_has(h5, path))
        return STATUS_OK;
    TRY(h5_get_list(h5, path, H5_KIND_F64, &values, &n));
    for (int64_t i = 0; i < n; i++)
        sum += values[i];
    memory_release(&values);
    return strbuf_append_format(out, "  mean %-24s %.6g\n", path + sizeof "/answer/" - 1,
                                n > 0 ? sum / (double)n : 0.0);
}

struct report {
    const struct h5 *h5;
    struct strbuf *out;
};

/* For h5_list over /answer: every reward. */
static enum status append_reward(void *context, const char *path, bool is_group) {
    const struct report *report = context;
    if (is_group || strncmp(path, "/answer/reward", sizeof "/answer/reward" - 1) != 0)
        return STATUS_OK;
    return append_mean(report->h5, path, report->out);
}

static enum status append_counts(const struct h5 *h5, struct strbuf *out, int64_t *answers) {
    struct h5_shape prompts, groups, tokens;
    TRY(h5_shape(h5, "/prompt/source", &prompts));
    TRY(h5_shape(h5, "/answer/group", &groups));
    TRY(h5_shape(h5, "/answer/token_ids", &tokens));
    *answers = groups.elements;
    return strbuf_append_format(out, "rollouts: %lld prompts, %lld answers, %lld answer tokens\n",
                                (long long)prompts.elements, (long long)groups.elements,
                                (long long)tokens.elements);
}

static enum status append_finish(const struct h5 *h5, struct strbuf *out) {
    static const char *const names[] = {"stop", "length", "stop_text", "forced"};
    int64_t n, counts[4] = {0};
    uint8_t *finish;
    TRY(h5_get_list(h5, "/answer/finish_reason", H5_KIND_U8, &finish, &n));
    for (int64_t i = 0; i < n; i++)
        if (finish[i] < 4)
            counts[finish[i]]++;
    memory_release(&finish);
    TRY(strbuf_append_text(out, "  finished by"));
    for (int i = 0; i < 4; i++)
        if (counts[i] > 0)
            TRY(strbuf_append_format(out, " %s %lld", names[i], (long long)counts[i]));
    return strbuf_append_text(out, "\n");
}

static enum status append_answer(const struct h5 *h5, int64_t i, struct strbuf *out) {
    double reward;
    int32_t group;
    TRY(h5_get(h5, "/answer/group", H5_KIND_I32, i, 1, &group));
    TRY(strbuf_append_format(out, "\n--- answer %lld of prompt %d", (long long)i, (int)group));
    if (h5_has(h5, "/answer/reward")) {
        TRY(h5_get(h5, "/answer/reward", H5_KIND_F64, i, 1, &reward));
        TRY(strbuf_append_format(out, ", reward %.6g", reward));
    }
    TRY(strbuf_append_text(out, "\nprompt: "));
    TRY(append_row(h5, "/prompt/text", "/prompt/text_offsets", group, out));
    TRY(strbuf_append_text(out, "\nreference: "));
    TRY(append_row(h5, "/prompt/reference", "/prompt/reference_offsets", group, out));
    TRY(strbuf_append_text(out, "\nanswer: "));
    TRY(append_row(h5, "/answer/text", "/answer/text_offsets", i, out));
    return strbuf_append_text(out, "\n");
}

enum status rollout_file_describe(const struct h5 *h5, int64_t answers, struct strbuf *out) {
    struct report report = {.h5 = h5, .out = out};
    int64_t have;
    TRY(append_counts(h5, out, &have));
    TRY(append_finish(h5, out));
    TRY(h5_list(h5, "/answer", append_reward, &report));
    for (int64_t i = 0; i < answers && i < have; i++)
        TRY(append_answer(h5, i, out));
    return STATUS_OK;
}
