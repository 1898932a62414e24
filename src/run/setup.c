/* SPDX-License-Identifier: Apache-2.0 */
#include "run/run.h"

#include <stdio.h>

#include "base/log.h"
#include "base/memory.h"
#include "run/placement.h"
#include "run/rule.h"
#include "run/save.h"
#include "run/saving.h"
#include "run/threads.h"

/* The loss that the settings ask for. */
static struct loss_settings loss_of(const struct settings *settings, const struct method *method) {
    return (struct loss_settings){
        .gate = gate_find(settings_word(settings, "objective.gate")),
        .gate_settings = {.clip_low = settings->objective.clip_low,
                          .clip_high = settings->objective.clip_high,
                          .clip_dual = settings->objective.clip_dual},
        .level = (enum ratio_level)settings->objective.level,
        .aggregation = (enum aggregation)settings->objective.aggregation,
        .kl_coef =
            settings->objective.kl_in == SETTING_KL_IN_LOSS ? settings->objective.kl_coef : 0.0,
        .kl_estimator = (enum kl_estimator)settings->objective.kl_estimator,
        .entropy_coef = settings->objective.entropy_coef,
        .max_new_tokens = settings->rollout.max_new_tokens,
        .likelihood = method->likelihood};
}

static struct tau_settings tau_settings_of(const struct settings *settings,
                                           const struct method *method) {
    const struct settings_objective *objective = &settings->objective;
    return (struct tau_settings){
        .control = method_rewards(method) ? (enum tau_control)objective->tau_control : TAU_FIXED,
        .tau_pos = settings->objective.tau_pos,
        .tau_neg = settings->objective.tau_neg,
        .scale_end = objective->tau_scale_end,
        .steps = settings->run.steps,
        .target = objective->eur_target,
        .gain = objective->tau_gain,
        .smoothing = objective->eur_smoothing,
        .scale_least = objective->tau_scale_least,
        .scale_most = objective->tau_scale_most};
}

/* For the stream: which rows take part, and a sentence where one that does cannot be used. */
struct row_check {
    struct run *run;
    struct prompt_limit limit;
    const struct dataset *dataset; /* of the source that is asked about */
    int32_t source;
};

static int64_t larger(int64_t a, int64_t b) {
    return a > b ? a : b;
}

/* A row whose teacher's prompt leaves no room for an answer takes no part. */
static enum status check_teacher(struct run *run, const struct dataset *dataset,
                                 const struct dataset_item *item, bool *kept) {
    const int64_t answer = run->settings->rollout.max_new_tokens;
    int64_t tokens;
    TRY(dataset_place(teaching_count(&run->teaching, item, &tokens), dataset->path, item->row));
    *kept = tokens + answer <= run->lm.hparams.max_positions;
    if (*kept)
        run->longest.teacher = larger(run->longest.teacher, tokens);
    return STATUS_OK;
}

static enum status check_row(void *context, const struct dataset *dataset,
                             const struct dataset_item *item, bool *kept) {
    struct row_check *check = context;
    struct run *run = check->run;
    struct row_lengths *longest = &run->longest;
    int64_t answer = run->settings->rollout.max_new_tokens, both = 0;
    struct dataset_item window = *item;
    check->source += check->dataset != dataset;
    check->dataset = dataset;
    if (run->corpus != NULL) {
        TRY(corpus_window(run->corpus, check->source, 0, &window, kept));
        item = &window;
        if (!*kept)
            return STATUS_OK;
    }
    TRY(prompt_is_short(&check->limit, dataset, item, kept));
    if (*kept && run->method->count_tokens != NULL) {
        TRY(dataset_place(run->method->count_tokens(&run->lm.form, item, &answer, &both),
                          dataset->path, item->row));
        *kept = both <= run->lm.hparams.max_positions;
    }
    if (*kept && run->method->distils)
        TRY(check_teacher(run, dataset, item, kept));
    if (!*kept)
        return STATUS_OK;
    longest->prompt = check->limit.longest;
    longest->answer = larger(longest->answer, answer);
    longest->both = larger(longest->both, both > 0 ? both : longest->prompt + answer);
    return STATUS_OK;
}

