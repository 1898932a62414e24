/* SPDX-License-Identifier: Apache-2.0
 *
 * gradus init: a new model directory with random weights, as transformers initialises them (normal,
 * 0.02), but for the two projections that write into the residual stream, which are divided by
 * √(2 layers) (Radford et al., "Language models are unsupervised multitask learners", 2.3). Weights
 * are a function of seed, tensor and index.
 */
#include "cli/cli.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "base/memory.h"
#include "base/random.h"
#include "base/strbuf.h"
#include "file/atomic.h"
#include "file/bytes.h"
#include "file/safetensors.h"
#include "model/hparams.h"
#include "model/parameters.h"
#include "text/tokenizer.h"

#define DEVIATION 0.02
enum { PIECE = 4096 };

static const char *const special_tokens[] = {"<|endoftext|>", "<|im_start|>", "<|im_end|>"};
enum { SPECIAL_TOKENS = sizeof special_tokens / sizeof *special_tokens };

static const char tokenizer_config[] =
    "{\n"
    "  \"tokenizer_class\": \"PreTrainedTokenizerFast\",\n"
    "  \"eos_token\": \"<|im_end|>\",\n"
    "  \"pad_token\": \"<|endoftext|>\",\n"
    "  \"model_max_length\": %" PRId64 ",\n"
    "  \"clean_up_tokenization_spaces\": false,\n"
    "  \"chat_template\": \"{%% for message in messages %%}{{ '<|im_start|>' + message['role'] + "
    "'\\n' + message['content'] + '<|im_end|>' + '\\n' }}{%% endfor %%}"
    "{%% if add_generation_prompt %%}{{ '<|im_start|>assistant\\n' }}{%% endif %%}\"\n"
    "}\n";

/* --- the shape --- */

static enum status read_arch(const char *name, struct hparams *h) {
    for (enum arch arch = ARCH_QWEN2; arch <= ARCH_LLAMA; arch++)
        if (strcmp(name, arch_name(arch)) == 0) {
            h->arch = arch;
            h->qkv_bias = arch == ARCH_QWEN2;
            h->qk_norm = arch == ARCH_QWEN3;
            return STATUS_OK;
        }
    char quote[STATUS_QUOTE_MAX];
    return FAIL(STATUS_USAGE, "--arch %s: known are qwen2, qwen3, llama",
                status_quote(quote, name, SIZE_MAX));
}

static enum status read_shape(struct cli *cli, struct hparams *h) {
    *h = (struct hparams){.layers = 4,
                          .C = 128,
                          .H = 4,
                          .max_positions = 2048,
                          .rms_epsilon = 1e-6f,
                          .rope_theta = 10000.0,
                          .tied = !cli_given(cli, "untied"),
                          .bos = -1};
    TRY(read_arch(cli_value(cli, "arch"), h));
    TRY(cli_integer(cli, "layers", 1, 1024, &h->layers));
    TRY(cli_integer(cli, "width", 1, 1 << 17, &h->C));
    TRY(cli_integer(cli, "heads", 1, 1024, &h->H));
    h->K = h->H;
    h->D = h->C / h->H;
    h->F = 3 * h->C;
    TRY(cli_integer(cli, "kv-heads", 1, h->H, &h->K));
    TRY(cli_integer(cli, "head-size", 2, 1024, &h->D));
    TRY(cli_integer(cli, "mlp", 1, 1 << 20, &h->F));
    TRY(cli_integer(cli, "max-positions", 1, 1 << 24, &h->max_positions));
    TRY(cli_real(cli, "rope-theta", 1.0, 1e12, &h->rope_theta));
    if (h->H % h->K != 0)
        return FAIL(STATUS_USAGE, "--heads %" PRId64 " is not a multiple of --kv-heads %" PRId64,
                    h->H, h->K);
    if (h->D % 2 != 0 || h->D == 0)
        return FAIL(STATUS_USAGE,
                    "a head size of %" PRId64 " is not even; give --head-size, or a --width that "
                    "is an even multiple of --heads",
                    h->D);
    return STATUS_OK;
}

/* --- the tokenizer --- */

