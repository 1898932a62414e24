/* SPDX-License-Identifier: Apache-2.0
 *
 * gradus generate: answers to the prompts of a JSON lines file. The ranks share the lines; what is
 * drawn does not depend on how.
 */
#include "cli/cli.h"

#include <stdlib.h>

#include "base/log.h"
#include "base/memory.h"
#include "base/strbuf.h"
#include "cli/generate_row.h"
#include "file/atomic.h"
#include "file/json.h"
#include "method/rewards.h"
#include "rollout/generate.h"
#include "rollout/progress.h"
#include "run/language_model.h"
#include "run/threads.h"

/* The lines of the input file and, for those of this rank, prompts and answers. */
struct generation {
    const struct settings *settings;
    const char *path;
    struct generate_names names;
    struct rewards *rewards; /* NULL: reward.parts is empty */
    struct language_model lm;
    struct generation_line {
        json_t *value;
        int64_t row; /* of the file, 0-based */
    } * lines;       /* (count) */
    int64_t count, capacity;
    int64_t begin, end;                /* lines of this rank */
    struct generate_row *rows;         /* (end − begin) */
    struct token_list *prompts;        /* (end − begin) */
    struct strbuf *texts;              /* (end − begin) of the prompts */
    struct rollout_answer *answers;    /* (end − begin) × group_size */
    struct generate_request *requests; /* (end − begin) */
    struct strbuf grades; /* of the graded answers of this rank: doubles, reward and its parts */
    int64_t tokens;       /* drawn by this rank */
};

static enum status keep_line(void *context, int64_t row, json_t *value) {
    struct generation *g = context;
    if (g->count == g->capacity) {
        g->capacity = 2 * g->capacity + 64;
        TRY(memory_grow(&g->lines, g->capacity, "lines"));
    }
    g->lines[g->count++] = (struct generation_line){json_incref(value), row};
    return STATUS_OK;
}

static enum status take_ids(const struct generation *g, const json_t *ids, int64_t row,
                            struct token_list *out) {
    size_t i;
    json_t *value;
    json_array_foreach(ids, i, value) {
        const json_int_t id = json_is_integer(value) ? json_integer_value(value) : -1;
        if (id < 0 || id >= g->lm.hparams.V)
            return FAIL(STATUS_INPUT, "%s:%lld: prompt_token_ids[%zu] is not a token id below %lld",
                        g->path, (long long)row + 1, i, (long long)g->lm.hparams.V);
        TRY(token_list_append(out, &(int32_t){(int32_t)id}, 1));
    }
    return out->count > 0 ? STATUS_OK
                          : FAIL(STATUS_INPUT, "%s:%lld: prompt_token_ids is empty", g->path,
                                 (long long)row + 1);
}

/* The i-th line of this rank: what it asks, and its prompt as token ids. */
static enum status encode_prompt(struct generation *g, int64_t i) {
    const struct generation_line *line = &g->lines[g->begin + i];
    struct generate_row *row = &g->rows[i];
    struct token_list *out = &g->prompts[i];
    const int64_t room = g->lm.hparams.max_positions - g->settings->rollout.max_new_tokens;
    TRY(generate_row_read(&g->names, line->row, line->value, row));
    if (row->ids != NULL) {
        TRY(take_ids(g, row->ids, line->row, out));
        TRY(tokenizer_decode(g->lm.tokenizer, out->ids, out->count, false, &g->texts[i]));
    } else {
        const enum status status = prompt_encode_item(&g->lm.form, &row->item, &g->texts[i], out);
        TRY(row->item.conversation.count > 0 ? dataset_place(status, g->path, line->row) : status);
    }
    if (out->count > room)
        return FAIL(
            STATUS_INPUT,
            "%s:%lld: the prompt has %lld tokens; the model's positions leave room for %lld "
            "before rollout.max_new_tokens = %lld more",
            g->path, (long long)line->row + 1, (long long)out->count, (long long)room,
            (long long)g->settings->rollout.max_new_tokens);
    return STATUS_OK;
}

