/* SPDX-License-Identifier: Apache-2.0
 *
 * Prompts through template, chat form and tokenizer. With a tokenizer of single bytes and a few
 * added tokens the ids can be counted, and decoding them gives back what the model reads.
 */
#include "scratch.h"

#include <sys/stat.h>

#include "base/memory.h"
#include "data/prompt.h"
#include "file/json.h"

static struct tokenizer *tokenizer;
static struct chat_style none, chatml;

static void open_all(const char *program) {
    static const char *const special[] = {"<|endoftext|>", "<|im_start|>", "<|im_end|>"};
    char folder[4096], path[4200];
    snprintf(folder, sizeof folder, "%s.model", program);
    snprintf(path, sizeof path, "%s/tokenizer.json", folder);
    mkdir(folder, 0777);
    CHECK_OK(tokenizer_write_bytes(path, special, 3));
    CHECK_OK(tokenizer_open(&tokenizer, folder));
    CHECK_OK(chat_resolve(CHAT_NONE, folder, &none));
    CHECK_OK(chat_resolve(CHAT_CHATML, folder, &chatml));
}

/* What the model reads, with `count` tokens; `text` is the user's text. */
static void check_prompt(const struct chat_style *style, const char *template_text,
                         const char *system, const char *prompt, const char *want_text,
                         const char *want_read, int64_t count) {
    const struct prompt_form form = {.template_text = template_text,
                                     .system = system,
                                     .style = style,
                                     .thinking = true,
                                     .date = "26 Jul 2024",
                                     .tokenizer = tokenizer};
    struct strbuf text = STRBUF_EMPTY, read = STRBUF_EMPTY;
    struct token_list ids = {.ids = NULL};
    CHECK_OK(prompt_form_check(&form));
    CHECK_OK(prompt_encode(&form, utf8_span(prompt), &text, &ids));
    CHECK_OK(tokenizer_decode(tokenizer, ids.ids, ids.count, true, &read));
    CHECK_TEXT(strbuf_text(&text), want_text);
    CHECK_TEXT(strbuf_text(&read), want_read);
    CHECK_EQ(ids.count, count);
    strbuf_release(&text);
    strbuf_release(&read);
    memory_release(&ids.ids);
}

/* A template with both places: in one pass, whatever the texts bring. */
static void check_solution(const char *template_text, const char *prompt, const char *solution,
                           const char *want) {
    const struct prompt_form form = {.template_text = template_text,
                                     .solution = true,
                                     .style = &none,
                                     .date = "26 Jul 2024",
                                     .tokenizer = tokenizer};
    struct strbuf text = STRBUF_EMPTY;
    struct token_list ids = {.ids = NULL};
    CHECK_OK(prompt_encode_solution(&form, utf8_span(prompt), utf8_span(solution), &text, &ids));
    CHECK_TEXT(strbuf_text(&text), want);
    strbuf_release(&text);
    memory_release(&ids.ids);
}

static void check_solutions(void) {
    check_solution("{prompt}: {solution}.", "1+1", "2", "1+1: 2.");
    check_solution("{solution}{prompt}{solution}", "a", "b", "bab");
    check_solution("{prompt} {solution}", "{solution}", "{prompt}", "{solution} {prompt}");
    check_solution("{pro{solution}mpt}", "a", "", "{prompt}");
    check_prompt(&none, "{prompt} {solution}", NULL, "a", "a {solution}", "a {solution}", 12);
}

static void check_templates(void) {
    check_prompt(&none, "{prompt}", NULL, "1+1", "1+1", "1+1", 3);
    check_prompt(&none, "{prompt}", "", "1+1", "1+1", "1+1", 3);
    check_prompt(&none, "Q: {prompt}\nA:", NULL, "1+1", "Q: 1+1\nA:", "Q: 1+1\nA:", 9);
    check_prompt(&none, "{prompt} or {prompt}", NULL, "a", "a or a", "a or a", 6);
    check_prompt(&none, "{prompt}}{{prompt}", NULL, "{prompt}", "{prompt}}{{prompt}",
                 "{prompt}}{{prompt}", 18); /* what the prompt brings is text */
    check_prompt(&none, "{prom{prompt}pt}", NULL, "", "{prompt}", "{prompt}", 8);
    check_prompt(&none, "x", NULL, "1+1", "x", "x", 1);
    check_prompt(&none, "{prompt}<|im_end|>", NULL, "\xc3\xbc", "\xc3\xbc<|im_end|>",
                 "\xc3\xbc<|im_end|>", 3); /* added tokens inside a text are recognised */
}

