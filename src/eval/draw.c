/* SPDX-License-Identifier: Apache-2.0 */
#include "eval/draw.h"

#include <string.h>

#include "base/memory.h"
#include "eval/journal.h"

/* A problem of which this rank draws what is missing. */
struct errand {
    struct evaluation_set *set;
    int64_t problem;
    struct rollout_answer *answers; /* (count), a part of drawing.answers */
    uint32_t *samples;              /* (count): which */
    int64_t count;
};

struct drawing {
    struct evaluation *evaluation;
    const struct evaluation_draw *how;
    struct errand *errands; /* (errand_count) */
    int64_t errand_count, answer_count;
    struct rollout_answer *answers; /* (answer_count) */
    uint32_t *samples;              /* (answer_count) */
};

int64_t evaluation_in_flight(const struct evaluation *evaluation, const struct comm *comm) {
    const struct settings_rollout *rollout = &evaluation->sampling.rollout;
    if (rollout->answers_in_flight > 0)
        return rollout->answers_in_flight;
    return (rollout->prompts_per_step * rollout->group_size + comm->size - 1) / comm->size;
}

/* --- who draws what --- */

static int64_t count_missing(const struct evaluation *evaluation, const struct evaluation_set *set,
                             int64_t problem) {
    const struct evaluation_sample *samples = evaluation_samples(evaluation, set, problem);
    int64_t missing = 0;
    for (int64_t i = 0; i < evaluation->samples; i++)
        missing += !samples[i].drawn;
    return missing;
}

/* Deals the problems that miss samples in turn; calls `visit` (may be NULL) for this rank's, and
 * returns how many samples they miss. */
static int64_t deal(const struct evaluation *evaluation, const struct comm *comm,
                    void (*visit)(void *context, struct evaluation_set *set, int64_t problem,
                                  int64_t missing),
                    void *context) {
    int64_t turn = 0, own = 0;
    for (int64_t s = 0; s < evaluation->set_count; s++) {
        struct evaluation_set *set = &evaluation->sets[s];
        for (int64_t p = 0; !set->skipped && p < set->count; p++) {
            const int64_t missing = count_missing(evaluation, set, p);
            if (missing == 0 || turn++ % comm->size != comm->rank)
                continue;
            own += missing;
            if (visit != NULL)
                visit(context, set, p, missing);
        }
    }
    return own;
}

int64_t evaluation_share(const struct evaluation *evaluation, const struct comm *comm) {
    return deal(evaluation, comm, NULL, NULL);
}

/* Rank 0 knows what is drawn already. */
static enum status share_drawn(struct evaluation *evaluation, struct comm *comm) {
    for (int64_t s = 0; s < evaluation->set_count; s++) {
        struct evaluation_set *set = &evaluation->sets[s];
        const int64_t n = set->count * evaluation->samples;
        char *drawn;
        TRY(comm_agree(comm, memory_new(&drawn, n, "samples that are there")));
        for (int64_t i = 0; i < n; i++)
            drawn[i] = set->samples[i].drawn;
        const enum status status = comm_broadcast(comm, drawn, (size_t)n, 0);
        for (int64_t i = 0; i < n; i++)
            set->samples[i].drawn = drawn[i] != 0;
        memory_release(&drawn);
        TRY(status);
    }
    return STATUS_OK;
}

static void count_errand(void *context, struct evaluation_set *set, int64_t problem,
                         int64_t missing) {
    struct drawing *drawing = context;
    (void)set, (void)problem;
    drawing->errand_count++;
    drawing->answer_count += missing;
}

static void add_errand(void *context, struct evaluation_set *set, int64_t problem,
                       int64_t missing) {
    struct drawing *drawing = context;
    const struct evaluation_sample *samples = evaluation_samples(drawing->evaluation, set, problem);
    struct errand *errand = &drawing->errands[drawing->errand_count++];
    *errand = (struct errand){.set = set,
                              .problem = problem,
                              .answers = drawing->answers + drawing->answer_count,
                              .samples = drawing->samples + drawing->answer_count};
    for (int64_t i = 0; i < drawing->evaluation->samples; i++)
        if (!samples[i].drawn)
            errand->samples[errand->count++] = (uint32_t)i;
    ASSERT(errand->count == missing);
    drawing->answer_count += missing;
}

