/* SPDX-License-Identifier: Apache-2.0
 *
 * The answers of published problems: each is read, found in its worked solution (but for five,
 * whose solutions box two answers of which the reference has one), equal to itself written
 * another way, and hardly ever equal to that of another problem.
 */
#include "answer/answer.h"
#include "answer/parse.h"
#include "base/strbuf.h"
#include "check.h"
#include "file/bytes.h"
#include "file/json.h"

#define SHARED "../shared/data/"

enum { APART = 7, MOST = 8000 };

struct problems {
    const char *path, *answer, *solution;
    char *answers[MOST];
    int count, unread;
    int partial; /* references that are one of the two answers in their solution */
    int chance;  /* right beside another problem's answer of another text */
};

static struct span span_of(const char *text) {
    return (struct span){text, strlen(text)};
}

static enum answer_verdict grade(const char *text, const char *reference) {
    return answer_grade(&answer_rules_usual, span_of(text), span_of(reference)).verdict;
}

/* The answer with other commands, blanks and signs around it. */
static void check_rewritten(const char *answer) {
    static const char *const changes[][2] = {{"\\dfrac", "\\frac"}, {"\\frac", "\\tfrac"},
                                             {"\\left", ""},        {"\\right", ""},
                                             {", ", ","},           {" + ", "+"}};
    struct strbuf text = STRBUF_EMPTY;
    CHECK_OK(strbuf_append_text(&text, "Hence $\\displaystyle \\boxed{ "));
    for (const char *at = answer; *at != '\0';) {
        size_t k = 0;
        while (k < 6 && strncmp(at, changes[k][0], strlen(changes[k][0])) != 0)
            k++;
        const bool letter_follows = k < 6 && ((at[strlen(changes[k][0])] | 0x20) >= 'a' &&
                                              (at[strlen(changes[k][0])] | 0x20) <= 'z');
        if (k < 6 && !letter_follows) {
            CHECK_OK(strbuf_append_text(&text, changes[k][1]));
            at += strlen(changes[k][0]);
        } else {
            CHECK_OK(strbuf_append(&text, at++, 1));
        }
    }
    CHECK_OK(strbuf_append_text(&text, " }$, as was asked."));
    if (grade(strbuf_text(&text), answer) != ANSWER_RIGHT)
        CHECK_FAILED("\"%s\" is not right beside \"%s\"", strbuf_text(&text), answer);
    strbuf_release(&text);
}

static void check_read(struct problems *problems, const char *answer) {
    static struct tree tree;
    struct span text = span_of(answer);
    int root;
    while (text.length > 0 && strchr(". ", text.text[text.length - 1]) != NULL)
        text.length--;
    if (parse_answer(text, TOKEN_COMMAS_GROUP, &tree, &root))
        return;
    problems->unread++;
    printf("%s: not read: %s\n", problems->path, answer);
}

static enum status visit(void *context, int64_t row, json_t *line) {
    struct problems *problems = context;
    const char *answer = json_string_value(json_object_get(line, problems->answer));
    const char *solution = problems->solution == NULL
                               ? NULL
                               : json_string_value(json_object_get(line, problems->solution));
    const char *cut = answer == NULL ? NULL : strstr(answer, "####");
    if (answer == NULL || strchr(answer, '\n') != strrchr(answer, '\n') ? cut == NULL : false)
        return STATUS_OK;
    if (solution != NULL && grade(solution, answer) != ANSWER_RIGHT) {
        problems->partial++;
        printf("%s:%lld: the solution does not give %s\n", problems->path, (long long)row + 1,
               answer);
    }
    answer = cut != NULL ? cut + 4 : answer;
    check_read(problems, answer);
    check_rewritten(answer);
    if (problems->count < MOST)
        problems->answers[problems->count++] = strdup(answer);
    return STATUS_OK;
}

/* Few answers of other problems are right, and those because they mean the same. */
static void check_others(struct problems *problems) {
    for (int i = 0; i < problems->count; i++) {
        const char *mine = problems->answers[i],
                   *other = problems->answers[(i + APART) % problems->count];
        if (strcmp(mine, other) != 0 &&
            answer_compare(1e-5, span_of(mine), span_of(other)) == ANSWER_RIGHT) {
            problems->chance++;
            printf("%s: %s beside %s\n", problems->path, mine, other);
        }
    }
}

int main(void) {
    static struct problems sets[] = {
        {.path = SHARED "math_train/train.jsonl", .answer = "answer", .solution = "solution"},
        {.path = SHARED "math500/test.jsonl", .answer = "answer", .solution = "solution"},
        {.path = SHARED "gsm8k/train.jsonl", .answer = "answer", .solution = "answer"},
        {.path = SHARED "gsm8k/test.jsonl", .answer = "answer", .solution = "answer"},
        {.path = SHARED "aime24/test.jsonl", .answer = "answer"},
        {.path = SHARED "amc23/test.jsonl", .answer = "answer"},
        {.path = SHARED "minerva_math/test.jsonl", .answer = "answer"},
        {.path = SHARED "olympiadbench/test.jsonl", .answer = "answer"},
    };
    int answers = 0, unread = 0, partial = 0, chance = 0;
    for (size_t i = 0; i < sizeof sets / sizeof sets[0]; i++) {
        if (!bytes_is_file(sets[i].path))
            CHECK_SKIP("../shared/data is not here");
        CHECK_OK(json_lines_read(sets[i].path, visit, &sets[i]));
        check_others(&sets[i]);
        answers += sets[i].count;
        unread += sets[i].unread;
        partial += sets[i].partial;
        chance += sets[i].chance;
        for (int k = 0; k < sets[i].count; k++)
            free(sets[i].answers[k]);
    }
    CHECK(answers > 14000);
    if (unread > 5 || partial > 5 || chance > 5)
        CHECK_FAILED("of %d answers %d are not read, %d not in their solution, %d right elsewhere",
                     answers, unread, partial, chance);
    return CHECK_END();
}