/* `tokens` in `where`: of the prompt, with the answer where the data give it. */
static enum status count_tokens(void *context, const struct dataset_item *item, int64_t *tokens) {
    const struct run *run = context;
    struct strbuf text = STRBUF_EMPTY;
    struct token_list ids = {.ids = NULL};
    int64_t answer;
    if (run->method->count_tokens != NULL)
        return run->method->count_tokens(&run->lm.form, item, &answer, tokens);
    const enum status status = prompt_encode_item(&run->lm.form, item, &text, &ids);
    *tokens = ids.count;
    strbuf_release(&text);
    memory_release(&ids.ids);
    return status;
}

/* Rows come again in the next epoch of their source. */
static void tell_epochs(const struct run *run) {
    const struct settings *settings = run->settings;
    const double needed = (double)settings->run.steps * (double)settings->rollout.prompts_per_step;
    for (int32_t i = 0; i < stream_source_count(run->stream); i++) {
        const double share = needed * stream_share(run->stream, i);
        const int64_t kept = stream_kept(run->stream, i);
        if (share > (double)kept)
            log_info(
                "data", "%s: the run takes %.0f prompts and there are %lld: each comes %.1f times",
                stream_dataset(run->stream, i)->path, share, (long long)kept, share / (double)kept);
    }
}

/* What a row that is left out was too long for. */
static void tell_limit(const struct run *run, int64_t limit, char *out, size_t room) {
    const struct settings *settings = run->settings;
    const long long positions = (long long)run->lm.hparams.max_positions;
    if (run->corpus != NULL)
        snprintf(out, room,
                 "than a prompt of %lld tokens with its window, or the text is too short: below "
                 "%lld tokens (adversarial.window_tokens, more than 2 x completion_tokens)",
                 (long long)limit, (long long)corpus_least_tokens(&run->corpus->settings));
    else if (run->method->likelihood)
        snprintf(out, room,
                 "than prompt.max_tokens = %lld (raise it) or, with the answer, than the %lld "
                 "positions of the model (leave such rows out)",
                 (long long)settings->prompt.max_tokens, positions);
    else if (run->method->distils)
        snprintf(
            out, room,
            "than prompt.max_tokens = %lld (raise it) or, as the teacher reads them with their "
            "solution, than rollout.max_new_tokens = %lld and what the teacher writes first "
            "leave of the model's %lld positions (lower these)",
            (long long)limit, (long long)settings->rollout.max_new_tokens, positions);
    else if (limit == settings->prompt.max_tokens)
        snprintf(out, room, "than prompt.max_tokens = %lld: raise it", (long long)limit);
    else
        snprintf(out, room,
                 "than the %lld tokens that rollout.max_new_tokens = %lld leaves of the model's "
                 "%lld positions: lower it",
                 (long long)limit, (long long)settings->rollout.max_new_tokens, positions);
}

/* What the rows and the settings of the prompt say against each other. */
static void tell_rows(const struct run *run, const struct prompt_limit *rows) {
    const struct settings *settings = run->settings;
    bool messages = false;
    if (run->comm->rank != 0)
        return;
    for (int64_t i = 0; i < settings->data.train_count; i++)
        messages = messages || settings->data.train[i].messages[0] != '\0';
    if (rows->begun_twice > 0)
        log_warning("data",
                    "%lld prompts begin with a begin token twice: their text holds one, and the "
                    "tokenizer or the chat form puts one before it; take it out of prompt.template "
                    "or of the data",
                    (long long)rows->begun_twice);
    if (rows->own_system > 0)
        log_info("data",
                 "%lld conversations begin with a system turn of their own, which stands in place "
                 "of prompt.system",
                 (long long)rows->own_system);
    if (messages && !settings_origin_is_default(settings, "prompt.template"))
        log_info("data", "prompt.template is for rows with a prompt: messages stay as they are");
}

