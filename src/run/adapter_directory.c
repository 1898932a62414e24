/* SPDX-License-Identifier: Apache-2.0 */
#include "run/adapter_directory.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "file/atomic.h"
#include "file/json.h"
#include "file/safetensors.h"
#include "run/head_file.h"
#include "tensor/finite.h"

enum { PATH_BYTES = 4096 };

#define CONFIG_BYTES_MAX ((int64_t)1 << 20)

static enum status join(char out[PATH_BYTES], const char *directory, const char *name) {
    if (snprintf(out, PATH_BYTES, "%s/%s", directory, name) >= PATH_BYTES)
        return FAIL(STATUS_INPUT, "%s: the path of a file in it is too long", directory);
    return STATUS_OK;
}

/* --- adapter_config.json --- */

/* Fields that do not change what an adapter computes, or that are read below. Every other field, also
 * one that a later peft has, must say nothing: null, false, empty. */
static bool is_free_field(const char *name) {
    static const char *const fields[] = {
        "peft_type",         "peft_version",
        "task_type",         "auto_mapping",
        "revision",          "base_model_name_or_path",
        "inference_mode",    "r",
        "lora_alpha",        "use_rslora",
        "lora_dropout",      "init_lora_weights",
        "target_modules",    "exclude_modules",
        "qalora_group_size", "megatron_core",
        "eva_config",        "loftq_config",
        "corda_config",      "lora_ga_config",
        "runtime_config",    "velora_config",
    };
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++)
        if (strcmp(name, fields[i]) == 0)
            return true;
    return false;
}

static bool says_nothing(const char *name, const json_t *value) {
    const char *text = json_string_value(value);
    return json_is_null(value) || json_is_false(value) ||
           (json_is_object(value) && json_object_size(value) == 0) ||
           (json_is_array(value) && json_array_size(value) == 0) ||
           (strcmp(name, "bias") == 0 && text != NULL && strcmp(text, "none") == 0);
}

/* Some initialisations take from the model's own weights what they give to the factors; the weights
 * that are left are not in the adapter. */
static enum status check_initialisation(const json_t *config, const char *path) {
    static const char *const harmless[] = {"gaussian", "eva", "orthogonal"};
    const json_t *value = json_object_get(config, "init_lora_weights");
    const char *text = json_string_value(value);
    char quoted[STATUS_QUOTE_MAX];
    if (value == NULL || json_is_null(value) || json_is_boolean(value))
        return STATUS_OK;
    for (size_t i = 0; text != NULL && i < sizeof harmless / sizeof *harmless; i++)
        if (strcmp(text, harmless[i]) == 0)
            return STATUS_OK;
    return FAIL(STATUS_INPUT,
                "%s: init_lora_weights is %s, which may have changed the model's own weights: save "
                "it with peft's path_initial_model_for_weight_conversion, and it is plain LoRA",
                path, text != NULL ? status_quote(quoted, text, SIZE_MAX) : "no text");
}

static enum status check_plain(const json_t *config, const char *path) {
    const char *type, *name;
    char quoted[STATUS_QUOTE_MAX];
    json_t *value;
    TRY(json_get_string(config, path, "peft_type", "LORA", &type));
    if (strcmp(type, "LORA") != 0)
        return FAIL(STATUS_INPUT, "%s: peft_type is \"%s\"; adapters of the type LORA are read",
                    path, status_quote(quoted, type, SIZE_MAX));
    json_object_foreach((json_t *)(uintptr_t)config, name, value) {
        if (!is_free_field(name) && !says_nothing(name, value))
            return FAIL(STATUS_INPUT,
                        "%s: %s asks for something that adapters here do not do: plain LoRA and "
                        "rsLoRA with one rank are read",
                        path, status_quote(quoted, name, SIZE_MAX));
    }
    return check_initialisation(config, path);
}

static enum status read_config(const json_t *config, const char *path,
                               struct adapter_settings *settings) {
    if (!json_is_object(config))
        return FAIL(STATUS_INPUT, "%s: the file does not hold a JSON object", path);
    TRY(check_plain(config, path));
    TRY(json_get_integer(config, path, "r", 8, &settings->rank));
    TRY(json_get_real(config, path, "lora_alpha", 8.0, &settings->alpha));
    TRY(json_get_bool(config, path, "use_rslora", false, &settings->rank_stabilized));
    if (settings->rank < 1 || settings->rank > 65536)
        return FAIL(STATUS_INPUT, "%s: r is %" PRId64 ", a rank is 1 to 65536", path,
                    settings->rank);
    if (!(settings->alpha > 0.0 && settings->alpha <= 1e6))
        return FAIL(STATUS_INPUT, "%s: lora_alpha is %g, it must be above 0 and at most 1e6", path,
                    settings->alpha);
    return STATUS_OK;
}

enum status adapter_config_read(const json_t *config, const char *path,
                                struct adapter_settings *settings) {
    const json_t *modules = json_object_get(config, "target_modules");
    *settings = (struct adapter_settings){.rank = 0};
    TRY(read_config(config, path, settings));
    for (size_t i = 0; i < json_array_size(modules); i++)
        for (int t = 0; t < LORA_TARGETS; t++) {
            const char *name = json_string_value(json_array_get(modules, i));
            settings->targets[t] |=
                name != NULL && strcmp(name, lora_target_module((enum lora_target)t)) == 0;
        }
    return STATUS_OK;
}

