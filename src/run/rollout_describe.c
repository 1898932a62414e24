/* SPDX-License-Identifier: Apache-2.0
 *
 * What gradus inspect says of a rollout file.
 */
#include <string.h>

#include "base/memory.h"
#include "run/rollout_file.h"

enum { SHOWN_BYTES_MAX = 1 << 20 };

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