static enum status check_forms(const struct run *run) {
    for (int64_t i = 0; i < run->settings->data.train_count; i++)
        if (run->settings->data.train[i].messages[0] != '\0')
            return prompt_form_check_messages(&run->lm.form);
    return STATUS_OK;
}

/* The texts of data.corpus, windows of which are taken. */
static enum status open_corpus(struct run *run, int64_t limit) {
    const struct settings *settings = run->settings;
    if (settings->data.corpus_count == 0)
        return STATUS_OK;
    TRY(memory_new(&run->corpus, 1, "a corpus"));
    *run->corpus = corpus_of(
        &(struct corpus_settings){.window_tokens = settings->adversarial.window_tokens,
                                  .completion_tokens = settings->adversarial.completion_tokens,
                                  .seed = (uint64_t)settings->run.seed,
                                  .form = &run->lm.form,
                                  .most_prompt = limit});
    return STATUS_OK;
}

static struct stream_source train_source_of(struct run *run, const struct train_source *from) {
    return (struct stream_source){
        .data = {.path = from->path,
                 .prompt = from->prompt,
                 .messages = from->messages,
                 .answer = from->answer,
                 .where = from->where,
                 .answer_after = from->answer_after,
                 .solution = run->method->distils ? from->solution : NULL,
                 .skip_bad = run->settings->data.bad_rows == SETTING_BAD_ROWS_SKIP,
                 .count_tokens = count_tokens,
                 .context = run},
        .weight = from->weight};
}

static struct stream_source corpus_source_of(const struct run *run,
                                             const struct corpus_source *from) {
    return (struct stream_source){
        .data = {.path = from->path,
                 .plain = from->text[0] == '\0',
                 .prompt = from->text,
                 .skip_bad = run->settings->data.bad_rows == SETTING_BAD_ROWS_SKIP},
        .weight = from->weight};
}

static enum status open_stream(struct run *run, int64_t limit) {
    const struct settings *settings = run->settings;
    const int64_t count = settings->data.train_count + settings->data.corpus_count;
    struct stream_source *sources;
    char too_long[256];
    TRY(check_forms(run));
    TRY(open_corpus(run, limit));
    tell_limit(run, limit, too_long, sizeof too_long);
    struct row_check check = {
        .run = run, .limit = {.form = &run->lm.form, .max_tokens = limit}, .source = -1};
    TRY(memory_new(&sources, count, "sources"));
    for (int64_t i = 0; i < settings->data.train_count; i++)
        sources[i] = train_source_of(run, &settings->data.train[i]);
    for (int64_t i = 0; i < settings->data.corpus_count; i++)
        sources[i] = corpus_source_of(run, &settings->data.corpus[i]);
    const enum status status =
        stream_create(&run->stream, sources, (int32_t)count,
                      &(struct stream_options){.seed = (uint64_t)settings->run.seed,
                                               .shuffle = settings->data.shuffle,
                                               .keep = check_row,
                                               .context = &check,
                                               .too_long = too_long});
    tell_rows(run, &check.limit);
    memory_release(&sources);
    TRY(status);
    tell_epochs(run);
    return memory_new(&run->position, stream_position_size(run->stream), "data position");
}

enum status run_layout_create(struct vector_layout **layout, struct backend *backend,
                              const struct parameter_set *set, enum dtype matrices) {
    struct vector_part *parts;
    TRY(memory_new(&parts, set->count, "parameter parts"));
    for (int64_t i = 0; i < set->count; i++) {
        const struct parameter *p = &set->items[i];
        const bool head = discriminator_names(p->name);
        parts[i] = (struct vector_part){.offset = p->offset,
                                        .elements = p->rows * p->columns,
                                        .decay = p->matrix,
                                        .working = p->matrix && !head ? matrices : DTYPE_F32,
                                        .head = head};
    }
    const enum status status = vector_layout_create(layout, backend, parts, set->count);
    memory_release(&parts);
    return status;
}

