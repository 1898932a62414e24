/* SPDX-License-Identifier: Apache-2.0
 *
 * Reads tokenizer.json, its added tokens completed by the files beside it. Whatever changes ids and is not known here is refused by name; padding and
 * truncation belong to the caller of `tokenizers` and are passed over.
 */
#include "text/parts.h"

#include <jansson.h>
#include <string.h>

#include "file/json.h"
#include "text/unicode.h"

#define FILE_LIMIT ((int64_t)256 << 20)

struct source {
    const char *path;
    struct tokenizer *tokenizer;
    const struct tokenizer_config *beside;
};

static const char *text_or_none(const json_t *value) {
    return json_is_string(value) ? json_string_value(value) : "no text";
}

static enum status refuse(const struct source *source, const char *part, const char *what) {
    char quote[STATUS_QUOTE_MAX];
    return FAIL(STATUS_INPUT, "%s: %s \"%s\" is not implemented", source->path, part,
                status_quote(quote, what, SIZE_MAX));
}

/* A field that must have one value for this program: false, null, 0 or an empty text. */
static enum status need_off(const struct source *source, const json_t *object, const char *part,
                            const char *name) {
    const json_t *value = json_object_get(object, name);
    if (value == NULL || json_is_null(value) || json_is_false(value) ||
        (json_is_number(value) && json_number_value(value) == 0.0) ||
        (json_is_string(value) && json_string_length(value) == 0))
        return STATUS_OK;
    return FAIL(STATUS_INPUT, "%s: %s with a %s is not implemented", source->path, part, name);
}

static enum status get_type(const struct source *source, const json_t *object, const char *part,
                            const char **type) {
    if (!json_is_object(object))
        return FAIL(STATUS_INPUT, "%s: %s is not an object", source->path, part);
    TRY(json_get_string(object, source->path, "type", NULL, type));
    if (*type == NULL)
        return FAIL(STATUS_INPUT, "%s: %s has no type", source->path, part);
    return STATUS_OK;
}

static enum status get_list(const struct source *source, const json_t *object, const char *name,
                            const json_t **list) {
    *list = json_object_get(object, name);
    if (*list == NULL || json_is_array(*list))
        return STATUS_OK;
    return FAIL(STATUS_INPUT, "%s: \"%s\" is not a list", source->path, name);
}

/* ---- vocabulary ------------------------------------------------------------------------- */

static enum status get_id(const struct source *source, const char *token, const json_t *value,
                          int32_t *id) {
    char quote[STATUS_QUOTE_MAX];
    if (!json_is_integer(value))
        return FAIL(STATUS_INPUT, "%s: the id of token \"%s\" is not an integer", source->path,
                    status_quote(quote, token, SIZE_MAX));
    const json_int_t number = json_integer_value(value);
    if (number < 0 || number >= VOCABULARY_IDS)
        return FAIL(STATUS_INPUT, "%s: the id %lld of token \"%s\" is outside 0 to %d",
                    source->path, (long long)number, status_quote(quote, token, SIZE_MAX),
                    VOCABULARY_IDS - 1);
    *id = (int32_t)number;
    return STATUS_OK;
}

/* Largest id + 1 over the model's and the added tokens. */
static enum status measure_ids(const struct source *source, json_t *words, const json_t *added,
                               int32_t *size) {
    const char *token;
    json_t *value;
    size_t i;
    int32_t id;
    *size = 0;
    json_object_foreach(words, token, value) {
        TRY(get_id(source, token, value, &id));
        *size = id >= *size ? id + 1 : *size;
    }
    json_array_foreach(added, i, value) {
        TRY(get_id(source, text_or_none(json_object_get(value, "content")),
                   json_object_get(value, "id"), &id));
        *size = id >= *size ? id + 1 : *size;
    }
    return STATUS_OK;
}