static enum status prepare(struct generation *g, const struct comm *comm) {
    const int64_t group = g->settings->rollout.group_size;
    int64_t longest = 1;
    g->begin = g->count * comm->rank / comm->size;
    g->end = g->count * (comm->rank + 1) / comm->size;
    TRY(memory_new(&g->rows, g->end - g->begin, "prompts"));
    TRY(memory_new(&g->prompts, g->end - g->begin, "prompts"));
    TRY(memory_new(&g->texts, g->end - g->begin, "prompts"));
    TRY(memory_new(&g->requests, g->end - g->begin, "prompts"));
    TRY(memory_new(&g->answers, (g->end - g->begin) * group, "answers"));
    for (int64_t i = 0; i < g->end - g->begin; i++) {
        TRY(encode_prompt(g, i));
        longest = g->prompts[i].count > longest ? g->prompts[i].count : longest;
        g->requests[i] = (struct generate_request){.prompt = g->prompts[i].ids,
                                                   .prompt_length = g->prompts[i].count,
                                                   .prompt_index = (uint32_t)(g->begin + i),
                                                   .answers = g->answers + i * group,
                                                   .answer_count = group};
    }
    TRY(language_model_create(&g->lm, g->settings, longest + g->settings->rollout.max_new_tokens));
    return language_model_load(&g->lm, g->settings, NULL, NULL);
}

static enum status answer(struct generation *g, const struct comm *comm) {
    struct generate_settings how =
        generate_settings_of(g->settings, g->lm.hparams.eos, g->lm.hparams.eos_count, 0);
    struct progress progress =
        progress_of("generate", (g->end - g->begin) * g->settings->rollout.group_size);
    struct generate_report report;
    log_info("generate", "prompts = %lld, answers = %lld, ranks = %d", (long long)g->count,
             (long long)(g->count * g->settings->rollout.group_size), comm->size);
    if (comm->rank == 0)
        how.listener = (struct generate_listener){.hear = progress_hear, .context = &progress};
    const enum status status =
        generate_answers(g->lm.model, g->lm.tokenizer, &how, g->requests, g->end - g->begin,
                         (struct rollout_columns){.sampler = true}, &report);
    log_live_end();
    g->tokens = report.tokens;
    return status;
}

/* --- the answers as JSON --- */

static json_t *completion_json(const struct rollout_answer *completion) {
    json_t *ids = json_array(), *object = json_object();
    for (int64_t t = 0; t < rollout_answer_id_count(completion); t++)
        json_array_append_new(ids, json_integer(rollout_answer_ids(completion)[t]));
    json_object_set_new(object, "text",
                        json_stringn(strbuf_text(&completion->text), completion->text.length));
    json_object_set_new(object, "token_ids", ids);
    json_object_set_new(object, "finish_reason",
                        json_string(finish_reason_word(rollout_answer_finish(completion))));
    if (completion->forced) /* tokens [begin, end) that nobody drew */
        json_object_set_new(
            object, "forced",
            json_pack("[i, i]", completion->turn_ends[0], completion->turn_begins[1]));
    return object;
}

/* Whether the answers of a line are rewarded. */
static bool is_graded(const struct generation *g, int64_t i) {
    return g->rows[i].has_reference && g->settings->reward.parts_count > 0;
}

static struct rewards_item item_of(const struct generation *g, int64_t i, int64_t a) {
    const struct generate_request *request = &g->requests[i];
    return (struct rewards_item){.answer = &request->answers[a],
                                 .prompt = &g->texts[i],
                                 .reference = &g->rows[i].reference,
                                 .group = g->begin + i,
                                 .index = a,
                                 .row = g->lines[g->begin + i].row};
}

/* Rewards the answers by their lines' references. */
static enum status reward_answers(struct generation *g) {
    struct rewards_item *items;
    int64_t count = 0;
    TRY(memory_new(&items, (g->end - g->begin) * g->settings->rollout.group_size, "answers"));
    for (int64_t i = 0; i < g->end - g->begin; i++)
        for (int64_t a = 0; is_graded(g, i) && a < g->requests[i].answer_count; a++)
            items[count++] = item_of(g, i, a);
    const enum status status =
        count > 0 ? rewards_grade(g->rewards, items, count, NULL) : STATUS_OK;
    memory_release(&items);
    return status;
}

