/* SPDX-License-Identifier: Apache-2.0
 *
 * gradus bench: how fast this machine computes, against its own ceilings of the same minute.
 */
#include "cli/cli.h"

#include <stdio.h>
#include <string.h>

#include "base/memory.h"
#include "base/random.h"
#include "cli/bench.h"

/* The shape that is timed when no model is given: that of SmolLM2-135M. */
static const struct hparams default_shape = {.arch = ARCH_LLAMA,
                                             .layers = 30,
                                             .C = 576,
                                             .F = 1536,
                                             .H = 9,
                                             .K = 3,
                                             .D = 64,
                                             .V = 49152,
                                             .max_positions = 2048,
                                             .rms_epsilon = 1e-5f,
                                             .rope_theta = 1e5,
                                             .tied = true,
                                             .bos = -1};

enum { POSITIONS = 512 };

/* Random weights of the size that trained ones have. */
static enum status fill_weights(struct backend *backend, struct weights *weights) {
    const int64_t n = weights_parameters(weights)->elements;
    float *host = NULL, *master = NULL;
    enum status status;
    TRY_ELSE(status, done, memory_new(&host, n, "random weights"));
    TRY_ELSE(status, done, backend_new(backend, &master, n, "random weights"));
    for (int64_t i = 0; i < n; i++)
        host[i] =
            0.07f *
            ((float)(random_bits(1, RANDOM_WEIGHTS, 0, (uint32_t)i, (uint32_t)(i >> 32), 0) >> 40) *
                 0x1p-24f -
             0.5f);
    TRY_ELSE(status, done, backend->ops->upload(backend, master, host, (size_t)n * sizeof *host));
    status = weights_refresh(weights, master);
done:
    memory_release(&host);
    backend_release(backend, &master);
    return status;
}

static enum status open_model(struct cli *cli, struct backend *backend, struct hparams *shape,
                              struct weights **weights, struct model **model) {
    const char *directory = cli_value(cli, "model");
    enum dtype dtype;
    *shape = default_shape;
    TRY(cli_precision(cli, &dtype));
    if (directory != NULL)
        TRY(hparams_read(directory, shape));
    const struct model_settings how = {
        .max_positions = POSITIONS < shape->max_positions ? POSITIONS : shape->max_positions};
    TRY(weights_create(weights, backend, shape, dtype));
    TRY(directory != NULL ? weights_load(*weights, directory, NULL)
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
    TRY(adapter_create(&adapter, bench->backend, shape, &settings));
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

static enum status run_benches(struct cli *cli, struct bench *bench, const char *what) {
    struct hparams shape;
    struct weights *weights = NULL;
    struct model *model = NULL;
    const bool all = strcmp(what, "all") == 0;
    int64_t rank = 0;
    TRY(cli_integer(cli, "lora", 1, 65536, &rank));
    enum status status = open_model(cli, bench->backend, &shape, &weights, &model);
    if (status == STATUS_OK && (all || strcmp(what, "gemm") == 0))
        status = bench_gemm(bench, &shape);
    if (status == STATUS_OK && (all || strcmp(what, "decode") == 0))
        status = bench_decode(bench, model);
    if (status == STATUS_OK && (all || strcmp(what, "step") == 0))
        status = bench_step(bench, model, NULL);
    if (status == STATUS_OK && rank > 0 && (all || strcmp(what, "step") == 0))
        status = bench_lora(bench, weights, model, rank);
    model_destroy(&model);
    weights_destroy(&weights);
    return status;
}

static enum status run_command(struct cli *cli) {
    const char *what = cli->argc > 0 ? cli->argv[0] : "all";
    struct backend backend;
    struct bench bench = {.backend = &backend, .seconds = 0.5};
    int64_t threads = 0;
    if (strcmp(what, "all") != 0 && strcmp(what, "gemm") != 0 && strcmp(what, "decode") != 0 &&
        strcmp(what, "step") != 0) {
        char quoted[STATUS_QUOTE_MAX];
        return FAIL(STATUS_USAGE, "bench: '%s' is not timed; there are gemm, decode, step",
                    status_quote(quoted, what, (size_t)-1));
    }
    TRY(cli_integer(cli, "threads", 0, 4096, &threads));
    TRY(cli_real(cli, "seconds", 0.01, 3600.0, &bench.seconds));
    TRY(backend_open(&backend, "cpu", (int)threads));
    enum status status = cpu_measure_ceilings(backend.threads, bench.seconds, &bench.ceilings);
    if (status == STATUS_OK) {
        bench_print_ceilings(&bench);
        status = run_benches(cli, &bench, what);
    }
    backend_close(&backend);
    return status;
}

const struct cli_command cmd_bench = {
    .name = "bench",
    .arguments = "[gemm|decode|step]",
    .text = "speed of this machine against its own measured ceilings",
    .more =
        "Measures the multiply-add peak and the memory bandwidth first, then products, decoding and\n"
        "training of the model given (its shape and weights) or of a random one of SmolLM2-135M's\n"
        "shape. Machines are noisy: compare shares of the ceilings of one run, not rates of several.",
    .options = {{"model", "DIR", "model directory to take shape and weights from", false},
                {"threads", "N", "threads; by default one for each core this process may use",
                 false},
                {"precision", "fp32|bf16", "what matrices of the model are held in [fp32]", false},
                {"lora", "RANK", "time a step with an adapter of this rank on all matrices as well",
                 false},
                {"seconds", "S", "time for each figure (0.5)", false}},
    .most = 1,
    .run = run_command,
};
