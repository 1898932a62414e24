/* SPDX-License-Identifier: Apache-2.0
 *
 * Arithmetic and files of a plan, its rank counts, and what would take less memory.
 */
#include "run/plan.h"

#include <stdio.h>
#include <stdlib.h>

#include "run/model_directory.h"
#include "run/rule.h"

/* --- arithmetic --- */

/* Pairs of a query and a key of one prompt and of one answer behind it. */
static double pairs(double prompt, double answer) {
    return prompt * (prompt + 1) / 2 + answer * prompt + answer * (answer + 1) / 2;
}

/* Of a forward pass: what a position takes in the blocks, and a pair of a query and a key. */
static double block_of(const struct hparams *h) {
    return 2 * (double)(h->layers * h->C) * (double)((2 * h->H + 2 * h->K) * h->D + 3 * h->F);
}

static double pair_of(const struct hparams *h) {
    return 4 * (double)(h->layers * h->H * h->D);
}

/* The last token of an answer is not fed. */
double plan_drawing_flop(const struct hparams *h, const struct plan_drawing *d) {
    const double positions = d->prompts * d->prompt + d->answers * (d->answer - 1);
    const double all = d->prompts * pairs(d->prompt, 0) +
                       d->answers * (pairs(d->prompt, d->answer) - pairs(d->prompt, 0));
    return (block_of(h) + 2 * d->adapter) * positions + pair_of(h) * all +
           2 * (double)(h->V * h->C) * d->answers * d->answer;
}

/* The features of a step's texts, written and real, each read alone; the comparison, on rank 0 and now
 * and then, is nothing beside them. */
static double features_of(const struct plan *plan) {
    const struct run *run = &plan->run;
    const struct hparams *h = &run->mauve.hparams;
    const double texts = (double)plan->settings->rollout.prompts_per_step *
                         (double)(1 + run->method->group_size(plan->settings)),
                 tokens = (double)mauve_watch_longest(run);
    return run->mauve.on ? texts * (block_of(h) * tokens + pair_of(h) * pairs(tokens, 0)) : 0;
}

/* Prompts that training computes again because a tile is cut between answers, answers of full
 * length: each cut inside a group is one. */
static double cut_prompts(const struct plan *plan, double prompt, double answer) {
    const struct settings *settings = plan->settings;
    const double group_size = (double)plan->run.method->group_size(settings);
    double cut = 0;
    for (int64_t t = 0; t < plan->run.tiles.count; t++) {
        const struct tile *tile = &plan->run.tiles.tiles[t];
        double room = (double)settings->parallel.tokens_per_pass;
        for (double k = 0; k < (double)(tile->end - tile->begin) * group_size; k++) {
            const bool begins = (int64_t)k % (int64_t)group_size == 0;
            const double more = answer + (begins ? prompt : 0);
            if (k > 0 && more > room) {
                room = (double)settings->parallel.tokens_per_pass - prompt - answer;
                cut += begins ? 0 : 1;
            } else {
                room -= more;
            }
        }
    }
    return cut;
}

/* Whole passes over the batch that the rule takes while it is not shut off. */
static double passes_of(const struct plan *plan) {
    const struct update_settings settings = rule_settings(plan->settings);
    const int mini_batches = (int)plan->settings->update.mini_batches;
    return (double)plan->run.rule->passes(&settings, mini_batches) / mini_batches;
}

/* So many passes over positions. Training multiplies with a weight once forward, once for the gradient
 * of its input, and once for its own where it is trained; where layers are recomputed all but the last
 * matrix of each once more. The head's logits are computed again in the backward. */
static void add_training(const struct plan *plan, struct plan_work *work, double passes,
                         double positions, double attention, double heads) {
    const struct hparams *h = &plan->run.lm.hparams;
    const double linear = work->block * positions, added = work->adapter * positions;
    const double own = plan->factors == 0 ? 1.0 : 0.0;
    const double down = 2 * (double)(h->layers * h->C * h->F) * positions;
    work->forward += passes * (linear + added + attention + heads);
    work->backward += passes * ((1 + own) * linear + 2.5 * attention + (2 + own) * heads +
                                2 * positions * (double)(2 * plan->factors + plan->factors_a));
    if (plan->settings->model.recompute)
        work->recomputation += passes * (linear + added + attention - down);
}

/* A teacher's forward over the batch, and the products with the output head beyond those that a loss
 * of log-probabilities takes: three of the teacher, one more of the student. */
static double teaching(const struct plan *plan, const struct plan_work *work) {
    const double answer = (double)plan->run.longest.answer,
                 prompt = (double)plan->run.longest.teacher;
    const double groups = (double)plan->settings->rollout.prompts_per_step;
    const double positions = groups * prompt + work->answers * answer;
    const double all =
        groups * pairs(prompt, 0) + work->answers * (pairs(prompt, answer) - pairs(prompt, 0));
    return work->block * positions + work->pair * all + 4 * work->head * work->answers * answer;
}

