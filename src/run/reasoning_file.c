/* SPDX-License-Identifier: Apache-2.0 */
#include "run/reasoning_file.h"

#include <string.h>

#include "base/memory.h"

#define GROUP "/discriminator/"

/* --- writing --- */

static enum status put(struct h5 *h5, const char *path, enum h5_kind kind, int64_t n,
                       const void *data, const char *text) {
    TRY(h5_put_list(h5, path, kind, n, data));
    return h5_describe(h5, path, "1", text);
}

static int64_t row_count(const struct judged *judged) {
    return judged->reasons.group_count * judged->reasons.group_size;
}

/* A number of each row. */
typedef int64_t row_place(const struct judged *judged, int64_t row);

static int64_t prompt_of(const struct judged *judged, int64_t row) {
    return judged->reasons.groups[row / judged->reasons.group_size].prompt_length;
}

static int64_t completion_end(const struct judged *judged, int64_t row) {
    return prompt_of(judged, row) + judged->completions[row];
}

static int64_t reason_begin(const struct judged *judged, int64_t row) {
    return prompt_of(judged, row) + judged->reasons.answers[row].turn_begins[0];
}

static int64_t reason_end(const struct judged *judged, int64_t row) {
    return prompt_of(judged, row) + judged->reasons.answers[row].turn_ends[0];
}

static const struct {
    const char *path;
    row_place *place;
    const char *text;
} places[] = {
    {GROUP "completion_end", completion_end,
     "where the completion ends in its row of /discriminator/token_ids"},
    {GROUP "reason_begin", reason_begin,
     "where the drawn reasoning begins in its row of /discriminator/token_ids; the value head reads the "
     "token before"},
    {GROUP "reason_end", reason_end,
     "where the drawn reasoning ends in its row: what follows closes it by force, and the logits are read "
     "at the row's last token"},
};

static enum status write_places(struct h5 *h5, const struct judged *judged) {
    const int64_t rows = row_count(judged);
    int32_t *numbers;
    enum status status = memory_new(&numbers, rows, "places of reasons");
    for (size_t i = 0; status == STATUS_OK && i < sizeof places / sizeof *places; i++) {
        for (int64_t row = 0; row < rows; row++)
            numbers[row] = (int32_t)places[i].place(judged, row);
        status = put(h5, places[i].path, H5_KIND_I32, rows, numbers, places[i].text);
    }
    memory_release(&numbers);
    return status;
}

static enum status write_rows(struct h5 *h5, const struct judged *judged) {
    const struct rollout *reasons = &judged->reasons;
    const int64_t rows = row_count(judged);
    uint8_t *forced;
    double *advantage = NULL;
    enum status status = memory_new(&forced, rows, "reasons");
    if (status == STATUS_OK)
        status = memory_new(&advantage, rows, "advantages of reasons");
    for (int64_t row = 0; status == STATUS_OK && row < rows; row++) {
        forced[row] = reasons->answers[row].forced;
        advantage[row] =
            verdict_advantage(&judged->verdicts[row], judged_is_real(row % reasons->group_size));
    }
    if (status == STATUS_OK)
        status = put(h5, GROUP "reason_forced", H5_KIND_U8, rows, forced,
                     "1: the reasoning was closed by force, by rollout.think_close");
    if (status == STATUS_OK)
        status = put(h5, GROUP "advantage", H5_KIND_F64, rows, advantage,
                     "success of the verdict, 0 or 1, minus /discriminator/value: the weight of "
                     "REINFORCE on the drawn tokens");
    memory_release(&forced);
    memory_release(&advantage);
    return status;
}

/* Of all rows together, how many elements: the offsets of those of each. */
typedef int64_t row_size(const struct rollout_answer *reason);

static int64_t token_size(const struct rollout_answer *reason) {
    return reason->n;
}

static int64_t text_size(const struct rollout_answer *reason) {
    return (int64_t)reason->text.length;
}