/* A plan takes the largest shard, whoever has it. */
static enum status open_shard(struct run *run) {
    const bool sharded = run->settings->parallel.shard;
    const int size = sharded ? run->comm->size : 1;
    TRY(shard_create(&run->shard, run->layout, sharded ? run->comm->rank : 0, size));
    const int fullest = shard_fullest_rank(run->shard);
    if (!run->plans || fullest == run->shard->rank)
        return STATUS_OK;
    shard_destroy(&run->shard);
    return shard_create(&run->shard, run->layout, fullest, size);
}

static enum status open_layout(struct run *run) {
    const enum dtype matrices =
        run->lm.adapter != NULL ? DTYPE_F32 : language_model_dtype(run->settings);
    TRY(run_layout_create(&run->layout, &run->lm.backend, language_model_trained(&run->lm),
                          matrices));
    TRY(open_shard(run));
    return shard_create(&run->deal, run->layout, run->comm->rank, run->comm->size);
}

/* The policy without its adapter, or as it is at the start: a frozen copy of the weights. Only one
 * of the two computes at a time, so they share a workspace. */
static enum status open_reference(struct run *run, const struct model_settings *how) {
    struct weights *weights = run->lm.weights;
    struct model_settings shared = *how;
    shared.shares = run->lm.model;
    if (run->lm.adapter == NULL) {
        TRY(weights_create(&run->reference_weights, &run->lm.backend, &run->lm.hparams,
                           language_model_dtype(run->settings)));
        weights = run->reference_weights;
        TRY(language_model_load_weights(&run->lm, run->settings, weights, NULL, NULL));
    }
    return model_create(&run->reference, weights, NULL, &shared);
}

/* Of the base model's tensors each rank hashes a share. */
static enum status load_model(struct run *run) {
    struct fingerprint *fingerprint = &run->fingerprint;
    const int64_t count = weights_parameters(run->lm.weights)->count;
    if (!run->plans)
        TRY(fingerprint_init(fingerprint, run->comm->rank, run->comm->size, count));
    return language_model_load(&run->lm, run->settings, run->master,
                               run->plans ? NULL : fingerprint);
}

/* What all ranks have hashed. Collective. */
static enum status share_fingerprint(struct run *run) {
    struct fingerprint *fingerprint = &run->fingerprint;
    TRY(comm_sum_exact(run->comm, fingerprint->words, FINGERPRINT_WORDS * fingerprint->count));
    fingerprint_text(fingerprint, run->weights_sha256);
    return mauve_watch_identify(run);
}

static enum status open_model(struct run *run) {
    const struct settings *settings = run->settings;
    const struct model_settings how = {.recompute = settings->model.recompute,
                                       .max_positions = run->max_positions};
    TRY(language_model_create(&run->lm, settings, how.max_positions));
    if (run->method->discriminates)
        TRY(language_model_add_head(&run->lm, settings));
    TRY(open_layout(run));
    TRY(backend_new(&run->lm.backend, &run->master, run->layout->elements, "parameters"));
    TRY(load_model(run));
    if (settings->objective.kl_coef != 0.0)
        TRY(open_reference(run, &how));
    TRY(teacher_open(run, &how));
    TRY(mauve_watch_reserve(run));
    const struct optimizer_settings adamw = {.beta1 = settings->optimizer.beta1,
                                             .beta2 = settings->optimizer.beta2,
                                             .epsilon = settings->optimizer.epsilon,
                                             .weight_decay = settings->optimizer.weight_decay};
    TRY(optimizer_create(&run->optimizer, &run->lm.backend, run->shard, &adamw));
    if (rule_leaves_discriminator(settings))
        TRY(optimizer_create(&run->discriminator_optimizer, &run->lm.backend, run->shard, &adamw));
    TRY(rule_reserve(run));
    return diagnosis_reserve(run);
}