/* What the discriminator reads, once through the blocks; its head is nothing beside them. Where it
 * reasons, that and what it wrote, of which the output head's products are `heads`, and what the
 * drawing takes: each sequence has a prompt of its own there. */
struct reading {
    double positions, attention, forward, heads, drawing;
};

static struct reading reading_of(const struct plan *plan, const struct plan_work *work) {
    const struct row_lengths *longest = &plan->run.longest;
    const double groups = (double)plan->settings->rollout.prompts_per_step,
                 before = (double)longest->judged, answer = (double)longest->answer,
                 drawn = (double)plan->settings->adversarial.reason_tokens,
                 behind = (double)longest->reasoned, asked = behind - drawn,
                 completion = (double)plan->settings->adversarial.completion_tokens;
    struct reading reading = {.positions = 0};
    if (!plan->run.method->discriminates)
        return reading;
    reading.positions = groups * (before + completion + behind) + work->answers * (answer + behind);
    reading.attention =
        work->pair * (groups * pairs(before, completion + behind) +
                      work->answers * (pairs(before, answer + behind) - pairs(before, 0)));
    reading.forward = (work->block + work->adapter) * reading.positions + reading.attention;
    if (drawn == 0)
        return reading;
    reading.heads = work->head * (groups + work->answers) * drawn;
    reading.drawing =
        (work->block + work->adapter) *
            (reading.positions + (work->answers * before) - (groups + work->answers)) +
        work->pair * (groups * pairs(before + completion + asked, drawn) +
                      work->answers * pairs(before + answer + asked, drawn)) +
        reading.heads;
    return reading;
}

struct plan_work plan_work_of(const struct plan *plan) {
    const struct settings *settings = plan->settings;
    const struct hparams *h = &plan->run.lm.hparams;
    const bool apart = rule_leaves_discriminator(settings);
    const double groups = (double)settings->rollout.prompts_per_step,
                 answers = groups * (double)plan->run.method->group_size(settings),
                 answer = (double)plan->run.longest.answer,
                 prompt = (double)plan->run.longest.both - answer;
    struct plan_work work = {.answers = answers,
                             .positions = groups * prompt + answers * answer,
                             .block = block_of(h),
                             .head = 2 * (double)(h->V * h->C),
                             .pair = pair_of(h),
                             .features = features_of(plan)};
    work.adapter = 2 * (double)plan->factors;
    const double again = cut_prompts(plan, prompt, answer);
    const double drawing = work.pair * (groups * pairs(prompt, 0) +
                                        answers * (pairs(prompt, answer) - pairs(prompt, 0)));
    const double attention = drawing + again * work.pair * pairs(prompt, 0);
    const double linear = work.block * (work.positions + again * prompt);
    const double heads = work.head * answers * answer, once = linear + attention + heads;
    const double passes = passes_of(plan);
    const bool drawn = !plan->run.method->likelihood, kl = settings->objective.kl_coef != 0;
    const bool old = drawn && (settings->update.mini_batches > 1 ||
                               (kl && settings->objective.kl_in == SETTING_KL_IN_REWARD));
    const double added = work.adapter * (work.positions + again * prompt);
    const struct plan_drawing draws = {.prompts = groups,
                                       .prompt = prompt,
                                       .answers = answers,
                                       .answer = answer,
                                       .adapter = (double)plan->factors};
    work.rollout = drawn ? plan_drawing_flop(h, &draws) : 0;
    work.reference = kl ? once : 0;
    work.teacher = plan->run.method->distils ? passes * teaching(plan, &work) : 0;
    work.old = old ? once + added : 0;
    const struct reading reading = reading_of(plan, &work);
    const double times = reading.drawing > 0 ? 2 : 1; /* for the verdict, and for what it wrote */
    work.reasons = reading.drawing;
    work.verdicts = reading.forward;
    add_training(plan, &work, passes, work.positions + again * prompt, attention, heads);
    add_training(plan, &work, apart ? 1 : passes, times * reading.positions,
                 times * reading.attention, reading.heads);
    return work;
}

double plan_work_sum(const struct plan_work *work) {
    return work->rollout + work->reference + work->old + work->teacher + work->reasons +
           work->verdicts + work->forward + work->backward + work->recomputation + work->features;
}

/* --- files --- */

/* Bytes of the files beside the weights, which checkpoints and the model hold too. */
static int64_t text_bytes(const struct model_files *files) {
    int64_t sum = 0;
    for (int i = 0; i < files->count; i++)
        sum += (int64_t)files->files[i].bytes.length;
    return sum;
}

