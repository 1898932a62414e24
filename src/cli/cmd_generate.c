/* SPDX-License-Identifier: Apache-2.0
 *
 * gradus generate: answers to the prompts of a JSON lines file. The ranks share the lines; what is
 * drawn does not depend on how.
 */
#include "cli/cli.h"

#include <stdlib.h>

#include "base/memory.h"
#include "base/strbuf.h"
#include "file/atomic.h"
#include "file/json.h"
#include "rollout/generate.h"
#include "run/language_model.h"
#include "run/threads.h"

/* The lines of the input file and, for those of this rank, prompts and answers. */
struct generation {
    const struct settings *settings;
    const char *path;
    struct language_model lm;
    json_t **lines; /* (count) */
    int64_t count, capacity;
    int64_t begin, end;                /* lines of this rank */
    struct token_list *prompts;        /* (end − begin) */
    struct rollout_answer *answers;    /* (end − begin) × group_size */
    struct generate_request *requests; /* (end − begin) */
};

static enum status keep_line(void *context, int64_t row, json_t *value) {
    struct generation *g = context;
    const json_t *text = json_object_get(value, "prompt"),
                 *ids = json_object_get(value, "prompt_token_ids");
    if (!json_is_object(value) || !(json_is_string(text) || json_is_array(ids)))
        return FAIL(STATUS_INPUT,
                    "%s:%lld: a line is {\"prompt\": text} or {\"prompt_token_ids\": [ids]}",
                    g->path, (long long)row + 1);
    if (g->count == g->capacity) {
        g->capacity = 2 * g->capacity + 64;
        TRY(memory_grow(&g->lines, g->capacity, "lines"));
    }
    g->lines[g->count++] = json_incref(value);
    return STATUS_OK;
}

static enum status take_ids(const struct generation *g, const json_t *ids, int64_t line,
                            struct token_list *out) {
    size_t i;
    json_t *value;
    json_array_foreach(ids, i, value) {
        const json_int_t id = json_is_integer(value) ? json_integer_value(value) : -1;
        if (id < 0 || id >= g->lm.hparams.V)
            return FAIL(STATUS_INPUT,
                        "%s: prompt %lld: prompt_token_ids[%zu] is not a token id below %lld",
                        g->path, (long long)line + 1, i, (long long)g->lm.hparams.V);
        TRY(token_list_append(out, &(int32_t){(int32_t)id}, 1));
    }
    return out->count > 0
               ? STATUS_OK
               : FAIL(STATUS_INPUT, "%s: prompt %lld is empty", g->path, (long long)line + 1);
}

static enum status encode_prompt(struct generation *g, int64_t line, struct token_list *out) {
    const json_t *ids = json_object_get(g->lines[line], "prompt_token_ids");
    const int64_t room = g->lm.hparams.max_positions - g->settings->rollout.max_new_tokens;
    if (json_is_array(ids)) {
        TRY(take_ids(g, ids, line, out));
    } else {
        struct strbuf text = STRBUF_EMPTY;
        const char *prompt = json_string_value(json_object_get(g->lines[line], "prompt"));
        const enum status status = prompt_encode(&g->lm.form, prompt, &text, out);
        strbuf_release(&text);
        TRY(status);
    }
    if (out->count > room)
        return FAIL(STATUS_INPUT,
                    "%s: prompt %lld has %lld tokens; the model's positions leave room for %lld",
                    g->path, (long long)line + 1, (long long)out->count, (long long)room);
    return STATUS_OK;
}

