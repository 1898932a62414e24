/* SPDX-License-Identifier: Apache-2.0
 *
 * Some thousand pairs whose verdict is known from how they were made
 * (tests/data/answer/make_pairs.py): every one is graded as it was meant, both ways round where
 * that means the same.
 */
#include "answer/answer.h"

#include "check.h"

#define PAIRS "tests/data/answer/pairs.tsv"

enum { LINE_MOST = 1024, FIELDS = 4 };

/* The fields of a line, each ended by a zero. */
static bool split(char *line, char *fields[FIELDS]) {
    for (int i = 0; i < FIELDS; i++) {
        fields[i] = line;
        char *end = strchr(line, i + 1 < FIELDS ? '\t' : '\n');
        if (end == NULL)
            return false;
        *end = '\0';
        line = end + 1;
    }
    return true;
}

static struct span span_of(const char *text) {
    return (struct span){text, strlen(text)};
}

/* Units and signs of the answer that the reference does not have are forgiven, not the other
 * way round only where a variable could be meant; the pairs have none such. */
static void check_pair(int row, char *fields[FIELDS]) {
    const bool equal = fields[0][0] == '1';
    for (int turn = 0; turn < 2; turn++) {
        const enum answer_verdict have =
            answer_compare(1e-5, span_of(fields[turn ? 3 : 2]), span_of(fields[turn ? 2 : 3]));
        if ((have == ANSWER_RIGHT) != equal)
            CHECK_FAILED(PAIRS ":%d: %s: \"%s\" beside \"%s\" is %s, expected %s", row, fields[1],
                         fields[turn ? 3 : 2], fields[turn ? 2 : 3], answer_verdict_word(have),
                         equal ? "right" : "another verdict");
    }
}

int main(void) {
    char line[LINE_MOST], *fields[FIELDS];
    int row = 0;
    FILE *file = fopen(PAIRS, "r");
    if (file == NULL) {
        CHECK_FAILED(PAIRS " cannot be opened");
        return CHECK_END();
    }
    while (fgets(line, sizeof line, file) != NULL) {
        row++;
        if (line[0] == '#')
            continue;
        if (split(line, fields))
            check_pair(row, fields);
        else
            CHECK_FAILED(PAIRS ":%d: not four fields", row);
    }
    fclose(file);
    if (row < 2500)
        CHECK_FAILED(PAIRS " has %d lines, expected thousands", row);
    return CHECK_END();
}