struct plan_disk plan_disk_of(const struct plan *plan) {
    const struct settings *settings = plan->settings;
    const bool drawn = !plan->run.method->likelihood;
    const int64_t own = plan->factors > 0 ? plan->factors
                                          : parameters_elements(&plan->run.lm.hparams),
                  elements = own + plan->head, texts = text_bytes(plan->run.files.model),
                  groups = settings->rollout.prompts_per_step,
                  answers = groups * plan->run.method->group_size(settings),
                  every = settings->output.rollouts_every, steps = settings->run.steps;
    const int64_t prompt = plan->run.longest.both - plan->run.longest.answer;
    /* token, log-probability, entropy; the sampler's, and ratio, gate's derivative, or those of the
     * teacher and the divergence; reference; and some four bytes of text a token, in prompts too */
    const int64_t of_method = plan->run.method->distils ? 4 : drawn ? 3 : 0;
    const int64_t columns = 3 + of_method + (settings->objective.kl_coef != 0 ? 1 : 0);
    const int64_t read = plan->run.method->discriminates
                             ? (groups + answers) * plan->run.longest.judged +
                                   groups * settings->adversarial.completion_tokens +
                                   answers * plan->run.longest.answer +
                                   (groups + answers) * (plan->run.longest.reasoned +
                                                         4 * settings->adversarial.reason_tokens)
                             : 0; /* each sequence whole; of a drawn token four numbers more */
    const bool own_step = rule_leaves_discriminator(settings);
    const bool mean = plan->run.method->distils && settings->distill.teacher == SETTING_TEACHER_EMA;
    const int64_t vectors = 3 + (mean ? 1 : 0) + (own_step ? 2 : 0); /* parameters, moments, … */
    struct plan_disk disk = {
        .checkpoint = 4 * vectors * elements + texts + mauve_watch_bytes(&plan->run),
        .rollouts = answers * plan->run.longest.answer * 4 * (columns + 1) +
                    groups * (prompt * 8 + plan->run.longest.teacher * 4) + read * 4,
        .model = 4 * elements + (plan->factors == 0 ? texts : 0)};
    const int64_t saves =
        settings->checkpoint.every > 0 ? steps / settings->checkpoint.every + 1 : steps;
    const int64_t kept = saves < settings->checkpoint.keep ? saves : settings->checkpoint.keep;
    disk.total =
        kept * disk.checkpoint + disk.model + (every > 0 ? steps / every : 0) * disk.rollouts;
    if (every == 0)
        disk.rollouts = 0;
    return disk;
}

/* --- ranks --- */

enum status plan_balance(const struct plan *plan, int ranks, double *balance) {
    const struct settings *settings = plan->settings;
    struct tiles tiles;
    int64_t *groups, most = 0;
    TRY(tiles_init(&tiles, settings->rollout.prompts_per_step, (int)settings->update.mini_batches,
                   settings->parallel.groups_per_tile, ranks));
    const enum status status = memory_new(&groups, ranks, "groups of ranks");
    for (int64_t t = 0; status == STATUS_OK && t < tiles.count; t++) {
        int64_t *own = &groups[tiles.tiles[t].owner];
        *own += tiles.tiles[t].end - tiles.tiles[t].begin;
        most = *own > most ? *own : most;
    }
    if (status == STATUS_OK)
        *balance = (double)settings->rollout.prompts_per_step / ((double)ranks * (double)most);
    memory_release(&groups);
    tiles_release(&tiles);
    return status;
}

/* --- what would take less --- */

/* The plan with other settings, if it lowers the peak by a hundredth. */
static enum status try_settings(const struct plan *plan, const struct settings *settings, int ranks,
                                int64_t peak, struct plan_advice *advice, int *count) {
    struct plan_memory *memory;
    TRY(memory_new(&memory, 1, "plan"));
    const enum status status = plan_memory(plan, settings, ranks, memory);
    if (status == STATUS_OK) {
        advice->peak_bytes = plan_peak_bytes(memory);
        *count += advice->peak_bytes < peak - peak / 100;
    }
    memory_release(&memory);
    return status;
}

#define TRY_CHANGE(change, ...)                                                                    \
    do {                                                                                           \
        struct settings other = *plan->settings;                                                   \
        change;                                                                                    \
        snprintf(advice[*count].text, sizeof advice->text, __VA_ARGS__);                           \
        TRY(try_settings(plan, &other, plan->ranks, peak, &advice[*count], count));                \
    } while (0)

