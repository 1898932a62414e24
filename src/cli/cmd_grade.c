/* SPDX-License-Identifier: Apache-2.0
 *
 * gradus grade: rewards of texts by their references, from JSON lines to JSON lines.
 */
#include "cli/cli.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "base/log.h"
#include "base/strbuf.h"
#include "base/utf8.h"
#include "file/atomic.h"
#include "file/json.h"
#include "reward/reward.h"

struct job {
    const char *input, *prediction, *reference;
    const struct reward_rule *rule;
    struct answer_rules rules;
    struct strbuf output;
    int64_t graded;
    double sum;
};

/* A field that is a text, or a number as it would be written. */
static enum status read_field(const struct job *job, const json_t *line, long row, const char *name,
                              struct strbuf *out) {
    const json_t *value = json_object_get(line, name);
    char quoted[STATUS_QUOTE_MAX];
    strbuf_clear(out);
    if (json_is_string(value))
        return strbuf_append(out, json_string_value(value), json_string_length(value));
    if (json_is_integer(value))
        return strbuf_append_format(out, "%lld", (long long)json_integer_value(value));
    if (json_is_real(value))
        return strbuf_append_format(out, "%.17g", json_real_value(value));
    return FAIL(STATUS_INPUT,
                "%s:%ld: the field %s is %s; name the fields by --prediction and --reference",
                job->input, row, status_quote(quoted, name, SIZE_MAX),
                value == NULL ? "missing" : "neither a text nor a number");
}

static enum status append_line(struct job *job, const json_t *line) {
    char *text = json_dumps(line, JSON_COMPACT);
    if (text == NULL)
        return FAIL(STATUS_MEMORY, "an output line cannot be made");
    const enum status status = strbuf_append_format(&job->output, "%s\n", text);
    free(text);
    return status;
}

/* What was extracted; a cut may leave half a character, which is repaired. */
static enum status put_extracted(json_t *line, struct span extracted) {
    struct strbuf text = STRBUF_EMPTY;
    const enum status status = utf8_repair(extracted.text, extracted.length, &text);
    if (status == STATUS_OK)
        json_object_set_new(line, "extracted", json_stringn(strbuf_text(&text), text.length));
    strbuf_release(&text);
    return status;
}

/* What math finds, beside the reward. */
static enum status put_answer(struct job *job, json_t *line, const struct reward_input *input,
                              double *reward) {
    const struct answer_grade grade =
        answer_grade(&job->rules, (struct span){input->text, input->length},
                     (struct span){input->reference, input->reference_length});
    const bool found = grade.place != ANSWER_PLACE_COUNT;
    *reward = grade.verdict == ANSWER_RIGHT;
    json_object_set_new(line, "place",
                        found ? json_string(answer_place_word(grade.place)) : json_null());
    json_object_set_new(line, "verdict", json_string(answer_verdict_word(grade.verdict)));
    return put_extracted(line, grade.extracted);
}

static enum status put_grade(struct job *job, json_t *line, const struct reward_input *input) {
    double reward = 0.0;
    if (job->rule == &reward_math)
        TRY(put_answer(job, line, input, &reward));
    else
        reward = job->rule->score(input);
    job->graded++;
    job->sum += reward;
    json_object_set_new(line, "reward", json_real(reward));
    return append_line(job, line);
}

static enum status grade_texts(struct job *job, long row, json_t *line, struct strbuf *prediction,
                               struct strbuf *reference) {
    if (!json_is_object(line))
        return FAIL(STATUS_INPUT, "%s:%ld: the line is not a JSON object", job->input, row);
    TRY(read_field(job, line, row, job->prediction, prediction));
    TRY(read_field(job, line, row, job->reference, reference));
    return put_grade(job, line,
                     &(struct reward_input){.text = strbuf_text(prediction),
                                            .length = prediction->length,
                                            .reference = strbuf_text(reference),
                                            .reference_length = reference->length});
}

static enum status grade_line(void *context, int64_t row, json_t *line) {
    struct strbuf prediction = STRBUF_EMPTY, reference = STRBUF_EMPTY;
    const enum status status = grade_texts(context, (long)row + 1, line, &prediction, &reference);
    strbuf_release(&prediction);
    strbuf_release(&reference);
    return status;
}

