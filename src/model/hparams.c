/* SPDX-License-Identifier: Apache-2.0
 *
 * config.json and generation_config.json, read with the defaults of transformers 4 and 5 and
 * written in the spelling that both versions load.
 */
#include "model/hparams.h"

#include "base/log.h"
#include "base/strbuf.h"
#include "file/atomic.h"
#include "file/bytes.h"
#include "file/json.h"
#include "model/tied_head.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CONFIG_BYTES_MAX ((int64_t)16 << 20)

/* What transformers assumes where config.json is silent. */
static const struct family {
    const char *name, *class;
    int64_t max_positions;
    int64_t D; /* 0: width over heads */
    bool qkv_bias, qk_norm;
    bool attention_bias, mlp_bias; /* the fields of these names are obeyed */
} families[] = {
    [ARCH_QWEN2] = {"qwen2", "Qwen2ForCausalLM", 32768, 0, true, false, false, false},
    [ARCH_QWEN3] = {"qwen3", "Qwen3ForCausalLM", 32768, 128, false, true, true, false},
    [ARCH_LLAMA] = {"llama", "LlamaForCausalLM", 2048, 0, false, false, true, true},
};
enum { FAMILIES = sizeof families / sizeof *families };

static const struct {
    const char *name;
    enum dtype dtype;
} dtypes[] = {{"float32", DTYPE_F32}, {"bfloat16", DTYPE_BF16}, {"float16", DTYPE_F16}};
enum { DTYPES = sizeof dtypes / sizeof *dtypes };

const char *arch_name(enum arch arch) {
    return families[arch].name;
}

/* An open JSON object and the name of its file, for sentences. */
struct source {
    const json_t *object;
    const char *path;
};

static bool given(const json_t *object, const char *name) {
    const json_t *value = json_object_get(object, name);
    return value != NULL && !json_is_null(value);
}

/* A size in 1..most. `otherwise` 0: the field must be there. */
static enum status read_size(struct source s, const char *name, int64_t otherwise, int64_t most,
                             int64_t *out) {
    if (!given(s.object, name) && otherwise == 0)
        return FAIL(STATUS_INPUT, "%s: the field %s is missing", s.path, name);
    TRY(json_get_integer(s.object, s.path, name, otherwise, out));
    if (*out < 1 || *out > most)
        return FAIL(STATUS_INPUT, "%s: %s = %" PRId64 " is not in 1 … %" PRId64, s.path, name, *out,
                    most);
    return STATUS_OK;
}

static enum status read_positive(struct source s, const char *name, double otherwise, double *out) {
    if (!given(s.object, name) && otherwise == 0.0)
        return FAIL(STATUS_INPUT, "%s: the field %s is missing", s.path, name);
    TRY(json_get_real(s.object, s.path, name, otherwise, out));
    if (!(*out > 0.0 && *out <= 1e30))
        return FAIL(STATUS_INPUT, "%s: %s = %g is not a positive number", s.path, name, *out);
    return STATUS_OK;
}

static enum status refuse_text(struct source s, const char *name, const char *text,
                               const char *known) {
    char quote[STATUS_QUOTE_MAX];
    return FAIL(STATUS_INPUT, "%s: %s = \"%s\" is not supported; known are %s", s.path, name,
                status_quote(quote, text, SIZE_MAX), known);
}

/* A classifier or a reward model of the family has the blocks of a language model, but no head. */
static void log_other_class(struct source s, const char *class) {
    const json_t *names = json_object_get(s.object, "architectures");
    char quote[STATUS_QUOTE_MAX];
    for (size_t i = 0; i < json_array_size(names); i++)
        if (json_is_string(json_array_get(names, i)) &&
            strcmp(json_string_value(json_array_get(names, i)), class) == 0)
            return;
    const char *first = json_string_value(json_array_get(names, 0));
    if (first != NULL)
        log_info("model", "%s: architectures names %s; it is read as %s", s.path,
                 status_quote(quote, first, SIZE_MAX), class);
}

