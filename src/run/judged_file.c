/* SPDX-License-Identifier: Apache-2.0 */
#include "run/judged_file.h"

#include <math.h>
#include <string.h>

#include "base/memory.h"
#include "run/reasoning_file.h"

/* The datasets, row by row. */
struct columns {
    int64_t *offsets; /* (rows + 1) */
    int32_t *completion, *group, *answer;
    uint8_t *label;
    double *logits, *value; /* (rows, 2), (rows) */
    int32_t *tokens;
};

/* What is read behind the prompt of a group: a completion, or that in the middle of a reasoning. */
static const int32_t *ids_of(const struct rollout_answer *text) {
    return text->between > 0 ? text->sequence : text->tokens;
}

static int64_t row_count(const struct rollout *texts) {
    return texts->group_count * texts->group_size;
}

static enum status reserve(struct columns *columns, const struct rollout *texts) {
    const int64_t rows = row_count(texts);
    int64_t tokens = 0;
    for (int64_t k = 0; k < rows; k++)
        tokens += texts->groups[k / texts->group_size].prompt_length +
                  rollout_answer_length(&texts->answers[k]);
    TRY(memory_new(&columns->offsets, rows + 1, "sequences of the discriminator"));
    TRY(memory_new(&columns->completion, rows, "sequences of the discriminator"));
    TRY(memory_new(&columns->group, rows, "sequences of the discriminator"));
    TRY(memory_new(&columns->answer, rows, "sequences of the discriminator"));
    TRY(memory_new(&columns->label, rows, "sequences of the discriminator"));
    TRY(memory_new(&columns->logits, 2 * rows, "sequences of the discriminator"));
    TRY(memory_new(&columns->value, rows, "sequences of the discriminator"));
    return memory_new(&columns->tokens, tokens, "sequences of the discriminator");
}

static void release(struct columns *columns) {
    memory_release(&columns->offsets);
    memory_release(&columns->completion);
    memory_release(&columns->group);
    memory_release(&columns->answer);
    memory_release(&columns->label);
    memory_release(&columns->logits);
    memory_release(&columns->value);
    memory_release(&columns->tokens);
}

static void fill_row(const struct judged *judged, int64_t row, struct columns *columns) {
    const struct rollout *texts = &judged->texts;
    const int64_t group = row / texts->group_size, i = row % texts->group_size;
    const struct rollout_group *prompt = &texts->groups[group];
    const struct rollout_answer *text = &texts->answers[row];
    const struct verdict *verdict = &judged->verdicts[row];
    const int64_t n = rollout_answer_length(text);
    int32_t *tokens = columns->tokens + columns->offsets[row];
    memcpy(tokens, prompt->prompt, (size_t)prompt->prompt_length * sizeof *tokens);
    if (n > 0)
        memcpy(tokens + prompt->prompt_length, ids_of(text), (size_t)n * sizeof *tokens);
    columns->offsets[row + 1] = columns->offsets[row] + prompt->prompt_length + n;
    columns->completion[row] = (int32_t)prompt->prompt_length;
    columns->group[row] = (int32_t)group;
    columns->answer[row] =
        judged_is_real(i) ? -1 : (int32_t)(group * (texts->group_size - 1) + i - 1);
    columns->label[row] = judged_is_real(i);
    columns->logits[2 * row] = verdict->logits[0];
    columns->logits[2 * row + 1] = verdict->logits[1];
    columns->value[row] = verdict->value;
}

static enum status put(struct h5 *h5, const char *path, enum h5_kind kind, int64_t n,
                       const void *data, const char *text) {
    TRY(h5_put_list(h5, path, kind, n, data));
    return h5_describe(h5, path, "1", text);
}