/* Most tokens of an answer, or of a completion that stands in its place before the discriminator. */
static int64_t answer_most(const struct run *run) {
    const int64_t answer = run->settings->rollout.max_new_tokens,
                  completion = run->settings->adversarial.completion_tokens;
    return run->method->likelihood      ? 1
           : run->method->discriminates ? larger(answer, completion)
                                        : answer;
}

/* The longest sequence that the discriminator reads. */
static int64_t judged_most(const struct run *run) {
    return run->method->discriminates
               ? run->longest.judged + answer_most(run) + run->longest.reasoned
               : 0;
}

/* A device's memory is taken before the first step, for the longest microbatch there may be: taking
 * more would wait for the device, and a run that does not fit should end here and not after hours. The
 * host's comes as it is needed. */
static enum status reserve_passes(struct run *run) {
    const int64_t longest = larger(run->longest.both, judged_most(run)),
                  T = larger(longest, run->settings->parallel.tokens_per_pass);
    if (run->lm.backend.ops->host_memory)
        return STATUS_OK;
    if (run->method->distils)
        return taught_reserve(run, T, larger(T, run->longest.teacher + run->longest.answer), T);
    return model_reserve(run->lm.model, T, T, run->gradient->overlaps);
}

/* Whether both gradients of the game are summed apart before they are added. */
static bool parts_gradient(const struct run *run) {
    return run->method->discriminates && run->settings->adversarial.grad_norms &&
           !rule_leaves_discriminator(run->settings);
}

static enum status open_gradient(struct run *run) {
    const struct settings_parallel *parallel = &run->settings->parallel;
    TRY(gradient_create(&run->gradient, &run->lm.backend, run->shard, &run->reducer,
                        parallel->reduction == SETTING_REDUCTION_EXACT ? GRADIENT_EXACT
                                                                       : GRADIENT_FAST));
    run->gradient->overlaps = parallel->overlap && gradient_is_shared(run->gradient);
    if (parts_gradient(run))
        TRY(backend_new(&run->lm.backend, &run->generator, run->shard->elements,
                        "gradient of the generator"));
    return reserve_passes(run);
}

static enum status open_pass(const struct run *run, struct backward_pass *pass) {
    const int64_t groups = run->settings->rollout.prompts_per_step;
    TRY(memory_new(&pass->groups, groups, "sums of groups"));
    return parts_gradient(run) ? memory_new(&pass->judged, groups, "sums of groups") : STATUS_OK;
}

static void close_pass(struct backward_pass *pass) {
    memory_release(&pass->groups);
    memory_release(&pass->judged);
}

static enum status open_passes(struct run *run) {
    const struct update_settings update = rule_settings(run->settings);
    const int mini_batches = (int)run->settings->update.mini_batches;
    run->step.pass_room = run->rule->passes_most(&update, mini_batches);
    TRY(memory_new(&run->step.passes, run->step.pass_room, "backward passes"));
    for (int p = 0; p < run->step.pass_room; p++)
        TRY(open_pass(run, &run->step.passes[p]));
    return rule_leaves_discriminator(run->settings) ? open_pass(run, &run->step.discriminator)
                                                    : STATUS_OK;
}

/* Where the discriminator reasons, what it is asked; a plan may do without the texts. */
static enum status open_reasoning(struct run *run) {
    const struct hparams *hparams = &run->lm.hparams;
    if (!run->method->discriminates || run->settings->adversarial.reason_tokens == 0 ||
        run->lm.tokenizer == NULL)
        return STATUS_OK;
    return reasoning_open(&run->reasoning, run->settings, run->lm.tokenizer, hparams->eos,
                          hparams->eos_count);
}

/* What the discriminator reads: no longer than a prompt, which leaves room for a completion; and where
 * it reasons, a question around it. */
