/* SPDX-License-Identifier: Apache-2.0
 *
 * gradus score: log-probabilities and entropies of given texts under a model (design, section 8).
 * All lines are read and checked before anything is computed; the output appears whole or not at
 * all.
 */
#include "cli/cli.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "base/log.h"
#include "base/memory.h"
#include "file/h5.h"
#include "file/json.h"
#include "file/provenance.h"
#include "model/model.h"
#include "run/adapter_directory.h"
#include "text/tokenizer.h"

/* Texts as token ids, one after another, and what is found about them. */
struct score {
    const char *directory, *adapter, *input; /* adapter: a peft directory, or NULL */
    const char *device;                      /* the backend that computes */
    enum dtype dtype;                        /* of the matrices that are computed with */
    struct hparams hparams;
    struct tokenizer *tokenizer; /* opened by the first line that needs it */
    struct token_list ids;
    int64_t *offsets; /* (count + 1) */
    int64_t count, capacity, longest;
    float *logprob, *entropy; /* (ids.count) */
};

static void score_release(struct score *score) {
    tokenizer_destroy(&score->tokenizer);
    memory_release(&score->ids.ids);
    memory_release(&score->offsets);
    memory_release(&score->logprob);
    memory_release(&score->entropy);
}

/* --- reading --- */

static enum status append_text(struct score *score, const json_t *text, bool special) {
    if (score->tokenizer == NULL) {
        TRY(tokenizer_open(&score->tokenizer, score->directory));
        TRY(tokenizer_fit(score->tokenizer, score->hparams.V, score->directory));
    }
    return tokenizer_encode(score->tokenizer, json_string_value(text), json_string_length(text),
                            special, &score->ids);
}

static enum status append_ids(struct score *score, const json_t *list, long line) {
    size_t i;
    const json_t *value;
    json_array_foreach((json_t *)(uintptr_t)list, i, value) {
        const json_int_t id = json_integer_value(value);
        if (!json_is_integer(value) || id < 0 || id >= score->hparams.V)
            return FAIL(STATUS_INPUT,
                        "%s:%ld: element %zu of token_ids is not an id below the vocabulary of "
                        "%" PRId64,
                        score->input, line, i, score->hparams.V);
        const int32_t token = (int32_t)id;
        TRY(token_list_append(&score->ids, &token, 1));
    }
    return STATUS_OK;
}

static enum status append_line(struct score *score, const json_t *object, long line) {
    const json_t *text = json_object_get(object, "text"),
                 *ids = json_object_get(object, "token_ids"),
                 *prompt = json_object_get(object, "prompt"),
                 *answer = json_object_get(object, "answer");
    const int kinds = (text != NULL) + (ids != NULL) + (prompt != NULL || answer != NULL);
    if (kinds == 1 && json_is_string(text))
        return append_text(score, text, true);
    if (kinds == 1 && json_is_array(ids))
        return append_ids(score, ids, line);
    if (kinds == 1 && json_is_string(prompt) && json_is_string(answer)) {
        TRY(append_text(score, prompt, true));
        return append_text(score, answer, false);
    }
    return FAIL(STATUS_INPUT,
                "%s:%ld: a line is {\"text\": …}, {\"token_ids\": […]} or {\"prompt\": …, "
                "\"answer\": …}",
                score->input, line);
}

static enum status visit(void *context, int64_t row, json_t *value) {
    struct score *score = context;
    const long line = (long)row + 1;
    const int64_t begin = score->ids.count;
    if (score->count + 2 > score->capacity) {
        const int64_t capacity = 2 * score->capacity + 64;
        TRY(memory_grow(&score->offsets, capacity, "offsets of texts"));
        score->capacity = capacity;
    }
    TRY(append_line(score, value, line));
    const int64_t n = score->ids.count - begin;
    if (n > score->hparams.max_positions)
        return FAIL(STATUS_INPUT,
                    "%s:%ld: the text has %" PRId64 " tokens, the model takes %" PRId64
                    " (max_position_embeddings)",
                    score->input, line, n, score->hparams.max_positions);
    score->longest = n > score->longest ? n : score->longest;
    score->offsets[++score->count] = score->ids.count;
    return STATUS_OK;
}

