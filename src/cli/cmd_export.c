/* SPDX-License-Identifier: Apache-2.0
 *
 * gradus export: from a checkpoint to a model directory.
 */
#include "cli/cli.h"

#include <stdio.h>
#include <string.h>

#include "base/memory.h"
#include "run/checkpoint_read.h"
#include "run/model_directory.h"

static enum status read_precision(const struct cli *cli, enum dtype *dtype) {
    const char *text = cli_value(cli, "precision");
    char quoted[STATUS_QUOTE_MAX];
    *dtype = text != NULL && strcmp(text, "bf16") == 0 ? DTYPE_BF16 : DTYPE_F32;
    if (text == NULL || strcmp(text, "bf16") == 0 || strcmp(text, "fp32") == 0)
        return STATUS_OK;
    return FAIL(STATUS_USAGE, "--precision %s: it is fp32 or bf16",
                status_quote(quoted, text, SIZE_MAX));
}

static enum status export(struct checkpoint *checkpoint, enum dtype dtype, const char *output) {
    struct model_files *files;
    struct model_directory directory = {.read = checkpoint_read_parameter,
                                        .context = checkpoint,
                                        .dtype = dtype};
    TRY(memory_new(&files, 1, "files of the model"));
    directory.parameters = checkpoint_parameters(checkpoint, &directory.parameter_count);
    directory.files = files;
    enum status status = checkpoint_files(checkpoint, files);
    if (status == STATUS_OK) status = model_directory_write(&directory, output);
    model_files_release(files);
    memory_release(&files);
    return status;
}

static enum status run(struct cli *cli) {
    struct checkpoint *checkpoint;
    enum dtype dtype;
    TRY(read_precision(cli, &dtype));
    TRY(checkpoint_open(&checkpoint, cli->argv[0], true));
    const enum status status = export(checkpoint, dtype, cli_value(cli, "output"));
    checkpoint_close(&checkpoint);
    if (status == STATUS_OK)
        printf("%s: a model directory in %s\n", cli_value(cli, "output"),
               dtype == DTYPE_BF16 ? "bf16" : "fp32");
    return status;
}

const struct cli_command cmd_export = {
    .name = "export",
    .arguments = "CHECKPOINT.h5",
    .text = "makes a model directory of a checkpoint, as transformers loads it",
    .more = "Every checksum of the checkpoint is checked first. The directory appears whole or not "
            "at all.",
    .options = {{"output", "DIR", "the new directory; an empty one may stand there", true},
                {"precision", "fp32|bf16", "kind of number of the weights [fp32]", false}},
    .least = 1,
    .most = 1,
    .run = run,
};