static enum status prepare(struct generation *g, const struct comm *comm) {
    const int64_t group = g->settings->rollout.group_size;
    int64_t longest = 1;
    g->begin = g->count * comm->rank / comm->size;
    g->end = g->count * (comm->rank + 1) / comm->size;
    TRY(memory_new(&g->prompts, g->end - g->begin, "prompts"));
    TRY(memory_new(&g->requests, g->end - g->begin, "prompts"));
    TRY(memory_new(&g->answers, (g->end - g->begin) * group, "answers"));
    for (int64_t i = 0; i < g->end - g->begin; i++) {
        TRY(encode_prompt(g, g->begin + i, &g->prompts[i]));
        longest = g->prompts[i].count > longest ? g->prompts[i].count : longest;
        g->requests[i] = (struct generate_request){.prompt = g->prompts[i].ids,
                                                   .prompt_length = g->prompts[i].count,
                                                   .prompt_index = (uint32_t)(g->begin + i),
                                                   .answers = g->answers + i * group,
                                                   .answer_count = group};
    }
    TRY(language_model_create(&g->lm, g->settings, longest + g->settings->rollout.max_new_tokens));
    return model_load(g->lm.model, g->settings->model.path, NULL);
}

static enum status answer(struct generation *g) {
    const struct generate_settings how =
        generate_settings_of(g->settings, g->lm.hparams.eos, g->lm.hparams.eos_count, 0);
    struct generate_report report;
    return generate_answers(g->lm.model, g->lm.tokenizer, &how, g->requests, g->end - g->begin,
                            (struct rollout_columns){.sampler = true}, &report);
}

static const char *const finish_names[] = {"stop", "length", "stop_text", "forced"};

static json_t *completion_json(const struct rollout_answer *completion) {
    json_t *ids = json_array(), *object = json_object();
    for (int64_t t = 0; t < completion->n; t++)
        json_array_append_new(ids, json_integer(completion->tokens[t]));
    json_object_set_new(object, "text",
                        json_stringn(strbuf_text(&completion->text), completion->text.length));
    json_object_set_new(object, "token_ids", ids);
    json_object_set_new(object, "finish_reason", json_string(finish_names[completion->finish]));
    return object;
}

/* The rank's lines, each with its completions. */
static enum status format_lines(struct generation *g, struct strbuf *out) {
    for (int64_t i = 0; i < g->end - g->begin; i++) {
        const struct generate_request *request = &g->requests[i];
        json_t *line = g->lines[g->begin + i], *completions = json_array();
        for (int64_t a = 0; a < request->answer_count; a++)
            json_array_append_new(completions, completion_json(&request->answers[a]));
        json_object_set_new(line, "completions", completions);
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

static enum status generate(struct generation *g, struct comm *comm, const char *output) {
    struct strbuf mine = STRBUF_EMPTY;
    int threads;
    TRY(threads_choose(comm, (int)g->settings->parallel.threads, &threads));
    enum status status = json_lines_read(g->path, keep_line, g);
    if (status == STATUS_OK)
        status = language_model_open(&g->lm, g->settings, threads);
    if (status == STATUS_OK)
        status = prepare(g, comm);
    status = comm_agree(comm, status);
    if (status == STATUS_OK)
        status = comm_agree(comm, answer(g));
    if (status == STATUS_OK)
        status = comm_agree(comm, format_lines(g, &mine));
    if (status == STATUS_OK)
        status = write_lines(comm, &mine, output);
    strbuf_release(&mine);
    return status;
}

static void generation_release(struct generation *g) {
    for (int64_t i = 0; g->prompts != NULL && i < g->end - g->begin; i++)
        memory_release(&g->prompts[i].ids);
    for (int64_t i = 0;
         g->answers != NULL && i < (g->end - g->begin) * g->settings->rollout.group_size; i++)
        rollout_answer_release(&g->answers[i]);
    for (int64_t i = 0; i < g->count; i++)
        json_decref(g->lines[i]);
    memory_release(&g->lines);
    memory_release(&g->prompts);
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
        "A line is {\"prompt\": text} or {\"prompt_token_ids\": [ids]}; it comes out with its other\n"
        "fields and \"completions\": [{\"text\", \"token_ids\", \"finish_reason\"}], rollout.group_size of\n"
        "them. rollout.* and prompt.* of the input file apply; rollout.temperature = 0 takes the most\n"
        "probable token.",
    .options = {{"input", "F.jsonl", "the prompts", true},
                {"output", "G.jsonl", "where the answers go", true}},
    .least = 1,
    .most = -1,
    .run = run_command,
};
