/* SPDX-License-Identifier: Apache-2.0
 *
 * The vectors are brought to the host block by block; the sums of blocks are added in their order,
 * counts as integers, so that every number of ranks, with or without shards, finds the same.
 */
#include "run/diagnosis.h"

#include <math.h>
#include <string.h>

#include "base/clock.h"
#include "base/memory.h"
#include "optim/clip.h"
#include "optim/extrapolate.h"
#include "run/rule.h"
#include "run/run.h"

/* --- memory --- */

static void set_edges(double edges[DIAGNOSTICS_BINS + 1], const double limit[2]) {
    for (int b = 0; b <= DIAGNOSTICS_BINS; b++)
        edges[b] = limit[0] + (limit[1] - limit[0]) * b / DIAGNOSTICS_BINS;
}

enum status diagnosis_reserve(struct run *run) {
    struct diagnosis *diagnosis = &run->diagnosis;
    const struct settings_update *update = &run->settings->update;
    const struct parameter_set *trained = language_model_trained(&run->lm);
    if (!rule_is_diagnosed(run->settings))
        return STATUS_OK;
    TRY(memory_new(&diagnosis->names, trained->count, "names of tensors"));
    for (int64_t i = 0; i < trained->count; i++)
        diagnosis->names[i] = trained->items[i].name;
    diagnosis->tensors = (struct diagnostics_tensors){
        .names = diagnosis->names, .count = trained->count, .every = update->diagnose_every};
    set_edges(diagnosis->tensors.ratio_edges, update->ratio_limit);
    set_edges(diagnosis->tensors.scale_edges, update->scale_limit);
    const int64_t n = trained->count * DIAGNOSTICS_BINS;
    TRY(memory_new(&diagnosis->tally.ratios, n, "histograms"));
    return memory_new(&diagnosis->tally.scales, n, "histograms");
}

void diagnosis_unreserve(struct run *run) {
    struct diagnosis *diagnosis = &run->diagnosis;
    memory_release(&diagnosis->names);
    memory_release(&diagnosis->tally.ratios);
    memory_release(&diagnosis->tally.scales);
    *diagnosis = (struct diagnosis){.made = false};
}

/* --- block by block --- */

/* A block of this rank's shard: n elements of one tensor from `at` on, `place` on the shard. */
struct block {
    int64_t at, place;
    int n;
    int64_t tensor;
    int64_t index; /* among this rank's blocks */
};

typedef enum status visit_block(void *context, const struct block *block);

static enum status visit_range(const struct vector_layout *layout, struct shard_range range,
                               int64_t *index, visit_block *visit, void *context) {
    for (int64_t at = range.begin, n; at < range.end; at += n) {
        const int64_t tensor = vector_layout_part(layout, at);
        const struct vector_part *part = &layout->parts[tensor];
        const int64_t left = part->offset + part->elements - at;
        n = left < VECTOR_BLOCK ? left : VECTOR_BLOCK;
        TRY(visit(context, &(struct block){.at = at,
                                           .place = range.place + (at - range.begin),
                                           .n = (int)n,
                                           .tensor = tensor,
                                           .index = (*index)++}));
    }
    return STATUS_OK;
}

/* All of this rank's blocks, in order; *count is how many there are. */
static enum status visit_blocks(const struct run *run, visit_block *visit, void *context,
                                int64_t *count) {
    const struct shard *shard = run->shard;
    *count = 0;
    for (int64_t i = 0; i < shard_range_count(shard, shard->rank); i++)
        TRY(visit_range(shard->layout, shard_range_at(shard, shard->rank, i), count, visit,
                        context));
    return STATUS_OK;
}

static enum status fetch(struct run *run, const float *from, int n, float *to) {
    return run->lm.backend.ops->download(&run->lm.backend, to, from, (size_t)n * sizeof *to);
}

/* Counts of all ranks; where each holds the whole vector they have counted the same. */
static enum status sum_counts(const struct run *run, int64_t *counts, int64_t n) {
    return run->shard->size > 1 ? comm_sum_exact(run->comm, counts, n) : STATUS_OK;
}