static enum status read_input(struct score *score) {
    TRY(memory_grow(&score->offsets, 1, "offsets of texts"));
    score->capacity = 1;
    TRY(json_lines_read(score->input, visit, score));
    if (score->count == 0)
        return FAIL(STATUS_INPUT, "%s: the file has no lines to score", score->input);
    return STATUS_OK;
}

/* --- computing --- */

/* Scores the texts first … last − 1 in one pass; targets come in token order. */
static enum status score_pass(struct score *score, struct model *model, struct batch *batch,
                              int64_t first, int64_t last) {
    batch_clear(batch);
    for (int64_t i = first; i < last; i++) {
        const int64_t n = score->offsets[i + 1] - score->offsets[i];
        if (n > 0)
            TRY(batch_append_text(batch, score->ids.ids + score->offsets[i], n));
    }
    float *found = NULL;
    const int64_t R = batch->target_count;
    TRY(memory_new(&found, 2 * R, "scores of a pass"));
    const enum status status = model_forward(model, batch, 1.0f, false, found, found + R);
    int64_t at = 0;
    for (int64_t i = first; status == STATUS_OK && i < last; i++)
        for (int64_t t = score->offsets[i] + 1; t < score->offsets[i + 1]; t++, at++) {
            score->logprob[t] = found[at];
            score->entropy[t] = found[R + at];
        }
    memory_release(&found);
    return status;
}

static enum status score_all(struct score *score, struct model *model, int64_t tokens_per_pass) {
    struct batch batch = BATCH_EMPTY;
    enum status status = STATUS_OK;
    for (int64_t first = 0, last; status == STATUS_OK && first < score->count; first = last) {
        last = first + 1;
        while (last < score->count &&
               score->offsets[last + 1] - score->offsets[first] <= tokens_per_pass)
            last++;
        status = score_pass(score, model, &batch, first, last);
    }
    batch_release(&batch);
    return status;
}

static enum status open_model(const struct score *score, struct backend *backend,
                              struct weights **weights, struct adapter **adapter,
                              struct model **model) {
    const struct model_settings settings = {.max_positions =
                                                score->longest > 0 ? score->longest : 1};
    TRY(weights_create(weights, backend, &score->hparams, score->dtype));
    TRY(weights_load(*weights, score->directory, NULL, NULL));
    if (score->adapter != NULL)
        TRY(adapter_directory_open(adapter, score->adapter, backend, &score->hparams,
                                   score->dtype));
    return model_create(model, *weights, *adapter, &settings);
}

static enum status compute(struct score *score, int threads, int64_t tokens_per_pass) {
    struct backend backend;
    struct weights *weights = NULL;
    struct adapter *adapter = NULL;
    struct model *model = NULL;
    TRY(memory_new(&score->logprob, score->ids.count, "log-probabilities"));
    TRY(memory_new(&score->entropy, score->ids.count, "entropies"));
    for (int64_t i = 0; i < score->ids.count; i++)
        score->logprob[i] = score->entropy[i] = NAN;
    TRY(backend_open(&backend, score->device, threads));
    enum status status = open_model(score, &backend, &weights, &adapter, &model);
    if (status == STATUS_OK)
        status = score_all(score, model, tokens_per_pass);
    model_destroy(&model);
    adapter_destroy(&adapter);
    weights_destroy(&weights);
    backend_close(&backend);
    return status;
}

/* --- writing --- */