/* --places boxed,last: the words of the list. */
static enum status read_places(const char *list, double tolerance, struct answer_rules *out) {
    char copy[256], *names[ANSWER_PLACE_COUNT + 1];
    int64_t count = 0;
    if (list == NULL)
        return answer_rules_read(NULL, 0, tolerance, out);
    if (strlen(list) >= sizeof copy)
        return FAIL(STATUS_USAGE, "--places: the list is too long");
    memcpy(copy, list, strlen(list) + 1);
    for (char *name = copy; name != NULL && count <= ANSWER_PLACE_COUNT;) {
        char *comma = strchr(name, ',');
        names[count++] = name;
        if (comma != NULL)
            *comma++ = '\0';
        name = comma;
    }
    const enum status status = answer_rules_read(names, count, tolerance, out);
    return status == STATUS_OK ? status : FAIL(STATUS_USAGE, "--places: %s", status_sentence());
}

static enum status find_rule(const char *name, const struct reward_rule **rule) {
    char quoted[STATUS_QUOTE_MAX];
    *rule = reward_find(name != NULL ? name : "math");
    if (*rule == NULL || (*rule)->score == NULL || *rule == &reward_length ||
        *rule == &reward_overlong)
        return FAIL(STATUS_USAGE, "--rule %s: texts are graded by format, answer or math",
                    status_quote(quoted, name, SIZE_MAX));
    return STATUS_OK;
}

static enum status write_output(const struct job *job, const char *path) {
    if (path != NULL)
        return atomic_write_file(path, strbuf_text(&job->output), (int64_t)job->output.length);
    if (fwrite(strbuf_text(&job->output), 1, job->output.length, stdout) != job->output.length ||
        fflush(stdout) != 0)
        return FAIL(STATUS_IO, "standard output cannot be written: %s", strerror(errno));
    return STATUS_OK;
}

static enum status grade_file(struct cli *cli, struct job *job) {
    double tolerance = answer_rules_usual.tolerance;
    TRY(cli_real(cli, "tolerance", 0.0, 0.1, &tolerance));
    TRY(find_rule(cli_value(cli, "rule"), &job->rule));
    TRY(read_places(cli_value(cli, "places"), tolerance, &job->rules));
    TRY(json_lines_read(job->input, grade_line, job));
    TRY(write_output(job, cli_value(cli, "output")));
    if (cli_given(cli, "output"))
        log_info("grade", "graded = %lld, %s = %.4f", (long long)job->graded, job->rule->name,
                 job->graded > 0 ? job->sum / (double)job->graded : 0.0);
    return STATUS_OK;
}

static enum status run(struct cli *cli) {
    struct job job = {
        .input = cli_value(cli, "input"),
        .prediction = cli_given(cli, "prediction") ? cli_value(cli, "prediction") : "prediction",
        .reference = cli_given(cli, "reference") ? cli_value(cli, "reference") : "answer",
    };
    const enum status status = grade_file(cli, &job);
    strbuf_release(&job.output);
    return status;
}

const struct cli_command cmd_grade = {
    .name = "grade",
    .arguments = "",
    .text = "rewards of texts by their reference answers, JSON lines in and out",
    .more =
        "Each line of the input is an object with a text and its reference answer. It comes out with\n"
        "\"reward\", and for the rule math with \"extracted\" (the answer that the text gives),\n"
        "\"place\" (where it stood: boxed, block, hashes, phrase, last) and \"verdict\": right, wrong,\n"
        "missing (there is no answer) or undecided (its budget of operations was spent).",
    .options =
        {
            {"input", "FILE", "JSON lines", true},
            {"output", "FILE", "where to write; by default on standard output", false},
            {"prediction", "FIELD", "the field with the text [prediction]", false},
            {"reference", "FIELD", "the field with the reference answer [answer]", false},
            {"rule", "NAME", "format, answer or math [math]", false},
            {"places", "LIST", "where math looks, in this order [boxed,block,hashes,phrase,last]",
             false},
            {"tolerance", "X", "of decimals beside numbers without finite ones [1e-5]", false},
        },
    .least = 0,
    .most = 0,
    .run = run,
};
