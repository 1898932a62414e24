/* SPDX-License-Identifier: Apache-2.0 */
#include "run/plan.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "run/model_directory.h"
#include "run/rehearsal.h"
#include "run/threads.h"

/* What MPI takes, about: Open MPI 4.1 on one node, where buffers that are shared with other ranks add to
 * the resident size of each: 10.4, 11.7, 14.0, 14.5 and 16.0 MiB for 1, 2, 3, 4 and 8 ranks. */
int64_t plan_comm_bytes(int ranks) {
    return (int64_t)((10.5 + 2.0 * log2(ranks)) * (1 << 20));
}

const char *plan_moment_name(enum plan_moment moment) {
    static const char *const names[PLAN_MOMENTS] = {"loading", "rollout", "training", "saving"};
    return names[moment];
}

enum plan_moment plan_peak_moment(const struct plan_memory *memory) {
    enum plan_moment most = PLAN_LOADING;
    for (int m = 0; m < PLAN_MOMENTS; m++)
        if (memory->sums[m] > memory->sums[most])
            most = (enum plan_moment)m;
    return most;
}

int64_t plan_peak_bytes(const struct plan_memory *memory) {
    return memory->outside + memory->sums[plan_peak_moment(memory)];
}

/* The largest part of a moment behind `last`, or of all where that is NULL; NULL: there is none. */
static const struct plan_part *next_part(const struct plan_memory *memory, enum plan_moment moment,
                                         const struct plan_part *last) {
    const struct plan_part *next = NULL;
    for (const struct plan_part *part = memory->parts; part < memory->parts + memory->part_count;
         part++) {
        const int64_t bytes = part->bytes[moment];
        if (last != NULL &&
            (bytes > last->bytes[moment] || (bytes == last->bytes[moment] && part <= last)))
            continue;
        if (bytes > 0 && (next == NULL || bytes > next->bytes[moment]))
            next = part;
    }
    return next;
}

const char *plan_sentence(const struct plan_memory *memory, char text[PLAN_SENTENCE_MAX]) {
    enum { NAMED = 5 };
    const double mib = 1048576.0;
    const enum plan_moment peak = plan_peak_moment(memory);
    const struct plan_part *part = NULL;
    size_t used =
        (size_t)snprintf(text, PLAN_SENTENCE_MAX,
                         "a rank needs up to %.1f MiB, in %s, %.1f of them program and libraries",
                         (double)plan_peak_bytes(memory) / mib, plan_moment_name(peak),
                         (double)memory->outside / mib);
    for (int i = 0; i < NAMED && (part = next_part(memory, peak, part)) != NULL; i++)
        used += (size_t)snprintf(text + used, PLAN_SENTENCE_MAX - used, ", %.1f %s",
                                 (double)part->bytes[peak] / mib, part->label);
    return text;
}

/* --- opening --- */

static enum status choose_threads(struct plan *plan, const struct plan_options *options,
                                  int *threads) {
    const int wanted = (int)plan->settings->parallel.threads;
    *threads = options->threads;
    if (*threads > 0)
        return STATUS_OK;
    TRY(threads_choose(&plan->comm, wanted, threads));
    if (wanted == 0)
        *threads = *threads > options->ranks ? *threads / options->ranks : 1;
    return STATUS_OK;
}

/* As the run that writes them holds them. */
static enum status read_files(struct run *run) {
    TRY(memory_new(&run->files.model, 1, "model files"));
    return language_model_files(&run->lm, run->settings, run->files.model);
}

static enum status count_factors(struct plan *plan) {
    const struct language_model *lm = &plan->run.lm;
    const struct discriminator_settings head = language_model_head(lm, plan->settings, 0);
    struct adapter_settings how;
    struct parameter *items = NULL;
    struct parameter_set set;
    if (plan->run.method->discriminates)
        plan->head = discriminator_elements(&head);
    TRY(language_model_adapter(lm, plan->settings, &how));
    if (how.rank == 0)
        return STATUS_OK;
    const enum status status = adapter_parameters_list(&lm->hparams, &how, &items, &set);
    for (int64_t i = 0; status == STATUS_OK && i < set.count; i++) {
        const int64_t n = items[i].rows * items[i].columns;
        plan->factors += n;
        plan->factors_a += items[i].rows == how.rank ? n : 0;
    }
    memory_release(&items);
    return status;
}