static enum status write_offsets(struct h5 *h5, const struct judged *judged, const char *path,
                                 row_size *size, const char *text, int64_t *total) {
    const int64_t rows = row_count(judged);
    int64_t *offsets;
    TRY(memory_new(&offsets, rows + 1, "offsets of reasons"));
    for (int64_t row = 0; row < rows; row++)
        offsets[row + 1] = offsets[row] + size(&judged->reasons.answers[row]);
    *total = offsets[rows];
    const enum status status = put(h5, path, H5_KIND_I64, rows + 1, offsets, text);
    memory_release(&offsets);
    return status;
}

static const float *column_of(const struct rollout_answer *reason, int column) {
    const float *const columns[] = {reason->logprob, reason->logprob_sampler, reason->entropy};
    return columns[column];
}

static enum status write_tokens(struct h5 *h5, const struct judged *judged) {
    static const struct {
        const char *path, *unit, *text;
    } columns[] = {
        {GROUP "reason_logprob", "nat",
         "log-probability of each drawn token at rollout.temperature, where it is first learned from: "
         "before the step, or with adversarial.d_step = own behind the generator's"},
        {GROUP "reason_logprob_sampler", "nat", "the same as it was drawn"},
        {GROUP "reason_entropy", "nat", "entropy there, by the same parameters"},
    };
    int64_t total;
    float *numbers;
    TRY(write_offsets(h5, judged, GROUP "reason_offsets", token_size,
                      "row i is elements [offsets[i], offsets[i + 1]) of "
                      "/discriminator/reason_logprob and its like",
                      &total));
    enum status status = memory_new(&numbers, total, "numbers of reasons");
    for (int i = 0; status == STATUS_OK && i < 3; i++) {
        int64_t at = 0;
        for (int64_t row = 0; row < row_count(judged); row++) {
            const struct rollout_answer *reason = &judged->reasons.answers[row];
            memcpy(numbers + at, column_of(reason, i), (size_t)reason->n * sizeof *numbers);
            at += reason->n;
        }
        status = h5_put_list(h5, columns[i].path, H5_KIND_F32, total, numbers);
        if (status == STATUS_OK)
            status = h5_describe(h5, columns[i].path, columns[i].unit, columns[i].text);
    }
    memory_release(&numbers);
    return status;
}

static enum status write_texts(struct h5 *h5, const struct judged *judged) {
    struct strbuf all = STRBUF_EMPTY;
    enum status status = STATUS_OK;
    int64_t total;
    for (int64_t row = 0; status == STATUS_OK && row < row_count(judged); row++) {
        const struct strbuf *text = &judged->reasons.answers[row].text;
        status = strbuf_append(&all, strbuf_text(text), text->length);
    }
    if (status == STATUS_OK)
        status = write_offsets(
            h5, judged, GROUP "reason_text_offsets", text_size,
            "row i is bytes [offsets[i], offsets[i + 1]) of /discriminator/reason_text", &total);
    if (status == STATUS_OK)
        status = put(h5, GROUP "reason_text", H5_KIND_U8, total, strbuf_text(&all),
                     "UTF-8 bytes of what was drawn, without special tokens");
    strbuf_release(&all);
    return status;
}

enum status reasoning_file_write(struct h5 *h5, const struct judged *judged) {
    TRY(write_places(h5, judged));
    TRY(write_rows(h5, judged));
    TRY(write_tokens(h5, judged));
    return write_texts(h5, judged);
}

/* --- gradus inspect --- */

enum status reasoning_file_describe(const struct h5 *h5, struct strbuf *out) {
    uint8_t *forced;
    int64_t *offsets, rows, ends, closed = 0;
    if (!h5_has(h5, GROUP "reason_offsets"))
        return STATUS_OK;
    TRY(h5_get_list(h5, GROUP "reason_offsets", H5_KIND_I64, &offsets, &ends));
    const double tokens = ends > 0 ? (double)offsets[ends - 1] : 0.0;
    memory_release(&offsets);
    TRY(h5_get_list(h5, GROUP "reason_forced", H5_KIND_U8, &forced, &rows));
    for (int64_t i = 0; i < rows; i++)
        closed += forced[i];
    memory_release(&forced);
    return strbuf_append_format(out,
                                "  its reasoning: %.4g tokens on average, %lld of %lld closed by "
                                "force\n",
                                rows > 0 ? tokens / (double)rows : 0.0, (long long)closed,
                                (long long)rows);
}
