/* SPDX-License-Identifier: Apache-2.0
 *
 * Conversations against transformers' apply_chat_template: short templates are recognised in a
 * model directory, in each place where one may stand; the published long ones by their digests.
 */
#include "cases.h"
#include "text/chat.h"
#include "text/chat_known.h"
#include "unit/file/folder.h"

#define CONFIG "tokenizer_config.json"

static void write_file(const char *name, const char *text) {
    FILE *file = fopen(folder_file(name), "wb");
    CHECK(file != NULL && fputs(text, file) >= 0 && fclose(file) == 0);
}

/* {"chat_template": …, "bos_token": …}; takes the reference to the template. */
static void write_config(json_t *template) {
    json_t *config =
        json_pack("{s:o, s:s}", "chat_template", template, "bos_token", "<|begin_of_text|>");
    char *text = json_dumps(config, 0);
    CHECK(text != NULL);
    write_file(CONFIG, text != NULL ? text : "");
    free(text);
    json_decref(config);
}

/* The style of a template of chat.json: by the directory for a short one, else by the digest. */
static bool find_style(const json_t *stored, const char *name, struct chat_style *style) {
    json_t *template = json_object_get(json_object_get(stored, "templates"), name);
    const char *digest =
        json_string_value(json_object_get(json_object_get(stored, "digests"), name));
    if (template != NULL) {
        write_config(json_incref(template));
        const enum status status = chat_resolve(CHAT_AUTO, folder_path, style);
        if (status != STATUS_OK)
            CHECK_FAILED("%s: %s", name, status_sentence());
        return status == STATUS_OK;
    }
    *style = (struct chat_style){.begin_token = true};
    if (strncmp(name, "qwen2_5", 7) == 0)
        style->default_system =
            "You are Qwen, created by Alibaba Cloud. You are a helpful assistant.";
    return chat_known_form(digest, style);
}

static void check_row(const json_t *stored, const json_t *row, size_t number) {
    const char *name = json_string_value(json_object_get(row, "template"));
    const json_t *list = json_object_get(row, "messages"), *want = json_object_get(row, "text");
    struct chat_message messages[8];
    struct chat_style style;
    struct strbuf text = STRBUF_EMPTY;
    for (size_t i = 0; i < json_array_size(list); i++)
        messages[i] = (struct chat_message){
            .role = json_string_value(json_array_get(json_array_get(list, i), 0)),
            .content = utf8_span(json_string_value(json_array_get(json_array_get(list, i), 1)))};
    if (!find_style(stored, name, &style)) {
        CHECK_FAILED("%s is not known", name);
        return;
    }
    CHECK_OK(chat_render(&style, messages, (int64_t)json_array_size(list),
                         json_is_true(json_object_get(row, "generation_prompt")),
                         json_is_true(json_object_get(row, "thinking")),
                         json_string_value(json_object_get(row, "date")), &text));
    if (strcmp(strbuf_text(&text), json_string_value(want)) != 0)
        CHECK_FAILED("row %zu, %s: \"%s\", expected \"%s\"", number, name, strbuf_text(&text),
                     json_string_value(want));
    strbuf_release(&text);
    chat_release(&style);
}

static void check_digests(const json_t *stored) {
    const char *name;
    json_t *template;
    json_object_foreach(json_object_get(stored, "templates"), name, template) {
        struct strbuf first = STRBUF_EMPTY;
        char digest[65];
        CHECK_OK(chat_known_digest(json_string_value(template), json_string_length(template),
                                   digest, &first));
        CHECK_TEXT(digest,
                   json_string_value(json_object_get(json_object_get(stored, "digests"), name)));
        if (strcmp(name, "escaped") == 0)
            CHECK_TEXT(strbuf_text(&first), "It's $\\boxed{}$.");
        strbuf_release(&first);
    }
}