static enum status copy_file(const char *from, const char *to, const char *name, bool needed) {
    struct strbuf source = STRBUF_EMPTY, target = STRBUF_EMPTY, bytes = STRBUF_EMPTY;
    enum status status;
    TRY_ELSE(status, done, strbuf_append_format(&source, "%s/%s", from, name));
    TRY_ELSE(status, done, strbuf_append_format(&target, "%s/%s", to, name));
    if (!needed && !bytes_is_file(source.text))
        goto done;
    TRY_ELSE(status, done, bytes_read_file(source.text, (int64_t)256 << 20, &bytes));
    TRY_ELSE(status, done,
             atomic_write_file(target.text, strbuf_text(&bytes), (int64_t)bytes.length));
done:
    strbuf_release(&source);
    strbuf_release(&target);
    strbuf_release(&bytes);
    return status;
}

static enum status write_bytes_tokenizer(const struct hparams *h, const char *folder) {
    struct strbuf path = STRBUF_EMPTY, text = STRBUF_EMPTY;
    enum status status;
    TRY_ELSE(status, done, strbuf_append_format(&path, "%s/tokenizer.json", folder));
    TRY_ELSE(status, done, tokenizer_write_bytes(path.text, special_tokens, SPECIAL_TOKENS));
    strbuf_clear(&path);
    TRY_ELSE(status, done, strbuf_append_format(&path, "%s/tokenizer_config.json", folder));
    TRY_ELSE(status, done, strbuf_append_format(&text, tokenizer_config, h->max_positions));
    TRY_ELSE(status, done, atomic_write_file(path.text, text.text, (int64_t)text.length));
done:
    strbuf_release(&path);
    strbuf_release(&text);
    return status;
}

static enum status copy_tokenizer(const char *from, const char *folder) {
    TRY(copy_file(from, folder, "tokenizer.json", true));
    TRY(copy_file(from, folder, "tokenizer_config.json", false));
    return copy_file(from, folder, "chat_template.jinja", false);
}

/* Vocabulary, and the tokens that end an answer as far as the tokenizer has them. */
static enum status take_vocabulary(const char *folder, struct hparams *h) {
    static const char *const stops[] = {"<|im_end|>", "<|eot_id|>", "<|endoftext|>",
                                        "<|end_of_text|>", "</s>"};
    struct tokenizer *tokenizer = NULL;
    TRY(tokenizer_open(&tokenizer, folder));
    h->V = tokenizer_size(tokenizer);
    for (size_t i = 0; i < sizeof stops / sizeof *stops; i++) {
        const int32_t id = tokenizer_find(tokenizer, stops[i]);
        if (id >= 0)
            h->eos[h->eos_count++] = id;
    }
    const int32_t begin = tokenizer_find(tokenizer, "<|begin_of_text|>");
    h->bos = begin;
    tokenizer_destroy(&tokenizer);
    return STATUS_OK;
}

/* --- the weights --- */

static bool ends_with(const char *text, const char *end) {
    const size_t n = strlen(text), m = strlen(end);
    return n >= m && strcmp(text + n - m, end) == 0;
}

static enum status write_parameter(struct safetensors_writer *writer, const struct hparams *h,
                                   const struct parameter *p, uint32_t index, uint64_t seed) {
    float piece[PIECE];
    const int64_t n = p->rows * p->columns, most = sizeof piece / sizeof *piece;
    const bool residual =
        ends_with(p->name, "o_proj.weight") || ends_with(p->name, "down_proj.weight");
    const double deviation = residual ? DEVIATION / sqrt(2.0 * (double)h->layers) : DEVIATION;
    const float constant = ends_with(p->name, "norm.weight") ? 1.0f : 0.0f;
    for (int64_t begin = 0; begin < n; begin += most) {
        const int64_t count = n - begin < most ? n - begin : most;
        for (int64_t i = 0; i < count; i++) {
            const uint64_t at = (uint64_t)(begin + i);
            piece[i] =
                p->matrix
                    ? (float)(deviation * random_normal(seed, RANDOM_WEIGHTS, index,
                                                        (uint32_t)(at >> 32), (uint32_t)at, 0))
                    : constant;
        }
        TRY(safetensors_append(writer, piece, count * (int64_t)sizeof *piece));
    }
    return STATUS_OK;
}

