/* SPDX-License-Identifier: Apache-2.0 */
#include "run/evaluation_identity.h"

#include <stdio.h>
#include <string.h>

#include "base/sha256.h"
#include "file/bytes.h"
#include "run/adapter_directory.h"
#include "run/directory.h"
#include "run/model_directory.h"

/* Parameters on which a sample or its verdict depends; those of eval.sets are told set by set. */
static const char *const names[] = {
    "model.precision",
    "prompt.system",
    "prompt.template",
    "prompt.chat",
    "prompt.thinking",
    "prompt.date",
    "eval.samples",
    "eval.seed",
    "eval.temperature",
    "eval.top_p",
    "eval.top_k",
    "eval.min_p",
    "eval.max_new_tokens",
    "eval.presence_penalty",
    "eval.stop",
    "eval.think_tokens",
    "eval.answer_tokens",
    "eval.think_close",
    "reward.think_tag",
    "reward.math_places",
    "reward.math_tolerance",
    "reward.answer_tag",
};

static enum status append_line(struct strbuf *out, const char *name, const char *value) {
    return strbuf_append_format(out, "%s = %s\n", name, value);
}

static enum status append_setting(const struct settings *settings, const char *name,
                                  struct strbuf *out) {
    TRY(strbuf_append_format(out, "%s = ", name));
    TRY(settings_value(settings, name, out));
    return strbuf_append_text(out, "\n");
}

static enum status append_hash(const char *name, const char *path, struct strbuf *out) {
    unsigned char digest[32];
    char text[65];
    TRY(bytes_hash_file(path, digest));
    sha256_hex(digest, text);
    return append_line(out, name, text);
}

/* Tokenizer, chat template and shape: all files of the model that are not weights. */
static enum status append_model_files(const char *directory, struct strbuf *out) {
    struct model_files files;
    unsigned char digest[32];
    char text[65];
    struct sha256 hash;
    enum status status = model_files_read(&files, directory);
    for (int i = 0; status == STATUS_OK && i < files.count; i++) {
        char name[96];
        sha256_init(&hash);
        sha256_update(&hash, strbuf_text(&files.files[i].bytes), files.files[i].bytes.length);
        sha256_finish(&hash, digest);
        sha256_hex(digest, text);
        snprintf(name, sizeof name, "model file %s", files.files[i].name);
        status = append_line(out, name, text);
    }
    model_files_release(&files);
    return status;
}

static enum status append_adapter(const struct settings *settings, struct strbuf *out) {
    char path[DIRECTORY_PATH_BYTES];
    if (settings->lora.adapter == NULL)
        return STATUS_OK;
    TRY(directory_path(settings->lora.adapter, path, ADAPTER_CONFIG_NAME));
    TRY(append_hash("adapter config", path, out));
    TRY(directory_path(settings->lora.adapter, path, ADAPTER_WEIGHTS_NAME));
    return append_hash("adapter", path, out);
}

static enum status append_set(const struct evaluation_set *set, struct strbuf *out) {
    const struct eval_set *how = set->how;
    return strbuf_append_format(
        out,
        "set %s: rule = %s, limit = %lld, prompt = %s, answer = %s, answer_after = %s, where = %s, "
        "template = %s, data = %s\n",
        how->name, how->rule, (long long)how->limit, how->prompt, how->answer, how->answer_after,
        how->where, how->template, set->dataset.sha256);
}

enum status evaluation_identity(const struct settings *settings,
                                const struct evaluation *evaluation, const char *weights,
                                const char *checkpoint, struct strbuf *out) {
    TRY(append_line(out, "weights", weights));
    TRY(append_model_files(settings->model.path, out));
    TRY(append_adapter(settings, out));
    if (checkpoint != NULL)
        TRY(append_hash("checkpoint", checkpoint, out));
    if (settings->lora.rank > 0) {
        TRY(append_setting(settings, "lora.alpha", out));
        TRY(append_setting(settings, "lora.rank_stabilized", out));
    }
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        TRY(append_setting(settings, names[i], out));
    for (int64_t s = 0; s < evaluation->set_count; s++)
        TRY(append_set(&evaluation->sets[s], out));
    return STATUS_OK;
}

/* The line in which byte `at` stands. */
static const char *quote_line(char out[STATUS_QUOTE_MAX], const struct strbuf *text, size_t at) {
    const char *bytes = strbuf_text(text);
    size_t begin = at < text->length ? at : text->length;
    while (begin > 0 && bytes[begin - 1] != '\n')
        begin--;
    return status_quote(out, bytes + begin, strcspn(bytes + begin, "\n"));
}

enum status evaluation_identity_compare(const char *where, const struct strbuf *found,
                                        const struct strbuf *now) {
    char before[STATUS_QUOTE_MAX], after[STATUS_QUOTE_MAX];
    size_t at = 0;
    while (at < found->length && at < now->length && found->text[at] == now->text[at])
        at++;
    if (at == found->length && at == now->length)
        return STATUS_OK;
    return FAIL(STATUS_INPUT,
                "%s is of another evaluation, there '%s', here '%s': choose another run.directory, "
                "or start over with --fresh",
                where, quote_line(before, found, at), quote_line(after, now, at));
}