static enum status read_words(const struct source *source, json_t *words, const json_t *added) {
    struct vocabulary *vocabulary = &source->tokenizer->vocabulary;
    char quote[STATUS_QUOTE_MAX];
    const char *token;
    json_t *value;
    int32_t size;
    bool fresh;
    TRY(measure_ids(source, words, added, &size));
    TRY(vocabulary_init(vocabulary, json_object_size(words) + json_array_size(added), size));
    json_object_foreach(words, token, value) {
        const int32_t id = (int32_t)json_integer_value(value);
        TRY(vocabulary_add(vocabulary, token, strlen(token), id, &fresh));
        if (!fresh)
            return FAIL(STATUS_INPUT, "%s: token \"%s\" is empty or its id %d is taken",
                        source->path, status_quote(quote, token, SIZE_MAX), id);
        vocabulary->tokens[id].in_model = true;
    }
    return STATUS_OK;
}

/* ---- merges ----------------------------------------------------------------------------- */

struct halves {
    const char *left, *right;
    size_t left_length, right_length;
};

/* "left right", or [left, right]. */
static bool get_halves(const json_t *merge, struct halves *halves) {
    if (json_is_string(merge)) {
        const char *space = strchr(json_string_value(merge), ' ');
        halves->left = json_string_value(merge);
        halves->left_length = space != NULL ? (size_t)(space - halves->left) : 0;
        halves->right = space != NULL ? space + 1 : "";
        halves->right_length = strlen(halves->right);
        return space != NULL && strchr(halves->right, ' ') == NULL;
    }
    const json_t *left = json_array_get(merge, 0), *right = json_array_get(merge, 1);
    if (json_array_size(merge) != 2 || !json_is_string(left) || !json_is_string(right))
        return false;
    *halves = (struct halves){json_string_value(left), json_string_value(right),
                              json_string_length(left), json_string_length(right)};
    return true;
}

static enum status read_merge(const struct source *source, const json_t *merge, size_t rank,
                              struct strbuf *whole) {
    struct tokenizer *t = source->tokenizer;
    struct halves halves;
    char quote[STATUS_QUOTE_MAX];
    if (!get_halves(merge, &halves))
        return FAIL(STATUS_INPUT, "%s: merge %zu is neither \"a b\" nor [\"a\", \"b\"]",
                    source->path, rank);
    strbuf_clear(whole);
    TRY(strbuf_append(whole, halves.left, halves.left_length));
    TRY(strbuf_append(whole, halves.right, halves.right_length));
    const struct vocabulary *v = &t->vocabulary;
    const int32_t left = vocabulary_find_model(v, halves.left, halves.left_length),
                  right = vocabulary_find_model(v, halves.right, halves.right_length),
                  made = vocabulary_find_model(v, whole->text, whole->length);
    if (left < 0 || right < 0 || made < 0)
        return FAIL(STATUS_INPUT, "%s: merge %zu, which makes \"%s\", has a part that is no token",
                    source->path, rank, status_quote(quote, whole->text, whole->length));
    bpe_add_merge(&t->bpe, left, right, (int32_t)rank, made);
    return STATUS_OK;
}

static enum status read_merges(const struct source *source, const json_t *merges) {
    struct strbuf whole = STRBUF_EMPTY;
    enum status status = STATUS_OK;
    for (size_t i = 0; i < json_array_size(merges) && status == STATUS_OK; i++)
        status = read_merge(source, json_array_get(merges, i), i, &whole);
    strbuf_release(&whole);
    return status;
}

/* ---- the model -------------------------------------------------------------------------- */

static enum status read_unknown(const struct source *source, const json_t *model) {
    struct tokenizer *t = source->tokenizer;
    const char *unknown;
    TRY(json_get_string(model, source->path, "unk_token", NULL, &unknown));
    TRY(json_get_bool(model, source->path, "fuse_unk", false, &t->bpe.fuse_unknown));
    if (unknown == NULL)
        return STATUS_OK;
    t->bpe.unknown = vocabulary_find_model(&t->vocabulary, unknown, strlen(unknown));
    char quote[STATUS_QUOTE_MAX];
    if (t->bpe.unknown < 0)
        return FAIL(STATUS_INPUT, "%s: unk_token \"%s\" is no token of the model", source->path,
                    status_quote(quote, unknown, SIZE_MAX));
    return STATUS_OK;
}

