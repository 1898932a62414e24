/* SPDX-License-Identifier: Apache-2.0
 *
 * config.json: as transformers 5 saves it (tests/data/model), the older spelling, missing fields,
 * and everything that must be refused by name; what is written reads back the same.
 */
#include "model/hparams.h"

#include "base/random.h"
#include "check.h"
#include "unit/file/folder.h"
#include "unit/model/tiny.h"

/* Writes a file of the folder; NULL removes it. */
static void write_text(const char *name, const char *text) {
    if (text != NULL)
        folder_write(folder_file(name), text, strlen(text));
    else
        unlink(folder_file(name));
}

#define BASE                                                                                       \
    "\"num_hidden_layers\": 2, \"hidden_size\": 32, \"intermediate_size\": 64, "                   \
    "\"num_attention_heads\": 4, \"vocab_size\": 100"

static void write_config(const char *type, const char *rest) {
    char text[2000];
    snprintf(text, sizeof text, "{\"model_type\": \"%s\", " BASE "%s%s}", type,
             rest[0] != '\0' ? ", " : "", rest);
    write_text("config.json", text);
}

static void refuse(const char *type, const char *rest, const char *words) {
    struct hparams h;
    write_config(type, rest);
    CHECK_STATUS(hparams_read(folder_path, &h), STATUS_INPUT, words);
    CHECK_STATUS(hparams_read(folder_path, &h), STATUS_INPUT, "config.json");
}

static struct hparams accept(const char *type, const char *rest) {
    struct hparams h = {.layers = 0};
    write_config(type, rest);
    CHECK_OK(hparams_read(folder_path, &h));
    return h;
}

static void test_saved_by_transformers(void) {
    struct hparams h;
    CHECK_OK(hparams_read(TINY_DATA "/qwen2", &h));
    CHECK(h.arch == ARCH_QWEN2 && h.qkv_bias && !h.o_bias && !h.qk_norm && h.tied);
    CHECK(h.layers == 2 && h.C == 48 && h.F == 72 && h.H == 4 && h.K == 2 && h.D == 12);
    CHECK(h.V == 1100 && h.max_positions == 256 && !h.rope_llama3 && h.rope_theta == 1e4);
    CHECK(h.bos == 1 && h.eos_count == 2 && h.eos[0] == 2 && h.eos[1] == 3);
    CHECK_OK(hparams_read(TINY_DATA "/qwen3", &h));
    CHECK(h.arch == ARCH_QWEN3 && !h.qkv_bias && h.qk_norm && !h.tied && h.D == 16);
    CHECK(h.rope_theta == 1e6);
    CHECK_OK(hparams_read(TINY_DATA "/llama3", &h));
    CHECK(h.arch == ARCH_LLAMA && h.rope_llama3 && h.rope_theta == 5e5 && h.rope_factor == 8.0);
    CHECK(h.rope_low_freq_factor == 1.0 && h.rope_high_freq_factor == 4.0);
    CHECK(h.rope_original_positions == 16 && h.rms_epsilon == 1e-5f);
    CHECK_OK(hparams_read(TINY_DATA "/llama_bias", &h));
    CHECK(h.qkv_bias && h.o_bias && h.mlp_bias && !h.tied);
}

