/* SPDX-License-Identifier: Apache-2.0
 *
 * Before the digest, CR LF and "\n" in Jinja's spelling become a newline (files differ in how they
 * write it), one newline at the end is dropped (Jinja drops it too), and the default system message
 * becomes a blank wherever it stands. The digests are listed by tests/data/text/make_chat.py.
 */
#include "text/chat_known.h"

#include <jansson.h>
#include <string.h>

#include "base/sha256.h"
#include "file/bytes.h"
#include "text/tokenizer_config.h"

#define FILE_LIMIT  ((int64_t)16 << 20)
#define BEGIN_TOKEN "<|begin_of_text|>"

static const struct {
    const char *digest;
    enum chat_form form;
    bool llama3_date;
} known[] = {
    /* Llama 3 */
    {"ba03a121d097859c7b5b9cd03af99aafe95275210d2876f642ad9929a150f122", CHAT_LLAMA3, false},
    /* Llama 3.1 */
    {"99799a835a31e1d33c4a9c7ee8a0de3923b291a95155ed6dc8efcbd0fe1d0238", CHAT_LLAMA3, true},
    /* Llama 3.2 */
    {"0cac23ffd2b33ff7b039e17ee143a080053318146fdc788f1d49ed4745aa8683", CHAT_LLAMA3, true},
    /* Qwen2.5 */
    {"b0dc728138d2c6914a8956e3d933c9fe2e38b4bf89e267b83800dcbff70ccf9c", CHAT_CHATML, false},
    /* Qwen3 */
    {"edcd73b0e30a780c1d6f3e060c07396def3c3fa55a2c55197b10f99d1dde83e1", CHAT_QWEN3, false},
    /* Qwen3 2507, instruct */
    {"aa39eed4cbfdd57aeaab518e83d06945f00df6afefba6eb985b6b85060cade95", CHAT_CHATML, false},
    /* Qwen2.5 as first published */
    {"74cc1c0a3a6245220ccd7ea3ceef8adadfc5df35d02275a10f49b57aea865b63", CHAT_CHATML, false},
    /* Qwen3 as first published */
    {"2df317a15cbc983d9602cc391d33be17237d47ec7eb11ead80fae277143958aa", CHAT_QWEN3, false},
    /* ChatML with a default */
    {"c3f857bc4f22f4e8f29773a8eeba7585461e666acb616daa841586521999f34c", CHAT_CHATML, false},
    /* Llama 3 in one line */
    {"be2e76bd49a22161a04ab3295bfcee850226144cd9dc837187fd41ff0de880a9", CHAT_LLAMA3, false},
    /* SmolLM2, Qwen2 */
    {"f388b99be8b634a8f6872de3deec5845c40c5709c016cb3a171d40bed0a6410f", CHAT_CHATML, false},
    /* ChatML */
    {"153280e3ff55d19da1398bdb3914ee2a51b80429bfaedde11d7d216c39db80f3", CHAT_CHATML, false},
    /* gradus init */
    {"f91864928fccff928b3068ca784db6275e655e400ccbb28f61d92c0090caf3b3", CHAT_CHATML, false},
};

/* Jinja's "\n" as a newline; other escapes stay. */
static enum status unfold_newlines(const char *text, size_t length, struct strbuf *out) {
    for (size_t i = 0; i < length; i++) {
        const bool escape = text[i] == '\\' && i + 1 < length;
        if (text[i] == '\r' && i + 1 < length && text[i + 1] == '\n')
            continue;
        if (escape && text[i + 1] == 'n')
            TRY(strbuf_append(out, "\n", 1));
        else
            TRY(strbuf_append(out, text + i, escape ? 2 : 1));
        i += escape;
    }
    if (out->length > 0 && out->text[out->length - 1] == '\n')
        out->text[--out->length] = '\0';
    return STATUS_OK;
}

/* The default system message as it stands in the template: what is between the head and the end of
 * a system turn without leaving the string. NULL and length 0 when there is none. */
static const char *find_default(const char *text, size_t *length) {
    static const char head[] = "<|im_start|>system\n";
    while ((text = strstr(text, head)) != NULL) {
        text += sizeof head - 1;
        const char *end = text;
        while (*end != '\0' && *end != '\'' && *end != '"' && strncmp(end, "<|im_end|>", 10) != 0)
            end += end[0] == '\\' && end[1] != '\0' ? 2 : 1;
        *length = (size_t)(end - text);
        if (*end == '<' && *length > 0)
            return text;
    }
    *length = 0;
    return NULL;
}

static enum status unescape(const char *text, size_t length, struct strbuf *out) {
    for (size_t i = 0; i < length; i++) {
        if (text[i] == '\\' && i + 1 < length)
            i++;
        TRY(strbuf_append(out, text + i, 1));
    }
    return STATUS_OK;
}

