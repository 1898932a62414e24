/* SPDX-License-Identifier: Apache-2.0
 *
 * gradus plan: what a run would do, what memory it would take and what a step costs; runs nothing.
 */
#include "cli/cli.h"

#include <stdio.h>
#include <unistd.h>

#include "base/strbuf.h"
#include "config/settings.h"
#include "method/method.h"
#include "model/model.h"
#include "model/parameters.h"
#include "optim/gradient.h"
#include "optim/optimizer.h"
#include "rollout/tile.h"

/* What the plan counts with. Answers are taken as long as they may get, prompts as
 * prompt.max_tokens. */
struct plan {
    const struct settings *settings;
    struct hparams hparams;
    int64_t ranks, group_size, prompt_tokens, answer_tokens;
    int64_t groups_per_rank, pass_tokens, pass_targets;
    int64_t elements; /* parameters */
};

static int64_t at_most(int64_t value, int64_t bound) {
    return value < bound ? value : bound;
}

static enum status make_plan(struct plan *plan) {
    const struct settings *settings = plan->settings;
    const struct method *method = method_find(settings_word(settings, "run.method"));
    struct tiles tiles;
    TRY(method->check(settings));
    TRY(hparams_read(settings->model.path, &plan->hparams));
    TRY(tiles_init(&tiles, settings->rollout.prompts_per_step, (int)settings->update.mini_batches,
                   settings->parallel.groups_per_tile, (int)plan->ranks));
    const int64_t tile_groups = tiles.tiles[0].end - tiles.tiles[0].begin;
    plan->groups_per_rank = (tiles.count + plan->ranks - 1) / plan->ranks * tile_groups;
    tiles_release(&tiles);
    plan->group_size = method->group_size(settings);
    plan->answer_tokens = settings->rollout.max_new_tokens;
    plan->prompt_tokens =
        at_most(settings->prompt.max_tokens, plan->hparams.max_positions - plan->answer_tokens);
    plan->pass_targets = at_most(tile_groups * plan->group_size * plan->answer_tokens,
                                 settings->parallel.tokens_per_pass);
    plan->pass_tokens =
        at_most(tile_groups * (plan->prompt_tokens + plan->group_size * plan->answer_tokens),
                settings->parallel.tokens_per_pass);
    return STATUS_OK;
}

static void print_bytes(const char *name, int64_t bytes, int64_t *total) {
    printf("  %-44s %12.1f MiB\n", name, (double)bytes / 1048576.0);
    *total += bytes;
}

static int64_t cache_pages_bytes(const struct plan *plan) {
    const struct hparams *h = &plan->hparams;
    const int64_t page = h->layers * h->K * 2 * CACHE_PAGE * h->D * (int64_t)sizeof(float);
    const int64_t prompt = (plan->prompt_tokens + CACHE_PAGE - 1) / CACHE_PAGE,
                  answer = (plan->answer_tokens + CACHE_PAGE - 1) / CACHE_PAGE;
    const int64_t in_flight = plan->settings->rollout.answers_in_flight;
    int64_t answers = plan->groups_per_rank * plan->group_size;
    if (in_flight > 0)
        answers = at_most(answers, in_flight + plan->group_size);
    return page * (plan->groups_per_rank * prompt + answers * answer);
}

