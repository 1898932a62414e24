/* SPDX-License-Identifier: Apache-2.0
 *
 * What gradus inspect says of a rollout file.
 */
#include <string.h>

#include "base/memory.h"
#include "base/printable.h"
#include "run/judged_file.h"
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
    int64_t answer; /* for those that look at one */
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
            TRY(strbuf_append_format(out, " %s %lld", finish_reason_word((enum finish_reason)i),
                                     (long long)counts[i]));
    return strbuf_append_text(out, "\n");
}

/* The title of an answer's text, in which the turns of a conversation stand one behind the other. */
static enum status append_turns(const struct h5 *h5, int64_t i, struct strbuf *out) {
    int64_t ends[2] = {0, 1};
    if (h5_has(h5, "/answer/turn_offsets"))
        TRY(h5_get(h5, "/answer/turn_offsets", H5_KIND_I64, i, 2, ends));
    return ends[1] - ends[0] > 1
               ? strbuf_append_format(out, "\nanswer, the %lld turns of a conversation joined: ",
                                      (long long)(ends[1] - ends[0]))
               : strbuf_append_text(out, "\nanswer: ");
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
    TRY(append_turns(h5, i, out));
    TRY(append_row(h5, "/answer/text", "/answer/text_offsets", i, out));
    return strbuf_append_text(out, "\n");
}

/* --- one answer, token by token --- */

static const struct {
    const char *path, *title;
} token_columns[] = {
    {"/token/logprob_sampler", "sampler"},
    {"/token/logprob", "logprob"},
    {"/token/logprob_reference", "reference"},
    {"/token/logprob_teacher", "teacher"},
    {"/token/ratio", "ratio"},
    {"/token/gate_derivative", "gate'"},
    {"/token/entropy", "entropy"},
    {"/token/entropy_teacher", "entropy_T"},
    {"/token/divergence", "divergence"},
};

enum { TOKEN_COLUMNS = sizeof token_columns / sizeof *token_columns, TEXT_WIDTH = 20 };

/* An answer's tokens and the numbers of each; a column that the file lacks is NULL. */
struct answer_tokens {
    int32_t *ids;
    float *columns[TOKEN_COLUMNS];
    int64_t n;
};

static void answer_tokens_release(struct answer_tokens *tokens) {
    memory_release(&tokens->ids);
    for (int c = 0; c < TOKEN_COLUMNS; c++)
        memory_release(&tokens->columns[c]);
}

static enum status read_tokens(const struct h5 *h5, int64_t answer, struct answer_tokens *out) {
    int64_t ends[2];
    TRY(h5_get(h5, "/answer/offsets", H5_KIND_I64, answer, 2, ends));
    out->n = ends[1] - ends[0];
    if (ends[0] < 0 || out->n < 0 || out->n > SHOWN_BYTES_MAX)
        return FAIL(STATUS_INPUT, "/answer/offsets: answer %lld runs from %lld to %lld",
                    (long long)answer, (long long)ends[0], (long long)ends[1]);
    TRY(memory_new(&out->ids, out->n, "tokens"));
    TRY(h5_get(h5, "/answer/token_ids", H5_KIND_I32, ends[0], out->n, out->ids));
    for (int c = 0; c < TOKEN_COLUMNS; c++)
        if (h5_has(h5, token_columns[c].path)) {
            TRY(memory_new(&out->columns[c], out->n, "numbers of tokens"));
            TRY(h5_get(h5, token_columns[c].path, H5_KIND_F32, ends[0], out->n, out->columns[c]));
        }
    return STATUS_OK;
}