/* Adds to the object of an answer what it got. */
static enum status put_grade(struct generation *g, const struct rollout_answer *answer,
                             json_t *object) {
    const struct settings_reward *reward = &g->settings->reward;
    json_t *parts = json_object();
    for (int64_t p = 0; p < reward->parts_count; p++)
        json_object_set_new(parts, reward->parts[p].name, json_real(answer->parts[p]));
    json_object_set_new(object, "reward", json_real(answer->reward));
    json_object_set_new(object, "rewards", parts);
    TRY(strbuf_append(&g->grades, (const char *)&answer->reward, sizeof answer->reward));
    return strbuf_append(&g->grades, (const char *)answer->parts,
                         (size_t)reward->parts_count * sizeof *answer->parts);
}

static enum status complete_line(struct generation *g, int64_t i, json_t *line) {
    const struct generate_request *request = &g->requests[i];
    json_t *completions = json_array();
    json_object_set_new(line, "completions", completions);
    for (int64_t a = 0; a < request->answer_count; a++) {
        json_t *object = completion_json(&request->answers[a]);
        json_array_append_new(completions, object);
        if (is_graded(g, i))
            TRY(put_grade(g, &request->answers[a], object));
    }
    return STATUS_OK;
}

/* The rank's lines, each with its completions. */
static enum status format_lines(struct generation *g, struct strbuf *out) {
    for (int64_t i = 0; i < g->end - g->begin; i++) {
        json_t *line = g->lines[g->begin + i].value;
        TRY(complete_line(g, i, line));
        char *text = json_dumps(line, JSON_COMPACT);
        if (text == NULL)
            return FAIL(STATUS_MEMORY, "an output line cannot be made");
        enum status status = strbuf_append_text(out, text);
        free(text);
        TRY(status);
        TRY(strbuf_append(out, "\n", 1));
    }
    return STATUS_OK;
}

static enum status write_lines(struct comm *comm, const struct strbuf *mine, const char *path) {
    char *all = NULL;
    size_t *sizes = NULL, total = 0;
    TRY(comm_gather(comm, strbuf_text(mine), mine->length, 0, (void **)&all, &sizes));
    for (int rank = 0; sizes != NULL && rank < comm->size; rank++)
        total += sizes[rank];
    const enum status status =
        comm->rank == 0 ? atomic_write_file(path, all, (int64_t)total) : STATUS_OK;
    memory_release(&all);
    memory_release(&sizes);
    return comm_agree(comm, status);
}

/* Mean rewards of all graded answers, whose grades are (reward, parts …) in the order of lines. */
static enum status append_rewards(const struct settings_reward *reward, const double *grades,
                                  size_t bytes, struct strbuf *out) {
    const size_t width = (size_t)reward->parts_count + 1, count = bytes / sizeof *grades / width;
    if (count == 0)
        return STATUS_OK;
    TRY(strbuf_append_format(out, ", graded = %zu", count));
    for (size_t column = 0; column < width; column++) {
        double sum = 0.0;
        for (size_t i = 0; i < count; i++)
            sum += grades[i * width + column];
        TRY(strbuf_append_format(out, ", %s = %.3f",
                                 column == 0 ? "reward" : reward->parts[column - 1].name,
                                 sum / (double)count));
    }
    return STATUS_OK;
}

/* What all ranks did, in one line. */
static enum status report_end(struct generation *g, struct comm *comm, const char *output) {
    struct strbuf text = STRBUF_EMPTY;
    double *grades = NULL;
    size_t *sizes = NULL, bytes = 0;
    TRY(comm_sum_exact(comm, &g->tokens, 1));
    TRY(comm_gather(comm, strbuf_text(&g->grades), g->grades.length, 0, (void **)&grades, &sizes));
    for (int rank = 0; sizes != NULL && rank < comm->size; rank++)
        bytes += sizes[rank];
    const enum status status = append_rewards(&g->settings->reward, grades, bytes, &text);
    if (status == STATUS_OK)
        log_info("generate", "prompts = %lld, answers = %lld, tokens = %lld%s, output = %s",
                 (long long)g->count, (long long)(g->count * g->settings->rollout.group_size),
                 (long long)g->tokens, strbuf_text(&text), output);
    memory_release(&grades);
    memory_release(&sizes);
    strbuf_release(&text);
    return comm_agree(comm, status);
}

