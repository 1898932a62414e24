/* SPDX-License-Identifier: Apache-2.0
 *
 * gradus bench: how fast this machine computes, against its own ceilings of the same minute.
 */
#include "cli/cli.h"

#include <stdio.h>
#include <string.h>

#include "base/memory.h"
#include "cli/bench.h"

/* What the models of a family share. */
#define QWEN25                                                                                     \
    .arch = ARCH_QWEN2, .max_positions = 32768, .rms_epsilon = 1e-6f, .rope_theta = 1e6,           \
    .qkv_bias = true, .bos = -1
#define SMOLLM2                                                                                    \
    .arch = ARCH_LLAMA, .max_positions = 2048, .rms_epsilon = 1e-5f, .rope_theta = 1e5,            \
    .tied = true, .bos = -1

/* Shapes that can be timed without files; the first is that of no --shape. */
/* clang-format off */
static const struct {
    const char *name;
    struct hparams shape;
} shapes[] = {
    {"smollm2-135m", {SMOLLM2, .layers = 30, .C = 576, .F = 1536, .H = 9, .K = 3, .D = 64, .V = 49152}},
    {"qwen2.5-0.5b", {QWEN25, .layers = 24, .C = 896, .F = 4864, .H = 14, .K = 2, .D = 64, .V = 151936, .tied = true}},
    {"qwen2.5-1.5b", {QWEN25, .layers = 28, .C = 1536, .F = 8960, .H = 12, .K = 2, .D = 128, .V = 151936, .tied = true}},
    {"qwen2.5-7b", {QWEN25, .layers = 28, .C = 3584, .F = 18944, .H = 28, .K = 4, .D = 128, .V = 152064}},
};
/* clang-format on */
enum { SHAPE_COUNT = sizeof shapes / sizeof *shapes };

enum { POSITIONS = 512 };

static enum status find_shape(const char *name, struct hparams *shape) {
    char quoted[STATUS_QUOTE_MAX];
    *shape = shapes[0].shape;
    if (name == NULL)
        return STATUS_OK;
    for (int i = 0; i < SHAPE_COUNT; i++)
        if (strcmp(shapes[i].name, name) == 0) {
            *shape = shapes[i].shape;
            return STATUS_OK;
        }
    return FAIL(STATUS_USAGE, "--shape: there is no %s; there are %s, %s, %s, %s",
                status_quote(quoted, name, (size_t)-1), shapes[0].name, shapes[1].name,
                shapes[2].name, shapes[3].name);
}

/* Random weights of the size that trained ones have. */
static enum status fill_weights(struct backend *backend, struct weights *weights) {
    const int64_t n = weights_parameters(weights)->elements;
    float *master = NULL;
    TRY(backend_new(backend, &master, n, "random weights"));
    enum status status = bench_fill(backend, master, DTYPE_F32, n, 0.07f);
    if (status == STATUS_OK)
        status = weights_refresh(weights, master);
    backend_release(backend, &master);
    return status;
}

/* What the figures that follow are of. */
static void print_shape(struct cli *cli, const struct bench *bench, const struct hparams *shape) {
    const char *name = cli_value(cli, "shape"), *directory = cli_value(cli, "model");
    char quoted[STATUS_QUOTE_MAX];
    if (name == NULL)
        name = shapes[0].name;
    printf("shape %s, %.1f million parameters, %s\n",
           status_quote(quoted, directory != NULL ? directory : name, (size_t)-1),
           1e-6 * (double)parameters_elements(shape), bench->dtype == DTYPE_BF16 ? "bf16" : "fp32");
    fflush(stdout);
}

static enum status open_model(struct cli *cli, struct backend *backend, struct hparams *shape,
                              struct weights **weights, struct model **model) {
    const char *directory = cli_value(cli, "model");
    enum dtype dtype;
    TRY(find_shape(cli_value(cli, "shape"), shape));
    TRY(cli_precision(cli, &dtype));
    if (directory != NULL)
        TRY(hparams_read(directory, shape));
    const struct model_settings how = {
        .max_positions = POSITIONS < shape->max_positions ? POSITIONS : shape->max_positions};
    TRY(weights_create(weights, backend, shape, dtype));
    TRY(directory != NULL ? weights_load(*weights, directory, NULL, NULL)
                          : fill_weights(backend, *weights));
    return model_create(model, *weights, NULL, &how);
}