static enum status write_parameters(const char *path, const struct hparams *h,
                                    const struct parameter *parameters, int64_t count,
                                    struct safetensors_entry *entries, uint64_t seed) {
    struct safetensors_writer *writer = NULL;
    for (int64_t i = 0; i < count; i++)
        entries[i] =
            (struct safetensors_entry){.name = parameters[i].name,
                                       .dtype = dtype_name(DTYPE_F32),
                                       .shape = {parameters[i].rows, parameters[i].columns},
                                       .rank = parameters[i].matrix ? 2 : 1};
    TRY(safetensors_create(&writer, path, entries, count));
    for (int64_t i = 0; i < count; i++) {
        const enum status status = write_parameter(writer, h, &parameters[i], (uint32_t)i, seed);
        if (status != STATUS_OK) {
            safetensors_abandon(&writer);
            return status;
        }
    }
    return safetensors_commit(&writer);
}

static enum status write_weights(const struct hparams *h, const char *folder, uint64_t seed) {
    struct strbuf path = STRBUF_EMPTY;
    struct parameter *parameters = NULL;
    struct safetensors_entry *entries = NULL;
    int64_t count;
    enum status status;
    TRY_ELSE(status, done, strbuf_append_format(&path, "%s/model.safetensors", folder));
    TRY_ELSE(status, done, parameters_list(h, &parameters, &count));
    TRY_ELSE(status, done, memory_new(&entries, count, "tensors of a file"));
    TRY_ELSE(status, done, write_parameters(path.text, h, parameters, count, entries, seed));
done:
    memory_release(&entries);
    memory_release(&parameters);
    strbuf_release(&path);
    return status;
}

/* --- the whole --- */

static enum status fill_folder(struct cli *cli, struct hparams *h, const char *folder) {
    const char *tokenizer = cli_value(cli, "tokenizer");
    int64_t seed = 0;
    TRY(cli_integer(cli, "seed", 0, INT64_MAX, &seed));
    if (tokenizer != NULL)
        TRY(copy_tokenizer(tokenizer, folder));
    else
        TRY(write_bytes_tokenizer(h, folder));
    TRY(take_vocabulary(folder, h));
    TRY(hparams_write(h, folder));
    return write_weights(h, folder, (uint64_t)seed);
}

static enum status run(struct cli *cli) {
    struct hparams h;
    struct atomic *folder = NULL;
    const char *output = cli_value(cli, "output");
    TRY(read_shape(cli, &h));
    TRY(atomic_directory_create(&folder, output, false));
    const enum status status = fill_folder(cli, &h, atomic_part(folder));
    if (status != STATUS_OK) {
        atomic_abandon(&folder);
        return status;
    }
    TRY(atomic_commit(&folder));
    log_info("init", "directory = %s, parameters = %" PRId64 ", vocabulary = %" PRId64, output,
             parameters_elements(&h), h.V);
    return STATUS_OK;
}

const struct cli_command cmd_init = {
    .name = "init",
    .arguments = "",
    .text = "a new randomly initialised model directory",
    .more = "The directory has config.json, generation_config.json, model.safetensors (fp32),\n"
            "tokenizer.json and tokenizer_config.json, and loads in transformers. Without\n"
            "--tokenizer the tokenizer has one token for each byte, <|endoftext|>, <|im_start|>\n"
            "and <|im_end|>, and the chat form is chatml.",
    .options = {{"arch", "qwen2|qwen3|llama", "architecture", true},
                {"output", "DIR", "the new directory", true},
                {"layers", "N", "number of layers [4]", false},
                {"width", "N", "size of the hidden state [128]", false},
                {"heads", "N", "query heads [4]", false},
                {"kv-heads", "N", "key and value heads [as heads]", false},
                {"head-size", "N", "size of a head [width / heads]", false},
                {"mlp", "N", "width of the MLP [3 x width]", false},
                {"max-positions", "N", "longest sequence [2048]", false},
                {"rope-theta", "X", "base of the rotary embedding [10000]", false},
                {"untied", NULL, "an output head of its own", false},
                {"seed", "N", "of the weights [0]", false},
                {"tokenizer", "DIR", "copy the tokenizer of this model directory", false}},
    .run = run,
};