static enum status open_input(struct generation *g, const struct comm *comm, int threads) {
    if (g->settings->reward.parts_count > 0)
        TRY(rewards_open(&g->rewards, g->settings, comm->rank, comm->size));
    TRY(generate_names_init(&g->names, g->settings, g->path));
    TRY(json_lines_read(g->path, keep_line, g));
    TRY(language_model_open(&g->lm, g->settings, threads));
    const struct budget_settings budgets = budget_settings_of(g->settings);
    return language_model_check_budgets(&g->lm, &budgets);
}

static enum status generate(struct generation *g, struct comm *comm, const char *output) {
    struct strbuf mine = STRBUF_EMPTY;
    int threads;
    TRY(threads_choose(comm, (int)g->settings->parallel.threads, &threads));
    enum status status = open_input(g, comm, threads);
    if (status == STATUS_OK)
        status = prepare(g, comm);
    status = comm_agree(comm, status);
    if (status == STATUS_OK)
        status = comm_agree(comm, answer(g, comm));
    if (status == STATUS_OK)
        status = comm_agree(comm, reward_answers(g));
    if (status == STATUS_OK)
        status = comm_agree(comm, format_lines(g, &mine));
    if (status == STATUS_OK)
        status = write_lines(comm, &mine, output);
    if (status == STATUS_OK)
        status = report_end(g, comm, output);
    strbuf_release(&mine);
    return status;
}

static void generation_release(struct generation *g) {
    for (int64_t i = 0; g->prompts != NULL && i < g->end - g->begin; i++)
        memory_release(&g->prompts[i].ids);
    for (int64_t i = 0; g->texts != NULL && i < g->end - g->begin; i++)
        strbuf_release(&g->texts[i]);
    for (int64_t i = 0; g->rows != NULL && i < g->end - g->begin; i++)
        generate_row_release(&g->rows[i]);
    for (int64_t i = 0;
         g->answers != NULL && i < (g->end - g->begin) * g->settings->rollout.group_size; i++)
        rollout_answer_release(&g->answers[i]);
    for (int64_t i = 0; i < g->count; i++)
        json_decref(g->lines[i].value);
    rewards_close(&g->rewards);
    generate_names_release(&g->names);
    strbuf_release(&g->grades);
    memory_release(&g->lines);
    memory_release(&g->rows);
    memory_release(&g->prompts);
    memory_release(&g->texts);
    memory_release(&g->answers);
    memory_release(&g->requests);
    language_model_close(&g->lm);
}

static enum status run_command(struct cli *cli) {
    struct comm comm;
    struct settings settings;
    TRY(cli_comm_open(cli, &comm));
    enum status status = comm_agree(&comm, settings_read(cli->argv[0], cli->argv + 1, cli->argc - 1,
                                                         SETTINGS_FOR_GENERATION, &settings));
    if (status == STATUS_OK) {
        struct generation g = {.settings = &settings, .path = cli_value(cli, "input")};
        status = generate(&g, &comm, cli_value(cli, "output"));
        generation_release(&g);
        settings_release(&settings);
    }
    return cli_comm_close(cli, &comm, status);
}

const struct cli_command cmd_generate = {
    .name = "generate",
    .arguments = "INPUT.cfg [group.name=value ...]",
    .text = "answers to prompts, from JSON lines to JSON lines",
    .more =
        "Any JSON line that holds a prompt will do, as those of data.train. The prompt is, by the\n"
        "first of these that a line has: \"prompt_token_ids\" (a list of ids); the prompt field, or the\n"
        "messages, of a source of data.train, first the source that is F.jsonl itself, then the others\n"
        "in their order; \"prompt\"; \"messages\", a conversation of which an assistant's turn at the\n"
        "end is left out. The reference is the answer field of the same source (cut by its\n"
        "answer_after), else the first answer field of another source or \"answer\" that the line has,\n"
        "else the turn that was left out.\n"
        "\n"
        "A line comes out with all its fields and \"completions\", rollout.group_size of them:\n"
        "{\"text\", \"token_ids\", \"finish_reason\"}; where it has a reference also \"reward\", the weighted\n"
        "sum, and \"rewards\", each part of reward.parts unweighted. rollout.* and prompt.* apply;\n"
        "rollout.temperature = 0 takes the most probable token.",
    .options = {{"input", "F.jsonl", "the lines with prompts", true},
                {"output", "G.jsonl", "where the answers go", true}},
    .least = 1,
    .most = -1,
    .run = run_command,
};