static void print_memory(const struct plan *plan) {
    const struct settings *settings = plan->settings;
    struct memory_part parts[32];
    int64_t total = 0;
    const int64_t count = model_memory_plan(&plan->hparams, settings->model.recompute,
                                            plan->pass_tokens, plan->pass_targets, parts, 32);
    printf("\nmemory of a rank (%lld ranks; prompts and answers of full length)\n",
           (long long)plan->ranks);
    for (int64_t i = 0; i < count; i++)
        print_bytes(parts[i].name, parts[i].bytes, &total);
    print_bytes("parameters, fp32", plan->elements * 4, &total);
    print_bytes("optimizer state", optimizer_bytes(plan->elements), &total);
    print_bytes(
        "gradient",
        gradient_bytes(plan->elements, (enum gradient_reduction)settings->parallel.reduction),
        &total);
    if (settings->objective.kl_coef != 0.0)
        print_bytes("reference model, weights", plan->elements * 4, &total);
    if (settings->run.method == SETTING_METHOD_RL)
        print_bytes("keys and values of the answers", cache_pages_bytes(plan), &total);
    printf("  %-44s %12.1f MiB\n", "sum", (double)total / 1048576.0);
    const double host = (double)sysconf(_SC_PHYS_PAGES) * (double)sysconf(_SC_PAGESIZE);
    printf("  %-44s %12.1f MiB\n", "this machine has", host / 1048576.0);
    if ((double)total * (double)plan->ranks > host)
        printf(
            "  the ranks together would not fit into this machine: lower parallel.tokens_per_pass, set\n"
            "  model.recompute = true, or take more machines\n");
}

static void print_cost(const struct plan *plan) {
    const struct settings *settings = plan->settings;
    const struct hparams *h = &plan->hparams;
    const double prompts = (double)settings->rollout.prompts_per_step;
    const double answers = prompts * (double)plan->group_size;
    const double positions =
        prompts * (double)plan->prompt_tokens + answers * (double)plan->answer_tokens;
    const double heads = (double)((h->H + 2 * h->K) * h->D + h->H * h->D);
    const double block = (double)h->layers * (double)h->C * (heads + 3.0 * (double)h->F);
    const double forward = 2.0 * (positions * block + answers * (double)plan->answer_tokens *
                                                          (double)h->V * (double)h->C);
    printf("\ncost of a step at full length\n");
    printf("  %-44s %12.0f\n", "answers", answers);
    printf("  %-44s %12.0f\n", "token positions", positions);
    printf("  %-44s %12.3f TFLOP\n", "one forward pass", 1e-12 * forward);
    printf("  %-44s %12.3f TFLOP\n", "rollout and all training passes",
           1e-12 * forward *
               ((settings->run.method == SETTING_METHOD_RL ? 1.0 : 0.0) +
                3.0 * (double)settings->update.iterations));
}

static enum status print_plan(struct plan *plan) {
    struct strbuf text = STRBUF_EMPTY;
    TRY(make_plan(plan));
    const enum status status = settings_dump(plan->settings, &text);
    if (status == STATUS_OK)
        fputs(strbuf_text(&text), stdout);
    strbuf_release(&text);
    TRY(status);
    plan->elements = parameters_elements(&plan->hparams);
    printf("\nmodel: %s, %lld layers, width %lld, %lld parameters\n", arch_name(plan->hparams.arch),
           (long long)plan->hparams.layers, (long long)plan->hparams.C, (long long)plan->elements);
    print_memory(plan);
    print_cost(plan);
    return STATUS_OK;
}

static enum status run_command(struct cli *cli) {
    struct settings settings;
    struct plan plan = {.settings = &settings, .ranks = 1};
    TRY(cli_integer(cli, "ranks", 1, 1000000, &plan.ranks));
    TRY(settings_read(cli->argv[0], cli->argv + 1, cli->argc - 1, SETTINGS_FOR_TRAINING,
                      &settings));
    const enum status status = print_plan(&plan);
    settings_release(&settings);
    return status;
}

const struct cli_command cmd_plan = {
    .name = "plan",
    .arguments = "INPUT.cfg [group.name=value ...]",
    .text = "settings, memory and cost of a run; runs nothing",
    .more =
        "Prints every setting with its origin, the memory of a rank part by part, and the arithmetic of\n"
        "a step, counting prompts and answers as long as they may get.",
    .options = {{"ranks", "N", "ranks that the run would be started on (1)", false}},
    .least = 1,
    .most = -1,
    .run = run_command,
};
