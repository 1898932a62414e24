/* SPDX-License-Identifier: Apache-2.0
 *
 * Rows with messages, as `datasets` writes them: the ids that sft reads and which of them are
 * taught, and the prompt of rl, are those of transformers' apply_chat_template
 * (tests/data/data/make_messages.py). What cannot be read is refused by a sentence that names row
 * and message.
 */
#include "unit/data/styles.h"

#include "base/memory.h"
#include "data/supervised.h"
#include "unit/data/scratch.h"

#define ROWS "tests/data/data/"

static const char *program;

static void check_list(const char *what, const json_t *row, const struct token_list *have,
                       const json_t *want) {
    int64_t i = 0;
    const int64_t n = (int64_t)json_array_size(want);
    while (i < n && i < have->count &&
           have->ids[i] == json_integer_value(json_array_get(want, (size_t)i)))
        i++;
    if (i < n || have->count != n)
        CHECK_FAILED("%s of %s row %lld, %s: %lld, expected %lld; the first to differ is %lld",
                     what, text_of(row, "file"), json_integer_value(json_object_get(row, "row")),
                     text_of(row, "template"), (long long)have->count, (long long)n, (long long)i);
}

/* Prompt and sequence as one list, and 1 for what is taught of it. */
static void flatten(const struct supervised *row, struct token_list *ids, struct token_list *mask) {
    const int32_t no = 0, yes = 1;
    int64_t turn = 0;
    CHECK_OK(token_list_append(ids, row->prompt.ids, row->prompt.count));
    CHECK_OK(token_list_append(ids, row->sequence.ids, row->sequence.count));
    for (int64_t i = 0; i < row->prompt.count; i++)
        CHECK_OK(token_list_append(mask, &no, 1));
    for (int32_t t = 0; t < row->sequence.count; t++) {
        while (turn < row->ends.count && t >= row->ends.ids[turn])
            turn++;
        const bool taught = turn < row->begins.count && t >= row->begins.ids[turn];
        CHECK_OK(token_list_append(mask, taught ? &yes : &no, 1));
    }
}

static void check_row(const json_t *row, const struct prompt_form *form,
                      const struct dataset_item *item) {
    struct supervised whole = SUPERVISED_EMPTY, prompt = SUPERVISED_EMPTY;
    struct token_list ids = {.ids = NULL}, mask = {.ids = NULL}, asked = {.ids = NULL};
    struct strbuf text = STRBUF_EMPTY;
    CHECK_OK(supervised_encode(form, item, true, &whole));
    CHECK_OK(supervised_encode(form, item, false, &prompt));
    CHECK_OK(prompt_encode_item(form, item, &text, &asked));
    flatten(&whole, &ids, &mask);
    check_list("ids", row, &ids, json_object_get(row, "ids"));
    check_list("mask", row, &mask, json_object_get(row, "mask"));
    check_list("prompt", row, &asked, json_object_get(row, "prompt_ids"));
    CHECK_EQ(prompt.prompt.count, whole.prompt.count);
    CHECK_EQ(prompt.sequence.count, 0);
    int64_t taught = 0;
    for (int64_t i = 0; i < mask.count; i++)
        taught += mask.ids[i];
    CHECK_EQ(whole.taught, taught);
    supervised_release(&whole);
    supervised_release(&prompt);
    memory_release(&ids.ids);
    memory_release(&mask.ids);
    memory_release(&asked.ids);
    strbuf_release(&text);
}

static void check_stored(const json_t *styles, const json_t *row) {
    struct chat_style style;
    struct tokenizer *tokenizer = NULL;
    struct token_list end = {.ids = NULL};
    struct dataset dataset;
    char folder[128], file[128];
    snprintf(folder, sizeof folder, DATA "%s", text_of(row, "base"));
    snprintf(file, sizeof file, ROWS "%s", text_of(row, "file"));
    CHECK_OK(tokenizer_open(&tokenizer, folder));
    CHECK_OK(
        dataset_open(&dataset, &(struct dataset_source){.path = file, .messages = "messages"}));
    find_style(styles, text_of(row, "template"), &style);
    struct prompt_form form = {.template_text = "not for {prompt}",
                               .system = text_of(row, "system"),
                               .style = &style,
                               .thinking = json_is_true(json_object_get(row, "thinking")),
                               .date = "26 Jul 2024",
                               .tokenizer = tokenizer};
    CHECK_OK(prompt_find_end(&form, NULL, NULL, 0, &end));
    form.answer_end = &end;
    const struct dataset_item item =
        dataset_item(&dataset, json_integer_value(json_object_get(row, "row")));
    check_row(row, &form, &item);
    dataset_close(&dataset);
    chat_release(&style);
    tokenizer_destroy(&tokenizer);
    memory_release(&end.ids);
}

/* --- what is read of a row --- */

static enum status open_rows(struct dataset *dataset, const char *text, bool skip_bad,
                             const char *answer_after) {
    return dataset_open(dataset, &(struct dataset_source){
                                     .path = scratch_write(program, "jsonl", text, strlen(text)),
                                     .messages = "talk",
                                     .answer_after = answer_after,
                                     .skip_bad = skip_bad});
}

#define MESSAGE(role, content) "{\"role\": \"" role "\", \"content\": " content "}"
#define ROW(more)              "{\"talk\": [" more "]}\n"
#define ASK                    MESSAGE("user", "\"u\"")
#define TELL                   MESSAGE("assistant", "\"so #### 5 \"")

