/* SPDX-License-Identifier: Apache-2.0
 *
 * Adapters that peft wrote (tests/data/model/make_adapters.py) are read, and compute what peft
 * computes; written again, they are the same; merged, the model has the same scores. What is not
 * plain LoRA is refused by name, and a damaged file is a sentence, whatever the damage.
 */
#include "run/adapter_directory.h"

#include "base/memory.h"
#include "base/random.h"
#include "check.h"
#include "file/json.h"
#include "run/adapter_merge.h"
#include "run/model_directory.h"
#include "unit/file/folder.h"
#include "unit/model/tiny.h"

#define TEMPERATURE 0.7f
#define ADAPTERS    TINY_DATA "/adapter"

enum { TARGETS = 20, MUTATIONS = 500 };

/* The model that the adapters adapt. */
struct world {
    struct backend backend;
    struct hparams hparams;
    struct weights *weights;
    float *master;
    struct batch batch;
};

static const struct case_of {
    const char *name;
    struct adapter_settings settings;
} cases[] = {
    {"plain", {.rank = 3, .alpha = 6, .targets = {true, true, true, true, true, true, true}}},
    {"rslora",
     {.rank = 4,
      .alpha = 3,
      .rank_stabilized = true,
      .targets = {true, true, true, true, true, true, true}}},
    {"subset",
     {.rank = 2, .alpha = 5, .targets = {[LORA_Q] = true, [LORA_O] = true, [LORA_DOWN] = true}}},
    {"pattern", {.rank = 2, .alpha = 4, .targets = {[LORA_V] = true, [LORA_UP] = true}}},
};
enum { CASES = sizeof cases / sizeof *cases };

static const char *of_case(const char *name, const char *file) {
    static char path[2][256];
    static int next;
    char *to = path[next++ % 2];
    snprintf(to, sizeof path[0], ADAPTERS "/%s%s%s", name, file[0] != '\0' ? "/" : "", file);
    return to;
}

static void open_world(struct world *w) {
    *w = (struct world){.batch = BATCH_EMPTY};
    CHECK_OK(backend_open(&w->backend, "cpu", 1));
    CHECK_OK(hparams_read(TINY_DATA "/qwen2", &w->hparams));
    CHECK_OK(weights_create(&w->weights, &w->backend, &w->hparams, DTYPE_F32));
    const struct parameter_set *all = weights_parameters(w->weights);
    CHECK_OK(backend_new(&w->backend, &w->master, all->elements, "weights"));
    tiny_fill(all->items, all->count, w->master);
    CHECK_OK(weights_refresh(w->weights, w->master));
    CHECK_OK(tiny_batch(&w->batch, w->hparams.V));
}

static void close_world(struct world *w) {
    weights_destroy(&w->weights);
    backend_release(&w->backend, &w->master);
    batch_release(&w->batch);
    backend_close(&w->backend);
}

static json_t *read_json(const char *path) {
    json_t *value = NULL;
    CHECK_OK(json_read_file(path, 1 << 20, &value));
    return value;
}

/* Log-probabilities with an adapter, or NULL for none, against a list of expected.json. */
static void check_scores(struct world *w, struct adapter *adapter, const char *name,
                         const char *list) {
    struct model *model = NULL;
    float logprob[TARGETS], entropy[TARGETS];
    json_t *expected = read_json(of_case(name, "expected.json"));
    const json_t *want = json_object_get(expected, list);
    CHECK_OK(
        model_create(&model, w->weights, adapter, &(struct model_settings){.max_positions = 64}));
    CHECK_OK(model_forward(model, &w->batch, TEMPERATURE, false, logprob, entropy));
    CHECK_EQ(json_array_size(want), TARGETS);
    for (size_t i = 0; i < TARGETS; i++)
        CHECK_NEAR(logprob[i], json_real_value(json_array_get(want, i)), 2e-5);
    model_destroy(&model);
    json_decref(expected);
}

static void check_settings(const struct adapter_settings *have,
                           const struct adapter_settings *want) {
    CHECK_EQ(have->rank, want->rank);
    CHECK_NEAR(have->alpha, want->alpha, 0.0);
    CHECK_EQ(have->rank_stabilized, want->rank_stabilized);
    for (int t = 0; t < LORA_TARGETS; t++)
        CHECK_EQ(have->targets[t], want->targets[t]);
}

