/* SPDX-License-Identifier: Apache-2.0
 *
 * gradus inspect: what is in a file of ours, or in a model directory. HDF5 files are read in a
 * child process, for the library itself can die on a damaged one.
 */
#include "cli/cli.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/memory.h"
#include "base/strbuf.h"
#include "cli/inspect_run.h"
#include "config/settings.h"
#include "eval/evaluation_file.h"
#include "file/bytes.h"
#include "file/h5.h"
#include "file/provenance.h"
#include "file/safetensors.h"
#include "model/hparams.h"
#include "run/adapter_directory.h"
#include "run/checkpoint_read.h"
#include "run/diagnostics.h"
#include "run/rollout_file.h"

struct request {
    const char *path;
    bool verify;
    int64_t answers;
    int64_t answer;    /* the one to be shown token by token; −1: none */
    const char *model; /* whose tokenizer gives its texts; NULL: that of the run */
};

/* --- safetensors --- */

static enum status append_tensor(struct strbuf *out, const struct safetensor *tensor) {
    char quoted[STATUS_QUOTE_MAX];
    TRY(strbuf_append_format(out, "  %-56s %-5s", status_quote(quoted, tensor->name, SIZE_MAX),
                             tensor->dtype));
    for (int i = 0; i < tensor->rank; i++)
        TRY(strbuf_append_format(out, " %s%lld", i > 0 ? "× " : "", (long long)tensor->shape[i]));
    return strbuf_append_text(out, "\n");
}

static enum status append_tensors(struct strbuf *out, const struct safetensors *files,
                                  bool verified) {
    int64_t elements = 0, bytes = 0;
    for (int64_t i = 0; i < safetensors_count(files); i++) {
        elements += safetensors_at(files, i)->elements;
        bytes += safetensors_at(files, i)->bytes;
        TRY(append_tensor(out, safetensors_at(files, i)));
    }
    TRY(strbuf_append_format(out, "%lld tensors, %lld numbers, %lld bytes\n",
                             (long long)safetensors_count(files), (long long)elements,
                             (long long)bytes));
    return verified
               ? strbuf_append_text(out, "verified: places, shapes and sizes agree (the format "
                                         "has no checksums)\n")
               : STATUS_OK;
}

/* What config.json says; a model that gradus does not compute is still listed. */
static enum status append_shape(struct strbuf *out, const char *directory) {
    struct hparams hparams;
    if (hparams_read(directory, &hparams) != STATUS_OK)
        return strbuf_append_format(out, "not a model that gradus runs: %s\n", status_sentence());
    return strbuf_append_format(
        out, "%s: %lld layers, width %lld, %lld heads (%lld for keys), %lld words%s\n",
        arch_name(hparams.arch), (long long)hparams.layers, (long long)hparams.C,
        (long long)hparams.H, (long long)hparams.K, (long long)hparams.V,
        hparams.tied ? ", tied head" : "");
}

/* Whether it is a directory with a file of that name; *path is the file's. */
static bool holds_file(const char *directory, const char *name, char *path, size_t size) {
    return bytes_is_directory(directory) &&
           snprintf(path, size, "%s/%s", directory, name) < (int)size && access(path, F_OK) == 0;
}

static enum status inspect_safetensors(const struct request *request, struct strbuf *out) {
    char path[4096];
    struct safetensors *files;
    const bool adapter = holds_file(request->path, ADAPTER_WEIGHTS_NAME, path, sizeof path);
    TRY(safetensors_open(&files, adapter ? path : request->path));
    enum status status = STATUS_OK;
    if (adapter)
        status = adapter_directory_describe(request->path, out);
    else if (bytes_is_directory(request->path))
        status = append_shape(out, request->path);
    if (status == STATUS_OK)
        status = append_tensors(out, files, request->verify);
    safetensors_close(&files);
    return status;
}

/* --- HDF5 --- */

struct report {
    const struct h5 *h5;
    struct strbuf *out;
    int64_t count;
};