static enum status measure_judged(struct run *run) {
    const int64_t tokens = run->settings->adversarial.reason_tokens;
    if (!run->method->discriminates)
        return STATUS_OK;
    run->longest.judged = judged_prompt_tokens(run->settings, run->longest.prompt);
    if (tokens > 0) {
        run->longest.judged += reasoning_before(&run->reasoning);
        run->longest.reasoned = larger(tokens, reasoning_behind(&run->reasoning));
    }
    if (tokens > 0 && judged_most(run) > run->lm.hparams.max_positions)
        return FAIL(STATUS_INPUT,
                    "a discriminator that reasons reads sequences of up to %lld tokens: prefix and "
                    "completion, adversarial.judge_template and adversarial.reason_tokens = %lld; "
                    "the model takes %lld (max_position_embeddings): lower "
                    "adversarial.reason_tokens, or adversarial.window_tokens",
                    (long long)judged_most(run), (long long)tokens,
                    (long long)run->lm.hparams.max_positions);
    run->max_positions = larger(run->max_positions, judged_most(run));
    return STATUS_OK;
}

/* Rows that cannot be counted are as long as the settings and the model let them get. */
static void assume_rows(struct run *run, int64_t prompt_limit) {
    const int64_t answer = run->settings->rollout.max_new_tokens,
                  most = run->lm.hparams.max_positions, both = prompt_limit + answer;
    run->longest = (struct row_lengths){
        .prompt = prompt_limit, .answer = answer, .both = both < most ? both : most};
    if (run->method->distils)
        run->longest.teacher = most - answer;
}

/* All that can be refused before the model is made: settings, texts, data. A plan does without what
 * is absent. */
static enum status open_data(struct run *run, int threads, const struct absent *absent) {
    const struct settings *settings = run->settings;
    int64_t prompt_limit;
    run->method = method_find(settings_word(settings, "run.method"));
    run->rule = update_find(settings_word(settings, "update.rule"));
    ASSERT(run->method != NULL && run->rule != NULL);
    TRY(run->method->check(settings));
    TRY(run_checkpoint_check_best(run));
    run->loss = loss_of(settings, run->method);
    run->tau_settings = tau_settings_of(settings, run->method);
    tau_set(&run->tau_settings, &run->tau, 1, &run->loss.gate_settings);
    TRY(tiles_init(&run->tiles, settings->rollout.prompts_per_step,
                   (int)settings->update.mini_batches, settings->parallel.groups_per_tile,
                   run->comm->size));
    if (run->plans)
        TRY(language_model_plan(&run->lm, settings, threads, absent));
    else
        TRY(language_model_open(&run->lm, settings, threads));
    const struct budget_settings budgets = budget_settings_of(settings);
    if (!run->method->likelihood)
        TRY(language_model_check_budgets(&run->lm, &budgets));
    if (run->method->likelihood && run->lm.tokenizer != NULL)
        TRY(language_model_find_end(&run->lm, settings));
    TRY(language_model_prompt_limit(&run->lm, settings, answer_most(run), &prompt_limit));
    run->max_positions = run->method->likelihood ? run->lm.hparams.max_positions
                                                 : prompt_limit + settings->rollout.max_new_tokens;
    if (!absent_rows(absent))
        TRY(run_evaluation_open(run));
    TRY(mauve_watch_open(run));
    if (run->method->distils && run->lm.tokenizer != NULL)
        TRY(teaching_open(&run->teaching, settings, &run->lm.form));
    TRY(open_reasoning(run));
    if (absent_rows(absent))
        assume_rows(run, prompt_limit);
    else
        TRY(open_stream(run, prompt_limit));
    if (run->method->distils)
        run->max_positions =
            larger(run->max_positions, run->longest.teacher + settings->rollout.max_new_tokens);
    return measure_judged(run);
}

/* To open the reducer is a meeting of all ranks. */
enum status run_reserve(struct run *run) {
    enum status status = open_passes(run);
    if (status == STATUS_OK)
        status = open_model(run);
    TRY(comm_agree(run->comm, status));
    TRY(gradient_open_reducer(&run->reducer, &run->lm.backend, run->comm));
    return comm_agree(run->comm, open_gradient(run));
}