static enum status read_model(const struct source *source, const json_t *root,
                              const json_t *added) {
    struct tokenizer *t = source->tokenizer;
    const json_t *model = json_object_get(root, "model"), *merges;
    json_t *words = json_object_get(model, "vocab");
    const char *type = "BPE"; /* files of old have no type */
    if (!json_is_object(model) || json_object_size(words) == 0)
        return FAIL(STATUS_INPUT, "%s: there is no model with a vocab", source->path);
    TRY(json_get_string(model, source->path, "type", type, &type));
    if (strcmp(type, "BPE") != 0)
        return refuse(source, "model", type);
    static const char *const off[] = {"dropout", "continuing_subword_prefix", "end_of_word_suffix",
                                      "byte_fallback"};
    for (size_t i = 0; i < sizeof off / sizeof *off; i++)
        TRY(need_off(source, model, "a model", off[i]));
    TRY(get_list(source, model, "merges", &merges));
    if (merges == NULL) /* a tokenizer of single bytes has an empty list */
        return FAIL(STATUS_INPUT, "%s: the model has no merges", source->path);
    TRY(read_words(source, words, added));
    TRY(bpe_init(&t->bpe, &t->vocabulary, json_array_size(merges)));
    TRY(json_get_bool(model, source->path, "ignore_merges", false, &t->bpe.whole_words));
    TRY(read_unknown(source, model));
    return read_merges(source, merges);
}

/* ---- added tokens ----------------------------------------------------------------------- */

static enum status place_added(const struct source *source, const char *content, int32_t id,
                               bool special) {
    struct vocabulary *vocabulary = &source->tokenizer->vocabulary;
    char quote[STATUS_QUOTE_MAX];
    bool fresh;
    const int32_t known = vocabulary_find(vocabulary, content, strlen(content));
    if (known < 0)
        TRY(vocabulary_add(vocabulary, content, strlen(content), id, &fresh));
    else
        fresh = known == id;
    if (!fresh)
        return FAIL(STATUS_INPUT,
                    "%s: added token \"%s\" is empty, or it or its id %d is taken by another",
                    source->path, status_quote(quote, content, SIZE_MAX), id);
    vocabulary->tokens[id].added = true;
    vocabulary->tokens[id].special = special;
    return STATUS_OK;
}

/* A content that is looked for after normalization is normalized itself,
 * also where it is decoded. */
static enum status seek_added(const struct source *source, const char *content, bool normalized,
                              bool special, struct added_token token) {
    struct tokenizer *t = source->tokenizer;
    if (normalized && t->compose) {
        strbuf_clear(&t->composed);
        TRY(unicode_compose(content, strlen(content), &t->composed));
        content = strbuf_text(&t->composed);
    }
    TRY(place_added(source, content, token.id, special));
    return added_set_add(normalized ? &t->normal : &t->raw, content, strlen(content), token);
}

static enum status read_added(const struct source *source, const json_t *entry) {
    const char *path = source->path, *content;
    struct added_token token;
    bool special, normalized;
    TRY(json_get_string(entry, path, "content", NULL, &content));
    if (content == NULL)
        return FAIL(STATUS_INPUT, "%s: an added token has no content", path);
    TRY(get_id(source, content, json_object_get(entry, "id"), &token.id));
    TRY(json_get_bool(entry, path, "special", false, &special));
    TRY(json_get_bool(entry, path, "normalized", !special, &normalized));
    TRY(json_get_bool(entry, path, "single_word", false, &token.single_word));
    TRY(json_get_bool(entry, path, "lstrip", false, &token.lstrip));
    TRY(json_get_bool(entry, path, "rstrip", false, &token.rstrip));
    return seek_added(source, content, normalized, special, token);
}

/* ---- normalizer, pre-tokenizer, post-processor, decoder ---------------------------------- */

/* Calls `read` for each step of a part: the members of a Sequence (under `list`), or the part
 * itself; for none when the part is null. */
static enum status
each_step(const struct source *source, const json_t *part, const char *name, const char *list,
          enum status (*read)(const struct source *source, const json_t *step, const char *type)) {
    const char *type;
    if (part == NULL || json_is_null(part))
        return STATUS_OK;
    TRY(get_type(source, part, name, &type));
    if (strcmp(type, "Sequence") != 0)
        return read(source, part, type);
    const json_t *steps;
    TRY(get_list(source, part, list, &steps));
    for (size_t i = 0; i < json_array_size(steps); i++) {
        TRY(get_type(source, json_array_get(steps, i), name, &type));
        TRY(read(source, json_array_get(steps, i), type));
    }
    return STATUS_OK;
}