enum status plan_open(struct plan *plan, const struct settings *settings,
                      const struct plan_options *options) {
    int threads;
    struct restart restart = {.fresh = options->fresh};
    *plan = (struct plan){.settings = settings, .ranks = options->ranks};
    comm_self_open(&plan->comm);
    TRY(choose_threads(plan, options, &threads));
    TRY(restart_choose(settings, &plan->comm, &restart));
    plan->comm.size = options->ranks;
    const struct absent absent =
        options->elsewhere ? absent_find(settings) : (struct absent){.weights = false};
    TRY(run_plan(&plan->run, settings, &plan->comm, threads, &absent));
    enum status status = read_files(&plan->run);
    if (status == STATUS_OK)
        status = count_factors(plan);
    if (status != STATUS_OK)
        plan_close(plan);
    plan->outside = memory_resident_bytes() - memory_totals().bytes;
    return status;
}

void plan_close(struct plan *plan) {
    run_close(&plan->run);
}

/* --- memory --- */

void plan_note(struct plan_memory *memory, enum plan_moment moment) {
    struct memory_account accounts[MEMORY_LABELS];
    memory->part_count = memory_accounts(accounts, MEMORY_LABELS);
    memory->sums[moment] = 0;
    for (int i = 0; i < memory->part_count; i++) {
        memcpy(memory->parts[i].label, accounts[i].label, sizeof accounts[i].label);
        memory->parts[i].bytes[moment] = accounts[i].at_peak_bytes;
        memory->sums[moment] += accounts[i].at_peak_bytes;
        if (accounts[i].peak_bytes > memory->parts[i].most)
            memory->parts[i].most = accounts[i].peak_bytes;
    }
}

/* Twice, since the second step finds what the first has left, and a moving mean teaches from then on:
 * until it has moved, the model teaches itself, both contexts in one batch. */
static enum status rehearse(struct run *run, struct plan_memory *memory) {
    static enum status (*const moments[PLAN_MOMENTS])(struct run *) = {
        run_reserve, rehearsal_rollout, rehearsal_training, rehearsal_saving};
    for (int step = 0; step < 2; step++) {
        run->teacher.moves = step;
        for (int m = step > 0 ? PLAN_ROLLOUT : PLAN_LOADING; m < PLAN_MOMENTS; m++) {
            memory_watch();
            TRY(moments[m](run));
            plan_note(memory, (enum plan_moment)m);
        }
    }
    return STATUS_OK;
}

/* The rank that owns most groups. */
static int fullest_rank(const struct tiles *tiles) {
    int64_t most = 0, groups = 0;
    int fullest = 0;
    for (int64_t t = 0; t < tiles->count; t++) {
        const int owner = tiles->tiles[t].owner;
        groups = 0;
        for (int64_t k = 0; k < tiles->count; k++)
            if (tiles->tiles[k].owner == owner)
                groups += tiles->tiles[k].end - tiles->tiles[k].begin;
        if (groups > most) {
            most = groups;
            fullest = owner;
        }
    }
    return fullest;
}

enum status plan_memory(const struct plan *plan, const struct settings *settings, int ranks,
                        struct plan_memory *memory) {
    struct comm comm = plan->comm;
    struct run run = plan->run; /* borrows texts, tokenizer and data */
    *memory = (struct plan_memory){.outside = plan->outside + plan_comm_bytes(ranks)};
    comm.size = ranks;
    run.settings = settings;
    run.comm = &comm;
    run.tiles = (struct tiles){.count = 0};
    enum status status;
    TRY(backend_plan(&run.lm.backend, settings_word(settings, "run.device"),
                     plan->run.lm.backend.threads));
    TRY_ELSE(status, done,
             tiles_init(&run.tiles, settings->rollout.prompts_per_step,
                        (int)settings->update.mini_batches, settings->parallel.groups_per_tile,
                        ranks));
    comm.rank = fullest_rank(&run.tiles);
    status = rehearse(&run, memory);
done:
    run_unreserve(&run);
    tiles_release(&run.tiles);
    backend_close(&run.lm.backend);
    return status;
}
