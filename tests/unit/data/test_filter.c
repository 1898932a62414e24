/* SPDX-License-Identifier: Apache-2.0
 *
 * Filters take the rows they say, and a mistake is named with its position.
 */
#include "check.h"

#include "base/random.h"
#include "data/filter.h"
#include "file/json.h"

static const char row_text[] =
    "{\"level\": 3, \"type\": \"Algebra\", \"easy\": false, \"good\": true, \"score\": 2.5, "
    "\"big\": 9007199254740993, \"quote\": \"a\\\"b\\\\c\", \"list\": [1], \"none\": null, "
    "\"zero\": \"a\\u0000b\", \"greek\": \"\\u03b1\", \"_x9\": 1, \"trueish\": -4}";

static const struct {
    const char *where;
    bool taken;
} good[] = {
    {"", true},
    {"none == null", true},
    {"none != null", false},
    {"level != null", true},
    {"list == null", false},
    {"list != null", true},
    {"null == null", true},
    {"has(none)", true},
    {"has( level ) && level == 3", true},
    {"has(missing)", false},
    {"!has(missing) || missing > 3", true},
    {"has(missing) && missing > 3", false},
    {"tokens <= 512", true},
    {"tokens == 512 && 511 < tokens", true},
    {"tokens < 512", false},
    {"  \t", true},
    {"level >= 3", true},
    {"level>3", false},
    {"3 <= level", true},
    {"level < 3", false},
    {"level == 3.0", true},
    {"level != 3", false},
    {"score > level", false},
    {"score == 2.5", true},
    {"score == 25e-1", true},
    {"trueish < -3", true},
    {"trueish == +3", false},
    {"big == 9007199254740993", true},
    {"big == 9007199254740992", false}, /* equal in double */
    {"type == \"Algebra\"", true},
    {"type == 'Algebra'", true},
    {"type < 'Algebraic' && type > 'Algebr'", true},
    {"type != 'algebra'", true},
    {"greek > 'z'", true},
    {"greek == '\xce\xb1'", true},
    {"quote == 'a\"b\\\\c'", true},
    {"quote == \"a\\\"b\\\\c\"", true},
    {"zero != 'a'", true},
    {"_x9 == 1", true},
    {"good", true},
    {"easy", false},
    {"!easy", true},
    {"!!easy", false},
    {"easy == false", true},
    {"good != easy", true},
    {"true", true},
    {"false", false},
    {"easy || good && easy", false}, /* && first */
    {"(easy || good) && good", true},
    {"good || easy && easy", true},
    {"!(level == 3 && good)", false},
    {"!easy && !(level == 4)", true},
    {"!level == 3", false},         /* ! takes the comparison */
    {"good || missing == 1", true}, /* what does not decide is not looked at */
    {"easy && missing == 1", false},
};

static const struct {
    const char *where, *words;
} bad[] = {
    {"level >=", "where = 'level >=': at position 9 a field, number or text is expected"},
    {">= 3", "at position 1 a field, number or text is expected"},
    {"level = 3", "at position 7 '&&', '||', a comparison (as '==') or the end is expected"},
    {"level >= 3 type", "at position 12 "},
    {"level >= 3 &", "at position 12 "},
    {"level >= 3 &&", "at position 14 a field"},
    {"(level >= 3", "at position 12 ')' is expected"},
    {"level >= 3)", "at position 11 "},
    {"()", "at position 2 a field"},
    {"type == 'Algebra", "at position 17 the text is not closed"},
    {"type == 'Algebra\\", "at position 18 the text is not closed"},
    {"level == 3x", "at position 10 this is no number"},
    {"level == 1.2.3", "at position 10 this is no number"},
    {"level == 1e999", "at position 10 this is no number"},
    {"level == -", "at position 10 this is no number"},
    {"level == 3 == 3", "at position 12 "},
    {"!", "at position 2 a field"},
    {"has(3)", "at position 5 the name of a field is expected"},
    {"has(level", "')' is expected"},
    {"has(null)", "this word is no field"},
    {"has(level > 3)", "')' is expected"},
    {"a.b == 3", "at position 2 "},
    {"\xce\xb1 == 3", "at position 1 a field"},
    {"level == 1111111111111111111111111111111111111111111111111111111111111111",
     "at position 10 the number is too long"},
};

