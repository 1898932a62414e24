/* SPDX-License-Identifier: Apache-2.0
 *
 * Loading: a file, an index of several, bf16 and fp16 give the working weights and the master that
 * the stored numbers say; stacked matrices hold their parts in order; what does not fit, or is not
 * finite, is a sentence.
 */
#include "base/memory.h"
#include "base/strbuf.h"
#include "check.h"
#include "file/bytes.h"
#include "file/safetensors.h"
#include "unit/file/folder.h"
#include "unit/model/tiny.h"

/* What is written, and what is wrong about it. */
struct written {
    enum dtype dtype;
    int files;
    const char *left_out, *misshapen, *extra;
};

static void write_file(const char *path, const struct parameter *const *chosen, int64_t count,
                       const float *values, const struct written *w) {
    struct safetensors_entry entries[64];
    struct safetensors_writer *writer = NULL;
    char *bytes = NULL;
    for (int64_t i = 0; i < count; i++) {
        const struct parameter *p = chosen[i];
        entries[i] = (struct safetensors_entry){.name = p->name,
                                                .dtype = dtype_name(w->dtype),
                                                .shape = {p->rows, p->columns},
                                                .rank = p->matrix ? 2 : 1};
        if (w->misshapen != NULL && strcmp(p->name, w->misshapen) == 0) {
            entries[i].shape[0] = p->columns;
            entries[i].shape[1] = p->rows;
        }
    }
    CHECK_OK(safetensors_create(&writer, path, entries, count));
    for (int64_t i = 0; i < count; i++) {
        const int64_t n = chosen[i]->rows * chosen[i]->columns;
        const int64_t size = n * (int64_t)dtype_bytes(w->dtype);
        CHECK_OK(memory_grow(&bytes, size, "bytes"));
        dtype_from_f32(w->dtype, values + chosen[i]->offset, bytes, n);
        CHECK_OK(safetensors_append(writer, bytes, size));
    }
    CHECK_OK(safetensors_commit(&writer));
    memory_release(&bytes);
}

/* Neighbours go to different files, on purpose. */
static void write_model(const struct parameter *parameters, int64_t count, const float *values,
                        const struct written *w) {
    struct strbuf index = STRBUF_EMPTY;
    const struct parameter *chosen[64];
    struct parameter extra = {.rows = 1, .columns = 1};
    CHECK_OK(strbuf_append_text(&index, "{\"weight_map\": {"));
    for (int f = 0; f < w->files; f++) {
        char name[64];
        int64_t n = 0;
        if (w->files == 1)
            snprintf(name, sizeof name, "model.safetensors");
        else
            snprintf(name, sizeof name, "model-%05d-of-%05d.safetensors", f + 1, w->files);
        for (int64_t i = f; i < count; i += w->files)
            if (w->left_out == NULL || strcmp(parameters[i].name, w->left_out) != 0)
                chosen[n++] = &parameters[i];
        if (w->extra != NULL && f == 0) {
            snprintf(extra.name, sizeof extra.name, "%s", w->extra);
            chosen[n++] = &extra;
        }
        for (int64_t i = 0; i < n; i++)
            CHECK_OK(strbuf_append_format(&index, "%s\"%s\": \"%s\"", f + i > 0 ? ", " : "",
                                          chosen[i]->name, name));
        write_file(folder_file(name), chosen, n, values, w);
    }
    CHECK_OK(strbuf_append_text(&index, "}}"));
    if (w->files > 1)
        folder_write(folder_file("model.safetensors.index.json"), index.text, index.length);
    strbuf_release(&index);
}

/* Each packed matrix and each vector against the flat vector, through the log-probabilities: two
 * models with equal weights give equal bits. */
static void check_same_bits(struct model *a, struct model *b) {
    struct batch batch = BATCH_EMPTY;
    float logprob[2][20], entropy[2][20];
    CHECK_OK(tiny_batch(&batch, model_hparams(a)->V));
    CHECK_EQ(batch.target_count, 20);
    CHECK_OK(model_forward(a, &batch, 1.0f, false, logprob[0], entropy[0]));
    CHECK_OK(model_forward(b, &batch, 1.0f, false, logprob[1], entropy[1]));
    CHECK(memcmp(logprob[0], logprob[1], sizeof logprob[0]) == 0);
    CHECK(memcmp(entropy[0], entropy[1], sizeof entropy[0]) == 0);
    batch_release(&batch);
}