enum status run_open(struct run *run, const struct settings *settings, struct comm *comm) {
    int threads;
    *run = (struct run){.settings = settings, .comm = comm, .buffers.microbatch = MICROBATCH_EMPTY};
    enum status status = threads_choose(comm, (int)settings->parallel.threads, &threads);
    if (status == STATUS_OK)
        status = open_data(run, threads, &(struct absent){.weights = false});
    status = comm_agree(comm, status);
    if (status == STATUS_OK)
        status = placement_check(comm, &run->lm.backend,
                                 settings->parallel.reduction == SETTING_REDUCTION_EXACT);
    if (status == STATUS_OK)
        status = run_reserve(run);
    if (status == STATUS_OK)
        status = share_fingerprint(run);
    if (status == STATUS_OK && method_rewards(run->method))
        status = comm_agree(comm, rewards_open(&run->rewards, settings, comm->rank, comm->size));
    if (status != STATUS_OK)
        run_close(run);
    return status;
}

enum status run_plan(struct run *run, const struct settings *settings, struct comm *comm,
                     int threads, const struct absent *absent) {
    *run = (struct run){
        .settings = settings, .comm = comm, .plans = true, .buffers.microbatch = MICROBATCH_EMPTY};
    const enum status status = open_data(run, threads, absent);
    if (status != STATUS_OK)
        run_close(run);
    return status;
}

enum status run_clear_batch(struct run *run) {
    struct step *step = &run->step;
    const int64_t groups = run->settings->rollout.prompts_per_step,
                  answers = run->method->group_size(run->settings);
    rollout_release(&step->rollout);
    judged_release(&step->judged);
    TRY(rollout_init(&step->rollout, groups, answers));
    return run->method->discriminates ? judged_init(&step->judged, run->settings, groups, answers)
                                      : STATUS_OK;
}

void run_unreserve(struct run *run) {
    rollout_release(&run->step.rollout);
    judged_release(&run->step.judged);
    for (int p = 0; run->step.passes != NULL && p < run->step.pass_room; p++)
        close_pass(&run->step.passes[p]);
    close_pass(&run->step.discriminator);
    memory_release(&run->step.passes);
    memory_release(&run->buffers.logprob);
    memory_release(&run->buffers.entropy);
    memory_release(&run->buffers.d_logprob);
    memory_release(&run->buffers.d_entropy);
    taught_release(&run->buffers.taught);
    discrimination_release(&run->buffers.discrimination);
    microbatch_release(&run->buffers.microbatch);
    gradient_destroy(&run->gradient);
    reducer_close(&run->reducer);
    if (run->lm.backend.ops != NULL)
        backend_release(&run->lm.backend, &run->generator);
    rule_unreserve(run);
    diagnosis_unreserve(run);
    optimizer_destroy(&run->optimizer);
    optimizer_destroy(&run->discriminator_optimizer);
    mauve_watch_unreserve(run);
    teacher_close(run);
    model_destroy(&run->reference);
    weights_destroy(&run->reference_weights);
    fingerprint_release(&run->fingerprint);
    language_model_remove(&run->lm);
    shard_destroy(&run->shard);
    shard_destroy(&run->deal);
    vector_layout_destroy(&run->layout);
    if (run->master != NULL)
        backend_release(&run->lm.backend, &run->master);
}

void run_close(struct run *run) {
    saving_abandon(run);
    run_output_close(run);
    run_unreserve(run);
    rewards_close(&run->rewards);
    stream_destroy(&run->stream);
    if (run->corpus != NULL)
        corpus_release(run->corpus);
    memory_release(&run->corpus);
    memory_release(&run->position);
    tiles_release(&run->tiles);
    run_evaluation_close(run);
    mauve_watch_close(run);
    teaching_release(&run->teaching);
    reasoning_release(&run->reasoning);
    language_model_close(&run->lm);
}