/* A step of a model with an adapter on all matrices, of the same weights and in the same workspace. */
static enum status bench_lora(const struct bench *bench, struct weights *weights,
                              struct model *model, int64_t rank) {
    const struct adapter_settings settings = {
        .rank = rank, .alpha = (double)rank, .targets = {true, true, true, true, true, true, true}};
    const struct hparams *shape = model_hparams(model);
    const struct model_settings how = {
        .max_positions = POSITIONS < shape->max_positions ? POSITIONS : shape->max_positions,
        .shares = model};
    struct adapter *adapter = NULL;
    struct model *adapted = NULL;
    float *master = NULL;
    enum status status;
    TRY(adapter_create(&adapter, bench->backend, shape, bench->dtype, &settings));
    TRY_ELSE(
        status, done,
        backend_new(bench->backend, &master, adapter_parameters(adapter)->elements, "adapter"));
    TRY_ELSE(status, done, adapter_initialise(adapter, 1, master));
    TRY_ELSE(status, done, adapter_refresh(adapter, master));
    TRY_ELSE(status, done, model_create(&adapted, weights, adapter, &how));
    status = bench_step(bench, adapted, adapter);
done:
    model_destroy(&adapted);
    backend_release(bench->backend, &master);
    adapter_destroy(&adapter);
    return status;
}

/* On the ranks that the launcher started. */
static enum status time_reduce(struct cli *cli, const struct bench *bench, struct model *model) {
    struct comm comm;
    TRY(cli_comm_open(cli, &comm));
    return cli_comm_close(cli, &comm, bench_reduce(bench, model, &comm));
}

/* What needs a shape alone: no model is made. */
static enum status read_shape(struct cli *cli, struct hparams *shape) {
    TRY(find_shape(cli_value(cli, "shape"), shape));
    return cli_value(cli, "model") != NULL ? hparams_read(cli_value(cli, "model"), shape)
                                           : STATUS_OK;
}

static enum status time_update(struct cli *cli, const struct bench *bench, int64_t rank) {
    struct hparams shape;
    TRY(read_shape(cli, &shape));
    return bench_update(bench, &shape, rank);
}

static enum status time_distill(struct cli *cli, const struct bench *bench) {
    struct hparams shape;
    int64_t tokens = 0;
    TRY(cli_integer(cli, "tokens", 1, INT32_MAX, &tokens));
    TRY(read_shape(cli, &shape));
    return bench_distill(bench, &shape, tokens);
}

static enum status run_benches(struct cli *cli, struct bench *bench, const char *what) {
    struct hparams shape;
    struct weights *weights = NULL;
    struct model *model = NULL;
    const bool all = strcmp(what, "all") == 0;
    int64_t rank = 0;
    TRY(cli_integer(cli, "lora", 1, 65536, &rank));
    if (strcmp(what, "update") == 0)
        return time_update(cli, bench, rank);
    if (strcmp(what, "distill") == 0)
        return time_distill(cli, bench);
    enum status status = open_model(cli, bench->backend, &shape, &weights, &model);
    if (status == STATUS_OK)
        print_shape(cli, bench, &shape);
    if (status == STATUS_OK && (all || strcmp(what, "gemm") == 0))
        status = bench_gemm(bench, &shape);
    if (status == STATUS_OK && (all || strcmp(what, "head") == 0))
        status = bench_head(bench, &shape);
    if (status == STATUS_OK && (all || strcmp(what, "decode") == 0))
        status = bench_decode(bench, model);
    if (status == STATUS_OK && (all || strcmp(what, "step") == 0))
        status = bench_step(bench, model, NULL);
    if (status == STATUS_OK && rank > 0 && (all || strcmp(what, "step") == 0))
        status = bench_lora(bench, weights, model, rank);
    if (status == STATUS_OK && strcmp(what, "grpo") == 0) /* puts random weights into it */
        status = bench_grpo(bench, model);
    if (status == STATUS_OK && strcmp(what, "reduce") == 0)
        status = time_reduce(cli, bench, model);
    model_destroy(&model);
    weights_destroy(&weights);
    return status;
}