static enum status write_columns(struct h5 *h5, const struct columns *columns, int64_t rows,
                                 bool valued) {
    const int64_t shape[] = {rows, 2};
    TRY(put(h5, "/discriminator/token_ids", H5_KIND_I32, columns->offsets[rows], columns->tokens,
            "token ids that the discriminator reads: what stands before, the completion, and what "
            "it reads and writes behind that where it reasons"));
    TRY(put(h5, "/discriminator/offsets", H5_KIND_I64, rows + 1, columns->offsets,
            "row i is elements [offsets[i], offsets[i + 1]) of /discriminator/token_ids"));
    TRY(put(h5, "/discriminator/completion", H5_KIND_I32, rows, columns->completion,
            "where the completion begins in its row of /discriminator/token_ids"));
    TRY(put(h5, "/discriminator/label", H5_KIND_U8, rows, columns->label,
            "1: the completion is real, the end of the window; 0: it was written"));
    TRY(put(h5, "/discriminator/group", H5_KIND_I32, rows, columns->group,
            "which prompt of this file the completion belongs to"));
    TRY(put(h5, "/discriminator/answer", H5_KIND_I32, rows, columns->answer,
            "which answer of this file it is the completion of; -1: it is real"));
    TRY(h5_put(h5, "/discriminator/logits", H5_KIND_F64, H5_STORAGE_PACKED, 2, shape,
               columns->logits));
    TRY(h5_describe(h5, "/discriminator/logits", "1",
                    "logits of written and real, before the step changes the discriminator"));
    if (!valued)
        return STATUS_OK;
    return put(h5, "/discriminator/value", H5_KIND_F64, rows, columns->value,
               "success that the value head expects of the discriminator");
}

enum status judged_file_write(struct h5 *h5, const struct judged *judged, bool valued) {
    const int64_t rows = row_count(&judged->texts);
    struct columns columns = {.offsets = NULL};
    enum status status = reserve(&columns, &judged->texts);
    for (int64_t row = 0; status == STATUS_OK && row < rows; row++)
        fill_row(judged, row, &columns);
    if (status == STATUS_OK)
        status = h5_put_group(h5, "/discriminator");
    if (status == STATUS_OK)
        status = write_columns(h5, &columns, rows, valued);
    if (status == STATUS_OK && judged->reasons.group_count > 0)
        status = reasoning_file_write(h5, judged);
    release(&columns);
    return status;
}

/* --- gradus inspect --- */

/* Of the sequences of a label: how many there are and were told, and the sum of their probabilities. */
struct told {
    int64_t sequences, told;
    double probability;
};

static void count_told(const uint8_t *label, const double *logits, int64_t rows,
                       struct told told[2]) {
    for (int64_t i = 0; i < rows; i++) {
        const int real = label[i] != 0;
        const double lead = logits[2 * i + 1] - logits[2 * i];
        told[real].sequences++;
        told[real].told += (lead > 0) == real;
        told[real].probability += 1 / (1 + exp(-lead));
    }
}

static enum status append_told(const struct told told[2], struct strbuf *out) {
    static const char *const names[] = {"written", "real"};
    TRY(strbuf_append_text(out, "  discriminator:"));
    for (int real = 1; real >= 0; real--)
        TRY(strbuf_append_format(
            out, " %s %lld, told %lld, mean probability of real %.4g%s", names[real],
            (long long)told[real].sequences, (long long)told[real].told,
            told[real].probability / (double)told[real].sequences, real ? ";" : "\n"));
    return STATUS_OK;
}

static enum status describe_rows(const struct h5 *h5, const uint8_t *label, int64_t rows,
                                 struct strbuf *out) {
    static const char path[] = "/discriminator/logits";
    struct h5_shape shape;
    struct told told[2] = {{.sequences = 0}};
    double *logits;
    TRY(h5_shape(h5, path, &shape));
    if (shape.rank != 2 || shape.sizes[0] != rows || shape.sizes[1] != 2)
        return FAIL(STATUS_INPUT, "%s has not two numbers for each of %lld labels", path,
                    (long long)rows);
    TRY(memory_new(&logits, 2 * rows, path));
    enum status status = h5_get(h5, path, H5_KIND_F64, 0, rows, logits);
    if (status == STATUS_OK)
        count_told(label, logits, rows, told);
    if (status == STATUS_OK)
        status = append_told(told, out);
    memory_release(&logits);
    return status;
}

enum status judged_file_describe(const struct h5 *h5, struct strbuf *out) {
    uint8_t *label;
    int64_t rows;
    if (!h5_has(h5, "/discriminator/logits"))
        return STATUS_OK;
    TRY(h5_get_list(h5, "/discriminator/label", H5_KIND_U8, &label, &rows));
    const enum status status = describe_rows(h5, label, rows, out);
    memory_release(&label);
    return status == STATUS_OK ? reasoning_file_describe(h5, out) : status;
}