static void check_references(void) {
    struct dataset dataset;
    CHECK_OK(open_rows(&dataset, ROW(ASK ", " TELL) ROW(ASK ", " TELL ", " ASK), false, "####"));
    CHECK_EQ(dataset.count, 2);
    CHECK_EQ(dataset.unmarked, 1);
    CHECK_TEXT(dataset_item(&dataset, 0).reference, "5");
    CHECK_TEXT(dataset_item(&dataset, 1).reference, "");
    CHECK_EQ(dataset_item(&dataset, 1).conversation.count, 3);
    dataset_close(&dataset);
}

static void check_refusal(const char *text, const char *words) {
    struct dataset dataset;
    CHECK_STATUS(open_rows(&dataset, text, false, NULL), STATUS_INPUT, words);
    CHECK(dataset.turns.turns == NULL);
}

static void check_refusals(void) {
    check_refusal(ROW(ASK) ROW(ASK ", " MESSAGE("tool", "\"x\"")),
                  "jsonl:2: talk[1] has the role \"tool\"; system, user and assistant are known");
    check_refusal(ROW("{\"content\": \"x\"}"), "jsonl:1: talk[0] has no role");
    check_refusal(ROW("{\"role\": 5}"), "talk[0] has a role that is not a text");
    check_refusal(ROW("{\"role\": \"user\"}"), "talk[0] has no content");
    check_refusal(ROW(MESSAGE("user", "null")), "talk[0] has null as content");
    check_refusal(ROW(MESSAGE("user", "{}")), "talk[0] has a content that is neither");
    check_refusal(ROW(MESSAGE("user", "[{\"type\": \"image\"}]")),
                  "talk[0] has a part of type \"image\"; only text can be read");
    check_refusal(ROW(MESSAGE("user", "[{\"type\": \"text\"}]")), "without a text");
    check_refusal(ROW(MESSAGE("user", "[\"x\"]")), "without a type");
    check_refusal(ROW("5"), "talk[0] is not an object");
    check_refusal(ROW(""), "field \"talk\" is an empty list");
    check_refusal("{\"talk\": \"x\"}\n", "field \"talk\" is not a list of messages");
    check_refusal("{\"talk\": null}\n", "field \"talk\" is not a list of messages");
    check_refusal("{\"messages\": []}\n", "the row has no field \"talk\"; it has: messages");
    check_refusal(ROW("{\"role\": \"assistant\", \"content\": \"\", \"tool_calls\": [1]}"),
                  "talk[0] holds tool_calls");
    check_refusal(ROW("{\"role\": \"assistant\", \"content\": \"\", \"reasoning_content\": 1}"),
                  "talk[0] has a reasoning_content that is not a text");
}

/* A bad row leaves nothing behind. */
static void check_skip(void) {
    struct dataset dataset;
    CHECK_OK(open_rows(&dataset,
                       ROW(ASK ", " TELL) ROW(ASK ", " ASK ", " MESSAGE("x", "\"y\"")) ROW(TELL),
                       true, NULL));
    CHECK_EQ(dataset.count, 2);
    CHECK_EQ(dataset.bad, 1);
    CHECK_EQ(dataset.turns.count, 3);
    CHECK_EQ(dataset_item(&dataset, 1).row, 2);
    const struct dataset_item last = dataset_item(&dataset, 1);
    CHECK_TEXT(conversation_message(&last.conversation, 0).role, "assistant");
    dataset_close(&dataset);
}

/* What the forms refuse of a conversation that can be read. */
static void check_forms(void) {
    struct dataset dataset;
    struct supervised row = SUPERVISED_EMPTY;
    struct token_list ids = {.ids = NULL};
    struct strbuf text = STRBUF_EMPTY;
    struct tokenizer *tokenizer = NULL;
    const struct chat_style chatml = {.form = CHAT_CHATML}, none = {.form = CHAT_NONE},
                            qwen3 = {.form = CHAT_QWEN3};
    CHECK_OK(tokenizer_open(&tokenizer, DATA "qwen2"));
    CHECK_OK(open_rows(&dataset,
                       ROW(ASK) ROW(TELL) ROW(ASK ", " MESSAGE("assistant", "\"t</think>5\"")),
                       false, NULL));
    struct prompt_form form = {
        .template_text = "{prompt}", .style = &chatml, .tokenizer = tokenizer};
    const struct dataset_item ask = dataset_item(&dataset, 0), tell = dataset_item(&dataset, 1),
                              think = dataset_item(&dataset, 2);
    CHECK_STATUS(supervised_encode(&form, &ask, true, &row), STATUS_INPUT,
                 "no assistant's turn to learn from");
    supervised_release(&row);
    CHECK_STATUS(prompt_encode_item(&form, &tell, &text, &ids), STATUS_INPUT,
                 "no turn before the assistant's");
    form.style = &qwen3;
    CHECK_STATUS(supervised_encode(&form, &think, true, &row), STATUS_INPUT, "prompt.thinking");
    supervised_release(&row);
    form.style = &none;
    CHECK_STATUS(supervised_encode(&form, &think, true, &row), STATUS_INPUT,
                 "prompt.chat = \"none\"");
    supervised_release(&row);
    CHECK_STATUS(prompt_encode_item(&form, &ask, &text, &ids), STATUS_INPUT,
                 "prompt.chat = \"none\"");
    dataset_close(&dataset);
    tokenizer_destroy(&tokenizer);
    memory_release(&ids.ids);
    strbuf_release(&text);
}

int main(int argc, char **argv) {
    json_t *styles = styles_load(DATA "chat.json"), *stored = styles_load(ROWS "messages.json"),
           *row;
    size_t i;
    program = argc > 0 ? argv[0] : "messages";
    json_t *rows = json_object_get(stored, "rows");
    CHECK(json_array_size(rows) > 120);
    json_array_foreach(rows, i, row) check_stored(styles, row);
    check_references();
    check_refusals();
    check_skip();
    check_forms();
    json_decref(styles);
    json_decref(stored);
    return CHECK_END();
}