/* Hashes the text with every occurrence of a word as one zero byte. */
static void hash_with_blanks(const struct strbuf *text, const char *word, size_t length,
                             char digest[65]) {
    struct sha256 hash;
    unsigned char bytes[32];
    sha256_init(&hash);
    for (size_t at = 0; at < text->length;) {
        const bool blank =
            length > 0 && text->length - at >= length && memcmp(text->text + at, word, length) == 0;
        sha256_update(&hash, blank ? "" : text->text + at, 1);
        at += blank ? length : 1;
    }
    sha256_finish(&hash, bytes);
    sha256_hex(bytes, digest);
}

static enum status digest_unfolded(const struct strbuf *text, char digest[65],
                                   struct strbuf *default_system) {
    size_t length = 0;
    const char *word = find_default(strbuf_text(text), &length);
    hash_with_blanks(text, word, length, digest);
    return word != NULL ? unescape(word, length, default_system) : STATUS_OK;
}

enum status chat_known_digest(const char *template, size_t length, char digest[65],
                              struct strbuf *default_system) {
    struct strbuf text = STRBUF_EMPTY;
    enum status status = unfold_newlines(template, length, &text);
    if (status == STATUS_OK)
        status = digest_unfolded(&text, digest, default_system);
    strbuf_release(&text);
    return status;
}

/* The text of tokenizer_config.json's chat_template: a text, or the one named default in a list. */
static const json_t *pick_template(const json_t *config) {
    const json_t *template = json_object_get(config, "chat_template");
    for (size_t i = 0; i < json_array_size(template); i++) {
        const json_t *entry = json_array_get(template, i), *name = json_object_get(entry, "name");
        if (json_is_string(name) && strcmp(json_string_value(name), "default") == 0)
            return json_object_get(entry, "template");
    }
    return template;
}

/* Appends the template; `path` takes the name of its file. */
static enum status read_template(const char *directory, const json_t *config, struct strbuf *path,
                                 struct strbuf *out) {
    TRY(strbuf_append_format(path, "%s/chat_template.jinja", directory));
    if (bytes_is_file(path->text))
        return bytes_read_file(path->text, FILE_LIMIT, out);
    const json_t *template = pick_template(config);
    if (!json_is_string(template))
        return FAIL(STATUS_INPUT,
                    "%s: the model has no chat template: name its form by prompt.chat, in tokenize "
                    "by --chat: none, chatml, qwen3 or "
                    "llama3",
                    directory);
    strbuf_clear(path);
    TRY(strbuf_append_format(path, "%s/tokenizer_config.json", directory));
    return strbuf_append(out, json_string_value(template), json_string_length(template));
}

bool chat_known_form(const char *digest, struct chat_style *style) {
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (strcmp(known[i].digest, digest) == 0) {
            style->form = known[i].form;
            style->llama3_date = known[i].llama3_date;
            return true;
        }
    return false;
}

static enum status apply_known(const char *path, const struct strbuf *template,
                               struct chat_style *style) {
    char digest[65];
    TRY(chat_known_digest(strbuf_text(template), template->length, digest, &style->text));
    if (!chat_known_form(digest, style))
        return FAIL(STATUS_INPUT,
                    "%s: this chat template is not known (digest %.16s): name its form by "
                    "prompt.chat, in tokenize by --chat: none, "
                    "chatml, qwen3 or llama3",
                    path, digest);
    style->default_system = style->text.length > 0 ? style->text.text : NULL;
    return STATUS_OK;
}

/* The template writes the tokenizer's begin token, which our form spells out. */
static enum status check_begin(const struct tokenizer_config *files, struct chat_style *style) {
    const char *begin = tokenizer_config_token(files, "bos_token");
    style->begin_token = begin != NULL;
    if (begin != NULL && strcmp(begin, BEGIN_TOKEN) != 0)
        return FAIL(STATUS_INPUT,
                    "%s/tokenizer_config.json: the begin token of this chat template is not "
                    "" BEGIN_TOKEN ": name another form by prompt.chat, in tokenize by --chat",
                    files->directory);
    return STATUS_OK;
}

enum status chat_known_find(const char *directory, struct chat_style *style) {
    struct strbuf path = STRBUF_EMPTY, template = STRBUF_EMPTY;
    struct tokenizer_config files;
    enum status status = tokenizer_config_open(&files, directory);
    if (status == STATUS_OK)
        status = read_template(directory, files.config, &path, &template);
    if (status == STATUS_OK)
        status = apply_known(path.text, &template, style);
    if (status == STATUS_OK && style->form == CHAT_LLAMA3)
        status = check_begin(&files, style);
    strbuf_release(&path);
    strbuf_release(&template);
    tokenizer_config_close(&files);
    return status;
}
