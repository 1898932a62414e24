/* SPDX-License-Identifier: Apache-2.0
 *
 * gradus plan: what a run would do, what memory and disk it would take and what a step costs; runs
 * nothing. The numbers are those of run/plan.h; here they are printed.
 */
#include "cli/cli.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "base/memory.h"
#include "base/strbuf.h"
#include "config/settings.h"
#include "run/absent.h"
#include "run/plan.h"
#include "run/plan_device.h"
#include "run/plan_evaluation.h"

static double mib(int64_t bytes) {
    return (double)bytes / 1048576.0;
}

static bool trains_all(const struct plan *plan) {
    return plan->factors == 0;
}

/* --- another machine --- */

/* First of all: what is assumed and which checks could not be made. */
static void print_assumed(const struct plan *plan) {
    const struct absent *absent = &plan->run.lm.absent;
    const struct row_lengths *longest = &plan->run.longest;
    if (!absent->weights && !absent_rows(absent))
        return;
    printf("assumed, since it is not here:\n");
    if (absent->weights)
        printf("  weights: %s has no safetensors; not checked: names, shapes, numbers\n",
               plan->settings->model.path);
    if (absent->tokenizer)
        printf(
            "  tokenizer: %s has no tokenizer.json; not checked: special tokens, chat form, prompt%s\n",
            plan->settings->model.path,
            plan->run.method->discriminates && plan->settings->adversarial.reason_tokens > 0
                ? "; not counted: adversarial.judge_template"
                : "");
    if (absent_rows(absent))
        printf(
            "  data: not counted; prompts of %lld tokens, answers of %lld; not checked: files, fields, where\n",
            (long long)(longest->both - longest->answer), (long long)longest->answer);
    printf("\n");
}

/* Whether it fits, in the units of the device's name. */
static void print_device(const struct plan *plan, const struct plan_device *device,
                         const struct plan_memory *memory) {
    const double gib = 1073741824.0, held = (double)plan_device_bytes(memory) / gib,
                 all = (double)device->memory_bytes / gib,
                 kept = (double)device->reserved_bytes / gib;
    const bool fits = held <= all - kept;
    printf("\n%s (%s): a rank %s, %.1f of %.1f GiB, of which %.1f are left to the system\n",
           device->name, device->text, fits ? "fits" : "does not fit", held, all, kept);
    if (strcmp(device->name, "cpu") != 0)
        printf(
            "  counted as run.device = \"%s\" holds it, drawing and training%s\n",
            settings_word(plan->settings, "run.device"),
            plan->settings->run.device == SETTING_DEVICE_CUDA
                ? ""
                : "; run.device = \"cuda\", where gradus was built with it, is what a GPU holds");
    if (!fits)
        printf("  at least %.1f GiB (%.0f MiB) must go: see what would take less%s\n",
               held - (all - kept), 1024 * (held - (all - kept)),
               trains_all(plan) ? "; or train an adapter (lora.rank), or a smaller model" : "");
}

static enum status print_time(const struct plan *plan, const struct plan_device *device) {
    struct plan_time time;
    TRY(plan_time_of(plan, device, &time));
    if (time.drawing_s + time.other_s == 0)
        return STATUS_OK;
    printf("\nestimate for a step on %d x %s: %.0f s, of which drawing %.0f s\n", plan->ranks,
           device->name, time.drawing_s + time.other_s, time.drawing_s);
    printf(
        "  arithmetic alone, at %.0f %% of the peak in products and %.0f %% of the bandwidth while "
        "drawing;\n  nothing was measured, answers are of full length\n",
        100 * PLAN_FLOPS_SHARE, 100 * PLAN_BANDWIDTH_SHARE);
    return STATUS_OK;
}

/* --- memory --- */

static void print_row(const char *name, const int64_t bytes[PLAN_MOMENTS], int moments) {
    printf("  %-40s", name);
    for (int m = 0; m < moments; m++)
        printf(" %10.1f", mib(bytes[m]));
    printf("\n");
}

/* The moment by which the rows are sorted. */
struct order {
    const struct plan_part *part;
    int64_t bytes;
};

static int largest_first(const void *a, const void *b) {
    const struct order *x = a, *y = b;
    return (x->bytes < y->bytes) - (x->bytes > y->bytes);
}

