/* SPDX-License-Identifier: Apache-2.0
 *
 * gradus export: from a checkpoint to a model directory, or to a peft adapter where the run trained
 * one.
 */
#include "cli/cli.h"

#include <stdio.h>
#include <string.h>

#include "base/memory.h"
#include "run/adapter_directory.h"
#include "run/adapter_merge.h"
#include "run/checkpoint_read.h"
#include "run/head_file.h"
#include "run/model_directory.h"

/* What is to be exported, and how. */
struct export {
    struct checkpoint *checkpoint;
    struct parameter
        *parameters; /* of the checkpoint: the model's or the adapter's, then a head's */
    int64_t count, heads;
    struct model_files files;
    const struct model_file
        *adapter; /* adapter_config.json; NULL for a model and once it is merged */
    enum dtype dtype;
    const char *base, *output;
};

static struct tensor_source source_of(const struct export *e, int64_t begin, int64_t count) {
    return (struct tensor_source){.parameters = e->parameters + begin,
                                  .count = count,
                                  .dtype = e->dtype,
                                  .read = checkpoint_read_parameter,
                                  .context = e->checkpoint};
}

static enum status write_model(struct export *e) {
    const struct model_directory directory = {.parameters = e->parameters,
                                              .parameter_count = e->count,
                                              .read = checkpoint_read_parameter,
                                              .context = e->checkpoint,
                                              .head = source_of(e, e->count, e->heads),
                                              .files = &e->files,
                                              .dtype = e->dtype};
    return model_directory_write(&directory, e->output);
}

static enum status write_adapter(struct export *e) {
    const struct tensor_source factors = source_of(e, 0, e->count),
                               head = source_of(e, e->count, e->heads);
    struct model_files files = {.count = 0};
    enum status status = model_files_add(&files, e->adapter->name, strbuf_text(&e->adapter->bytes),
                                         e->adapter->bytes.length);
    if (status == STATUS_OK)
        status = adapter_directory_write(e->output, &files, &factors, &head, false);
    model_files_release(&files);
    return status;
}

/* The model whose adapter this is, unless --model names it. */
static enum status write_merged(struct export *e) {
    struct adapter_merge *merge;
    TRY(adapter_merge_open(&merge, e->base, e->adapter, checkpoint_read_parameter, e->checkpoint));
    struct model_directory directory = {.read = adapter_merge_read,
                                        .context = merge,
                                        .head = source_of(e, e->count, e->heads),
                                        .files = &e->files,
                                        .dtype = e->dtype};
    const struct parameter_set *set = adapter_merge_parameters(merge);
    model_files_remove(&e->files, ADAPTER_CONFIG_NAME); /* the result is a model, not an adapter */
    directory.parameters = set->items;
    directory.parameter_count = set->count;
    const enum status status = model_directory_write(&directory, e->output);
    adapter_merge_close(&merge);
    e->adapter = NULL;
    return status;
}

static enum status export(struct export *e, bool merge) {
    int64_t all; const struct parameter *parameters = checkpoint_parameters(e->checkpoint, &all);
    TRY(head_file_split(parameters, all, &e->parameters, &e->heads));
    e->count = all - e->heads;
    TRY(checkpoint_files(e->checkpoint, &e->files));
    e->adapter = model_files_find(&e->files, ADAPTER_CONFIG_NAME);
    if (e->adapter == NULL &&
        merge) return FAIL(STATUS_USAGE,
                           "--merge: the checkpoint holds a whole model, no adapter: leave "
                           "--merge out");
    if (e->adapter == NULL) return write_model(e);
    return merge ? write_merged(e) : write_adapter(e);
}

static enum status run(struct cli *cli) {
    struct export *e;
    enum dtype dtype;
    const bool merge = cli_given(cli, "merge");
    TRY(cli_precision(cli, &dtype));
    TRY(memory_new(&e, 1, "export"));
    *e = (struct export){
        .dtype = dtype, .base = cli_value(cli, "model"), .output = cli_value(cli, "output")};
    enum status status = checkpoint_open(&e->checkpoint, cli->argv[0], true);
    if (status == STATUS_OK) {
        status = export(e, merge);
        checkpoint_close(&e->checkpoint);
    }
    if (status == STATUS_OK)
        printf("%s: %s%s in %s\n", e->output,
               e->adapter != NULL ? "a peft adapter" : "a model directory",
               e->heads > 0 ? " and the discriminator" : "", dtype == DTYPE_BF16 ? "bf16" : "fp32");
    model_files_release(&e->files);
    memory_release(&e->parameters);
    memory_release(&e);
    return status;
}

const struct cli_command cmd_export = {
    .name = "export",
    .arguments = "CHECKPOINT.h5",
    .text =
        "makes a model directory or an adapter of a checkpoint, as transformers and peft load it",
    .more =
        "Every checksum of the checkpoint is checked first. The directory appears whole or not\n"
        "at all. A run that trained an adapter gives a peft adapter, or with --merge the model\n"
        "whose weights are W + scale B A. The discriminator of an adversarial run goes beside it, as\n"
        "discriminator.safetensors.",
    .options = {{"output", "DIR", "the new directory; an empty one may stand there", true},
                {"precision", "fp32|bf16", "kind of number of the weights [fp32]", false},
                {"merge", NULL, "add the adapter to the model that it adapts", false},
                {"model", "DIR", "that model, where it has moved since the run", false}},
    .least = 1,
    .most = 1,
    .run = run,
};
