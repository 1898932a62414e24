/* SPDX-License-Identifier: Apache-2.0
 *
 * gradus tokenize: texts to token ids and back, a line at a time. It needs tokenizer.json alone
 * (with --chat auto the chat template too) and never starts MPI. The output is kept until the input
 * has proved good, so that a bad line leaves nothing half written.
 */
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "base/strbuf.h"
#include "cli/cli.h"
#include "data/dataset.h"
#include "file/json.h"
#include "file/lines.h"
#include "text/chat.h"
#include "text/tokenizer.h"

#define INPUT "standard input"

struct job {
    struct tokenizer *tokenizer;
    struct chat_style style;
    bool chat, json, decode, special;
    struct token_list ids;
    struct strbuf text, output;
};

/* --- texts to ids --- */

static enum status write_ids(struct job *job) {
    for (int64_t i = 0; i < job->ids.count; i++) {
        char digits[16];
        size_t at = sizeof digits;
        digits[--at] = ' ';
        int32_t id = job->ids.ids[i];
        do
            digits[--at] = (char)('0' + id % 10);
        while ((id /= 10) > 0);
        const size_t space = i + 1 == job->ids.count; /* none after the last */
        TRY(strbuf_append(&job->output, digits + at, sizeof digits - at - space));
    }
    return strbuf_append(&job->output, "\n", 1);
}

static enum status encode_text(struct job *job, const char *text, size_t length) {
    job->ids.count = 0;
    TRY(tokenizer_encode(job->tokenizer, text, length, job->special, &job->ids));
    return write_ids(job);
}

/* One JSON string a line; an empty line is an empty text. */
static enum status encode_json(struct job *job, long line, const char *text, size_t length) {
    json_t *value;
    if (length == 0)
        return encode_text(job, "", 0);
    TRY(json_parse(text, length, INPUT, line, &value));
    const enum status status =
        json_is_string(value)
            ? encode_text(job, json_string_value(value), json_string_length(value))
            : FAIL(STATUS_INPUT, INPUT ":%ld: the line is not a JSON string", line);
    json_decref(value);
    return status;
}

/* --- conversations to ids --- */

static enum status render(struct job *job, const json_t *value, const char *place,
                          const struct conversation *conversation) {
    struct chat_message *messages;
    bool generation, thinking;
    const char *date;
    TRY(json_get_bool(value, place, "generation_prompt", true, &generation));
    TRY(json_get_bool(value, place, "thinking", true, &thinking));
    TRY(json_get_string(value, place, "date", NULL, &date));
    TRY(memory_new(&messages, conversation->count, "conversation"));
    for (int64_t i = 0; i < conversation->count; i++)
        messages[i] = conversation_message(conversation, i);
    strbuf_clear(&job->text);
    const enum status status = chat_render(&job->style, messages, conversation->count, generation,
                                           thinking, date, &job->text);
    memory_release(&messages);
    return status;
}

static enum status encode_value(struct job *job, const json_t *value, long line,
                                const char *place) {
    struct turn_list turns = {.turns = NULL};
    struct strbuf texts = STRBUF_EMPTY;
    enum status status = dataset_place(
        conversation_read(json_object_get(value, "messages"), "messages", &turns, &texts), INPUT,
        line - 1);
    if (status == STATUS_OK)
        status = render(job, value, place,
                        &(struct conversation){turns.turns, turns.count, strbuf_text(&texts)});
    memory_release(&turns.turns);
    strbuf_release(&texts);
    TRY(status);
    return encode_text(job, strbuf_text(&job->text), job->text.length);
}

static enum status encode_chat(struct job *job, long line, const char *text, size_t length) {
    char place[64];
    json_t *value;
    snprintf(place, sizeof place, INPUT ":%ld", line);
    TRY(json_parse(text, length, INPUT, line, &value));
    const enum status status = encode_value(job, value, line, place);
    json_decref(value);
    return status;
}

/* --- ids to texts --- */

static enum status read_ids(long line, const char *text, struct token_list *ids) {
    char quote[STATUS_QUOTE_MAX];
    ids->count = 0;
    for (;;) {
        text += strspn(text, " \t\r");
        if (*text == '\0')
            return STATUS_OK;
        char *end;
        errno = 0;
        const long long number = isdigit((unsigned char)*text) ? strtoll(text, &end, 10) : -1;
        if (number < 0 || number > INT32_MAX || errno != 0 || strchr(" \t\r", *end) == NULL)
            return FAIL(STATUS_INPUT, INPUT ":%ld: \"%s\" is not a token id", line,
                        status_quote(quote, text, strcspn(text, " \t\r")));
        const int32_t id = (int32_t)number;
        TRY(token_list_append(ids, &id, 1));
        text = end;
    }
}