/* Of so many moments, from the first on. Parts of at least a two-hundredth of the peak, each in a row; the others in one. */
static void print_parts(const struct plan_memory *memory, int moments) {
    const enum plan_moment peak = plan_peak_moment(memory);
    struct order order[MEMORY_LABELS];
    int64_t rest[PLAN_MOMENTS] = {0};
    int left_out = 0;
    for (int i = 0; i < memory->part_count; i++)
        order[i] = (struct order){&memory->parts[i], memory->parts[i].bytes[peak]};
    qsort(order, (size_t)memory->part_count, sizeof *order, largest_first);
    for (int i = 0; i < memory->part_count; i++) {
        if (order[i].part->most >= memory->sums[peak] / 200) {
            print_row(order[i].part->label, order[i].part->bytes, moments);
            continue;
        }
        left_out += order[i].part->most > 0;
        for (int m = 0; m < PLAN_MOMENTS; m++)
            rest[m] += order[i].part->bytes[m];
    }
    char name[48];
    snprintf(name, sizeof name, "%d smaller parts", left_out);
    print_row(name, rest, moments);
}

/* The reference model has its memory under the same labels as the model; its share is what the plan
 * without it lacks. */
static void print_table(const struct plan_memory *memory, const struct plan_memory *without,
                        int moments) {
    int64_t reference[PLAN_MOMENTS], outside[PLAN_MOMENTS], sums[PLAN_MOMENTS];
    for (int m = 0; m < PLAN_MOMENTS; m++) {
        reference[m] = memory->sums[m] - without->sums[m];
        outside[m] = memory->outside;
        sums[m] = memory->sums[m] + memory->outside;
    }
    printf("  %-40s", "MiB");
    for (int m = 0; m < moments; m++)
        printf(" %10s", plan_moment_name((enum plan_moment)m));
    printf("\n");
    print_parts(without, moments);
    if (reference[PLAN_TRAINING] > 0)
        print_row("reference model", reference, moments);
    print_row("program, libraries, MPI", outside, moments);
    print_row("sum", sums, moments);
    printf("  the most: %.1f MiB, in %s\n", mib(plan_peak_bytes(memory)),
           plan_moment_name(plan_peak_moment(memory)));
}

static enum status print_advice(const struct plan *plan, const struct plan_memory *memory) {
    struct plan_advice advice[PLAN_ADVICE_MAX];
    int count;
    const int64_t peak = plan_peak_bytes(memory);
    TRY(plan_advise(plan, memory, advice, &count));
    printf("\n%s\n", count > 0 ? "what would take less, each alone or together"
                               : "no setting takes less by a hundredth or more");
    for (int i = 0; i < count; i++)
        printf("  %10.1f MiB less  %s\n", mib(peak - advice[i].peak_bytes), advice[i].text);
    return STATUS_OK;
}

static enum status print_memory(const struct plan *plan, const struct plan_device *device) {
    const struct settings *settings = plan->settings;
    struct settings alone = *settings;
    struct plan_memory *memory, *without = NULL;
    enum status status;
    alone.objective.kl_coef = 0;
    TRY(memory_new(&memory, 1, "plan"));
    TRY_ELSE(status, done, memory_new(&without, 1, "plan"));
    TRY_ELSE(status, done, plan_memory(plan, settings, plan->ranks, memory));
    TRY_ELSE(status, done, plan_memory(plan, &alone, plan->ranks, without));
    printf(
        "\nmemory of a rank (%d ranks of %d threads; the rank with most to do, which writes the files)\n",
        plan->ranks, plan->run.lm.backend.threads);
    print_table(memory, without, PLAN_MOMENTS);
    const double host = (double)sysconf(_SC_PHYS_PAGES) * (double)sysconf(_SC_PAGESIZE);
    if (device == NULL)
        printf("  this machine has %.1f MiB: room for %.0f such ranks\n", host / 1048576.0,
               host / (double)plan_peak_bytes(memory) - 0.5);
    else
        print_device(plan, device, memory);
    status = print_advice(plan, memory);
done:
    memory_release(&memory);
    memory_release(&without);
    return status;
}

/* --- ranks --- */

/* Whether so many ranks share the tiles as evenly as one. */
static enum status print_ranks(const struct plan *plan) {
    const int most = (int)plan->run.tiles.count;
    double balance;
    TRY(plan_balance(plan, plan->ranks, &balance));
    printf("\nranks: 1 to %d; evenly shared by", most);
    for (int ranks = 1; ranks <= most; ranks++) {
        double even;
        TRY(plan_balance(plan, ranks, &even));
        if (even == 1.0)
            printf(" %d", ranks);
    }
    printf("\n  %d ranks use %.0f %% of their time\n", plan->ranks, 100 * balance);
    return STATUS_OK;
}