static void check_chat(void) {
    check_prompt(&chatml, "Sum:\n{prompt}", "You add.", "1+1", "Sum:\n1+1",
                 "<|im_start|>system\nYou add.<|im_end|>\n<|im_start|>user\nSum:\n1+1<|im_end|>\n"
                 "<|im_start|>assistant\n",
                 1 + 15 + 1 + 1 + 1 + 13 + 1 + 1 + 1 + 10);
    check_prompt(&chatml, "{prompt}", "", "1+1", "1+1",
                 "<|im_start|>system\n<|im_end|>\n<|im_start|>user\n1+1<|im_end|>\n"
                 "<|im_start|>assistant\n",
                 1 + 7 + 1 + 1 + 1 + 8 + 1 + 1 + 1 + 10);
    check_prompt(&chatml, "{prompt}", NULL, "", "",
                 "<|im_start|>user\n<|im_end|>\n<|im_start|>assistant\n", 1 + 5 + 1 + 1 + 1 + 10);
}

/* Texts and ids are appended to what is there. */
static void check_appending(void) {
    const struct prompt_form form = {
        .template_text = "<{prompt}>", .style = &none, .tokenizer = tokenizer};
    struct strbuf text = STRBUF_EMPTY;
    struct token_list ids = {.ids = NULL};
    CHECK_OK(prompt_encode(&form, utf8_span("a"), &text, &ids));
    CHECK_OK(prompt_encode(&form, utf8_span("bc"), &text, &ids));
    CHECK_TEXT(strbuf_text(&text), "<a><bc>");
    CHECK_EQ(ids.count, 7);
    CHECK_EQ(ids.ids[0], ids.ids[3]);
    strbuf_release(&text);
    memory_release(&ids.ids);
}

static void check_answer(void) {
    struct token_list ids = {.ids = NULL}, end = {.ids = NULL};
    struct strbuf text = STRBUF_EMPTY;
    struct prompt_form form = {.style = &none, .tokenizer = tokenizer};
    int32_t stop = tokenizer_find(tokenizer, "<|im_end|>");
    CHECK_OK(token_list_append(&end, &stop, 1));
    form.answer_end = &end;
    CHECK_OK(prompt_encode_answer(&form, utf8_span("42"), &text, &ids));
    CHECK_EQ(ids.count, 3);
    CHECK_EQ(ids.ids[2], stop);
    form.answer_end = NULL;
    CHECK_OK(prompt_encode_answer(&form, utf8_span("42"), &text, &ids));
    CHECK_EQ(ids.count, 5);
    CHECK_EQ(ids.ids[3], ids.ids[0]);
    form.answer_end = &end;
    CHECK_OK(prompt_encode_answer(&form, utf8_span(""), &text, &ids));
    CHECK_EQ(ids.count, 6);
    CHECK_TEXT(strbuf_text(&text), "4242");
    memory_release(&ids.ids);
    memory_release(&end.ids);
    strbuf_release(&text);
}

/* What ends an answer, and which id it is. */
static void check_end(const struct chat_style *style, const char *wanted, int64_t stops,
                      const char *want) {
    const struct prompt_form form = {.style = style, .tokenizer = tokenizer};
    const int32_t stop_ids[] = {tokenizer_find(tokenizer, "<|im_start|>"), 7};
    struct token_list end = {.ids = NULL};
    CHECK_OK(prompt_find_end(&form, wanted, stop_ids, stops, &end));
    CHECK_EQ(end.count, 1);
    CHECK_EQ(end.ids[0], tokenizer_find(tokenizer, want));
    memory_release(&end.ids);
}

static void check_ends(void) {
    const struct chat_style llama = {.form = CHAT_LLAMA3};
    struct prompt_form form = {.style = &none, .tokenizer = tokenizer};
    struct token_list end = {.ids = NULL};
    check_end(&chatml, NULL, 2, "<|im_end|>"); /* not the first stop id */
    check_end(&chatml, NULL, 0, "<|im_end|>");
    check_end(&none, NULL, 2, "<|im_start|>"); /* no eos_token here: the first stop id */
    check_end(&none, "<|endoftext|>", 2, "<|endoftext|>");
    check_end(&chatml, "<|endoftext|>", 2, "<|endoftext|>");
    check_end(&llama, "!", 2, "!");
    CHECK_STATUS(prompt_find_end(&form, NULL, NULL, 0, &end), STATUS_INPUT, "prompt.answer_end");
    CHECK_STATUS(prompt_find_end(&form, "</s>", NULL, 0, &end), STATUS_INPUT,
                 "prompt.answer_end = \"</s>\" is no token");
    form.style = &llama;
    CHECK_STATUS(prompt_find_end(&form, NULL, NULL, 0, &end), STATUS_INPUT, "<|eot_id|>");
    end.count = 0;
    CHECK_OK(prompt_find_end(&form, "<|im_end|><|endoftext|>", NULL, 0, &end));
    CHECK_EQ(end.count, 2);
    memory_release(&end.ids);
}

