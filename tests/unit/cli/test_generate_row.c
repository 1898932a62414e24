/* SPDX-License-Identifier: Apache-2.0
 *
 * Which fields of a line are its prompt and its reference.
 */
#include "check.h"

#include "cli/generate_row.h"

static struct train_source sources[] = {
    {.path = "elsewhere.jsonl", .prompt = "problem", .answer = "solution", .answer_after = "####"},
    {.path = "tests/README", .prompt = "question", .answer = "result", .answer_after = ""},
    {.path = "talk.jsonl", .messages = "talk", .answer = "", .answer_after = "####"},
};
static const struct settings settings = {.data = {.train = sources, .train_count = 3}};

/* Reads a line of the file that the second source is; `prompt` NULL means token ids, `reference`
 * NULL none. */
static void check_line(const char *text, const char *prompt, const char *reference) {
    struct generate_names names;
    struct generate_row row;
    json_t *line = json_loads(text, 0, NULL);
    CHECK(line != NULL);
    CHECK_OK(generate_names_init(&names, &settings, "tests/README"));
    CHECK_OK(generate_row_read(&names, 4, line, &row));
    CHECK_EQ(row.ids != NULL, prompt == NULL);
    if (prompt != NULL)
        CHECK_TEXT(row.item.prompt, prompt);
    CHECK_EQ(row.has_reference, reference != NULL);
    CHECK_TEXT(strbuf_text(&row.reference), reference != NULL ? reference : "");
    generate_row_release(&row);
    generate_names_release(&names);
    json_decref(line);
}

/* A line of messages: how many turns it has, the first of them, and its reference. */
static void check_messages(const char *text, int64_t turns, const char *first,
                           const char *reference) {
    struct generate_names names;
    struct generate_row row;
    json_t *line = json_loads(text, 0, NULL);
    CHECK_OK(generate_names_init(&names, &settings, "tests/README"));
    CHECK_OK(generate_row_read(&names, 4, line, &row));
    CHECK_EQ(row.item.conversation.count, turns);
    const struct utf8_span content = conversation_message(&row.item.conversation, 0).content;
    CHECK_EQ(content.length, strlen(first));
    CHECK_EQ(memcmp(content.text, first, content.length), 0);
    CHECK_EQ(row.has_reference, reference != NULL);
    CHECK_TEXT(strbuf_text(&row.reference), reference != NULL ? reference : "");
    generate_row_release(&row);
    generate_names_release(&names);
    json_decref(line);
}

#define USER      "{\"role\": \"user\", \"content\": \"u\"}"
#define ASSISTANT "{\"role\": \"assistant\", \"content\": \"so #### 9\"}"

static void check_refusal(const char *text, const char *words) {
    struct generate_names names;
    struct generate_row row;
    json_t *line = json_loads(text, 0, NULL);
    CHECK_OK(generate_names_init(&names, &settings, "tests/README"));
    CHECK_STATUS(generate_row_read(&names, 4, line, &row), STATUS_INPUT, words);
    generate_row_release(&row);
    generate_names_release(&names);
    json_decref(line);
}

int main(void) {
    /* The names of the file's own source come first, then those of the others, then ours. */
    check_line("{\"question\": \"q\", \"result\": \" 7 \", \"answer\": \"8\"}", "q", " 7 ");
    check_line("{\"problem\": \"p\", \"question\": \"q\", \"solution\": \"#### 1\", \"result\": 2}",
               "q", "2");
    check_line("{\"prompt\": \"own\", \"problem\": \"p\", \"solution\": \"so #### 7 \"}", "p", "7");
    check_line("{\"prompt\": \"own\", \"answer\": 1.5}", "own", "1.5");
    /* The reference may have another source's name; what is neither text nor number is none. */
    check_line("{\"prompt\": \"own\", \"solution\": \"so #### 7\", \"answer\": \"8\"}", "own", "8");
    check_line("{\"question\": \"q\", \"solution\": \"so #### 7\"}", "q", "7");
    check_line("{\"question\": \"q\", \"result\": null}", "q", NULL);
    check_line("{\"question\": null, \"prompt\": \"own\"}", "own", NULL);
    /* Ids before all texts, an empty text is a text. */
    check_line("{\"question\": \"q\", \"prompt_token_ids\": [1, 2], \"result\": \"3\"}", NULL, "3");
    check_line("{\"question\": \"\", \"prompt\": \"own\"}", "", NULL);

    /* Conversations: a source's, or those of the usual name; the turn at the end is the reference
     * where no answer is. */
    check_messages("{\"talk\": [" USER ", " ASSISTANT "]}", 2, "u", "9");
    check_messages("{\"messages\": [" USER ", " ASSISTANT "]}", 2, "u", "so #### 9");
    check_messages("{\"messages\": [" USER ", " ASSISTANT "], \"answer\": 4}", 2, "u", "4");
    check_messages("{\"messages\": [" USER "], \"prompt\": null}", 1, "u", NULL);
    check_line("{\"messages\": [" USER "], \"prompt\": \"own\"}", "own", NULL);
    check_refusal("{\"messages\": [" USER ", {\"role\": \"tool\", \"content\": \"x\"}]}",
                  "tests/README:5: messages[1] has the role \"tool\"");

    check_refusal("{\"id\": 1, \"text\": \"x\"}",
                  "tests/README:5: the line has no prompt, which is one of the fields "
                  "prompt_token_ids, question, problem, talk, prompt, messages; it has: id, text");
    check_refusal("[1]", "tests/README:5: the line is not a JSON object");
    CHECK_END();
}