static enum status try_training(const struct plan *plan, int64_t peak, struct plan_advice *advice,
                                int *count) {
    const struct settings *settings = plan->settings;
    const int64_t tokens = settings->parallel.tokens_per_pass, longest = plan->run.longest.both;
    const struct tile *tile = &plan->run.tiles.tiles[0];
    const int64_t whole =
        (tile->end - tile->begin) *
        (longest + (plan->run.method->group_size(settings) - 1) * plan->run.longest.answer);
    const int64_t present = whole < tokens ? whole : tokens,
                  less = present / 2 > longest ? present / 2 : longest;
    if (!settings->model.recompute)
        TRY_CHANGE(other.model.recompute = true,
                   "model.recompute = true: layers are computed again in the backward pass");
    if (less < present)
        TRY_CHANGE(other.parallel.tokens_per_pass = less,
                   "parallel.tokens_per_pass = %lld: more, smaller passes over a tile",
                   (long long)less);
    if (plan->ranks > 1 && !settings->parallel.shard)
        TRY_CHANGE(other.parallel.shard = true,
                   "parallel.shard = true: a rank holds the optimizer's state of its share only");
    if (settings->parallel.reduction == SETTING_REDUCTION_EXACT)
        TRY_CHANGE(other.parallel.reduction = SETTING_REDUCTION_FAST,
                   "parallel.reduction = \"fast\": bits then depend on the number of ranks");
    if (settings->objective.kl_coef != 0)
        TRY_CHANGE(other.objective.kl_coef = 0,
                   "objective.kl_coef = 0: no reference model; another objective");
    if (settings->update.optimizer_state == SETTING_OPTIMIZER_STATE_TRANSACTIONAL)
        TRY_CHANGE(
            other.update.optimizer_state = SETTING_OPTIMIZER_STATE_FAST_STATE,
            "update.optimizer_state = \"fast_state\": moments are not kept to be taken back; "
            "another update");
    return STATUS_OK;
}

static enum status try_rollout(const struct plan *plan, int64_t peak, struct plan_advice *advice,
                               int *count) {
    const struct settings *settings = plan->settings;
    const int64_t group_size = plan->run.method->group_size(settings),
                  answers = settings->rollout.prompts_per_step * group_size / plan->ranks;
    const int64_t given = settings->rollout.answers_in_flight,
                  present = given > 0 && given < answers ? given : answers,
                  less = present / 2 > group_size ? present / 2 : group_size;
    const int64_t most = plan->run.tiles.count;
    if (!plan->run.method->likelihood && less < present)
        TRY_CHANGE(other.rollout.answers_in_flight = less,
                   "rollout.answers_in_flight = %lld: fewer answers are decoded at a time",
                   (long long)less);
    if (plan->ranks < most) {
        snprintf(advice[*count].text, sizeof advice->text, "%lld ranks instead of %d",
                 (long long)most, plan->ranks);
        TRY(try_settings(plan, settings, (int)most, peak, &advice[*count], count));
    }
    return STATUS_OK;
}

/* Everything at once that leaves the objective and the ranks, as far as it goes. */
static enum status try_least(const struct plan *plan, int64_t peak, struct plan_advice *advice,
                             int *count) {
    const int64_t group_size = plan->run.method->group_size(plan->settings);
    const bool drawn = !plan->run.method->likelihood;
    char in_flight[64] = "";
    struct settings other = *plan->settings;
    other.model.recompute = true;
    other.parallel.reduction = SETTING_REDUCTION_FAST;
    if (other.parallel.tokens_per_pass > plan->run.longest.both)
        other.parallel.tokens_per_pass = plan->run.longest.both;
    if (drawn) {
        other.rollout.answers_in_flight = group_size;
        snprintf(in_flight, sizeof in_flight, " rollout.answers_in_flight=%lld",
                 (long long)group_size);
    }
    snprintf(advice[*count].text, sizeof advice->text,
             "together: model.recompute=true parallel.reduction=fast "
             "parallel.tokens_per_pass=%lld%s",
             (long long)other.parallel.tokens_per_pass, in_flight);
    return *count > 1 ? try_settings(plan, &other, plan->ranks, peak, &advice[*count], count)
                      : STATUS_OK;
}

static int least_first(const void *a, const void *b) {
    const struct plan_advice *x = a, *y = b;
    return (x->peak_bytes > y->peak_bytes) - (x->peak_bytes < y->peak_bytes);
}

enum status plan_advise(const struct plan *plan, const struct plan_memory *memory,
                        struct plan_advice advice[PLAN_ADVICE_MAX], int *count) {
    const int64_t peak = plan_peak_bytes(memory);
    *count = 0;
    TRY(try_training(plan, peak, advice, count));
    TRY(try_rollout(plan, peak, advice, count));
    TRY(try_least(plan, peak, advice, count));
    qsort(advice, (size_t)*count, sizeof *advice, least_first);
    return STATUS_OK;
}