static void check_loaded(struct backend *backend, const struct hparams *h, const float *values,
                         const struct written *w) {
    struct model *with = NULL, *without = NULL;
    float *master = NULL, *host = NULL, *rounded = NULL;
    const int64_t n = parameters_elements(h);
    const struct model_settings settings = {.max_positions = h->max_positions};
    CHECK_OK(tiny_create(&with, backend, h, &settings));
    CHECK_OK(tiny_create(&without, backend, h, &settings));
    CHECK_OK(backend_new(backend, &master, n, "master"));
    CHECK_OK(memory_new(&host, n, "master on the host"));
    CHECK_OK(memory_new(&rounded, n, "rounded"));
    CHECK_OK(weights_load(model_weights(with), folder_path, master, NULL));
    CHECK_OK(weights_load(model_weights(without), folder_path, NULL, NULL));
    CHECK_OK(backend->ops->download(backend, host, master, (size_t)n * sizeof *host));
    char *bytes = NULL;
    CHECK_OK(memory_allocate(&bytes, (size_t)n, dtype_bytes(w->dtype), "stored"));
    dtype_from_f32(w->dtype, values, bytes, n);
    dtype_to_f32(w->dtype, bytes, rounded, n);
    CHECK(memcmp(host, rounded, (size_t)n * sizeof *host) == 0);
    check_same_bits(with, without);
    memory_release(&bytes);
    memory_release(&rounded);
    memory_release(&host);
    backend_release(backend, &master);
    tiny_close(&with);
    tiny_close(&without);
}

static void check_refused(struct backend *backend, const struct hparams *h, const char *words) {
    struct model *model = NULL;
    CHECK_OK(tiny_create(&model, backend, h, &(struct model_settings){.max_positions = 8}));
    CHECK_STATUS(weights_load(model_weights(model), folder_path, NULL, NULL), STATUS_INPUT, words);
    tiny_close(&model);
}

static void test_model(struct backend *backend, const char *name) {
    char path[200];
    struct hparams h;
    struct parameter *parameters = NULL;
    float *values = NULL;
    int64_t count;
    snprintf(path, sizeof path, TINY_DATA "/%s", name);
    CHECK_OK(hparams_read(path, &h));
    CHECK_OK(parameters_list(&h, &parameters, &count));
    CHECK_OK(memory_new(&values, parameters_elements(&h), "values"));
    tiny_fill(parameters, count, values);
    const struct written good[] = {{.dtype = DTYPE_F32, .files = 1, .extra = "lm_head.old"},
                                   {.dtype = DTYPE_BF16, .files = 1},
                                   {.dtype = DTYPE_F16, .files = 3}};
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        folder_make();
        write_model(parameters, count, values, &good[i]);
        check_loaded(backend, &h, values, &good[i]);
        folder_remove();
    }
    const struct written bad[] = {
        {.dtype = DTYPE_F32, .files = 1, .left_out = "model.layers.1.self_attn.k_proj.weight"},
        {.dtype = DTYPE_F32, .files = 2, .misshapen = "model.layers.0.mlp.down_proj.weight"}};
    const char *const words[] = {"model.layers.1.self_attn.k_proj.weight",
                                 "model.layers.0.mlp.down_proj.weight has shape ("};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        folder_make();
        write_model(parameters, count, values, &bad[i]);
        check_refused(backend, &h, words[i]);
        folder_remove();
    }
    const float odd[] = {NAN, INFINITY, -INFINITY};
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        char sentence[200];
        const struct parameter *p = &parameters[count - 1 - (int64_t)i];
        float *value = &values[p->offset + 5], kept = *value;
        *value = odd[i];
        snprintf(sentence, sizeof sentence, "the tensor %s holds %g at element 5 of %lld", p->name,
                 (double)odd[i], (long long)(p->rows * p->columns));
        folder_make();
        write_model(parameters, count, values, &good[i]);
        check_refused(backend, &h, sentence);
        folder_remove();
        *value = kept;
    }
    memory_release(&values);
    memory_release(&parameters);
}