static void test_read(struct world *w, const struct case_of *c) {
    struct adapter *adapter = NULL;
    CHECK_OK(adapter_directory_open(&adapter, of_case(c->name, ""), &w->backend, &w->hparams,
                                    DTYPE_F32));
    check_settings(adapter_settings(adapter), &c->settings);
    check_scores(w, adapter, c->name, "logprob");
    check_scores(w, NULL, c->name, "logprob_off");
    adapter_destroy(&adapter);
}

/* --- writing, merging --- */

struct factors {
    const struct parameter_set *set;
    float *values;
};

static enum status read_factor(void *context, const struct parameter *parameter, float *out) {
    const struct factors *factors = context;
    for (int64_t i = 0; i < factors->set->count; i++) {
        const struct parameter *p = &factors->set->items[i];
        if (strcmp(p->name, parameter->name) == 0) {
            memcpy(out, factors->values + p->offset, (size_t)(p->rows * p->columns) * sizeof *out);
            return STATUS_OK;
        }
    }
    return FAIL(STATUS_INPUT, "%s is no factor", parameter->name);
}

static enum status read_weight(void *context, const struct parameter *parameter, float *out) {
    const struct world *w = context;
    const struct factors all = {.set = weights_parameters(w->weights), .values = w->master};
    return read_factor((void *)(uintptr_t)&all, parameter, out);
}

/* The adapter written by us to "again", read back: the same settings and the same bits. */
static void check_written(struct world *w, const struct adapter *adapter,
                          const struct factors *factors, const struct model_files *files) {
    const struct tensor_source source = {.parameters = factors->set->items,
                                         .count = factors->set->count,
                                         .dtype = DTYPE_F32,
                                         .read = read_factor,
                                         .context = (void *)(uintptr_t)factors};
    struct adapter_settings settings;
    float *again = NULL;
    CHECK_OK(adapter_directory_write(folder_file("again"), files, &source,
                                     &(struct tensor_source){.count = 0}, true));
    CHECK_OK(adapter_directory_settings(folder_file("again"), &w->hparams, &settings));
    check_settings(&settings, adapter_settings(adapter));
    CHECK_OK(backend_new(&w->backend, &again, factors->set->elements, "factors"));
    CHECK_OK(adapter_directory_load(folder_file("again"), adapter, &w->backend, again));
    CHECK(memcmp(again, factors->values, (size_t)factors->set->elements * sizeof *again) == 0);
    backend_release(&w->backend, &again);
}

/* The weights W + γ B A have the scores of the adapter. */
static void check_merged(struct world *w, const char *name, const struct factors *factors,
                         const struct model_file *config) {
    struct adapter_merge *merge = NULL;
    const struct parameter_set *all = weights_parameters(w->weights);
    float *merged = NULL;
    CHECK_OK(backend_new(&w->backend, &merged, all->elements, "merged weights"));
    CHECK_OK(adapter_merge_open(&merge, folder_file("model"), config, read_factor,
                                (void *)(uintptr_t)factors));
    CHECK_EQ(adapter_merge_parameters(merge)->count, all->count);
    for (int64_t i = 0; i < all->count; i++)
        CHECK_OK(adapter_merge_read(merge, &all->items[i], merged + all->items[i].offset));
    adapter_merge_close(&merge);
    CHECK_OK(weights_refresh(w->weights, merged));
    check_scores(w, NULL, name, "logprob");
    CHECK_OK(weights_refresh(w->weights, w->master));
    backend_release(&w->backend, &merged);
}

static void test_written(struct world *w, const struct case_of *c) {
    struct adapter *adapter = NULL;
    struct strbuf config = STRBUF_EMPTY;
    struct model_files files = {.count = 0};
    CHECK_OK(adapter_directory_open(&adapter, of_case(c->name, ""), &w->backend, &w->hparams,
                                    DTYPE_F32));
    struct factors factors = {.set = adapter_parameters(adapter)};
    CHECK_OK(backend_new(&w->backend, &factors.values, factors.set->elements, "factors"));
    CHECK_OK(adapter_directory_load(of_case(c->name, ""), adapter, &w->backend, factors.values));
    CHECK_OK(adapter_config_text(adapter_settings(adapter), folder_file("model"), &config));
    CHECK_OK(model_files_add(&files, ADAPTER_CONFIG_NAME, strbuf_text(&config), config.length));
    check_written(w, adapter, &factors, &files);
    check_merged(w, c->name, &factors, model_files_find(&files, ADAPTER_CONFIG_NAME));
    model_files_release(&files);
    strbuf_release(&config);
    backend_release(&w->backend, &factors.values);
    adapter_destroy(&adapter);
}