static const struct {
    const char *where, *words;
} bad_row[] = {
    {"missing == 3", "rows.jsonl:7: the row has no field \"missing\", which `where` asks for"},
    {"level == '3'", "rows.jsonl:7: `where` compares a number with a text in this row"},
    {"type > 3", "compares a text with a number"},
    {"easy == 0", "compares true or false with a number"},
    {"easy < good", "asks whether true or false is less or greater"},
    {"level", "needs true or false and finds a number"},
    {"!type", "needs true or false and finds a text"},
    {"list < 1", "compares a list or an object with a number"},
    {"none < 1", "compares null with a number"},
    {"none < null", "compares null with null"},
    {"none", "needs true or false and finds null"},
    {"tokens == 'a'", "compares a number with a text"},
};

static enum status count_512(void *context, int64_t *tokens) {
    (void)context;
    *tokens = 512;
    return STATUS_OK;
}

static enum status match(const char *where, const json_t *row, bool *taken) {
    struct filter *filter;
    TRY(filter_create(&filter, where));
    const struct filter_row place = {
        .object = row, .path = "rows.jsonl", .line = 7, .count_tokens = count_512};
    const enum status status = filter_match(filter, &place, taken);
    filter_destroy(&filter);
    CHECK(filter == NULL);
    return status;
}

/* Neither depth nor length can exhaust anything. */
static void check_bounds(const json_t *row) {
    char text[30000];
    bool taken;
    memset(text, '(', 2000);
    text[2000] = '\0';
    CHECK_STATUS(match(text, row, &taken), STATUS_INPUT,
                 "at position 101 the filter is nested too");
    memset(text, '!', 99);
    snprintf(text + 99, sizeof text - 99, "good");
    CHECK_OK(match(text, row, &taken));
    CHECK(!taken);
    size_t used = 0;
    for (int i = 0; i < 3000; i++)
        used += (size_t)snprintf(text + used, sizeof text - used, "%sgood", i > 0 ? " && " : "");
    CHECK_STATUS(match(text, row, &taken), STATUS_INPUT, "the filter has become too long");
}

/* Whatever is written, it is a filter or a sentence. */
static void check_random(const json_t *row) {
    static const char *const words[] = {
        "level", "type", "good", "missing",  "3",    "-2.5", "'x'",  "\"",   "'",
        "\\",    "(",    ")",    "!",        "&&",   "||",   "==",   "<",    ">=",
        "=",     "&",    " ",    "\xce\xb1", "true", "1e9",  "null", "has(", "tokens"};
    int64_t fine = 0;
    for (uint32_t i = 0; i < 50000; i++) {
        char text[256] = "";
        const uint32_t length = i % 12;
        for (uint32_t k = 0; k < length; k++) {
            const uint64_t bits = random_bits(1, RANDOM_TEST, i, k, 0, 0);
            const size_t used = strlen(text);
            snprintf(text + used, sizeof text - used, "%s",
                     words[bits % (sizeof words / sizeof *words)]);
        }
        bool taken;
        const enum status status = match(text, row, &taken);
        CHECK(status == STATUS_OK || status == STATUS_INPUT);
        fine += status == STATUS_OK;
    }
    CHECK(fine > 4167 && fine < 25000); /* more than the empty ones */
}

int main(void) {
    json_t *row = NULL;
    CHECK_OK(json_parse(row_text, strlen(row_text), "rows.jsonl", 7, &row));
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        bool taken = !good[i].taken;
        CHECK_OK(match(good[i].where, row, &taken));
        if (taken != good[i].taken)
            CHECK_FAILED("%s gives %d, expected %d", good[i].where, taken, good[i].taken);
    }
    bool taken;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        CHECK_STATUS(match(bad[i].where, row, &taken), STATUS_INPUT, bad[i].words);
    for (size_t i = 0; i < sizeof bad_row / sizeof *bad_row; i++)
        CHECK_STATUS(match(bad_row[i].where, row, &taken), STATUS_INPUT, bad_row[i].words);
    check_bounds(row);
    check_random(row);
    json_decref(row);
    return CHECK_END();
}