static enum status put_results(const struct score *score, struct h5 *h5, int threads) {
    struct provenance_input input;
    TRY(provenance_hash(&input, score->input));
    TRY(provenance_write(h5, &(struct provenance){.command = "gradus score",
                                                  .ranks = 1,
                                                  .threads = threads,
                                                  .inputs = &input,
                                                  .input_count = 1}));
    const struct {
        const char *path, *unit, *text;
        enum h5_kind kind;
        int64_t count;
        const void *values;
    } datasets[] = {
        {"/token_ids", "1", "token ids of all texts, one text behind another", H5_KIND_I32,
         score->ids.count, score->ids.ids},
        {"/offsets", "1", "text i is elements [offsets[i], offsets[i + 1]) of the others",
         H5_KIND_I64, score->count + 1, score->offsets},
        {"/logprob", "nat", "log-probability of the token; NaN for the first of a text",
         H5_KIND_F32, score->ids.count, score->logprob},
        {"/entropy", "nat", "entropy at the token's place; NaN for the first of a text",
         H5_KIND_F32, score->ids.count, score->entropy},
    };
    for (size_t i = 0; i < sizeof datasets / sizeof *datasets; i++) {
        TRY(h5_put_list(h5, datasets[i].path, datasets[i].kind, datasets[i].count,
                        datasets[i].values));
        TRY(h5_describe(h5, datasets[i].path, datasets[i].unit, datasets[i].text));
    }
    return STATUS_OK;
}

static enum status write_output(const struct score *score, const char *path, int threads) {
    struct h5 *h5 = NULL;
    TRY(h5_create(&h5, H5_FORMAT_CHECKED));
    const enum status status = put_results(score, h5, threads);
    if (status == STATUS_OK)
        return h5_save(&h5, path);
    (void)h5_close(&h5);
    return status;
}

static enum status run(struct cli *cli) {
    struct score score = {.directory = cli_value(cli, "model"),
                          .adapter = cli_value(cli, "adapter"),
                          .input = cli_value(cli, "input"),
                          .device = cli_given(cli, "device") ? cli_value(cli, "device") : "cpu"};
    int64_t threads = 0, tokens_per_pass = 4096;
    enum status status;
    TRY(cli_integer(cli, "threads", 0, 4096, &threads));
    TRY(cli_integer(cli, "tokens-per-pass", 1, 1 << 24, &tokens_per_pass));
    TRY(cli_precision(cli, &score.dtype));
    TRY(hparams_read(score.directory, &score.hparams));
    TRY_ELSE(status, done, read_input(&score));
    TRY_ELSE(status, done, compute(&score, (int)threads, tokens_per_pass));
    TRY_ELSE(status, done, write_output(&score, cli_value(cli, "output"), (int)threads));
    log_info("score", "texts = %" PRId64 ", tokens = %" PRId64, score.count, score.ids.count);
done:
    score_release(&score);
    return status;
}

const struct cli_command cmd_score = {
    .name = "score",
    .arguments = "",
    .text = "log-probabilities and entropies of given texts or token ids",
    .more = "Lines of the input are {\"text\": …}, {\"token_ids\": […]} or {\"prompt\": …,\n"
            "\"answer\": …}. The output is HDF5 with /token_ids, /offsets (row i is\n"
            "[offsets[i], offsets[i+1])), /logprob and /entropy; the first token of a text has\n"
            "NaN. Numbers are of softmax(logits) at temperature 1.",
    .options = {{"model", "DIR", "Hugging Face model directory", true},
                {"adapter", "DIR", "peft adapter that is added to it", false},
                {"precision", "fp32|bf16", "what matrices are held in [fp32]", false},
                {"input", "F.jsonl", "texts, one JSON object per line", true},
                {"output", "F.h5", "where the numbers go", true},
                {"device", "NAME", "what computes: cpu, check or cuda [cpu]", false},
                {"threads", "N", "threads, 0 for one per core [0]", false},
                {"tokens-per-pass", "N", "texts are packed up to this many tokens [4096]", false}},
    .run = run,
};