/* The model itself, for merging. */
static void write_model(struct world *w) {
    struct model_files files = {.count = 0};
    const struct parameter_set *all = weights_parameters(w->weights);
    CHECK_OK(model_files_read(&files, TINY_DATA "/qwen2"));
    CHECK_OK(model_directory_write(&(struct model_directory){.parameters = all->items,
                                                             .parameter_count = all->count,
                                                             .read = read_weight,
                                                             .context = w,
                                                             .files = &files,
                                                             .dtype = DTYPE_F32},
                                   folder_file("model")));
    model_files_release(&files);
}

/* --- what is refused --- */

static void copy(const char *name, const char *file) {
    size_t n;
    char *bytes = folder_read(of_case(name, file), &n), to[64];
    snprintf(to, sizeof to, "changed/%s", file);
    folder_write(folder_file(to), bytes, n);
    free(bytes);
}

/* The adapter `plain` with one field of its configuration set, or with NULL taken out. */
static enum status with_field(struct world *w, const char *field, const char *value) {
    struct adapter *adapter = NULL;
    json_t *config = read_json(of_case("plain", ADAPTER_CONFIG_NAME));
    if (value == NULL)
        json_object_del(config, field);
    else
        json_object_set_new(config, field, json_loads(value, JSON_DECODE_ANY, NULL));
    char *text = json_dumps(config, 0);
    ASSERT(text != NULL);
    folder_write(folder_file("changed/" ADAPTER_CONFIG_NAME), text, strlen(text));
    free(text);
    json_decref(config);
    const enum status status = adapter_directory_open(&adapter, folder_file("changed"), &w->backend,
                                                      &w->hparams, DTYPE_F32);
    if (status == STATUS_OK)
        check_scores(w, adapter, "plain", "logprob");
    CHECK(status == STATUS_OK || adapter == NULL);
    adapter_destroy(&adapter);
    return status;
}

static void test_fields(struct world *w) {
    static const char *const refused[][3] = {
        {"bias", "\"all\"", "bias asks"},
        {"bias", "\"lora_only\"", "bias asks"},
        {"use_dora", "true", "use_dora asks"},
        {"fan_in_fan_out", "true", "fan_in_fan_out asks"},
        {"modules_to_save", "[\"lm_head\"]", "modules_to_save asks"},
        {"rank_pattern", "{\"q_proj\": 4}", "rank_pattern asks"},
        {"alpha_pattern", "{\"q_proj\": 4}", "alpha_pattern asks"},
        {"layers_pattern", "\"h\"", "layers_pattern asks"},
        {"layer_replication", "[[0, 1]]", "layer_replication asks"},
        {"target_parameters", "[\"a\"]", "target_parameters asks"},
        {"layers_to_transform", "[0]", "layers_to_transform asks"},
        {"layers_to_transform", "0", "layers_to_transform asks"},
        {"trainable_token_indices", "[1]", "trainable_token_indices asks"},
        {"lora_bias", "true", "lora_bias asks"},
        {"alora_invocation_tokens", "[1]", "alora_invocation_tokens asks"},
        {"use_qalora", "true", "use_qalora asks"},
        {"use_bdlora", "{\"nblocks\": 2}", "use_bdlora asks"},
        {"arrow_config", "{\"top_k\": 1}", "arrow_config asks"},
        {"kasa_config", "{\"beta\": 1}", "kasa_config asks"},
        {"of_next_year", "true", "of_next_year asks"},
        {"init_lora_weights", "\"pissa_niter_4\"", "init_lora_weights is pissa_niter_4"},
        {"init_lora_weights", "\"olora\"", "init_lora_weights is olora"},
        {"init_lora_weights", "\"loftq\"", "init_lora_weights is loftq"},
        {"init_lora_weights", "3", "init_lora_weights is no text"},
        {"peft_type", "\"LOHA\"", "peft_type is \"LOHA\""},
        {"peft_type", "1", "peft_type"},
        {"r", "0", "r is 0"},
        {"r", "65537", "r is 65537"},
        {"r", "2", "is not (2, 48)"},
        {"r", "\"3\"", "r"},
        {"lora_alpha", "0", "lora_alpha is 0"},
        {"lora_alpha", "-1", "lora_alpha is -1"},
        {"lora_alpha", "1e7", "lora_alpha is 1e+07"},
        {"use_rslora", "1", "use_rslora"},
    };
    static const char *const accepted[][2] = {
        {"target_modules", "\"all-linear\""},
        {"target_modules", "\".*(q|k)_proj\""},
        {"target_modules", NULL},
        {"lora_dropout", "0.1"},
        {"init_lora_weights", "\"gaussian\""},
        {"init_lora_weights", "false"},
        {"of_next_year", "null"},
        {"bias", NULL},
        {"lora_alpha", "6.0"},
        {"peft_type", NULL},
    };
    copy("plain", ADAPTER_WEIGHTS_NAME);
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++)
        CHECK_STATUS(with_field(w, refused[i][0], refused[i][1]), STATUS_INPUT, refused[i][2]);
    for (size_t i = 0; i < sizeof accepted / sizeof *accepted; i++)
        CHECK_OK(with_field(w, accepted[i][0], accepted[i][1]));
}

