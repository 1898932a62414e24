/* SPDX-License-Identifier: Apache-2.0 */
#include "answer/answer.h"

#include <string.h>

#include "answer/compare.h"
#include "answer/decimal.h"
#include "answer/parse.h"
#include "answer/plain.h"
#include "answer/running.h"

const struct answer_rules answer_rules_usual = {
    .places = {ANSWER_BOXED, ANSWER_BLOCK, ANSWER_HASHES, ANSWER_PHRASE, ANSWER_LAST},
    .place_count = ANSWER_PLACE_COUNT,
    .block = {"<answer>", "</answer>"},
    .tolerance = 1e-5,
};

enum status answer_rules_read(char *const *places, int64_t count, double tolerance,
                              struct answer_rules *out) {
    char quoted[STATUS_QUOTE_MAX];
    *out = answer_rules_usual;
    out->tolerance = tolerance;
    if (count > ANSWER_PLACE_COUNT)
        return FAIL(STATUS_INPUT, "%lld places to look for an answer are given, but there are %d",
                    (long long)count, ANSWER_PLACE_COUNT);
    if (count > 0)
        out->place_count = (int)count;
    for (int64_t i = 0; i < count; i++) {
        out->places[i] = answer_place_find(places[i]);
        if (out->places[i] == ANSWER_PLACE_COUNT)
            return FAIL(STATUS_INPUT,
                        "'%s' is no place to look for an answer; known are boxed, block, hashes, "
                        "phrase, last",
                        status_quote(quoted, places[i], SIZE_MAX));
    }
    return STATUS_OK;
}

const char *answer_verdict_word(enum answer_verdict verdict) {
    static const char *const words[] = {
#define X(name, word, text) word,
        ANSWER_VERDICTS(X)
#undef X
    };
    return words[verdict];
}

/* Without \( and \), or \[ and \], around all of it. */
static struct span without_delimiters(struct span answer) {
    static const char *const pairs[][2] = {{"\\(", "\\)"}, {"\\[", "\\]"}};
    for (size_t i = 0; i < 2; i++)
        if (answer.length >= 4 && span_begins(answer, pairs[i][0]) &&
            span_ends(answer, pairs[i][1]))
            return (struct span){answer.text + 2, answer.length - 4};
    return answer;
}

/* Without what stands around an answer in running text: blanks, $, *, quotes, a point at the end, and an
 * = that nothing follows: 12 + 3 = is worth what 12 + 3 is. */
static struct span clean(struct span answer) {
    static const char before[] = "$*`\"'", after[] = "$*`\"'.,;:=";
    for (size_t length = answer.length + 1; length != answer.length;) {
        length = answer.length;
        answer = without_delimiters(span_trim(answer));
        if (answer.length > 0 && strchr(before, answer.text[0]) != NULL && answer.text[0] != '\0') {
            answer.text++;
            answer.length--;
        }
        const char last = answer.length > 0 ? answer.text[answer.length - 1] : '\0';
        const bool escaped = answer.length > 1 && answer.text[answer.length - 2] == '\\';
        if (last != '\0' && strchr(after, last) != NULL && !escaped)
            answer.length--;
    }
    return answer;
}

/* As texts, as letters of a choice, and as decimal numbers: linear, and often enough. */
static bool equal_at_sight(struct span answer, struct span reference) {
    struct decimal x, y;
    if (plain_equal(answer, reference, plain_is_words(reference) && reference.length > 1))
        return true;
    const char wanted = plain_choice(reference, false), given = plain_choice(answer, true);
    if (wanted >= 'A' && wanted <= 'J' && (given | 0x20) == (wanted | 0x20))
        return given == wanted || reference.length > 1 || answer.length > 1;
    return decimal_read(answer, &x) && decimal_read(reference, &y) && decimal_equal(&x, &y);
}

/* Both read in the same way. */
static bool equal_read(struct grader *grader, struct span answer, struct span reference,
                       enum token_commas commas) {
    struct tree given, wanted;
    struct item a = {.tree = &given, .factor = TREE_NONE},
                b = {.tree = &wanted, .factor = TREE_NONE};
    return parse_answer(answer, commas, &given, &a.node) &&
           parse_answer(reference, commas, &wanted, &b.node) && compare_items(grader, a, b);
}

static bool has_comma(struct span text) {
    return memchr(text.text, ',', text.length) != NULL;
}

enum answer_verdict answer_compare(double tolerance, struct span answer, struct span reference) {
    answer = clean(answer);
    reference = clean(reference);
    if (answer.length == 0 || reference.length == 0)
        return ANSWER_WRONG;
    if (equal_at_sight(answer, reference))
        return ANSWER_RIGHT;
    if (answer.length > ANSWER_LONGEST || reference.length > ANSWER_LONGEST)
        return ANSWER_UNDECIDED;
    struct grader grader = {.budget = {.left = ANSWER_BUDGET},
                            .tolerance = tolerance,
                            .seed = tree_name(tree_name(TREE_NAME_START, answer), reference)};
    if (equal_read(&grader, answer, reference, TOKEN_COMMAS_GROUP) ||
        ((has_comma(answer) || has_comma(reference)) &&
         equal_read(&grader, answer, reference, TOKEN_COMMAS_DIVIDE)))
        return ANSWER_RIGHT;
    return grader.budget.left < 0 ? ANSWER_UNDECIDED : ANSWER_WRONG;
}

/* A reference that is a worked solution gives its answer in a box or behind ####. */
static struct span reference_answer(const struct answer_rules *rules, struct span reference) {
    static const enum answer_place places[] = {ANSWER_BOXED, ANSWER_BLOCK, ANSWER_HASHES};
    struct span answer;
    for (size_t i = 0; i < sizeof places / sizeof *places; i++)
        if (answer_extract(reference, places[i], &rules->block, &answer))
            return answer;
    return reference;
}

static bool is_number(struct span answer) {
    struct span number;
    answer = clean(answer);
    return running_number(answer, &number) && number.length == answer.length;
}

/* Of a sentence behind "the answer is", where a number is asked for, the one number in it counts:
 * "that John has 2 legs" means 2. */
static void look_into_sentence(const struct answer_rules *rules, struct span reference,
                               struct answer_grade *grade) {
    struct span number;
    if (!is_number(reference) || !running_number(grade->extracted, &number))
        return;
    grade->extracted = number;
    if (grade->verdict != ANSWER_RIGHT)
        grade->verdict = answer_compare(rules->tolerance, number, reference);
}

struct answer_grade answer_grade(const struct answer_rules *rules, struct span text,
                                 struct span reference) {
    struct answer_grade grade = {
        .verdict = ANSWER_MISSING, .place = ANSWER_PLACE_COUNT, .extracted = {text.text, 0}};
    for (int i = 0; i < rules->place_count; i++)
        if (answer_extract(text, rules->places[i], &rules->block, &grade.extracted)) {
            const struct span wanted = reference_answer(rules, reference);
            grade.extracted = clean(grade.extracted);
            grade.place = rules->places[i];
            grade.verdict = answer_compare(rules->tolerance, grade.extracted, wanted);
            if (grade.place == ANSWER_PHRASE)
                look_into_sentence(rules, wanted, &grade);
            return grade;
        }
    return grade;
}