/* The list form, the file of its own, and what is refused. */
static void check_places(const json_t *stored) {
    struct chat_style style;
    json_t *templates = json_object_get(stored, "templates");
    json_t *good = json_object_get(templates, "smollm2"),
           *llama = json_object_get(templates, "llama");
    write_config(json_pack("[{s:s,s:s},{s:s,s:O}]", "name", "tool_use", "template", "x", "name",
                           "default", "template", good));
    CHECK_OK(chat_resolve(CHAT_AUTO, folder_path, &style));
    CHECK_EQ(style.form, CHAT_CHATML);
    CHECK_TEXT(style.default_system,
               "You are a helpful AI assistant named SmolLM, trained by Hugging Face");
    chat_release(&style);
    write_file("chat_template.jinja", json_string_value(llama)); /* it goes first */
    CHECK_OK(chat_resolve(CHAT_AUTO, folder_path, &style));
    CHECK_EQ(style.form, CHAT_LLAMA3);
    CHECK(style.begin_token && !style.llama3_date);
    chat_release(&style);
    write_file(CONFIG, "{\"bos_token\": \"<s>\"}");
    CHECK_STATUS(chat_resolve(CHAT_AUTO, folder_path, &style), STATUS_INPUT, "prompt.chat");
    write_file(CONFIG, "{\"bos_token\": {\"content\": \"<|begin_of_text|>\"}}");
    CHECK_OK(chat_resolve(CHAT_AUTO, folder_path, &style));
    chat_release(&style);
    write_file("chat_template.jinja", "{{ messages }}");
    CHECK_STATUS(chat_resolve(CHAT_AUTO, folder_path, &style), STATUS_INPUT, "prompt.chat");
    remove(folder_file("chat_template.jinja"));
    CHECK_STATUS(chat_resolve(CHAT_AUTO, folder_path, &style), STATUS_INPUT, "prompt.chat");
    remove(folder_file(CONFIG));
    CHECK_STATUS(chat_resolve(CHAT_AUTO, folder_path, &style), STATUS_INPUT, "prompt.chat");
    write_file(CONFIG, "{\"chat_template\": \"a\", \"chat_template\": \"b\"}");
    CHECK_STATUS(chat_resolve(CHAT_AUTO, folder_path, &style), STATUS_INPUT, "duplicate");
}

static void check_explicit(void) {
    const struct chat_message turns[] = {{.role = "system", .content = utf8_span("S")},
                                         {.role = "user", .content = utf8_span(" U ")}},
                              bad = {.role = "tool", .content = utf8_span("x")};
    struct chat_style style;
    struct strbuf text = STRBUF_EMPTY;
    CHECK_OK(chat_resolve(CHAT_NONE, "nowhere", &style));
    CHECK_OK(chat_render(&style, turns, 2, true, true, NULL, &text));
    CHECK_TEXT(strbuf_text(&text), "S U ");
    strbuf_clear(&text);
    CHECK_OK(chat_resolve(CHAT_CHATML, "nowhere", &style));
    CHECK_OK(chat_render(&style, turns + 1, 1, true, true, NULL, &text));
    CHECK_TEXT(strbuf_text(&text), "<|im_start|>user\n U <|im_end|>\n<|im_start|>assistant\n");
    strbuf_clear(&text);
    CHECK_OK(chat_resolve(CHAT_LLAMA3, "nowhere", &style));
    CHECK_OK(chat_render(&style, turns + 1, 1, false, true, NULL, &text));
    CHECK_TEXT(strbuf_text(&text),
               "<|begin_of_text|><|start_header_id|>user<|end_header_id|>\n\nU<|eot_id|>");
    CHECK_STATUS(chat_render(&style, &bad, 1, true, true, NULL, &text), STATUS_INPUT, "role");
    CHECK_STATUS(chat_render(&style, &bad, 0, true, true, NULL, &text), STATUS_INPUT, "messages");
    strbuf_release(&text);
}

int main(void) {
    json_t *stored = cases_load("chat.json");
    const json_t *rows = json_object_get(stored, "rows");
    json_t *row;
    size_t i;
    folder_make();
    CHECK(json_array_size(rows) > 200);
    json_array_foreach(rows, i, row) check_row(stored, row, i);
    check_digests(stored);
    check_places(stored);
    check_explicit();
    folder_remove();
    json_decref(stored);
    CHECK_EQ(memory_totals().bytes, 0);
    return CHECK_END();
}