/* --- tensors --- */

#define LAYER "base_model.model.model.layers."

/* Tensors as the file gives them; `changed` has one taken out, one more, or another shape. */
struct tensors {
    struct parameter items[64];
    int64_t count;
};

static enum status read_constant(void *context, const struct parameter *parameter, float *out) {
    const float *value = context;
    for (int64_t i = 0; i < parameter->rows * parameter->columns; i++)
        out[i] = *value;
    return STATUS_OK;
}

static void list_subset(const struct world *w, struct tensors *out) {
    struct parameter *items = NULL;
    struct parameter_set set;
    CHECK_OK(adapter_parameters_list(&w->hparams, &cases[2].settings, &items, &set));
    CHECK(set.count < 64);
    memcpy(out->items, items, (size_t)set.count * sizeof *items);
    out->count = set.count;
    memory_release(&items);
}

static enum status with_tensors(struct world *w, const struct tensors *tensors, float value) {
    struct adapter *adapter = NULL;
    const struct tensor_source source = {.parameters = tensors->items,
                                         .count = tensors->count,
                                         .dtype = DTYPE_F32,
                                         .read = read_constant,
                                         .context = &value};
    copy("subset", ADAPTER_CONFIG_NAME);
    CHECK_OK(tensor_file_write(&source, folder_file("changed/" ADAPTER_WEIGHTS_NAME)));
    const enum status status = adapter_directory_open(&adapter, folder_file("changed"), &w->backend,
                                                      &w->hparams, DTYPE_F32);
    adapter_destroy(&adapter);
    return status;
}

static void test_tensors(struct world *w) {
    struct tensors good, t;
    list_subset(w, &good);
    CHECK_OK(with_tensors(w, &good, 0.5f));
    CHECK_STATUS(with_tensors(w, &good, (float)NAN), STATUS_INPUT, "holds nan at element 0");
    for (int64_t i = 0; i < good.count; i++) {
        t = good;
        t.items[i] = t.items[--t.count];
        CHECK_STATUS(with_tensors(w, &t, 0.5f), STATUS_INPUT, good.items[i].name);
        t = good;
        t.items[i].rows++;
        CHECK_STATUS(with_tensors(w, &t, 0.5f), STATUS_INPUT, good.items[i].name);
        t = good;
        t.items[i].matrix = false;
        t.items[i].rows *= t.items[i].columns;
        t.items[i].columns = 1;
        CHECK_STATUS(with_tensors(w, &t, 0.5f), STATUS_INPUT, good.items[i].name);
    }
    static const char *const more[] = {
        "base_model.model.lm_head.lora_A.weight", LAYER "2.self_attn.q_proj.lora_A.weight",
        LAYER "0.self_attn.q_proj.lora_magnitude_vector.weight", "model.norm.weight"};
    for (size_t i = 0; i < sizeof more / sizeof *more; i++) {
        t = good;
        t.items[t.count] = t.items[0];
        snprintf(t.items[t.count++].name, sizeof t.items[0].name, "%s", more[i]);
        CHECK_STATUS(with_tensors(w, &t, 0.5f), STATUS_INPUT, "the others would be lost");
    }
    t = (struct tensors){.count = 1, .items = {good.items[0]}};
    snprintf(t.items[0].name, sizeof t.items[0].name, "something.else");
    CHECK_STATUS(with_tensors(w, &t, 0.5f), STATUS_INPUT, "at least one of the targets");
    unlink(folder_file("changed/" ADAPTER_WEIGHTS_NAME));
    struct adapter_settings settings;
    CHECK_STATUS(adapter_directory_settings(folder_file("changed"), &w->hparams, &settings),
                 STATUS_INPUT, ADAPTER_WEIGHTS_NAME);
    CHECK_STATUS(adapter_directory_settings(folder_file("nowhere"), &w->hparams, &settings),
                 STATUS_INPUT, ADAPTER_CONFIG_NAME);
}