static enum status read_arch(struct source s, enum arch *out) {
    const char *name;
    TRY(json_get_string(s.object, s.path, "model_type", NULL, &name));
    if (name == NULL)
        return FAIL(STATUS_INPUT, "%s: the field model_type is missing", s.path);
    for (int i = 0; i < FAMILIES; i++)
        if (strcmp(name, families[i].name) == 0) {
            *out = (enum arch)i;
            log_other_class(s, families[i].class);
            return STATUS_OK;
        }
    return refuse_text(s, "model_type", name, "qwen2, qwen3, llama");
}

static enum status read_shape(struct source s, struct hparams *h) {
    const struct family *family = &families[h->arch];
    TRY(read_size(s, "num_hidden_layers", 0, 1024, &h->layers));
    TRY(read_size(s, "hidden_size", 0, 1 << 17, &h->C));
    TRY(read_size(s, "intermediate_size", 0, 1 << 20, &h->F));
    TRY(read_size(s, "num_attention_heads", 0, 1024, &h->H));
    TRY(read_size(s, "num_key_value_heads", h->H, h->H, &h->K));
    TRY(read_size(s, "vocab_size", 0, 1 << 22, &h->V));
    TRY(read_size(s, "max_position_embeddings", family->max_positions, 1 << 24, &h->max_positions));
    if (h->H % h->K != 0)
        return FAIL(STATUS_INPUT,
                    "%s: num_attention_heads = %" PRId64
                    " is not a multiple of num_key_value_heads = %" PRId64,
                    s.path, h->H, h->K);
    if (family->D == 0 && !given(s.object, "head_dim") && h->C % h->H != 0)
        return FAIL(STATUS_INPUT,
                    "%s: hidden_size = %" PRId64
                    " is not a multiple of num_attention_heads = %" PRId64
                    " and head_dim is missing",
                    s.path, h->C, h->H);
    TRY(read_size(s, "head_dim", family->D > 0 ? family->D : h->C / h->H, 1024, &h->D));
    if (h->D % 2 != 0)
        return FAIL(STATUS_INPUT, "%s: head_dim = %" PRId64 " is odd; rotary embedding needs pairs",
                    s.path, h->D);
    return STATUS_OK;
}

static enum status read_flags(struct source s, struct hparams *h) {
    const struct family *family = &families[h->arch];
    bool attention_bias = false, mlp_bias = false;
    double epsilon;
    if (family->attention_bias)
        TRY(json_get_bool(s.object, s.path, "attention_bias", false, &attention_bias));
    if (family->mlp_bias)
        TRY(json_get_bool(s.object, s.path, "mlp_bias", false, &mlp_bias));
    TRY(json_get_bool(s.object, s.path, "tie_word_embeddings", false, &h->tied));
    TRY(read_positive(s, "rms_norm_eps", 1e-6, &epsilon));
    h->rms_epsilon = (float)epsilon;
    h->qkv_bias = family->qkv_bias || attention_bias;
    h->o_bias = attention_bias;
    h->mlp_bias = mlp_bias;
    h->qk_norm = family->qk_norm;
    return STATUS_OK;
}

static enum status read_dtype(struct source s, enum dtype *out) {
    const char *const field = given(s.object, "dtype") ? "dtype" : "torch_dtype";
    const char *name;
    TRY(json_get_string(s.object, s.path, field, "float32", &name));
    if (strncmp(name, "torch.", 6) == 0)
        name += 6;
    for (int i = 0; i < DTYPES; i++)
        if (strcmp(name, dtypes[i].name) == 0) {
            *out = dtypes[i].dtype;
            return STATUS_OK;
        }
    return refuse_text(s, field, name, "float32, bfloat16, float16");
}

/* --- rotary embedding --- */

static enum status refuse_partial_rotation(struct source s) {
    double part;
    TRY(json_get_real(s.object, s.path, "partial_rotary_factor", 1.0, &part));
    if (part != 1.0)
        return FAIL(STATUS_INPUT, "%s: partial_rotary_factor = %g is not supported; 1 is", s.path,
                    part);
    return STATUS_OK;
}

static enum status refuse_unknown_rope_field(struct source s, const char *place) {
    static const char *const known[] = {"rope_type",
                                        "type",
                                        "rope_theta",
                                        "factor",
                                        "low_freq_factor",
                                        "high_freq_factor",
                                        "attention_factor",
                                        "original_max_position_embeddings",
                                        "partial_rotary_factor"};
    const char *name;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)s.object, name, value) {
        bool found = json_is_null(value);
        for (size_t i = 0; i < sizeof known / sizeof *known; i++)
            found = found || strcmp(name, known[i]) == 0;
        char quote[STATUS_QUOTE_MAX];
        if (!found)
            return FAIL(STATUS_INPUT, "%s: the field \"%s\" of %s is not supported", s.path,
                        status_quote(quote, name, SIZE_MAX), place);
    }
    return STATUS_OK;
}