static enum status plan_errands(struct drawing *drawing) {
    deal(drawing->evaluation, drawing->how->comm, count_errand, drawing);
    TRY(memory_new(&drawing->errands, drawing->errand_count, "problems to answer"));
    TRY(memory_new(&drawing->answers, drawing->answer_count, "answers"));
    TRY(memory_new(&drawing->samples, drawing->answer_count, "answers"));
    drawing->errand_count = drawing->answer_count = 0;
    deal(drawing->evaluation, drawing->how->comm, add_errand, drawing);
    return STATUS_OK;
}

/* --- drawing --- */

/* An answer is finished: its tokens and text go over to the sample, the rest is given back. */
static enum status keep_answer(void *context, int64_t request, int64_t answer) {
    struct drawing *drawing = context;
    const struct errand *errand = &drawing->errands[request];
    struct rollout_answer *from = &errand->answers[answer];
    const int64_t index = errand->samples[answer];
    struct evaluation_sample *sample =
        &evaluation_samples(drawing->evaluation, errand->set, errand->problem)[index];
    int32_t **ids = from->forced ? &from->sequence : &from->tokens;
    sample->n = rollout_answer_id_count(from);
    sample->length = from->n;
    sample->finish = rollout_answer_finish(from);
    sample->tokens = *ids;
    sample->text = from->text;
    *ids = NULL;
    from->text = STRBUF_EMPTY;
    rollout_answer_release(from);
    TRY(evaluation_grade(drawing->evaluation, errand->set, errand->problem, sample));
    sample->drawn = true;
    if (drawing->how->journal == NULL)
        return STATUS_OK;
    const struct evaluation_entry entry = {.set = errand->set->how->name,
                                           .row = errand->set->problems[errand->problem].row,
                                           .sample = index,
                                           .finish = sample->finish,
                                           .tokens = sample->tokens,
                                           .n = sample->n,
                                           .length = sample->length};
    return journal_add(drawing->how->journal, drawing->how->comm->rank, &entry);
}

static void hear(void *context, int64_t answers, int64_t tokens) {
    const struct drawing *drawing = context;
    const struct generate_listener *listener = &drawing->how->listener;
    if (listener->hear != NULL)
        listener->hear(listener->context, answers, tokens);
}

/* The noise is counted by the problem's row, in step 0, which no training step is. */
static enum status draw_own(struct drawing *drawing) {
    const struct evaluation_draw *how = drawing->how;
    struct generate_settings settings =
        generate_settings_of(&drawing->evaluation->sampling, how->stop_ids, how->stop_id_count, 0);
    struct generate_request *requests;
    struct generate_report report;
    settings.answers_in_flight = evaluation_in_flight(drawing->evaluation, how->comm);
    settings.pulse = how->pulse;
    settings.listener =
        (struct generate_listener){.hear = hear, .finished = keep_answer, .context = drawing};
    TRY(memory_new(&requests, drawing->errand_count, "problems to answer"));
    for (int64_t i = 0; i < drawing->errand_count; i++) {
        const struct errand *errand = &drawing->errands[i];
        const struct evaluation_problem *problem = &errand->set->problems[errand->problem];
        requests[i] = (struct generate_request){.prompt = problem->prompt.ids,
                                                .prompt_length = problem->prompt.count,
                                                .prompt_index = (uint32_t)problem->row,
                                                .answers = errand->answers,
                                                .answer_count = errand->count,
                                                .answer_indices = errand->samples};
    }
    const enum status status =
        generate_answers(how->model, how->tokenizer, &settings, requests, drawing->errand_count,
                         (struct rollout_columns){.sampler = false}, &report);
    memory_release(&requests);
    return status;
}

/* --- to rank 0 --- */

/* What travels of a sample; tokens, text and extracted follow. */
struct parcel {
    int64_t set, problem, sample, n, length, finish, right;
    size_t text, extracted;
};