static void check_limit(const char *program) {
    static const char rows[] = "{\"q\": \"12345\"}\n{\"q\": \"1234\"}\n\n{\"q\": \"\"}\n";
    const struct prompt_form form = {
        .template_text = "{prompt}", .style = &none, .tokenizer = tokenizer};
    struct prompt_limit limit = {.form = &form, .max_tokens = 4};
    struct dataset dataset;
    CHECK_OK(dataset_open(
        &dataset,
        &(struct dataset_source){.path = scratch_write(program, "jsonl", rows, sizeof rows - 1),
                                 .prompt = "q"}));
    struct dataset_item item = dataset_item(&dataset, 0);
    bool kept = true;
    CHECK_OK(prompt_is_short(&limit, &dataset, &item, &kept));
    CHECK(!kept);
    item = dataset_item(&dataset, 1);
    CHECK_OK(prompt_is_short(&limit, &dataset, &item, &kept));
    CHECK(kept);
    item = dataset_item(&dataset, 2);
    CHECK_STATUS(prompt_is_short(&limit, &dataset, &item, &kept), STATUS_INPUT,
                 ".jsonl:4: a prompt is empty, so that the model has nothing to continue");
    dataset_close(&dataset);
}

/* A tokenizer whose post-processor begins each text with <|endoftext|>, as Llama 3's does. */
static void open_beginning(const char *program, struct tokenizer **out) {
    char path[4200];
    json_t *root = NULL, *begin;
    snprintf(path, sizeof path, "%s.model/tokenizer.json", program);
    CHECK_OK(json_read_file(path, 1 << 24, &root));
    begin = json_pack("{s:s, s:[{s:{s:s, s:i}}, {s:{s:s, s:i}}], s:[], s:{s:{s:s, s:[i], s:[s]}}}",
                      "type", "TemplateProcessing", "single", "SpecialToken", "id", "<|endoftext|>",
                      "type_id", 0, "Sequence", "id", "A", "type_id", 0, "pair", "special_tokens",
                      "<|endoftext|>", "id", "<|endoftext|>", "ids",
                      tokenizer_find(tokenizer, "<|endoftext|>"), "tokens", "<|endoftext|>");
    CHECK_EQ(json_object_set_new(root, "post_processor", begin), 0);
    CHECK_EQ(json_dump_file(root, path, 0), 0);
    json_decref(root);
    path[strlen(path) - strlen("/tokenizer.json")] = '\0';
    CHECK_OK(tokenizer_open(out, path));
}

/* The begin token stands before a plain text alone: a chat form writes its own,
 * an answer has none. */
static void check_begin(const char *program) {
    struct tokenizer *plain = tokenizer;
    struct token_list ids = {.ids = NULL};
    open_beginning(program, &tokenizer);
    check_prompt(&none, "{prompt}", NULL, "1+1", "1+1", "<|endoftext|>1+1", 4);
    check_prompt(&chatml, "{prompt}", NULL, "", "",
                 "<|im_start|>user\n<|im_end|>\n<|im_start|>assistant\n", 1 + 5 + 1 + 1 + 1 + 10);
    const struct prompt_form form = {
        .template_text = "{prompt}", .style = &none, .tokenizer = tokenizer};
    struct prompt_limit limit = {.form = &form, .max_tokens = 9};
    bool kept;
    static const char *const prompts[] = {"1+1", "11", "<|endoftext|>1", "1<|endoftext|>"};
    for (int i = 0; i < 4; i++) {
        const struct dataset_item item = {.prompt = prompts[i],
                                          .prompt_length = strlen(prompts[i])};
        CHECK_OK(prompt_is_short(&limit, NULL, &item, &kept));
        CHECK_EQ(limit.begun_twice, i >= 2);
    }
    struct strbuf text = STRBUF_EMPTY;
    CHECK_OK(prompt_encode_answer(&(struct prompt_form){.style = &none, .tokenizer = tokenizer},
                                  utf8_span("42"), &text, &ids));
    CHECK_EQ(ids.count, 2);
    strbuf_release(&text);
    memory_release(&ids.ids);
    tokenizer_destroy(&tokenizer);
    tokenizer = plain;
}

static void check_system(void) {
    struct prompt_form form = {.template_text = "{prompt}", .system = "Be kind.", .style = &none};
    CHECK_STATUS(prompt_form_check(&form), STATUS_INPUT, "prompt.system has no place");
    form.style = &chatml;
    CHECK_OK(prompt_form_check(&form));
}

int main(int argc, char **argv) {
    (void)argc;
    open_all(argv[0]);
    check_templates();
    check_solutions();
    check_chat();
    check_appending();
    check_answer();
    check_ends();
    check_limit(argv[0]);
    check_system();
    check_begin(argv[0]);
    chat_release(&none);
    chat_release(&chatml);
    tokenizer_destroy(&tokenizer);
    return CHECK_END();
}