static enum status read_config_file(const char *directory, struct adapter_settings *settings) {
    char path[PATH_BYTES];
    json_t *config = NULL;
    TRY(join(path, directory, ADAPTER_CONFIG_NAME));
    TRY(json_read_file(path, CONFIG_BYTES_MAX, &config));
    const enum status status = read_config(config, path, settings);
    json_decref(config);
    return status;
}

/* --- adapter_model.safetensors --- */

static enum status open_factors(const char *directory, struct safetensors **files) {
    char path[PATH_BYTES];
    TRY(join(path, directory, ADAPTER_WEIGHTS_NAME));
    return safetensors_open(files, path);
}

/* Which targets some layer has. */
static void find_targets(const struct safetensors *files, struct adapter_settings *settings) {
    char ending[64];
    for (int t = 0; t < LORA_TARGETS; t++) {
        snprintf(ending, sizeof ending, ".%s.lora_A.weight",
                 lora_target_module((enum lora_target)t));
        for (int64_t i = 0; i < safetensors_count(files); i++)
            settings->targets[t] |= strstr(safetensors_at(files, i)->name, ending) != NULL;
    }
}

/* All factors that these targets have, and no other tensor. */
static enum status check_factors(const struct safetensors *files, const char *directory,
                                 const struct parameter_set *set) {
    for (int64_t i = 0; i < set->count; i++) {
        const struct parameter *p = &set->items[i];
        const struct safetensor *tensor;
        TRY(safetensors_weight(files, p->name, &tensor));
        if (tensor->rank != 2 || tensor->shape[0] != p->rows || tensor->shape[1] != p->columns)
            return FAIL(STATUS_INPUT,
                        "%s: the tensor %s is not (%" PRId64 ", %" PRId64
                        "), which the model and r of " ADAPTER_CONFIG_NAME " ask for",
                        tensor->path, p->name, p->rows, p->columns);
    }
    if (safetensors_count(files) == set->count)
        return STATUS_OK;
    return FAIL(STATUS_INPUT,
                "%s: " ADAPTER_WEIGHTS_NAME " holds %" PRId64 " tensors, %" PRId64
                " of them factors "
                "of q, k, v, o, gate, up, down: the others would be lost",
                directory, safetensors_count(files), set->count);
}

enum status adapter_directory_settings(const char *path, const struct hparams *hparams,
                                       struct adapter_settings *settings) {
    struct safetensors *files = NULL;
    struct parameter_set set;
    struct parameter *parameters = NULL;
    enum status status;
    *settings = (struct adapter_settings){.rank = 0};
    TRY(read_config_file(path, settings));
    TRY(open_factors(path, &files));
    find_targets(files, settings);
    TRY_ELSE(status, done, adapter_parameters_list(hparams, settings, &parameters, &set));
    status = check_factors(files, path, &set);
done:
    memory_release(&parameters);
    safetensors_close(&files);
    return status;
}

static enum status load_factor(const struct safetensors *files, const struct parameter *parameter,
                               struct backend *backend, float *host, float *to) {
    const int64_t n = parameter->rows * parameter->columns;
    const struct safetensor *tensor;
    enum dtype dtype = DTYPE_F32;
    TRY(safetensors_weight(files, parameter->name, &tensor));
    if (tensor->elements != n || !dtype_find(tensor->dtype, &dtype))
        return FAIL(STATUS_INPUT, "%s: the tensor %s has changed since it was looked at",
                    tensor->path, parameter->name);
    dtype_to_f32(dtype, tensor->data, host, n);
    const int64_t bad = first_not_finite(host, n);
    if (bad >= 0)
        return FAIL(STATUS_INPUT, "%s: the tensor %s holds %g at element %" PRId64 " of %" PRId64,
                    tensor->path, parameter->name, (double)host[bad], bad, n);
    return backend->ops->upload(backend, to, host, (size_t)n * sizeof *host);
}

enum status adapter_directory_load(const char *path, const struct adapter *adapter,
                                   struct backend *backend, float *master) {
    const struct parameter_set *set = adapter_parameters(adapter);
    struct safetensors *files = NULL;
    float *host = NULL;
    int64_t most = 1;
    for (int64_t i = 0; i < set->count; i++) {
        const int64_t n = set->items[i].rows * set->items[i].columns;
        most = n > most ? n : most;
    }
    TRY(open_factors(path, &files));
    enum status status = memory_new(&host, most, "a factor being loaded");
    for (int64_t i = 0; status == STATUS_OK && i < set->count; i++)
        status = load_factor(files, &set->items[i], backend, host, master + set->items[i].offset);
    memory_release(&host);
    safetensors_close(&files);
    return status;
}