static void test_defaults(void) {
    struct hparams h = accept("qwen2", "");
    CHECK(h.K == 4 && h.D == 8 && h.rope_theta == 1e4 && h.rms_epsilon == 1e-6f && !h.tied);
    CHECK(h.max_positions == 32768 && h.dtype == DTYPE_F32 && h.bos == -1 && h.eos_count == 0);
    h = accept("qwen3", "\"num_key_value_heads\": null, \"attention_bias\": true");
    CHECK(h.D == 128 && h.K == 4 && h.qkv_bias && h.o_bias);
    h = accept("llama", "\"torch_dtype\": \"bfloat16\", \"rope_scaling\": null");
    CHECK(h.dtype == DTYPE_BF16 && h.max_positions == 2048);
    h = accept("llama", "\"dtype\": \"float16\", \"rope_theta\": 500000, \"rope_scaling\": "
                        "{\"type\": \"llama3\", \"factor\": 32.0, \"low_freq_factor\": 1.0, "
                        "\"high_freq_factor\": 4.0, \"original_max_position_embeddings\": 64}");
    CHECK(h.dtype == DTYPE_F16 && h.rope_theta == 5e5 && h.rope_llama3 && h.rope_factor == 32.0);
    h = accept("qwen2", "\"use_sliding_window\": false, \"sliding_window\": 4096, "
                        "\"max_window_layers\": 1, \"use_mrope\": false");
    h = accept("qwen2", "\"use_sliding_window\": true, \"sliding_window\": 4096");
    CHECK_EQ(h.layers, 2);
    h = accept("llama", "\"bos_token_id\": 7, \"eos_token_id\": [8, 9], \"unknown\": {\"a\": 1}");
    CHECK(h.bos == 7 && h.eos_count == 2 && h.eos[1] == 9);
    write_text("generation_config.json", "{\"temperature\": 0.1, \"eos_token_id\": 5}");
    h = accept("llama", "\"eos_token_id\": [8, 9]");
    CHECK(h.eos_count == 1 && h.eos[0] == 5);
    /* ids outside the vocabulary are never drawn: passed over */
    h = accept("qwen2", "\"eos_token_id\": [99, 100, 3, -1], \"bos_token_id\": -1");
    CHECK(h.bos == -1 && h.eos_count == 1 && h.eos[0] == 5); /* generation_config.json's */
    write_text("generation_config.json", "{\"eos_token_id\": 4000000}");
    h = accept("qwen2", "\"eos_token_id\": [99, 100, 3, -1], \"bos_token_id\": 7777");
    CHECK(h.bos == -1 && h.eos_count == 2 && h.eos[0] == 99 && h.eos[1] == 3);
    write_text("generation_config.json", NULL);
    h = accept("qwen2", "\"eos_token_id\": 100");
    CHECK_EQ(h.eos_count, 0);
}

static void test_refusals(void) {
    refuse("gpt2", "", "model_type = \"gpt2\" is not supported");
    refuse("qwen2", "\"quantization_config\": {\"bits\": 4}", "quantization_config");
    refuse("qwen2",
           "\"use_sliding_window\": true, \"sliding_window\": 64, \"max_window_layers\": 1",
           "use_sliding_window");
    refuse("qwen3", "\"layer_types\": [\"full_attention\", \"sliding_attention\"]",
           "layer_types = \"sliding_attention\"");
    refuse("llama", "\"rope_scaling\": {\"rope_type\": \"yarn\", \"factor\": 4.0}",
           "rope_type = \"yarn\"");
    refuse("llama", "\"rope_parameters\": {\"rope_type\": \"linear\", \"factor\": 4.0}", "linear");
    refuse("qwen2", "\"rope_scaling\": {\"type\": \"mrope\", \"mrope_section\": [1]}", "mrope");
    refuse("qwen2", "\"rope_scaling\": {\"mrope_section\": [1]}", "mrope_section");
    refuse("llama", "\"rope_scaling\": 8", "rope_scaling is not an object");
    refuse("llama", "\"rope_scaling\": {}, \"rope_parameters\": {}", "both given");
    refuse("llama", "\"rope_scaling\": {\"rope_type\": \"llama3\"}", "factor is missing");
    refuse("llama",
           "\"rope_scaling\": {\"rope_type\": \"llama3\", \"factor\": 8, \"low_freq_factor\": 4, "
           "\"high_freq_factor\": 4}",
           "high_freq_factor");
    refuse("qwen2", "\"partial_rotary_factor\": 0.5", "partial_rotary_factor");
    refuse("qwen2", "\"rope_theta\": 0", "rope_theta");
    refuse("qwen2", "\"rms_norm_eps\": -1e-6", "rms_norm_eps");
    refuse("qwen2", "\"rms_norm_eps\": NaN", "config.json");
    refuse("qwen2", "\"rms_norm_eps\": \"small\"", "rms_norm_eps");
    refuse("qwen2", "\"hidden_act\": \"gelu\"", "hidden_act = \"gelu\"");
    refuse("qwen2", "\"vocab_size\": 100", "vocab_size");
    refuse("qwen2", "\"head_dim\": 7", "head_dim = 7 is odd");
    refuse("qwen2", "\"head_dim\": 99999999", "head_dim");
    refuse("qwen2", "\"num_key_value_heads\": 3", "num_key_value_heads = 3");
    refuse("qwen2", "\"num_key_value_heads\": 8", "num_key_value_heads");
    refuse("qwen2", "\"max_position_embeddings\": 0", "max_position_embeddings");
    refuse("qwen2", "\"torch_dtype\": \"float8_e4m3fn\"", "torch_dtype = \"float8_e4m3fn\"");
    refuse("qwen2", "\"eos_token_id\": \"</s>\"", "eos_token_id");
    refuse("qwen2", "\"eos_token_id\": [0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0]", "17 ids");
    refuse("qwen2", "\"bos_token_id\": 1e3", "bos_token_id");
    refuse("qwen2", "\"use_mrope\": true", "use_mrope");
}