/* --- damage --- */

/* Changes, inserts or removes a few bytes, mostly in the first `head` bytes; returns the length. */
static size_t mutate(char *bytes, size_t n, size_t head, uint32_t round, uint32_t file) {
    static const char letters[] = "0\"{}[],:\\ NaeE.-u\xff\x01_9";
    for (uint32_t k = 0; k < 1 + round % 4; k++) {
        const uint64_t bits = random_bits(11, RANDOM_TEST, round, k, file, 0);
        const size_t at = (size_t)(bits % (k == 3 ? n : head < n ? head : n));
        const uint64_t what = bits >> 32;
        if (what % 4 == 0 && n > 1)
            memmove(bytes + at, bytes + at + 1, --n - at);
        else if (what % 4 == 1)
            bytes[at] = (char)(what >> 8);
        else
            bytes[at] = letters[(what >> 8) % (sizeof letters - 1)];
    }
    return round % 25 == 0 ? n / 2 : n;
}

/* Whatever the bytes are: an adapter or one sentence. Returns how many were refused. */
static int damage(struct world *w, const char *file, size_t head, uint32_t which) {
    size_t n;
    char *good = folder_read(of_case("subset", file), &n), *bytes = malloc(n), path[64];
    int refused = 0;
    snprintf(path, sizeof path, "changed/%s", file);
    ASSERT(bytes != NULL);
    copy("subset", ADAPTER_CONFIG_NAME);
    copy("subset", ADAPTER_WEIGHTS_NAME);
    for (uint32_t round = 0; round < MUTATIONS; round++) {
        struct adapter *adapter = NULL;
        memcpy(bytes, good, n);
        folder_write(folder_file(path), bytes, mutate(bytes, n, head, round, which));
        const enum status status = adapter_directory_open(&adapter, folder_file("changed"),
                                                          &w->backend, &w->hparams, DTYPE_F32);
        refused += status != STATUS_OK;
        if (status != STATUS_OK && status != STATUS_INPUT)
            CHECK_FAILED("round %u of %s: status %d: %s", round, file, (int)status,
                         status_sentence());
        if (status != STATUS_OK &&
            (strlen(status_sentence()) < 10 || strchr(status_sentence(), '\n') != NULL))
            CHECK_FAILED("round %u of %s says \"%s\"", round, file, status_sentence());
        CHECK((status == STATUS_OK) == (adapter != NULL));
        status_clear();
        adapter_destroy(&adapter);
    }
    free(good);
    free(bytes);
    return refused;
}

int main(void) {
    struct world w;
    folder_make();
    mkdir(folder_file("changed"), 0777);
    open_world(&w);
    write_model(&w);
    for (int i = 0; i < CASES; i++) {
        test_read(&w, &cases[i]);
        test_written(&w, &cases[i]);
    }
    test_fields(&w);
    test_tensors(&w);
    const int config = damage(&w, ADAPTER_CONFIG_NAME, 1 << 20, 0);
    const int factors = damage(&w, ADAPTER_WEIGHTS_NAME, 1400, 1);
    CHECK(config > MUTATIONS / 4 && config < MUTATIONS); /* some damage is harmless */
    CHECK(factors > MUTATIONS / 4 && factors < MUTATIONS);
    close_world(&w);
    folder_remove();
    CHECK_EQ(memory_totals().bytes, 0);
    return CHECK_END();
}
