/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/bench.h"

#include <stdio.h>
#include <string.h>

#include <jansson.h>

#include "answer/answer.h"
#include "base/clock.h"
#include "base/memory.h"
#include "file/json.h"

/* Answers of the kinds that benchmarks ask for, right ones and wrong ones. */
static const char *const usual[][2] = {
    {"The total is 3 * 24 = 72 dollars. The answer is 72.", "72"},
    {"So she has $\\boxed{18}$ left.", "18"},
    {"Hence the probability is $\\boxed{\\dfrac{3}{8}}$.", "\\frac{3}{8}"},
    {"We get $x = \\boxed{\\frac{-1+\\sqrt{5}}{2}}$", "\\frac{\\sqrt{5}-1}{2}"},
    {"<think>...</think><answer>0.75</answer>", "\\frac34"},
    {"The roots are $\\boxed{1 \\pm 2\\sqrt{3}}$.", "1-2\\sqrt3, 1+2\\sqrt3"},
    {"$\\boxed{(x+1)(x-3)}$", "x^2-2x-3"},
    {"$\\boxed{\\left(-\\infty, 2\\right) \\cup (3, \\infty)}$", "x<2 \\text{ or } x>3"},
    {"$\\boxed{\\begin{pmatrix} 1/5 \\\\ -18/5 \\end{pmatrix}}$",
     "\\begin{pmatrix} 0.2 \\\\ -3.6 \\end{pmatrix}"},
    {"The answer is $\\boxed{\\text{(C)}}$", "C"},
    {"#### 1,250", "1250"},
    {"It is $\\boxed{120^\\circ}$", "120"},
    {"$\\boxed{\\frac{1}{x}+\\frac{1}{y}}$", "\\frac{x+y}{xy}"},
    {"$\\boxed{12\\pi}$", "11\\pi"},
    {"$\\boxed{2^{10}}$", "1024"},
    {"$\\boxed{\\frac{2\\cos 15^\\circ}{3}}$", "\\frac{\\sqrt6+\\sqrt2}{6}"},
};

struct pairs {
    char **texts; /* prediction and answer in turn */
    int64_t count, capacity;
};

static enum status keep_text(struct pairs *pairs, const char *text) {
    char *copy;
    if (pairs->count == pairs->capacity) {
        pairs->capacity = 2 * pairs->capacity + 64;
        TRY(memory_grow(&pairs->texts, pairs->capacity, "pairs to grade"));
    }
    TRY(memory_new(&copy, strlen(text) + 1, "pairs to grade"));
    memcpy(copy, text, strlen(text));
    pairs->texts[pairs->count++] = copy;
    return STATUS_OK;
}

static enum status keep_line(void *context, int64_t row, json_t *line) {
    const char *prediction = json_string_value(json_object_get(line, "prediction")),
               *answer = json_string_value(json_object_get(line, "answer"));
    if (prediction == NULL || answer == NULL)
        return FAIL(STATUS_INPUT, "line %lld: a pair is {\"prediction\": \"…\", \"answer\": \"…\"}",
                    (long long)row + 1);
    TRY(keep_text(context, prediction));
    return keep_text(context, answer);
}

static enum status read_pairs(struct pairs *pairs, const char *path) {
    if (path != NULL)
        return json_lines_read(path, keep_line, pairs);
    for (size_t i = 0; i < sizeof usual / sizeof *usual; i++) {
        TRY(keep_text(pairs, usual[i][0]));
        TRY(keep_text(pairs, usual[i][1]));
    }
    return STATUS_OK;
}

static int64_t grade_all(const struct pairs *pairs) {
    int64_t right = 0;
    for (int64_t i = 0; i + 1 < pairs->count; i += 2) {
        const char *text = pairs->texts[i], *reference = pairs->texts[i + 1];
        right += answer_grade(&answer_rules_usual, (struct span){text, strlen(text)},
                              (struct span){reference, strlen(reference)})
                     .verdict == ANSWER_RIGHT;
    }
    return right;
}

static void time_pairs(const struct pairs *pairs, double seconds) {
    const double start_s = clock_now_s();
    double best_s = 1e30, now_s = start_s;
    int64_t right = 0;
    while (now_s < start_s + seconds) {
        const double begin_s = now_s;
        right = grade_all(pairs);
        now_s = clock_now_s();
        best_s = now_s - begin_s < best_s ? now_s - begin_s : best_s;
    }
    const int64_t n = pairs->count / 2;
    printf("grade %lld pairs (%lld right) %10.0f gradings/s, %.2f us each, on one core\n",
           (long long)n, (long long)right, (double)n / best_s, 1e6 * best_s / (double)n);
}

enum status bench_grade(double seconds, const char *path) {
    struct pairs pairs = {.texts = NULL};
    enum status status = read_pairs(&pairs, path);
    if (status == STATUS_OK && pairs.count == 0)
        status = FAIL(STATUS_INPUT, "%s: there is nothing to grade", path);
    if (status == STATUS_OK)
        time_pairs(&pairs, seconds);
    for (int64_t i = 0; i < pairs.count; i++)
        memory_release(&pairs.texts[i]);
    memory_release(&pairs.texts);
    return status;
}