static enum status read_llama3(struct source s, struct hparams *h) {
    h->rope_llama3 = true;
    TRY(read_positive(s, "factor", 0.0, &h->rope_factor));
    TRY(read_positive(s, "low_freq_factor", 0.0, &h->rope_low_freq_factor));
    TRY(read_positive(s, "high_freq_factor", 0.0, &h->rope_high_freq_factor));
    TRY(read_size(s, "original_max_position_embeddings", h->max_positions, 1 << 24,
                  &h->rope_original_positions));
    if (h->rope_high_freq_factor <= h->rope_low_freq_factor)
        return FAIL(STATUS_INPUT, "%s: high_freq_factor = %g is not above low_freq_factor = %g",
                    s.path, h->rope_high_freq_factor, h->rope_low_freq_factor);
    return STATUS_OK;
}

/* rope_scaling of transformers 4, rope_parameters of 5: the same fields but for rope_theta. */
static enum status read_rope_object(struct source s, const char *place, struct hparams *h) {
    if (!json_is_object(s.object))
        return FAIL(STATUS_INPUT, "%s: %s is not an object", s.path, place);
    const char *type;
    TRY(json_get_string(s.object, s.path, "type", "default", &type));
    TRY(json_get_string(s.object, s.path, "rope_type", type, &type));
    TRY(read_positive(s, "rope_theta", h->rope_theta, &h->rope_theta));
    if (strcmp(type, "default") != 0 && strcmp(type, "llama3") != 0)
        return refuse_text(s, "rope_type", type, "default, llama3");
    TRY(refuse_unknown_rope_field(s, place));
    TRY(refuse_partial_rotation(s));
    return strcmp(type, "llama3") == 0 ? read_llama3(s, h) : STATUS_OK;
}

static enum status read_rope(struct source s, struct hparams *h) {
    const bool scaling = given(s.object, "rope_scaling");
    const bool parameters = given(s.object, "rope_parameters");
    if (scaling && parameters)
        return FAIL(STATUS_INPUT,
                    "%s: rope_scaling and rope_parameters are both given; leave one out", s.path);
    TRY(refuse_partial_rotation(s));
    TRY(read_positive(s, "rope_theta", 10000.0, &h->rope_theta));
    if (!scaling && !parameters)
        return STATUS_OK;
    const char *place = scaling ? "rope_scaling" : "rope_parameters";
    return read_rope_object((struct source){json_object_get(s.object, place), s.path}, place, h);
}

/* --- what is not supported --- */

static enum status refuse_window(struct source s, int64_t layers) {
    bool used;
    int64_t window, first;
    TRY(json_get_bool(s.object, s.path, "use_sliding_window", false, &used));
    TRY(json_get_integer(s.object, s.path, "sliding_window", 0, &window));
    TRY(json_get_integer(s.object, s.path, "max_window_layers", 28, &first));
    if (used && given(s.object, "sliding_window") && first < layers)
        return FAIL(STATUS_INPUT, "%s: use_sliding_window = true is not supported", s.path);
    const json_t *types = json_object_get(s.object, "layer_types");
    for (size_t i = 0; i < json_array_size(types); i++) {
        const char *type = json_string_value(json_array_get(types, i));
        if (type == NULL || strcmp(type, "full_attention") != 0)
            return refuse_text(s, "layer_types", type != NULL ? type : "(not a text)",
                               "full_attention");
    }
    return STATUS_OK;
}