static void refuse_text(const char *text, const char *words) {
    struct hparams h;
    write_text("config.json", text);
    CHECK_STATUS(hparams_read(folder_path, &h), STATUS_INPUT, words);
}

static void test_broken_files(void) {
    refuse_text(NULL, "config.json");
    refuse_text("", "config.json");
    refuse_text("[1]", "JSON object");
    refuse_text("{\"model_type\": \"qwen2\"", "config.json");
    refuse_text("{}", "model_type is missing");
    refuse_text("{\"model_type\": 3}", "model_type");
    refuse_text("{\"model_type\": \"qwen2\"}", "num_hidden_layers is missing");
    refuse_text("{\"model_type\": \"llama\", \"num_hidden_layers\": 1, \"hidden_size\": 30, "
                "\"intermediate_size\": 8, \"num_attention_heads\": 4, \"vocab_size\": 9}",
                "hidden_size = 30 is not a multiple");
    write_config("qwen2", "");
    write_text("generation_config.json", "{\"eos_token_id\": 1");
    struct hparams h;
    CHECK_STATUS(hparams_read(folder_path, &h), STATUS_INPUT, "generation_config.json");
    write_text("generation_config.json", NULL);
}

static bool same(const struct hparams *a, const struct hparams *b) {
    for (int i = 0; i < a->eos_count; i++)
        if (a->eos[i] != b->eos[i])
            return false;
    return a->arch == b->arch && a->layers == b->layers && a->C == b->C && a->F == b->F &&
           a->H == b->H && a->K == b->K && a->D == b->D && a->V == b->V &&
           a->max_positions == b->max_positions && a->rms_epsilon == b->rms_epsilon &&
           a->rope_theta == b->rope_theta && a->rope_llama3 == b->rope_llama3 &&
           a->rope_factor == b->rope_factor && a->rope_low_freq_factor == b->rope_low_freq_factor &&
           a->rope_high_freq_factor == b->rope_high_freq_factor &&
           a->rope_original_positions == b->rope_original_positions && a->qkv_bias == b->qkv_bias &&
           a->o_bias == b->o_bias && a->mlp_bias == b->mlp_bias && a->qk_norm == b->qk_norm &&
           a->tied == b->tied && a->dtype == b->dtype && a->bos == b->bos &&
           a->eos_count == b->eos_count;
}

static void test_written_reads_back(void) {
    for (int i = 0; i < TINY_COUNT; i++) {
        char path[200];
        struct hparams h, again;
        snprintf(path, sizeof path, TINY_DATA "/%s", tiny_names[i]);
        CHECK_OK(hparams_read(path, &h));
        CHECK_OK(hparams_write(&h, folder_path));
        CHECK_OK(hparams_read(folder_path, &again));
        CHECK(same(&h, &again));
    }
}

/* Bytes changed, cut and doubled at random: a sentence or a model, never anything else. */
static void test_mutated(const char *name) {
    char path[200];
    size_t n;
    snprintf(path, sizeof path, TINY_DATA "/%s/config.json", name);
    char *const text = folder_read(path, &n);
    char *const bytes = malloc(n);
    for (uint32_t round = 0; round < 1000; round++) {
        struct hparams h;
        size_t length = n;
        memcpy(bytes, text, n);
        for (uint32_t i = 0; i < 1 + round % 4; i++) {
            const uint64_t bits = random_bits(1, RANDOM_TEST, round, i, 0, 0);
            const size_t at = (size_t)(bits >> 20) % n;
            if ((bits & 3) == 0)
                bytes[at] = (char)(bits >> 8);
            else if ((bits & 3) == 1)
                bytes[at] = "0123456789-+.eE\"{}[],:"[(bits >> 8) % 23];
            else if ((bits & 3) == 2 && round % 8 == 0)
                length = at + 1;
            else
                memmove(bytes + at / 2, bytes + at, n - at);
        }
        folder_write(folder_file("config.json"), bytes, length);
        const enum status status = hparams_read(folder_path, &h);
        CHECK(status == STATUS_OK || (status == STATUS_INPUT && status_sentence()[0] != '\0'));
        if (status == STATUS_OK)
            CHECK(h.layers > 0 && h.C > 0 && h.D % 2 == 0 && h.H % h.K == 0 && h.rope_theta > 0.0);
    }
    free(bytes);
    free(text);
}

int main(void) {
    folder_make();
    test_saved_by_transformers();
    test_defaults();
    test_refusals();
    test_broken_files();
    test_written_reads_back();
    for (int i = 0; i < TINY_COUNT; i++)
        test_mutated(tiny_names[i]);
    folder_remove();
    return CHECK_END();
}