static enum status read_normalizer(const struct source *source, const json_t *step,
                                   const char *type) {
    (void)step;
    if (strcmp(type, "NFC") != 0)
        return refuse(source, "normalizer", type);
    source->tokenizer->compose = true;
    return STATUS_OK;
}

static enum status add_rule(const struct source *source, enum split_rule rule) {
    if (source->tokenizer->splitter.count == SPLIT_RULES_MAX)
        return FAIL(STATUS_INPUT, "%s: the pre-tokenizer has more than %d steps", source->path,
                    SPLIT_RULES_MAX);
    return splitter_add(&source->tokenizer->splitter, rule);
}

static enum status read_split(const struct source *source, const json_t *step) {
    const char *behavior, *pattern;
    enum split_rule rule;
    TRY(json_get_string(step, source->path, "behavior", "", &behavior));
    if (strcmp(behavior, "Isolated") != 0)
        return refuse(source, "Split with behavior", behavior);
    TRY(need_off(source, step, "a Split", "invert"));
    const json_t *expression = json_object_get(json_object_get(step, "pattern"), "Regex");
    pattern = text_or_none(expression);
    if (!json_is_string(expression) || !split_find(pattern, &rule))
        return refuse(source, "Split with pattern", pattern);
    return add_rule(source, rule);
}

static enum status read_byte_level(const struct source *source, const json_t *step) {
    bool regex, prefix;
    TRY(json_get_bool(step, source->path, "use_regex", true, &regex));
    TRY(json_get_bool(step, source->path, "add_prefix_space", true, &prefix));
    if (prefix)
        return refuse(source, "pre-tokenizer ByteLevel with", "add_prefix_space");
    return regex ? add_rule(source, SPLIT_GPT2) : STATUS_OK;
}

static enum status read_pre_tokenizer(const struct source *source, const json_t *step,
                                      const char *type) {
    bool single;
    if (strcmp(type, "Split") == 0)
        return read_split(source, step);
    if (strcmp(type, "ByteLevel") == 0)
        return read_byte_level(source, step);
    if (strcmp(type, "Digits") != 0)
        return refuse(source, "pre-tokenizer", type);
    TRY(json_get_bool(step, source->path, "individual_digits", false, &single));
    return add_rule(source, single ? SPLIT_DIGIT : SPLIT_DIGITS);
}

/* ByteLevel must be there, once, and last. */
static enum status check_order(const struct source *source, const json_t *part) {
    const json_t *steps = json_object_get(part, "pretokenizers");
    const size_t count = steps != NULL ? json_array_size(steps) : 1;
    bool good = count > 0;
    for (size_t i = 0; i < count; i++) {
        const json_t *step = steps != NULL ? json_array_get(steps, i) : part;
        const char *type = text_or_none(json_object_get(step, "type"));
        good &= (strcmp(type, "ByteLevel") == 0) == (i + 1 == count);
    }
    return good ? STATUS_OK
                : FAIL(STATUS_INPUT,
                       "%s: the pre-tokenizer's last step is not ByteLevel, or it has two of them; "
                       "only byte-level tokenizers are implemented",
                       source->path);
}

/* Appends the ids of a special token of a TemplateProcessing step. */
static enum status read_template_token(const struct source *source, const json_t *step,
                                       const json_t *item, struct token_list *out) {
    const char *name = text_or_none(json_object_get(item, "id"));
    const json_t *ids =
        json_object_get(json_object_get(json_object_get(step, "special_tokens"), name), "ids");
    char quote[STATUS_QUOTE_MAX];
    for (size_t i = 0; i < json_array_size(ids); i++) {
        int32_t id;
        TRY(get_id(source, name, json_array_get(ids, i), &id));
        if (!vocabulary_has(&source->tokenizer->vocabulary, id))
            return FAIL(STATUS_INPUT, "%s: the post-processor's id %d is no token", source->path,
                        id);
        TRY(token_list_append(out, &id, 1));
    }
    if (json_array_size(ids) == 0)
        return FAIL(STATUS_INPUT, "%s: the post-processor's \"%s\" has no ids", source->path,
                    status_quote(quote, name, SIZE_MAX));
    return STATUS_OK;
}