enum status adapter_directory_open(struct adapter **adapter, const char *path,
                                   struct backend *backend, const struct hparams *hparams,
                                   enum dtype beside) {
    struct adapter_settings settings;
    float *master = NULL;
    TRY(adapter_directory_settings(path, hparams, &settings));
    TRY(adapter_create(adapter, backend, hparams, beside, &settings));
    enum status status = backend_new(backend, &master, adapter_parameters(*adapter)->elements,
                                     "an adapter being loaded");
    if (status == STATUS_OK)
        status = adapter_directory_load(path, *adapter, backend, master);
    if (status == STATUS_OK)
        status = adapter_refresh(*adapter, master);
    backend_release(backend, &master);
    if (status != STATUS_OK)
        adapter_destroy(adapter);
    return status;
}

/* --- telling --- */

enum status adapter_settings_describe(const struct adapter_settings *settings, struct strbuf *out) {
    const char *between = " on ";
    TRY(strbuf_append_format(out, "adapter: rank %" PRId64 ", alpha %g, scale alpha / %s,",
                             settings->rank, settings->alpha,
                             settings->rank_stabilized ? "sqrt(rank)" : "rank"));
    for (int t = 0; t < LORA_TARGETS; t++)
        if (settings->targets[t]) {
            TRY(strbuf_append_format(out, "%s%s", between, lora_target_name((enum lora_target)t)));
            between = ", ";
        }
    return strbuf_append_text(out, "\n");
}

enum status adapter_directory_describe(const char *path, struct strbuf *out) {
    struct adapter_settings settings = {.rank = 0};
    struct safetensors *files;
    TRY(read_config_file(path, &settings));
    TRY(open_factors(path, &files));
    find_targets(files, &settings);
    safetensors_close(&files);
    return adapter_settings_describe(&settings, out);
}

/* --- writing --- */

static json_t *target_modules(const struct adapter_settings *settings) {
    json_t *list = json_array();
    for (int t = 0; t < LORA_TARGETS; t++)
        if (settings->targets[t])
            json_array_append_new(list, json_string(lora_target_module((enum lora_target)t)));
    return list;
}

/* A whole number as such: peft before 0.10 takes no other. */
static json_t *alpha_value(double alpha) {
    const json_int_t whole = (json_int_t)alpha;
    return (double)whole == alpha ? json_integer(whole) : json_real(alpha);
}

enum status adapter_config_text(const struct adapter_settings *settings, const char *base,
                                struct strbuf *out) {
    json_t *config = json_pack(
        "{s:s, s:s, s:s, s:n, s:b, s:I, s:o, s:b, s:f, s:s, s:b, s:b, s:o, s:n, s:n, s:n, s:{}, s:{}, "
        "s:b, s:n}",
        "peft_type", "LORA", "task_type", "CAUSAL_LM", "base_model_name_or_path", base, "revision",
        "inference_mode", 1, "r", (json_int_t)settings->rank, "lora_alpha",
        alpha_value(settings->alpha), "use_rslora", (int)settings->rank_stabilized, "lora_dropout",
        0.0, "bias", "none", "fan_in_fan_out", 0, "init_lora_weights", 1, "target_modules",
        target_modules(settings), "modules_to_save", "layers_to_transform", "layers_pattern",
        "rank_pattern", "alpha_pattern", "use_dora", 0, "auto_mapping");
    char *text = json_dumps(config, JSON_INDENT(2));
    json_decref(config);
    if (text == NULL)
        return FAIL(STATUS_MEMORY, ADAPTER_CONFIG_NAME ": memory ran out");
    const enum status status = strbuf_append_format(out, "%s\n", text);
    free(text);
    return status;
}

bool adapter_directory_writes(const char *name) {
    return strcmp(name, ADAPTER_CONFIG_NAME) == 0 || strcmp(name, ADAPTER_WEIGHTS_NAME) == 0 ||
           strcmp(name, HEAD_FILE_NAME) == 0;
}

static enum status write_factors(const struct tensor_source *factors, const char *path) {
    struct tensor_source sorted = *factors;
    struct parameter *parameters;
    TRY(tensors_by_name(factors->parameters, factors->count, &parameters));
    sorted.parameters = parameters;
    const enum status status = tensor_file_write(&sorted, path);
    memory_release(&parameters);
    return status;
}

static enum status write_all(const char *directory, const struct model_files *files,
                             const struct tensor_source *factors) {
    char path[PATH_BYTES];
    for (int i = 0; i < files->count; i++) {
        const struct strbuf *bytes = &files->files[i].bytes;
        TRY(join(path, directory, files->files[i].name));
        TRY(atomic_write_file(path, strbuf_text(bytes), (int64_t)bytes->length));
    }
    TRY(join(path, directory, ADAPTER_WEIGHTS_NAME));
    return write_factors(factors, path);
}

enum status adapter_directory_write(const char *path, const struct model_files *files,
                                    const struct tensor_source *factors,
                                    const struct tensor_source *head, bool replace) {
    struct atomic *directory;
    TRY(atomic_directory_create(&directory, path, replace));
    enum status status = write_all(atomic_part(directory), files, factors);
    if (status == STATUS_OK)
        status = head_file_write(head, atomic_part(directory));
    if (status == STATUS_OK)
        return atomic_commit(&directory);
    atomic_abandon(&directory);
    return status;
}