/* --- disk and arithmetic --- */

static void print_disk(const struct plan *plan) {
    const struct plan_disk disk = plan_disk_of(plan);
    const struct settings *settings = plan->settings;
    printf("\ndisk\n");
    printf("  %-40s %10.1f MiB, %lld kept, one more while it is written\n", "a checkpoint",
           mib(disk.checkpoint), (long long)settings->checkpoint.keep);
    if (disk.rollouts > 0)
        printf("  %-40s %10.1f MiB at most, every %lld steps\n", "the answers of a step",
               mib(disk.rollouts), (long long)settings->output.rollouts_every);
    printf("  %-40s %10.1f MiB\n",
           trains_all(plan) ? "the model at the end" : "the adapter at the end", mib(disk.model));
    printf("  %-40s %10.1f MiB at most\n", "the run", mib(disk.total));
}

static void print_flop(const char *name, double flop) {
    if (flop > 0)
        printf("  %-40s %10.3f TFLOP\n", name, 1e-12 * flop);
}

static void print_work(const struct plan *plan) {
    const struct plan_work work = plan_work_of(plan);
    const struct row_lengths *longest = &plan->run.longest;
    printf(
        "\narithmetic of a step (%.0f answers of %lld tokens, prompts of %lld: %.0f positions)\n",
        work.answers, (long long)longest->answer, (long long)(longest->both - longest->answer),
        work.positions);
    print_flop("drawing the answers", work.rollout);
    print_flop("log-probabilities of the reference", work.reference);
    print_flop("log-probabilities before the first pass", work.old);
    print_flop("the teacher", work.teacher);
    print_flop("reasoning of the discriminator", work.reasons);
    print_flop("verdicts of the discriminator", work.verdicts);
    print_flop("training, forward", work.forward);
    print_flop("training, backward", work.backward);
    print_flop("training, layers computed again", work.recomputation);
    print_flop("features of texts, for MAUVE", work.features);
    print_flop("sum", plan_work_sum(&work));
    if (work.recomputation > 0)
        print_flop("sum with model.recompute = false", plan_work_sum(&work) - work.recomputation);
    if (work.reference > 0)
        print_flop("sum with objective.kl_coef = 0", plan_work_sum(&work) - work.reference);
    printf(
        "  a position takes %.4g, a pair of a query and a key %.4g, a token of an answer %.4g in the "
        "head;\n",
        work.block, work.pair, work.head);
    if (work.adapter > 0)
        printf(
            "  a position takes %.4g more in the adapter; no gradient of the model is computed: "
            "backward\n  takes 1, 2.5 and 2 times as much as forward, 2.5 times or so in the adapter\n",
            work.adapter);
    else
        printf("  backward takes 2 times, 2.5 times and 3 times as much as forward\n");
}

static enum status print_plan(const struct plan *plan, const struct plan_device *device) {
    const struct hparams *h = &plan->run.lm.hparams;
    struct strbuf text = STRBUF_EMPTY;
    print_assumed(plan);
    const enum status status = settings_dump(plan->settings, &text);
    if (status == STATUS_OK)
        fputs(strbuf_text(&text), stdout);
    strbuf_release(&text);
    TRY(status);
    printf("\nmodel: %s, %lld layers, width %lld, %lld parameters, %lld of them trained",
           arch_name(h->arch), (long long)h->layers, (long long)h->C,
           (long long)parameters_elements(h),
           (long long)(trains_all(plan) ? parameters_elements(h) : plan->factors));
    if (plan->head > 0)
        printf(", and the %lld of a discriminator", (long long)plan->head);
    putchar('\n');
    TRY(print_memory(plan, device));
    TRY(print_ranks(plan));
    print_disk(plan);
    print_work(plan);
    return device == NULL ? STATUS_OK : print_time(plan, device);
}

static enum status make_plan(struct cli *cli, const struct settings *settings) {
    int64_t ranks = 1;
    const bool elsewhere = cli_given(cli, "device");
    struct plan plan;
    struct plan_device device;
    TRY(cli_integer(cli, "ranks", 1, 1000000, &ranks));
    if (elsewhere)
        TRY(plan_device_find(cli_value(cli, "device"), (int)ranks, &device));
    TRY(plan_open(&plan, settings,
                  &(struct plan_options){.ranks = (int)ranks,
                                         .fresh = cli_given(cli, "fresh"),
                                         .elsewhere = elsewhere}));
    const enum status status = print_plan(&plan, elsewhere ? &device : NULL);
    plan_close(&plan);
    return status;
}