/* --- ratios and scales --- */

struct tally_work {
    struct run *run;
    const struct update_extrapolation *how;
    double *thresholds; /* (tensors) */
    float *before, *after, *after_sq;
};

static int bin_of(double value, const double *edges) {
    const double width = edges[DIAGNOSTICS_BINS] - edges[0];
    const int bin = width > 0 ? (int)((value - edges[0]) / width * DIAGNOSTICS_BINS) : 0;
    return bin < 0 ? 0 : bin >= DIAGNOSTICS_BINS ? DIAGNOSTICS_BINS - 1 : bin;
}

/* What the first and the second step went along, of coordinate i. */
static void coordinate(const struct tally_work *work, int i, struct extrapolation_row *row,
                       int to) {
    const struct run *run = work->run;
    const struct optimizer *optimizer = run->optimizer;
    const double t = (double)optimizer->steps, first = (double)work->before[i];
    row->start[to] = row->end[to] = 0;
    row->size[to] = fabs(first);
    if (work->how->directions) {
        const double mean = (double)work->after[i] / (1 - pow(optimizer->settings.beta1, t));
        const double square = (double)work->after_sq[i] / (1 - pow(optimizer->settings.beta2, t));
        row->before[to] = first;
        row->after[to] = mean / (sqrt(square) + optimizer->settings.epsilon);
        return;
    }
    row->before[to] = run->kept.start_scale * first;
    row->after[to] = clip_scale(run->gradient->norm, run->settings->optimizer.max_grad_norm) *
                     (double)work->after[i];
}

static void count_row(struct diagnosis *diagnosis, int64_t tensor,
                      const struct extrapolation_row *row, int n) {
    int64_t *const ratios = diagnosis->tally.ratios + tensor * DIAGNOSTICS_BINS;
    int64_t *const scales = diagnosis->tally.scales + tensor * DIAGNOSTICS_BINS;
    for (int i = 0; i < n; i++) {
        scales[bin_of(row->scale[i], diagnosis->tensors.scale_edges)]++;
        if (row->active[i] > 0)
            ratios[bin_of(row->ratio[i], diagnosis->tensors.ratio_edges)]++;
    }
}

static enum status tally_block(void *context, const struct block *block) {
    const struct tally_work *work = context;
    struct run *run = work->run;
    const bool directions = work->how->directions;
    const int slot = directions ? UPDATE_SLOT_DIRECTION : UPDATE_SLOT_GRADIENT;
    const float *after = directions ? run->optimizer->exp_avg : run->gradient->values;
    TRY(fetch(run, run->kept.slots[slot] + block->place, block->n, work->before));
    TRY(fetch(run, after + block->place, block->n, work->after));
    if (directions)
        TRY(fetch(run, run->optimizer->exp_avg_sq + block->place, block->n, work->after_sq));
    for (int i = 0, n; i < block->n; i += n) {
        struct extrapolation_row row;
        n = block->n - i < EXTRAPOLATION_ROW ? block->n - i : EXTRAPOLATION_ROW;
        for (int k = 0; k < n; k++)
            coordinate(work, i + k, &row, k);
        extrapolation_row_compute(&work->how->how, work->thresholds[block->tensor], n, &row);
        count_row(&run->diagnosis, block->tensor, &row, n);
    }
    return STATUS_OK;
}

static enum status open_tally(struct tally_work *work) {
    const int64_t tensors = work->run->layout->count, n = tensors * DIAGNOSTICS_BINS;
    const struct diagnosis *diagnosis = &work->run->diagnosis;
    memset(diagnosis->tally.ratios, 0, (size_t)n * sizeof *diagnosis->tally.ratios);
    memset(diagnosis->tally.scales, 0, (size_t)n * sizeof *diagnosis->tally.scales);
    TRY(memory_new(&work->thresholds, tensors, "thresholds of tensors"));
    TRY(memory_new(&work->before, VECTOR_BLOCK, "block"));
    TRY(memory_new(&work->after, VECTOR_BLOCK, "block"));
    return memory_new(&work->after_sq, VECTOR_BLOCK, "block");
}