/* A model that config.json ties, with a head of its own: `from` says which numbers it has. */
static struct hparams read_with_head(const struct parameter *parameters, int64_t count,
                                     const float *values, int64_t from) {
    struct parameter all[64];
    struct hparams h;
    memcpy(all, parameters, (size_t)count * sizeof *all);
    all[count] = parameters[0];
    all[count].offset = from;
    snprintf(all[count].name, sizeof all[count].name, "lm_head.weight");
    write_model(all, count + 1, values, &(struct written){.dtype = DTYPE_F32, .files = 1});
    CHECK_OK(hparams_read(folder_path, &h));
    return h;
}

static void copy_config(const char *from) {
    struct strbuf text = STRBUF_EMPTY;
    CHECK_OK(bytes_read_file(from, 1 << 20, &text));
    folder_write(folder_file("config.json"), text.text, text.length);
    strbuf_release(&text);
}

/* The weights decide whether the head is the embedding, as in transformers 5.24, which says
 * "both are present in the checkpoints with different values, so we will NOT tie them". */
static void test_tied(struct backend *backend) {
    struct hparams h, other;
    struct parameter *parameters = NULL;
    float *values = NULL, *host = NULL, *master = NULL;
    struct model *model = NULL;
    int64_t count;
    CHECK_OK(hparams_read(TINY_DATA "/qwen2", &h));
    CHECK_OK(parameters_list(&h, &parameters, &count));
    const int64_t n = parameters_elements(&h), table = h.V * h.C;
    CHECK_OK(memory_new(&values, n, "values"));
    CHECK_OK(memory_new(&host, n + table, "host"));
    tiny_fill(parameters, count, values);
    folder_make();
    copy_config(TINY_DATA "/qwen2/config.json");
    CHECK(read_with_head(parameters, count, values, 0).tied);
    other = read_with_head(parameters, count, values, 7);
    CHECK(!other.tied);
    CHECK_EQ(parameters_elements(&other), n + table);
    CHECK_OK(tiny_create(&model, backend, &other, &(struct model_settings){.max_positions = 8}));
    CHECK_OK(backend_new(backend, &master, n + table, "master"));
    CHECK_OK(weights_load(model_weights(model), folder_path, master, NULL));
    CHECK_OK(backend->ops->download(backend, host, master, (size_t)(n + table) * sizeof *host));
    CHECK(memcmp(host, values, (size_t)n * sizeof *host) == 0);
    CHECK(memcmp(host + n, values + 7, (size_t)table * sizeof *host) == 0);
    tiny_close(&model);
    /* a head alone is the embedding of a tied model */
    parameters[0].offset = 0;
    snprintf(parameters[0].name, sizeof parameters[0].name, "lm_head.weight");
    write_model(parameters, count, values, &(struct written){.dtype = DTYPE_F32, .files = 1});
    CHECK_OK(hparams_read(folder_path, &other));
    CHECK(other.tied);
    check_loaded(backend, &other, values, &(struct written){.dtype = DTYPE_F32, .files = 1});
    folder_remove();
    backend_release(backend, &master);
    memory_release(&host);
    memory_release(&values);
    memory_release(&parameters);
}

/* Row `row` of a matrix of the files with rows made for the ids [known, size). */
static void check_row(const float *have, const float *stored, int64_t row, int64_t known,
                      int64_t stored_rows, int64_t size, int64_t columns) {
    const bool made = row >= stored_rows || (row >= known && row < size);
    const int64_t before = known < stored_rows ? known : stored_rows;
    for (int64_t c = 0; c < columns; c++) {
        long double mean = 0.0L;
        for (int64_t r = 0; made && r < before; r++)
            mean += (long double)stored[r * columns + c] / (long double)before;
        const double want = made ? (double)mean : (double)stored[row * columns + c];
        CHECK_NEAR((double)have[row * columns + c], want, made ? 1e-9 : 0.0);
    }
}

static const struct parameter *find(const struct parameter *list, int64_t count, const char *name) {
    for (int64_t i = 0; i < count; i++)
        if (strcmp(list[i].name, name) == 0)
            return &list[i];
    return NULL;
}

/* Added tokens: rows that the files have beyond the tokenizer's ids are taken first, then new ones, to a
 * multiple of 8; they are the mean of the rows before, all else is what is stored. */