static enum status read_template(const struct source *source, const json_t *step) {
    struct tokenizer *t = source->tokenizer;
    const json_t *single;
    bool text_seen = false;
    if (t->before.count + t->after.count > 0)
        return refuse(source, "a post-processor with a second", "TemplateProcessing");
    TRY(get_list(source, step, "single", &single));
    for (size_t i = 0; i < json_array_size(single); i++) {
        const json_t *item = json_array_get(single, i);
        const json_t *special = json_object_get(item, "SpecialToken"),
                     *text = json_object_get(item, "Sequence");
        if ((special == NULL) == (text == NULL) || (text != NULL && text_seen))
            return FAIL(STATUS_INPUT, "%s: a post-processor's template has a strange step %zu",
                        source->path, i);
        text_seen |= text != NULL;
        if (special != NULL)
            TRY(read_template_token(source, step, special, text_seen ? &t->after : &t->before));
    }
    if (!text_seen)
        return FAIL(STATUS_INPUT, "%s: a post-processor's template leaves the text out",
                    source->path);
    return STATUS_OK;
}

static enum status read_post_processor(const struct source *source, const json_t *step,
                                       const char *type) {
    if (strcmp(type, "ByteLevel") == 0)
        return STATUS_OK; /* moves offsets, no ids */
    if (strcmp(type, "TemplateProcessing") == 0)
        return read_template(source, step);
    return refuse(source, "post-processor", type);
}

static enum status read_decoder(const struct source *source, const json_t *step, const char *type) {
    (void)step;
    return strcmp(type, "ByteLevel") == 0 ? STATUS_OK : refuse(source, "decoder", type);
}

/* The added tokens of all files, put in the place of tokenizer.json's own. */
static enum status complete_added(const struct source *source, json_t *root, const json_t **added) {
    TRY(get_list(source, root, "added_tokens", added));
    json_t *list = *added != NULL ? json_object_get(root, "added_tokens") : json_array();
    if (*added == NULL && json_object_set_new(root, "added_tokens", list) != 0)
        return FAIL(STATUS_MEMORY, "%s: memory ran out for added tokens", source->path);
    *added = list;
    struct tokenizer_own own;
    TRY(tokenizer_config_complete(
        source->beside, json_object_get(json_object_get(root, "model"), "vocab"), list, &own));
    source->tokenizer->own_size = own.size;
    for (size_t i = own.added; i < json_array_size(list); i++) {
        const json_t *id = json_object_get(json_array_get(list, i), "id");
        const int32_t further = (int32_t)json_integer_value(id);
        TRY(token_list_append(&source->tokenizer->further, &further, 1));
    }
    return STATUS_OK;
}

static enum status read_root(const struct source *source, json_t *root) {
    const json_t *added;
    if (!json_is_object(root))
        return FAIL(STATUS_INPUT, "%s: this is not an object", source->path);
    TRY(complete_added(source, root, &added));
    TRY(each_step(source, json_object_get(root, "normalizer"), "the normalizer", "normalizers",
                  read_normalizer));
    const json_t *cut = json_object_get(root, "pre_tokenizer");
    TRY(check_order(source, cut));
    TRY(each_step(source, cut, "the pre-tokenizer", "pretokenizers", read_pre_tokenizer));
    TRY(read_model(source, root, added));
    for (size_t i = 0; i < json_array_size(added); i++)
        TRY(read_added(source, json_array_get(added, i)));
    TRY(each_step(source, json_object_get(root, "post_processor"), "the post-processor",
                  "processors", read_post_processor));
    const json_t *decoder = json_object_get(root, "decoder");
    if (decoder == NULL || json_is_null(decoder))
        return refuse(source, "decoder", "null");
    return each_step(source, decoder, "the decoder", "decoders", read_decoder);
}

enum status parts_read(struct tokenizer *tokenizer, const char *path,
                       const struct tokenizer_config *beside) {
    const struct source source = {.path = path, .tokenizer = tokenizer, .beside = beside};
    json_t *root;
    TRY(json_read_file(path, FILE_LIMIT, &root));
    const enum status status = read_root(&source, root);
    json_decref(root);
    return status;
}