static void close_tally(struct tally_work *work) {
    memory_release(&work->thresholds);
    memory_release(&work->before);
    memory_release(&work->after);
    memory_release(&work->after_sq);
}

static enum status count_all(struct tally_work *work) {
    struct run *run = work->run;
    const struct update_extrapolation *how = work->how;
    const int slot = how->directions ? UPDATE_SLOT_DIRECTION : UPDATE_SLOT_GRADIENT;
    const int64_t n = run->layout->count * DIAGNOSTICS_BINS;
    int64_t blocks;
    TRY(optimizer_thresholds(run->optimizer, run->comm, run->kept.slots[slot], how->activity,
                             how->relative, work->thresholds));
    TRY(comm_agree(run->comm, visit_blocks(run, tally_block, work, &blocks)));
    TRY(sum_counts(run, run->diagnosis.tally.ratios, n));
    return sum_counts(run, run->diagnosis.tally.scales, n);
}

static enum status tally(void *context, const struct update_extrapolation *how) {
    struct tally_work work = {.run = context, .how = how};
    enum status status = comm_agree(work.run->comm, open_tally(&work));
    if (status == STATUS_OK)
        status = count_all(&work);
    close_tally(&work);
    return status;
}

/* --- errors --- */

/* Of a block: squares of error, true and foretold displacement, product of these two. */
struct error_sums {
    double error, reached, foretold, product;
};

struct compare_work {
    struct run *run;
    int start, foretold;           /* slots; the first gradient's gets |error| */
    float *reached, *begun, *told; /* (VECTOR_BLOCK) */
    struct error_sums *own, *all;  /* (blocks of the vector) */
    int64_t *counts;               /* (COUNTS) */
    uint32_t high;                 /* upper half of the bits that are looked for */
    bool upper;                    /* it is what is being counted */
};
enum { COUNTS = 1 << 16 };

static enum status compare_block(void *context, const struct block *block) {
    const struct compare_work *work = context;
    struct run *run = work->run;
    struct backend *backend = &run->lm.backend;
    struct error_sums *sums = &work->own[block->index];
    float *const *slots = run->kept.slots;
    TRY(fetch(run, run->master + block->at, block->n, work->reached));
    TRY(fetch(run, slots[work->start] + block->place, block->n, work->begun));
    TRY(fetch(run, slots[work->foretold] + block->place, block->n, work->told));
    *sums = (struct error_sums){.error = 0};
    for (int i = 0; i < block->n; i++) {
        const double begun = (double)work->begun[i];
        const double reached = (double)work->reached[i] - begun;
        const double told = (double)work->told[i] - begun, error = told - reached;
        sums->error += error * error;
        sums->reached += reached * reached;
        sums->foretold += told * told;
        sums->product += reached * told;
        work->told[i] = (float)fabs(error);
    }
    return backend->ops->upload(backend, slots[UPDATE_SLOT_GRADIENT] + block->place, work->told,
                                (size_t)block->n * sizeof *work->told);
}

/* Positive floats are in the order of their bits: the upper half of them, or the lower one of those
 * whose upper half is known. */
static enum status count_block(void *context, const struct block *block) {
    const struct compare_work *work = context;
    TRY(fetch(work->run, work->run->kept.slots[UPDATE_SLOT_GRADIENT] + block->place, block->n,
              work->told));
    for (int i = 0; i < block->n; i++) {
        uint32_t bits;
        memcpy(&bits, &work->told[i], sizeof bits);
        if (work->upper)
            work->counts[bits >> 16]++;
        else if (bits >> 16 == work->high)
            work->counts[bits & (COUNTS - 1)]++;
    }
    return STATUS_OK;
}

/* The half of number *rank in order, which becomes its number among those of the same half. */
static enum status find_half(struct compare_work *work, bool upper, int64_t *rank, uint32_t *half) {
    int64_t blocks;
    work->upper = upper;
    memset(work->counts, 0, COUNTS * sizeof *work->counts);
    TRY(comm_agree(work->run->comm, visit_blocks(work->run, count_block, work, &blocks)));
    TRY(sum_counts(work->run, work->counts, COUNTS));
    for (*half = 0; *half < COUNTS - 1 && *rank >= work->counts[*half]; ++*half)
        *rank -= work->counts[*half];
    return STATUS_OK;
}