static enum status append_dataset(void *context, const char *path) {
    static const char *const kinds[] = {[H5_KIND_U8] = "uint8",
                                        [H5_KIND_I32] = "int32",
                                        [H5_KIND_I64] = "int64",
                                        [H5_KIND_F32] = "float32",
                                        [H5_KIND_F64] = "float64"};
    const struct report *report = context;
    struct h5_shape shape;
    char quoted[STATUS_QUOTE_MAX];
    TRY(h5_shape(report->h5, path, &shape));
    TRY(strbuf_append_format(report->out, "  %-48s %s", status_quote(quoted, path, SIZE_MAX),
                             shape.is_text ? "text" : kinds[shape.kind]));
    for (int i = 0; i < shape.rank; i++)
        TRY(strbuf_append_format(report->out, "%s%lld", i > 0 ? " × " : " ",
                                 (long long)shape.sizes[i]));
    return strbuf_append_text(report->out, "\n");
}

/* Reads a dataset to its end, so that the checksums of its chunks are checked. */
static enum status read_dataset(void *context, const char *path) {
    struct report *report = context;
    struct h5_shape shape;
    int64_t n, stride;
    char *block;
    report->count++;
    TRY(h5_shape(report->h5, path, &shape));
    if (shape.is_text)
        TRY(h5_get_texts(report->h5, path, &block, &stride, &n));
    else if (shape.rank == 1)
        TRY(h5_get_list(report->h5, path, shape.kind, &block, &n));
    else
        return STATUS_OK; /* tables and scalars are plain: the format keeps no checksum of them */
    memory_release(&block);
    return STATUS_OK;
}

static enum status append_mean(const struct h5 *h5, const char *path, struct strbuf *out) {
    float *values;
    double sum = 0;
    int64_t n, count = 0;
    TRY(h5_get_list(h5, path, H5_KIND_F32, &values, &n));
    for (int64_t i = 0; i < n; i++)
        if (!isnan(values[i])) {
            sum += (double)values[i];
            count++;
        }
    memory_release(&values);
    return strbuf_append_format(out, "  mean %-24s %.6g over %lld tokens\n", path + 1,
                                count > 0 ? sum / (double)count : 0.0, (long long)count);
}

static enum status append_scores(const struct h5 *h5, struct strbuf *out) {
    struct h5_shape offsets, tokens;
    TRY(h5_shape(h5, "/offsets", &offsets));
    TRY(h5_shape(h5, "/token_ids", &tokens));
    TRY(strbuf_append_format(out, "scores: %lld texts, %lld tokens\n",
                             (long long)(offsets.elements > 0 ? offsets.elements - 1 : 0),
                             (long long)tokens.elements));
    TRY(append_mean(h5, "/logprob", out));
    return append_mean(h5, "/entropy", out);
}

/* --- one answer --- */

/* The tokenizer of the run's model, by the settings in the file; NULL with a remark where it is not
 * to be had. */
static enum status open_tokenizer(const struct h5 *h5, const char *model,
                                  struct tokenizer **tokenizer, struct strbuf *out) {
    struct strbuf text = STRBUF_EMPTY;
    struct settings settings;
    bool have_settings = false;
    enum status status = STATUS_OK;
    *tokenizer = NULL;
    if (model == NULL) {
        status = h5_get_text(h5, "/provenance/settings", &text);
        if (status == STATUS_OK)
            status = settings_read_text("settings.cfg", strbuf_text(&text), text.length, NULL, 0,
                                        SETTINGS_FOR_GENERATION, &settings);
        have_settings = status == STATUS_OK;
    }
    if (status == STATUS_OK)
        status = tokenizer_open(tokenizer, model != NULL ? model : settings.model.path);
    if (status != STATUS_OK && model == NULL)
        status = strbuf_append_format(out, "ids without texts, for want of a tokenizer: %s\n",
                                      status_sentence());
    if (have_settings)
        settings_release(&settings);
    strbuf_release(&text);
    return status;
}