static void warn_of_setting(const char *sentence) {
    log_warning("settings", "%s", sentence);
}

/* --- an evaluation alone --- */

static void print_evaluation(const struct plan_evaluation *plan, int ranks) {
    printf(
        "\nevaluation: %lld sets, %lld problems of up to %lld tokens, %lld samples of up to %lld, "
        "%lld at once on a rank\nmodel: %lld parameters\n",
        (long long)plan->sets, (long long)plan->problems, (long long)plan->prompt,
        (long long)plan->samples, (long long)plan->answer, (long long)plan->at_once,
        (long long)plan->parameters);
    printf("\nmemory of a rank (%d ranks of %d threads; drawing is the rollout)\n", ranks,
           plan->threads);
    print_table(&plan->memory, &plan->memory, PLAN_ROLLOUT + 1);
    printf("\narithmetic of the evaluation\n");
    print_flop("drawing the samples", plan->drawing);
}

static enum status make_evaluation_plan(struct cli *cli, const struct settings *settings) {
    int64_t ranks = 1;
    struct plan_evaluation *plan;
    struct strbuf text = STRBUF_EMPTY;
    if (cli_given(cli, "device"))
        return FAIL(STATUS_USAGE, "an evaluation alone is planned for this machine: leave out "
                                  "--device");
    TRY(cli_integer(cli, "ranks", 1, 1000000, &ranks));
    TRY(memory_new(&plan, 1, "plan"));
    enum status status = plan_evaluation(settings, (int)ranks, 0, plan);
    if (status == STATUS_OK)
        status = settings_dump(settings, &text);
    if (status == STATUS_OK) {
        fputs(strbuf_text(&text), stdout);
        print_evaluation(plan, (int)ranks);
    }
    strbuf_release(&text);
    memory_release(&plan);
    return status;
}

/* Benchmarks, and nothing to train on. */
static bool evaluates_alone(const struct settings *settings) {
    return settings->eval.sets_count > 0 && settings->data.train_count == 0 &&
           settings->data.corpus_count == 0;
}

/* Which of the two it is shows once it is read as an evaluation. */
static enum status read_settings(struct cli *cli, struct settings *settings) {
    if (settings_read(cli->argv[0], cli->argv + 1, cli->argc - 1, SETTINGS_FOR_EVALUATION,
                      settings) == STATUS_OK) {
        if (evaluates_alone(settings))
            return STATUS_OK;
        settings_release(settings);
    }
    status_clear();
    return settings_read(cli->argv[0], cli->argv + 1, cli->argc - 1, SETTINGS_FOR_TRAINING,
                         settings);
}

static enum status run_command(struct cli *cli) {
    struct settings settings;
    TRY(read_settings(cli, &settings));
    enum status status = evaluates_alone(&settings) ? make_evaluation_plan(cli, &settings)
                                                    : make_plan(cli, &settings);
    if (status == STATUS_OK)
        status = settings_unused(&settings, warn_of_setting);
    settings_release(&settings);
    return status;
}

const struct cli_command cmd_plan = {
    .name = "plan",
    .arguments = "INPUT.cfg [group.name=value ...]",
    .text = "settings, memory, disk and cost of a run; runs nothing",
    .more =
        "Opens the run as train does, so that whatever train refuses at its start is refused here, and\n"
        "goes through a step without computing it. Prints every setting with its origin; the memory of\n"
        "a rank part by part, in each moment of the run; what would take less; the usable numbers of\n"
        "ranks; the files; and the arithmetic of a step. Prompts count as the longest of the data,\n"
        "answers as long as they may get. An input with eval.sets and no data to train on is planned as\n"
        "gradus eval runs it: memory while it loads and draws, and the arithmetic of all samples.\n"
        "\n"
        "With --device it plans for another machine: whether a rank fits on such a device, and an estimate\n"
        "of the time of a step from arithmetic alone. There config.json is enough: weights, tokenizer and\n"
        "data that are not here are assumed, prompts then as long as prompt.max_tokens, and the first lines\n"
        "say so. Devices: a100-40, a100-80, h100-80, h200-141, and cpu, this machine.",
    .options = {{"ranks", "N", "ranks that the run would be started on (1)", false},
                {"device", "NAME", "plan for one such device a rank; what is not here is assumed",
                 false},
                {"fresh", NULL, "as in train: run.directory may hold an earlier run", false}},
    .least = 1,
    .most = -1,
    .run = run_command,
};