static void check_made(struct backend *backend, const struct hparams *h, const float *values,
                       int64_t known, int64_t size, int64_t rows) {
    struct hparams more = *h;
    struct parameter *before = NULL, *after = NULL;
    struct model *model = NULL;
    float *master = NULL, *host = NULL;
    int64_t count;
    hparams_make_rows(&more, known, size);
    CHECK_EQ(more.V, rows);
    CHECK_OK(parameters_list(h, &before, &count));
    CHECK_OK(parameters_list(&more, &after, &count));
    const int64_t n = parameters_elements(&more);
    CHECK_OK(tiny_create(&model, backend, &more, &(struct model_settings){.max_positions = 8}));
    CHECK_OK(backend_new(backend, &master, n, "master"));
    CHECK_OK(memory_new(&host, n, "master on the host"));
    CHECK_OK(weights_load(model_weights(model), folder_path, master, NULL));
    CHECK_OK(backend->ops->download(backend, host, master, (size_t)n * sizeof *host));
    for (int64_t i = 0; i < count; i++) {
        const struct parameter *p = find(before, count, after[i].name);
        const bool table = after[i].rows != p->rows || strcmp(p->name, "lm_head.weight") == 0 ||
                           strcmp(p->name, "model.embed_tokens.weight") == 0;
        for (int64_t r = table ? known - 2 : 0; r < after[i].rows; r++)
            check_row(host + after[i].offset, values + p->offset, r, table ? known : p->rows,
                      p->rows, table ? size : p->rows, p->columns);
    }
    tiny_close(&model);
    backend_release(backend, &master);
    memory_release(&host);
    memory_release(&before);
    memory_release(&after);
}

static void test_made(struct backend *backend) {
    static const char *const names[] = {"qwen2", "qwen3"};
    for (int i = 0; i < 2; i++) {
        char path[200];
        struct hparams h;
        struct parameter *parameters = NULL;
        float *values = NULL;
        int64_t count;
        snprintf(path, sizeof path, TINY_DATA "/%s", names[i]);
        CHECK_OK(hparams_read(path, &h));
        h.tied = i == 0;
        CHECK_OK(parameters_list(&h, &parameters, &count));
        CHECK_OK(memory_new(&values, parameters_elements(&h), "values"));
        tiny_fill(parameters, count, values);
        folder_make();
        write_model(parameters, count, values, &(struct written){.dtype = DTYPE_F32, .files = 1});
        check_made(backend, &h, values, 1000, 1003, 1100);
        check_made(backend, &h, values, 1099, 1101, 1104);
        check_made(backend, &h, values, 1100, 1104, 1104);
        check_made(backend, &h, values, 1103, 1105, 1112); /* ids of the tokenizer without a row */
        folder_remove();
        memory_release(&values);
        memory_release(&parameters);
    }
}

/* The flat vector has no gaps, and q, k, v and gate, up stand together. */
static void test_layout(void) {
    for (int i = 0; i < TINY_COUNT; i++) {
        char path[200];
        struct hparams h;
        struct parameter *p = NULL;
        int64_t count, next = 0;
        snprintf(path, sizeof path, TINY_DATA "/%s", tiny_names[i]);
        CHECK_OK(hparams_read(path, &h));
        CHECK_OK(parameters_list(&h, &p, &count));
        for (int64_t j = 0; j < count; j++) {
            CHECK_EQ(p[j].offset, next);
            CHECK(p[j].matrix == (p[j].columns > 1));
            next += p[j].rows * p[j].columns;
            if (strstr(p[j].name, "q_proj.weight") != NULL) {
                CHECK(strstr(p[j + 1].name, "k_proj.weight") != NULL);
                CHECK(strstr(p[j + 2].name, "v_proj.weight") != NULL);
            }
            if (strstr(p[j].name, "gate_proj.weight") != NULL)
                CHECK(strstr(p[j + 1].name, "up_proj.weight") != NULL);
        }
        CHECK_EQ(next, parameters_elements(&h));
        memory_release(&p);
    }
}

int main(void) {
    test_layout();
    for (int b = 0; b < TINY_BACKENDS; b++) {
        struct backend backend;
        CHECK_OK(backend_open(&backend, tiny_backends[b], 1));
        for (int i = 0; i < TINY_COUNT; i++)
            test_model(&backend, tiny_names[i]);
        test_tied(&backend);
        test_made(&backend);
        backend_close(&backend);
    }
    CHECK_EQ(memory_totals().bytes, 0);
    return CHECK_END();
}