static enum status refuse_unsupported(struct source s, const struct hparams *h) {
    static const char *const absent[] = {"quantization_config", "compression_config"};
    static const char *const off[] = {"use_mrope", "use_bidirectional_attention"};
    const char *act;
    for (size_t i = 0; i < sizeof absent / sizeof *absent; i++)
        if (given(s.object, absent[i]))
            return FAIL(STATUS_INPUT,
                        "%s: %s is not supported; give the model's unquantised weights", s.path,
                        absent[i]);
    for (size_t i = 0; i < sizeof off / sizeof *off; i++) {
        bool on;
        TRY(json_get_bool(s.object, s.path, off[i], false, &on));
        if (on)
            return FAIL(STATUS_INPUT, "%s: %s = true is not supported", s.path, off[i]);
    }
    TRY(json_get_string(s.object, s.path, "hidden_act", "silu", &act));
    if (strcmp(act, "silu") != 0 && strcmp(act, "swish") != 0)
        return refuse_text(s, "hidden_act", act, "silu");
    return refuse_window(s, h->layers);
}

/* --- tokens that begin and end --- */

/* An id outside the vocabulary is none: it is never drawn, so it ends nothing. */
static enum status read_token(struct source s, const char *name, const json_t *value, int64_t V,
                              int32_t *out) {
    const json_int_t id = json_integer_value(value);
    if (!json_is_integer(value))
        return FAIL(STATUS_INPUT, "%s: %s is not a token id or a list of token ids", s.path, name);
    *out = id >= 0 && id < V ? (int32_t)id : -1;
    if (id >= V)
        log_info("model", "%s: %s = %lld is outside the vocabulary of %" PRId64 " and passed over",
                 s.path, name, (long long)id, V);
    return STATUS_OK;
}

static enum status read_stops(struct source s, struct hparams *h) {
    const char *const name = "eos_token_id";
    const json_t *value = json_object_get(s.object, name);
    if (!given(s.object, name))
        return STATUS_OK;
    const size_t count = json_is_array(value) ? json_array_size(value) : 1;
    if (count > HPARAMS_STOP_MAX)
        return FAIL(STATUS_INPUT, "%s: %s lists %zu ids; at most %d are supported", s.path, name,
                    count, HPARAMS_STOP_MAX);
    int inside = 0;
    for (size_t i = 0; i < count; i++) {
        int32_t id;
        TRY(read_token(s, name, json_is_array(value) ? json_array_get(value, i) : value, h->V,
                       &id));
        if (id >= 0)
            h->eos[inside++] = id;
    }
    h->eos_count = inside > 0 ? inside : h->eos_count;
    return STATUS_OK;
}

static enum status read_config(struct source s, struct hparams *h) {
    TRY(read_arch(s, &h->arch));
    TRY(read_shape(s, h));
    TRY(read_flags(s, h));
    TRY(read_dtype(s, &h->dtype));
    TRY(read_rope(s, h));
    TRY(refuse_unsupported(s, h));
    h->bos = -1;
    if (given(s.object, "bos_token_id"))
        TRY(read_token(s, "bos_token_id", json_object_get(s.object, "bos_token_id"), h->V,
                       &h->bos));
    return read_stops(s, h);
}

/* Opens DIR/name as an object and hands it to `read`. */
static enum status read_file(const char *directory, const char *name,
                             enum status (*read)(struct source, struct hparams *),
                             struct hparams *h) {
    struct strbuf path = STRBUF_EMPTY;
    json_t *root = NULL;
    enum status status;
    TRY_ELSE(status, done, strbuf_append_format(&path, "%s/%s", directory, name));
    TRY_ELSE(status, done, json_read_file(path.text, CONFIG_BYTES_MAX, &root));
    if (!json_is_object(root))
        status = FAIL(STATUS_INPUT, "%s: the file does not hold a JSON object", path.text);
    else
        status = read((struct source){root, path.text}, h);
done:
    json_decref(root);
    strbuf_release(&path);
    return status;
}

enum status hparams_read(const char *directory, struct hparams *out) {
    struct hparams h = {.bos = -1};
    struct strbuf generation = STRBUF_EMPTY;
    TRY(read_file(directory, "config.json", read_config, &h));
    TRY(strbuf_append_format(&generation, "%s/generation_config.json", directory));
    const bool there = bytes_is_file(generation.text);
    strbuf_release(&generation);
    if (there)
        TRY(read_file(directory, "generation_config.json", read_stops, &h));
    h.tied = h.tied && !tied_head_differs(directory);
    *out = h;
    return STATUS_OK;
}

/* --- writing --- */