/* The token's text in quotes, escaped, cut, and filled up to a width in characters. */
static enum status append_token_text(const struct tokenizer *tokenizer, int32_t id,
                                     struct strbuf *out) {
    struct strbuf text = STRBUF_EMPTY;
    char shown[8 * TEXT_WIDTH];
    int width = 2;
    enum status status = tokenizer_decode(tokenizer, &id, 1, true, &text);
    if (status == STATUS_OK) {
        printable(shown, sizeof shown, TEXT_WIDTH - 4, "\"", strbuf_text(&text), text.length);
        for (const char *c = shown; *c != '\0'; c++)
            width += ((unsigned char)*c & 0xc0) != 0x80;
        status = strbuf_append_format(out, " \"%s\"%*s", shown,
                                      width < TEXT_WIDTH ? TEXT_WIDTH - width : 0, "");
    }
    strbuf_release(&text);
    return status;
}

static enum status append_token(const struct answer_tokens *tokens, int64_t t,
                                const struct tokenizer *tokenizer, struct strbuf *out) {
    TRY(strbuf_append_format(out, "%6lld %8d", (long long)t, (int)tokens->ids[t]));
    if (tokenizer != NULL)
        TRY(append_token_text(tokenizer, tokens->ids[t], out));
    for (int c = 0; c < TOKEN_COLUMNS; c++)
        if (tokens->columns[c] != NULL)
            TRY(strbuf_append_format(out, " %10.4g", (double)tokens->columns[c][t]));
    return strbuf_append_text(out, "\n");
}

static enum status append_token_table(const struct answer_tokens *tokens,
                                      const struct tokenizer *tokenizer, struct strbuf *out) {
    TRY(strbuf_append_format(out, "\n%6s %8s", "token", "id"));
    if (tokenizer != NULL)
        TRY(strbuf_append_format(out, " %-*s", TEXT_WIDTH, "text"));
    for (int c = 0; c < TOKEN_COLUMNS; c++)
        if (tokens->columns[c] != NULL)
            TRY(strbuf_append_format(out, " %10s", token_columns[c].title));
    TRY(strbuf_append_text(out, "\n"));
    for (int64_t t = 0; t < tokens->n; t++)
        TRY(append_token(tokens, t, tokenizer, out));
    return strbuf_append_text(out,
                              "log-probabilities and entropy in nat; logprob and entropy of the "
                              "first pass over the batch, ratio and gate' (the derivative of the "
                              "gate) of the last; nan: the token was forced\n");
}

/* Every number of /answer that begins with "reward", and the advantage. */
static enum status append_answer_number(void *context, const char *path, bool is_group) {
    const struct report *report = context;
    const char *name = path + sizeof "/answer/" - 1;
    double value;
    if (is_group || (strncmp(name, "reward", 6) != 0 && strcmp(name, "advantage") != 0))
        return STATUS_OK;
    TRY(h5_get(report->h5, path, H5_KIND_F64, report->answer, 1, &value));
    return strbuf_append_format(report->out, "%-24s %.6g\n", name, value);
}

enum status rollout_file_describe_answer(const struct h5 *h5, int64_t answer,
                                         const struct tokenizer *tokenizer, struct strbuf *out) {
    struct report report = {.h5 = h5, .out = out, .answer = answer};
    struct answer_tokens tokens = {.n = 0};
    int64_t have;
    TRY(append_counts(h5, out, &have));
    if (answer < 0 || answer >= have)
        return FAIL(STATUS_INPUT, "there is no answer %lld: the file holds 0 to %lld",
                    (long long)answer, (long long)have - 1);
    TRY(append_answer(h5, answer, out));
    TRY(h5_list(h5, "/answer", append_answer_number, &report));
    enum status status = read_tokens(h5, answer, &tokens);
    if (status == STATUS_OK)
        status = append_token_table(&tokens, tokenizer, out);
    answer_tokens_release(&tokens);
    return status;
}

enum status rollout_file_describe(const struct h5 *h5, int64_t answers, struct strbuf *out) {
    struct report report = {.h5 = h5, .out = out};
    int64_t have;
    TRY(append_counts(h5, out, &have));
    TRY(append_finish(h5, out));
    TRY(h5_list(h5, "/answer", append_reward, &report));
    TRY(judged_file_describe(h5, out));
    for (int64_t i = 0; i < answers && i < have; i++)
        TRY(append_answer(h5, i, out));
    return STATUS_OK;
}
