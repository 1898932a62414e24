/* SPDX-License-Identifier: Apache-2.0
 *
 * A model directory holds the weights under their names in the asked dtype, in one file or in
 * several with an index; config.json says which; nothing is left after a failure.
 */
#include "run/model_directory.h"

#include "base/memory.h"
#include "check.h"
#include "file/json.h"
#include "file/safetensors.h"
#include "unit/file/folder.h"

enum { PARAMETERS = 3 };

static const struct parameter parameters[PARAMETERS] = {
    {"model.embed_tokens.weight", 6, 4, true, 0},
    {"model.norm.weight", 4, 1, false, 24},
    {"a.bias", 5, 1, false, 28},
};
static struct model_files files;

static enum status read_values(void *context, const struct parameter *parameter, float *out) {
    const char *failing = context;
    if (failing != NULL && strcmp(failing, parameter->name) == 0)
        return FAIL(STATUS_IO, "%s cannot be read", failing);
    for (int64_t i = 0; i < parameter->rows * parameter->columns; i++)
        out[i] = (float)(parameter->offset + i) + 1.0f / 512.0f;
    return STATUS_OK;
}

static struct model_directory make(enum dtype dtype, int64_t shard_bytes) {
    return (struct model_directory){.parameters = parameters,
                                    .parameter_count = PARAMETERS,
                                    .read = read_values,
                                    .files = &files,
                                    .dtype = dtype,
                                    .shard_bytes = shard_bytes};
}

static void check_weights(const char *path, enum dtype dtype, double tolerance) {
    struct safetensors *weights;
    float values[24];
    CHECK_OK(safetensors_open(&weights, path));
    CHECK_EQ(safetensors_count(weights), PARAMETERS);
    for (int i = 0; i < PARAMETERS; i++) {
        const struct safetensor *tensor;
        CHECK_OK(safetensors_weight(weights, parameters[i].name, &tensor));
        CHECK_TEXT(tensor->dtype, dtype_name(dtype));
        CHECK_EQ(tensor->rank, parameters[i].matrix ? 2 : 1);
        CHECK_EQ(tensor->shape[0], parameters[i].rows);
        dtype_to_f32(dtype, tensor->data, values, tensor->elements);
        for (int64_t k = 0; k < tensor->elements; k++)
            CHECK_NEAR(values[k], (double)(parameters[i].offset + k) + 1.0 / 512.0, tolerance);
    }
    safetensors_close(&weights);
}

static void check_config(const char *path, const char *dtype, const char *torch_dtype) {
    json_t *root;
    double epsilon;
    CHECK_OK(json_read_file(path, 1 << 20, &root));
    const char *text = json_string_value(json_object_get(root, "dtype"));
    CHECK_TEXT(text != NULL ? text : "none", dtype);
    text = json_string_value(json_object_get(root, "torch_dtype"));
    CHECK_TEXT(text != NULL ? text : "none", torch_dtype);
    CHECK_OK(json_get_real(root, path, "rms_norm_eps", 0, &epsilon));
    CHECK_NEAR(epsilon, 1e-6, 0);
    json_decref(root);
}

static void set_config(const char *text) {
    model_files_release(&files);
    CHECK_OK(model_files_add(&files, "config.json", text, strlen(text)));
    CHECK_OK(model_files_add(&files, "tokenizer.json", "{}", 2));
}

static void test_single(void) {
    struct model_directory model = make(DTYPE_F32, 0);
    set_config("{\"torch_dtype\": \"bfloat16\", \"rms_norm_eps\": 1e-06}");
    CHECK_OK(model_directory_write(&model, folder_file("one")));
    CHECK_EQ(folder_entries(folder_file("one")), 3);
    check_weights(folder_file("one"), DTYPE_F32, 0);
    check_config(folder_file("one/config.json"), "none", "float32");
    CHECK_STATUS(model_directory_write(&model, folder_file("one")), STATUS_INPUT, "not an empty");
    model.replace = true;
    model.dtype = DTYPE_BF16;
    set_config("{\"dtype\": \"float32\", \"rms_norm_eps\": 1e-06}");
    CHECK_OK(model_directory_write(&model, folder_file("one")));
    check_weights(folder_file("one"), DTYPE_BF16, 0.125);
    check_config(folder_file("one/config.json"), "bfloat16", "none");
}

/* A head of its own beside config.json's tie is said in config.json as well. */
static void test_head(void) {
    static const struct parameter head = {"lm_head.weight", 6, 4, true, 3};
    struct model_directory model = make(DTYPE_F32, 0);
    json_t *root;
    set_config("{\"tie_word_embeddings\": true}");
    CHECK_OK(model_directory_write(&model, folder_file("tied")));
    CHECK_OK(json_read_file(folder_file("tied/config.json"), 1 << 20, &root));
    CHECK(json_is_true(json_object_get(root, "tie_word_embeddings")));
    json_decref(root);
    model.parameters = &head;
    model.parameter_count = 1;
    model.replace = true;
    CHECK_OK(model_directory_write(&model, folder_file("tied")));
    CHECK_OK(json_read_file(folder_file("tied/config.json"), 1 << 20, &root));
    CHECK(json_is_false(json_object_get(root, "tie_word_embeddings")));
    json_decref(root);
}

static void test_shards(void) {
    const struct model_directory model = make(DTYPE_F32, 116);
    CHECK_OK(model_directory_write(&model, folder_file("two")));
    CHECK_EQ(folder_entries(folder_file("two")), 5); /* 5 + 24 | 4 numbers, the index, two files */
    check_weights(folder_file("two"), DTYPE_F32, 0);
    json_t *root;
    CHECK_OK(json_read_file(folder_file("two/model.safetensors.index.json"), 1 << 20, &root));
    const json_t *metadata = json_object_get(root, "metadata");
    CHECK_EQ(json_integer_value(json_object_get(metadata, "total_size")), 33 * 4);
    json_decref(root);
}

static void test_failure(void) {
    struct model_directory model = make(DTYPE_F32, 36);
    const int before = folder_entries(folder_path);
    char failing[] = "a.bias";
    model.context = failing;
    CHECK_STATUS(model_directory_write(&model, folder_file("three")), STATUS_IO, "a.bias");
    CHECK_EQ(folder_entries(folder_path), before);
    model.context = NULL;
    set_config("[]");
    CHECK_STATUS(model_directory_write(&model, folder_file("three")), STATUS_INPUT, "config.json");
    CHECK_EQ(folder_entries(folder_path), before);
}

static void test_files(void) {
    struct model_files back;
    CHECK_OK(model_files_read(&back, folder_file("one")));
    CHECK_EQ(back.count, 2);
    CHECK_TEXT(back.files[1].name, "tokenizer.json");
    model_files_release(&back);
    CHECK_STATUS(model_files_read(&back, folder_file("none")), STATUS_INPUT, "config.json");
    model_files_release(&back);
}

int main(void) {
    folder_make();
    test_single();
    test_head();
    test_shards();
    test_failure();
    test_files();
    model_files_release(&files);
    folder_remove();
    CHECK_EQ(memory_totals().bytes, 0);
    return CHECK_END();
}