/* The shortest decimal number that reads back as this float: 1e-06, not 9.99999997e-07. */
static double shortest(float value) {
    char text[40];
    for (int digits = 6; digits < 9; digits++) {
        snprintf(text, sizeof text, "%.*g", digits, (double)value);
        if (strtof(text, NULL) == value)
            break;
    }
    return strtod(text, NULL);
}

static json_t *stops_value(const struct hparams *h) {
    if (h->eos_count == 0)
        return json_null();
    if (h->eos_count == 1)
        return json_integer(h->eos[0]);
    json_t *list = json_array();
    for (int i = 0; i < h->eos_count; i++)
        json_array_append_new(list, json_integer(h->eos[i]));
    return list;
}

static json_t *begin_value(const struct hparams *h) {
    return h->bos < 0 ? json_null() : json_integer(h->bos);
}

static json_t *rope_value(const struct hparams *h) {
    if (!h->rope_llama3)
        return json_null();
    return json_pack("{s:s, s:f, s:f, s:f, s:I}", "rope_type", "llama3", "factor", h->rope_factor,
                     "low_freq_factor", h->rope_low_freq_factor, "high_freq_factor",
                     h->rope_high_freq_factor, "original_max_position_embeddings",
                     (json_int_t)h->rope_original_positions);
}

static json_t *config_value(const struct hparams *h) {
    const struct family *family = &families[h->arch];
    json_t *root = json_pack(
        "{s:[s], s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "architectures", family->class,
        "model_type", family->name, "num_hidden_layers", (json_int_t)h->layers, "hidden_size",
        (json_int_t)h->C, "intermediate_size", (json_int_t)h->F, "num_attention_heads",
        (json_int_t)h->H, "num_key_value_heads", (json_int_t)h->K, "head_dim", (json_int_t)h->D,
        "vocab_size", (json_int_t)h->V, "max_position_embeddings", (json_int_t)h->max_positions);
    json_t *rest = json_pack("{s:s, s:f, s:f, s:o, s:b, s:s, s:o, s:o}", "hidden_act", "silu",
                             "rms_norm_eps", shortest(h->rms_epsilon), "rope_theta", h->rope_theta,
                             "rope_scaling", rope_value(h), "tie_word_embeddings", (int)h->tied,
                             "torch_dtype", dtypes[h->dtype].name, "bos_token_id", begin_value(h),
                             "eos_token_id", stops_value(h));
    if (root != NULL)
        json_object_update(root, rest);
    json_decref(rest);
    if (family->attention_bias)
        json_object_set_new(root, "attention_bias", json_boolean(h->o_bias));
    if (family->mlp_bias)
        json_object_set_new(root, "mlp_bias", json_boolean(h->mlp_bias));
    return root;
}

/* Takes over `root`. */
static enum status write_file(const char *directory, const char *name, json_t *root) {
    struct strbuf path = STRBUF_EMPTY, text = STRBUF_EMPTY;
    enum status status;
    char *dump = json_dumps(root, JSON_INDENT(2) | JSON_REAL_PRECISION(15));
    if (dump == NULL) {
        status = FAIL(STATUS_MEMORY, "%s/%s: the JSON text could not be made", directory, name);
        goto done;
    }
    TRY_ELSE(status, done, strbuf_append_format(&path, "%s/%s", directory, name));
    TRY_ELSE(status, done, strbuf_append_format(&text, "%s\n", dump));
    TRY_ELSE(status, done, atomic_write_file(path.text, text.text, (int64_t)text.length));
done:
    free(dump);
    json_decref(root);
    strbuf_release(&text);
    strbuf_release(&path);
    return status;
}

enum status hparams_write(const struct hparams *hparams, const char *directory) {
    TRY(write_file(directory, "config.json", config_value(hparams)));
    return write_file(directory, "generation_config.json",
                      json_pack("{s:o, s:o}", "bos_token_id", begin_value(hparams), "eos_token_id",
                                stops_value(hparams)));
}

void hparams_make_rows(struct hparams *hparams, int64_t known, int64_t size) {
    const int64_t stored = hparams->V;
    if (size > stored)
        hparams->V = (size + HPARAMS_ROWS - 1) / HPARAMS_ROWS * HPARAMS_ROWS;
    hparams->made.stored = stored;
    hparams->made.begin = known < stored ? known : stored;
    hparams->made.end = size > stored ? hparams->V : size;
}