static enum status pack_sample(const struct drawing *drawing, const struct errand *errand,
                               int64_t index, struct strbuf *out) {
    const struct evaluation_sample *sample =
        &evaluation_samples(drawing->evaluation, errand->set, errand->problem)[index];
    const struct parcel parcel = {.set = errand->set - drawing->evaluation->sets,
                                  .problem = errand->problem,
                                  .sample = index,
                                  .n = sample->n,
                                  .length = sample->length,
                                  .finish = sample->finish,
                                  .right = sample->right,
                                  .text = sample->text.length,
                                  .extracted = sample->extracted.length};
    TRY(strbuf_append(out, (const char *)&parcel, sizeof parcel));
    TRY(strbuf_append(out, (const char *)sample->tokens,
                      (size_t)sample->n * sizeof *sample->tokens));
    TRY(strbuf_append(out, strbuf_text(&sample->text), parcel.text));
    return strbuf_append(out, strbuf_text(&sample->extracted), parcel.extracted);
}

static enum status pack_own(const struct drawing *drawing, struct strbuf *out) {
    for (int64_t i = 0; i < drawing->errand_count; i++)
        for (int64_t a = 0; a < drawing->errands[i].count; a++)
            TRY(pack_sample(drawing, &drawing->errands[i], drawing->errands[i].samples[a], out));
    return STATUS_OK;
}

/* The sample that begins at *at of the bytes, which goes behind it. */
static enum status unpack_sample(struct evaluation *evaluation, const char *bytes, size_t *at) {
    struct parcel parcel;
    memcpy(&parcel, bytes + *at, sizeof parcel);
    const char *tokens = bytes + *at + sizeof parcel,
               *text = tokens + (size_t)parcel.n * sizeof(int32_t);
    struct evaluation_set *set = &evaluation->sets[parcel.set];
    struct evaluation_sample *sample =
        &evaluation_samples(evaluation, set, parcel.problem)[parcel.sample];
    sample->n = parcel.n;
    sample->length = parcel.length;
    sample->finish = (enum finish_reason)parcel.finish;
    sample->right = parcel.right != 0;
    sample->drawn = true;
    TRY(memory_new(&sample->tokens, parcel.n, "answer tokens"));
    if (parcel.n > 0)
        memcpy(sample->tokens, tokens, (size_t)parcel.n * sizeof(int32_t));
    TRY(strbuf_append(&sample->text, text, parcel.text));
    TRY(strbuf_append(&sample->extracted, text + parcel.text, parcel.extracted));
    *at = (size_t)(text - bytes) + parcel.text + parcel.extracted;
    return STATUS_OK;
}

static enum status collect(struct drawing *drawing) {
    struct comm *comm = drawing->how->comm;
    struct strbuf mine = STRBUF_EMPTY;
    char *all = NULL;
    size_t *sizes = NULL, total = 0, at = 0;
    enum status status = comm_agree(comm, comm->rank != 0 ? pack_own(drawing, &mine) : STATUS_OK);
    if (status == STATUS_OK)
        status = comm_gather(comm, strbuf_text(&mine), mine.length, 0, (void **)&all, &sizes);
    for (int rank = 0; sizes != NULL && rank < comm->size; rank++)
        total += sizes[rank];
    while (status == STATUS_OK && at < total)
        status = unpack_sample(drawing->evaluation, all, &at);
    strbuf_release(&mine);
    memory_release(&all);
    memory_release(&sizes);
    return comm_agree(comm, status);
}

enum status evaluation_draw(struct evaluation *evaluation, const struct evaluation_draw *how) {
    struct drawing drawing = {.evaluation = evaluation, .how = how};
    TRY(share_drawn(evaluation, how->comm));
    enum status status = plan_errands(&drawing);
    if (status == STATUS_OK)
        status = draw_own(&drawing);
    status = comm_agree(how->comm, status);
    if (status == STATUS_OK)
        status = collect(&drawing);
    for (int64_t i = 0; drawing.answers != NULL && i < drawing.answer_count; i++)
        rollout_answer_release(&drawing.answers[i]);
    memory_release(&drawing.errands);
    memory_release(&drawing.answers);
    memory_release(&drawing.samples);
    return status;
}