static bool is_known(const char *what) {
    static const char *const known[] = {"all",  "gemm", "head",   "distill", "decode",
                                        "step", "grpo", "reduce", "update",  "grade"};
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (strcmp(what, known[i]) == 0)
            return true;
    return false;
}

/* What fills a core, and what fills a GPU. */
static struct bench sizes_for(const char *device) {
    static const int64_t cpu_rows[] = {1, 8, 32, 256, 1024}, cpu_answers[] = {1, 8, 32},
                         gpu_rows[] = {1, 64, 256, 16384}, gpu_answers[] = {1, 64, 256, 512};
    const bool cpu = strcmp(device, "cpu") == 0;
    return (struct bench){.seconds = 0.5,
                          .groups = cpu ? 1 : 16,
                          .rows = cpu ? cpu_rows : gpu_rows,
                          .row_count = cpu ? 5 : 4,
                          .answers = cpu ? cpu_answers : gpu_answers,
                          .answer_count = cpu ? 3 : 4};
}

static enum status run_command(struct cli *cli) {
    const char *what = cli->argc > 0 ? cli->argv[0] : "all";
    const char *device = cli_given(cli, "device") ? cli_value(cli, "device") : "cpu";
    struct backend backend;
    struct bench bench = sizes_for(device);
    int64_t threads = 0;
    char quoted[STATUS_QUOTE_MAX];
    bench.backend = &backend;
    if (!is_known(what))
        return FAIL(STATUS_USAGE,
                    "bench: '%s' is not timed; there are gemm, head, distill, decode, step, "
                    "grpo, reduce, update, grade",
                    status_quote(quoted, what, (size_t)-1));
    TRY(cli_integer(cli, "threads", 0, 4096, &threads));
    TRY(cli_integer(cli, "groups", 1, 4096, &bench.groups));
    TRY(cli_real(cli, "seconds", 0.01, 3600.0, &bench.seconds));
    TRY(cli_precision(cli, &bench.dtype));
    if (strcmp(what, "grade") == 0)
        return bench_grade(bench.seconds, cli_value(cli, "pairs"));
    TRY(backend_open(&backend, device, (int)threads));
    enum status status = STATUS_OK;
    if (strcmp(what, "reduce") != 0) { /* that has a ceiling of its own, over all ranks */
        status = bench_measure_ceilings(&backend, bench.seconds, &bench.ceilings);
        if (status == STATUS_OK)
            bench_print_ceilings(&backend, &bench.ceilings);
    }
    if (status == STATUS_OK)
        status = run_benches(cli, &bench, what);
    backend_close(&backend);
    return status;
}

const struct cli_command cmd_bench = {
    .name = "bench",
    .arguments = "[gemm|head|distill|decode|step|grpo|reduce|update|grade]",
    .text = "speed of this machine against its own measured ceilings",
    .more =
        "Measures the multiply-add peak and the memory bandwidth first, then products, decoding and\n"
        "training of the model given (its shape and weights) or of a random one of a known shape:\n"
        "smollm2-135m, qwen2.5-0.5b, qwen2.5-1.5b, qwen2.5-7b. reduce: the sums of gradients over the\n"
        "ranks that a launcher starts (mpirun -n 2 gradus bench reduce). update: the vectors of a step\n"
        "of gxpo, bytes counted. distill: losses of self-distillation. grade: gradings of\n"
        "mathematical answers on one core, the program's own or those of --pairs. Machines are noisy: compare\n"
        "shares of the ceilings of one run, not rates of several.",
    .options =
        {{"model", "DIR", "model directory to take shape and weights from", false},
         {"shape", "NAME", "shape of a random model [smollm2-135m]", false},
         {"device", "NAME", "the backend that is timed [cpu]", false},
         {"groups", "N", "groups in a step, of a prompt and 8 answers [1; of a GPU 16]", false},
         {"threads", "N", "threads; by default one for each core this process may use", false},
         {"precision", "fp32|bf16", "what matrices of the model are held in [fp32]", false},
         {"lora", "RANK",
          "step: with an adapter of this rank on all matrices as well; update: with it alone",
          false},
         {"tokens", "N", "distill: tokens of answers [1024; of a GPU 16384]", false},
         {"pairs", "FILE", "JSON lines with prediction and answer, for grade", false},
         {"seconds", "S", "time for each figure (0.5)", false}},
    .most = 1,
    .run = run_command,
};