static enum status write_text(struct job *job) {
    if (!job->json) {
        TRY(strbuf_append(&job->output, strbuf_text(&job->text), job->text.length));
        return strbuf_append(&job->output, "\n", 1);
    }
    json_t *value = json_stringn(strbuf_text(&job->text), job->text.length);
    char *line = json_dumps(value, JSON_ENCODE_ANY);
    json_decref(value);
    if (line == NULL)
        return FAIL(STATUS_MEMORY, "memory ran out while a text was written as JSON");
    const enum status status = strbuf_append_format(&job->output, "%s\n", line);
    free(line);
    return status;
}

static enum status decode_line(struct job *job, long line, const char *text, size_t length) {
    if (strlen(text) != length)
        return FAIL(STATUS_INPUT, INPUT ":%ld: a zero byte stands among the token ids", line);
    TRY(read_ids(line, text, &job->ids));
    strbuf_clear(&job->text);
    const enum status status =
        tokenizer_decode(job->tokenizer, job->ids.ids, job->ids.count, true, &job->text);
    if (status != STATUS_OK) {
        char sentence[STATUS_SENTENCE_MAX];
        snprintf(sentence, sizeof sentence, "%s", status_sentence());
        return FAIL(status, INPUT ":%ld: %s", line, sentence);
    }
    return write_text(job);
}

/* --- the command --- */

static enum status take_line(void *context, int64_t row, const char *text, size_t length) {
    struct job *job = context;
    const long line = (long)row + 1;
    if (job->decode)
        return decode_line(job, line, text, length);
    if (job->chat)
        return encode_chat(job, line, text, length);
    return job->json ? encode_json(job, line, text, length) : encode_text(job, text, length);
}

static enum status read_form(const struct cli *cli, enum chat_form *form) {
    static const char *const names[] = {
        [CHAT_AUTO] = "auto",   [CHAT_NONE] = "none",     [CHAT_CHATML] = "chatml",
        [CHAT_QWEN3] = "qwen3", [CHAT_LLAMA3] = "llama3",
    };
    char quote[STATUS_QUOTE_MAX];
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strcmp(names[i], cli_value(cli, "chat")) == 0) {
            *form = (enum chat_form)i;
            return STATUS_OK;
        }
    return FAIL(STATUS_USAGE, "--chat %s: known are auto, none, chatml, qwen3, llama3",
                status_quote(quote, cli_value(cli, "chat"), SIZE_MAX));
}

static enum status check_options(const struct job *job) {
    if (job->decode && (job->chat || job->special))
        return FAIL(STATUS_USAGE, "--decode goes with --json only");
    if (job->chat && job->json)
        return FAIL(STATUS_USAGE, "--chat has lines of its own; leave --json out");
    return STATUS_OK;
}

static enum status process(struct cli *cli, struct job *job) {
    const char *model = cli_value(cli, "model");
    enum chat_form form = CHAT_AUTO;
    TRY(check_options(job));
    if (job->chat) {
        TRY(read_form(cli, &form));
        TRY(chat_resolve(form, model, &job->style));
    }
    TRY(tokenizer_open(&job->tokenizer, model));
    TRY(lines_read(stdin, INPUT, take_line, job));
    if (fwrite(strbuf_text(&job->output), 1, job->output.length, stdout) != job->output.length ||
        fflush(stdout) != 0)
        return FAIL(STATUS_IO, "standard output cannot be written: %s", strerror(errno));
    return STATUS_OK;
}

static enum status run(struct cli *cli) {
    struct job job = {.chat = cli_given(cli, "chat"),
                      .json = cli_given(cli, "json"),
                      .decode = cli_given(cli, "decode"),
                      .special = cli_given(cli, "special")};
    const enum status status = process(cli, &job);
    if (job.chat)
        chat_release(&job.style);
    tokenizer_destroy(&job.tokenizer);
    memory_release(&job.ids.ids);
    strbuf_release(&job.text);
    strbuf_release(&job.output);
    return status;
}

const struct cli_command cmd_tokenize = {
    .name = "tokenize",
    .arguments = "",
    .text = "text lines to token ids and back, on standard input and output",
    .more =
        "Reads one text a line and prints its token ids, separated by spaces. A line ends at\n"
        "LF; bytes that are not UTF-8 count as U+FFFD. Added tokens inside a text are found.\n"
        "With --chat a line is {\"messages\": [{\"role\": ..., \"content\": ...}, ...]} and may\n"
        "say \"generation_prompt\": false, \"thinking\": false and \"date\": \"26 Jul 2024\".",
    .options =
        {
            {"model", "DIR", "model directory with tokenizer.json", true},
            {"decode", NULL, "token ids to text; special tokens are kept", false},
            {"json", NULL, "texts are JSON strings, one a line; an empty line is no text", false},
            {"special", NULL, "add the begin token and its like, as tokenizer(text) does", false},
            {"chat", "NAME", "auto, none, chatml, qwen3 or llama3: lines are conversations", false},
        },
    .least = 0,
    .most = 0,
    .run = run,
};