static enum status append_one_answer(const struct h5 *h5, const struct request *request,
                                     struct strbuf *out) {
    struct tokenizer *tokenizer;
    TRY(open_tokenizer(h5, request->model, &tokenizer, out));
    const enum status status = rollout_file_describe_answer(h5, request->answer, tokenizer, out);
    tokenizer_destroy(&tokenizer);
    return status;
}

/* By what the file holds. */
static enum status append_content(struct report *report, const struct request *request) {
    const struct h5 *h5 = report->h5;
    if (request->answer >= 0 && h5_has(h5, "/answer/token_ids"))
        return append_one_answer(h5, request, report->out);
    if (request->answer >= 0)
        return FAIL(STATUS_USAGE, "%s holds no answers: --answer is for a rollout file",
                    request->path);
    if (h5_has(h5, "/parameters"))
        return checkpoint_describe(h5, report->out);
    if (h5_has(h5, "/step/valid"))
        return diagnostics_describe(h5, report->out);
    if (h5_has(h5, "/identity") && h5_has(h5, "/set"))
        return evaluation_file_describe(h5, report->out);
    if (h5_has(h5, "/answer/token_ids"))
        return rollout_file_describe(h5, request->answers, report->out);
    if (h5_has(h5, "/logprob") && h5_has(h5, "/token_ids"))
        return append_scores(h5, report->out);
    TRY(strbuf_append_text(report->out, "an HDF5 file of another program\n"));
    return h5_walk(h5, "/", append_dataset, report);
}

static enum status append_verdict(struct report *report, const struct request *request) {
    report->count = 0;
    if (h5_has(report->h5, "/parameters")) {
        TRY(checkpoint_verify(request->path));
        return strbuf_append_text(report->out, "verified: every checksum of the manifest\n");
    }
    TRY(h5_walk(report->h5, "/", read_dataset, report));
    return strbuf_append_format(report->out, "verified: %lld datasets can be read\n",
                                (long long)report->count);
}

static enum status inspect_open_h5(struct h5 *h5, const struct request *request,
                                   struct strbuf *out) {
    struct report report = {.h5 = h5, .out = out};
    TRY(append_content(&report, request));
    if (h5_has(h5, "/provenance/version") && request->answer < 0)
        TRY(provenance_describe(h5, out));
    return request->verify ? append_verdict(&report, request) : STATUS_OK;
}

static enum status inspect_h5(const struct request *request, struct strbuf *out) {
    struct h5 *h5;
    TRY(h5_open(&h5, request->path));
    const enum status status = inspect_open_h5(h5, request, out);
    (void)h5_close(&h5); /* opened for reading: nothing can be lost */
    return status;
}

/* --- the child --- */

enum { CPU_SECONDS = 600 };

/* Prints what is found; the sentence of a failure goes into the pipe. Does not return. */
static _Noreturn void be_child(const struct request *request, int pipe_end) {
    struct strbuf out = STRBUF_EMPTY;
    const struct rlimit limit = {.rlim_cur = CPU_SECONDS, .rlim_max = CPU_SECONDS};
    setrlimit(RLIMIT_CPU, &limit);
    enum status status = inspect_h5(request, &out);
    if (status == STATUS_OK && (fputs(strbuf_text(&out), stdout) < 0 || fflush(stdout) != 0))
        status = FAIL(STATUS_IO, "standard output cannot be written: %s", strerror(errno));
    strbuf_release(&out);
    if (status != STATUS_OK)
        (void)!write(pipe_end, status_sentence(), strlen(status_sentence()));
    _exit((int)status);
}