/* The lower one of both where their number is even. */
static enum status find_median(struct compare_work *work, double *median) {
    int64_t rank = (work->run->layout->elements - 1) / 2;
    uint32_t low, bits;
    float value;
    TRY(find_half(work, true, &rank, &work->high));
    TRY(find_half(work, false, &rank, &low));
    bits = work->high << 16 | low;
    memcpy(&value, &bits, sizeof value);
    *median = (double)value;
    return STATUS_OK;
}

static enum status open_compare(struct compare_work *work) {
    const int64_t blocks = work->run->layout->block_count;
    TRY(memory_new(&work->reached, VECTOR_BLOCK, "block"));
    TRY(memory_new(&work->begun, VECTOR_BLOCK, "block"));
    TRY(memory_new(&work->told, VECTOR_BLOCK, "block"));
    TRY(memory_new(&work->own, blocks, "sums of blocks"));
    TRY(memory_new(&work->all, blocks, "sums of blocks"));
    return memory_new(&work->counts, COUNTS, "counts");
}

static void close_compare(struct compare_work *work) {
    memory_release(&work->reached);
    memory_release(&work->begun);
    memory_release(&work->told);
    memory_release(&work->own);
    memory_release(&work->all);
    memory_release(&work->counts);
}

static enum status measure_errors(struct compare_work *work, struct update_errors *found) {
    struct run *run = work->run;
    struct error_sums sum = {.error = 0};
    int64_t count;
    TRY(comm_agree(run->comm, visit_blocks(run, compare_block, work, &count)));
    TRY(shard_gather_blocks(run->shard, run->comm, work->own, count, sizeof *work->own, work->all));
    for (int64_t b = 0; b < run->layout->block_count; b++) {
        sum.error += work->all[b].error;
        sum.reached += work->all[b].reached;
        sum.foretold += work->all[b].foretold;
        sum.product += work->all[b].product;
    }
    found->reached = sqrt(sum.reached);
    found->relative = sqrt(sum.error / sum.reached);
    found->cosine = 1 - sum.product / sqrt(sum.reached * sum.foretold);
    return find_median(work, &found->median);
}

static enum status compare(void *context, int start, int foretold, struct update_errors *found) {
    struct compare_work work = {.run = context, .start = start, .foretold = foretold};
    enum status status = comm_agree(work.run->comm, open_compare(&work));
    if (status == STATUS_OK)
        status = measure_errors(&work, found);
    close_compare(&work);
    return status;
}

/* --- a diagnosis --- */

static bool is_due(const struct run *run) {
    return rule_is_diagnosed(run->settings) && !run->shutoff.off &&
           (run->counters.step + 1) % run->settings->update.diagnose_every == 0;
}

/* What the passes of a diagnosis would add to the step's own. */
enum status diagnosis_make(struct run *run, const struct update_settings *settings,
                           const struct update_problem *problem) {
    static const struct update_measures measures = {.tally = tally, .compare = compare};
    struct step *step = &run->step;
    run->diagnosis.made = false;
    if (!is_due(run))
        return STATUS_OK;
    const double start_s = clock_now_s();
    const struct step_clock clock = step->clock;
    const int64_t positions = step->train_positions, rescaled = step->rescaled,
                  skipped = run->skipped_in_a_row;
    const enum status status =
        update_diagnose(settings, problem, &measures, &run->diagnosis.errors);
    step->clock = clock;
    step->train_positions = positions;
    step->rescaled = rescaled;
    run->skipped_in_a_row = skipped;
    if (status == STATUS_OK || status == STATUS_STOPPED)
        step->changed = false;
    run->diagnosis.made = status == STATUS_OK && isfinite(run->diagnosis.errors.relative);
    step->clock.diagnosis_s = clock_now_s() - start_s;
    return status;
}