/* The child's sentence and status become ours. */
static enum status await_child(pid_t child, int pipe_end, const char *path) {
    char sentence[STATUS_SENTENCE_MAX];
    size_t used = 0;
    ssize_t got;
    int code;
    while ((got = read(pipe_end, sentence + used, sizeof sentence - 1 - used)) > 0)
        used += (size_t)got;
    sentence[used] = '\0';
    if (waitpid(child, &code, 0) != child)
        return FAIL(STATUS_IO, "the process that reads %s was lost: %s", path, strerror(errno));
    if (!WIFEXITED(code))
        return FAIL(STATUS_INPUT, "%s: the HDF5 library broke on it (signal %d): it is damaged",
                    path, WTERMSIG(code));
    if (WEXITSTATUS(code) != STATUS_OK)
        status_set_sentence(sentence);
    return (enum status)WEXITSTATUS(code);
}

static enum status inspect_in_child(const struct request *request) {
    int ends[2];
    if (pipe(ends) != 0)
        return FAIL(STATUS_IO, "a pipe cannot be made: %s", strerror(errno));
    fflush(stdout);
    const pid_t child = fork();
    if (child == 0)
        be_child(request, ends[1]);
    close(ends[1]);
    const enum status status =
        child > 0 ? await_child(child, ends[0], request->path)
                  : FAIL(STATUS_IO, "a process cannot be started: %s", strerror(errno));
    close(ends[0]);
    return status;
}

/* --- the command --- */

static enum status has_h5_signature(const char *path, bool *found) {
    char head[4] = "";
    int64_t size;
    int file;
    *found = false;
    if (bytes_is_directory(path))
        return STATUS_OK;
    TRY(bytes_open_file(path, &file, &size));
    const enum status status =
        size >= (int64_t)sizeof head ? bytes_read_at(file, path, 0, head, sizeof head) : STATUS_OK;
    close(file);
    *found = memcmp(head, "\211HDF", sizeof head) == 0;
    return status;
}

/* A model's directory or file, or the directory of a run. */
static enum status inspect_other(const struct request *request) {
    struct strbuf out = STRBUF_EMPTY;
    enum status status;
    if (request->answer >= 0)
        return FAIL(STATUS_USAGE, "--answer is for a rollout file, as rollouts/step-000001.h5");
    if (!bytes_is_directory(request->path) || !inspect_is_run(request->path))
        status = inspect_safetensors(request, &out);
    else if (request->verify)
        status =
            FAIL(STATUS_USAGE, "%s is the directory of a run: --verify is for one of its files",
                 request->path);
    else
        status = inspect_run(request->path, &out);
    if (status == STATUS_OK)
        fputs(strbuf_text(&out), stdout);
    strbuf_release(&out);
    return status;
}

static enum status run(struct cli *cli) {
    struct request request = {.path = cli->argv[0],
                              .verify = cli_given(cli, "verify"),
                              .answers = 3,
                              .answer = -1,
                              .model = cli_value(cli, "model")};
    bool is_h5;
    TRY(cli_integer(cli, "answers", 0, INT32_MAX, &request.answers));
    TRY(cli_integer(cli, "answer", 0, INT32_MAX, &request.answer));
    TRY(has_h5_signature(request.path, &is_h5));
    return is_h5 ? inspect_in_child(&request) : inspect_other(&request);
}

const struct cli_command cmd_inspect = {
    .name = "inspect",
    .arguments = "FILE|DIRECTORY",
    .text = "what is in a checkpoint, rollout, diagnostics, score or safetensors file, or in a run",
    .more =
        "Diagnostics are shown as a table of first, last and mean values, those of each pass below;\n"
        "rollouts with the texts of their first answers, or one answer token by token; the\n"
        "directory of a run with its state, whether it is alive, its newest checkpoint, the numbers\n"
        "of its last step and its files; a model directory or an adapter with its tensors.",
    .options = {{"verify", NULL, "read everything and check every checksum", false},
                {"answers", "N", "how many answers of a rollout file to print [3]", false},
                {"answer", "K", "show answer K of a rollout file token by token", false},
                {"model", "DIR", "whose tokenizer tells the texts of tokens [that of the run]",
                 false}},
    .least = 1,
    .most = 1,
    .run = run,
};
