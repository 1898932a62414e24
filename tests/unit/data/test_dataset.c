/* SPDX-License-Identifier: Apache-2.0
 *
 * Rows become prompts and references; every trouble of a file is one sentence with its place.
 */
#include "scratch.h"

#include "base/random.h"
#include "data/dataset.h"

static const char *program;

static enum status open_text(struct dataset *dataset, const char *text,
                             struct dataset_source source) {
    source.path = scratch_write(program, "jsonl", text, strlen(text));
    source.prompt = source.prompt != NULL ? source.prompt : "q";
    return dataset_open(dataset, &source);
}

static void check_rows(void) {
    struct dataset dataset;
    CHECK_OK(open_text(&dataset,
                       "{\"q\": \"one\", \"a\": \"1\", \"n\": 1}\n"
                       "\n"
                       "{\"q\": \"\", \"a\": 2, \"n\": 2}\r\n"
                       "{\"q\": \"gr\\u00fc\xc3\x9f \\ud83d\\ude00\", \"a\": \" x \", \"n\": 3}",
                       (struct dataset_source){.answer = "a"}));
    CHECK_EQ(dataset.count, 3);
    CHECK_EQ(dataset.lines, 3);
    CHECK_EQ(dataset_item(&dataset, 0).row, 0);
    CHECK_EQ(dataset_item(&dataset, 1).row, 2); /* the blank line counts */
    CHECK_TEXT(dataset_item(&dataset, 1).prompt, "");
    CHECK_TEXT(dataset_item(&dataset, 1).reference, "2");
    CHECK_TEXT(dataset_item(&dataset, 2).prompt, "grü\xc3\x9f \xf0\x9f\x98\x80");
    CHECK_EQ(dataset_item(&dataset, 2).prompt_length, 11);
    CHECK_TEXT(dataset_item(&dataset, 2).reference, " x ");
    dataset_close(&dataset);

    CHECK_OK(open_text(&dataset, "{\"q\": \"one\", \"n\": 1}\n{\"q\": \"two\", \"n\": 2}\n",
                       (struct dataset_source){.where = "n > 1"}));
    CHECK_EQ(dataset.count, 1);
    CHECK_EQ(dataset_item(&dataset, 0).row, 1);
    CHECK_TEXT(dataset_item(&dataset, 0).prompt, "two");
    CHECK_TEXT(dataset_item(&dataset, 0).reference, "");
    dataset_close(&dataset);
    dataset_close(&dataset);
}

static void check_hash(void) {
    struct dataset dataset;
    CHECK_OK(open_text(&dataset, "{\"q\": \"abc\"}\n", (struct dataset_source){.answer = ""}));
    /* printf '{"q": "abc"}\n' | sha256sum */
    CHECK_TEXT(dataset.sha256, "653e3152629b2cef76cfce2cc45d8c440ce592f0f9cdde775a0ceb45d272cde3");
    CHECK_TEXT(dataset.path + strlen(dataset.path) - 6, ".jsonl");
    dataset_close(&dataset);
}

/* Numbers as Python's str writes what json.loads reads. */
static void check_numbers(void) {
    static const struct {
        const char *json, *text;
    } table[] = {
        {"0", "0"},
        {"-7", "-7"},
        {"9223372036854775807", "9223372036854775807"},
        {"1.0", "1.0"},
        {"5.50", "5.5"},
        {"0.1", "0.1"},
        {"1e2", "100.0"},
        {"0.30000000000000004", "0.30000000000000004"},
        {"0.333333333333333333333", "0.3333333333333333"},
        {"1234500.0", "1234500.0"},
        {"12345678.9", "12345678.9"},
        {"1e15", "1000000000000000.0"},
        {"9999999999999998.0", "9999999999999998.0"},
        {"1e16", "1e+16"},
        {"123456789012345680.0", "1.2345678901234568e+17"},
        {"1e22", "1e+22"},
        {"0.001", "0.001"},
        {"0.0001", "0.0001"},
        {"0.00001", "1e-05"},
        {"0.000015", "1.5e-05"},
        {"-0.0", "-0.0"},
        {"-3.25", "-3.25"},
        {"5e-324", "5e-324"},
        {"1.7976931348623157e308", "1.7976931348623157e+308"},
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        char line[128];
        struct dataset dataset;
        snprintf(line, sizeof line, "{\"q\": \"x\", \"a\": %s}", table[i].json);
        CHECK_OK(open_text(&dataset, line, (struct dataset_source){.answer = "a"}));
        CHECK_TEXT(dataset_item(&dataset, 0).reference, table[i].text);
        dataset_close(&dataset);
    }
}

static void check_answer_after(void) {
    static const struct {
        const char *answer, *reference;
    } table[] = {
        {"so it is 5\\n#### 5", "5"},
        {"#### 1 #### 2 ####\\t-3,000 \\n", "-3,000"},
        {"#### a b ", "a b"},
        {" nothing to cut ", "nothing to cut"},
        {"5 ####", ""},
        {"#### \\u00a0\\u3000\\u2028x\\u200b\\u0085",
         "x\xe2\x80\x8b"}, /* U+200B is no white space */
        {"####\\u00c2\\u00a0\\u00e3", "\xc3\x82\xc2\xa0\xc3\xa3"},
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        char text[256];
        struct dataset dataset;
        snprintf(text, sizeof text,
                 "{\"q\": \"x\", \"a\": \"%s\"}\n{\"q\": \"y\", \"a\": \"####\"}", table[i].answer);
        CHECK_OK(open_text(&dataset, text,
                           (struct dataset_source){.answer = "a", .answer_after = "####"}));
        CHECK_TEXT(dataset_item(&dataset, 0).reference, table[i].reference);
        CHECK_EQ(dataset_item(&dataset, 0).reference_length, strlen(table[i].reference));
        CHECK_EQ(dataset.unmarked, i == 3);
        CHECK_EQ(dataset.empty, i == 4 ? 2 : 1);
        dataset_close(&dataset);
    }
}

static void check_broken(void) {
    static const struct {
        const char *text;
        struct dataset_source source;
        const char *words;
    } table[] = {
        {"", {.where = NULL}, "jsonl: the file holds no rows"},
        {"\n\n", {.where = NULL}, "jsonl: the file holds no rows"},
        {"{\"q\": \"x\"}\n{\"q\": \"y\"\n", {.where = NULL}, "jsonl:2: not valid JSON"},
        {"{\"q\": \"x\"}\n{\"q\": \"y\"} 1\n", {.where = NULL}, "jsonl:2: not valid JSON"},
        {"{\"q\": \"x\"}\n[1]\n", {.where = NULL}, "jsonl:2: the line is not a JSON object"},
        {"{\"q\": \"x\", \"q\": \"y\"}\n",
         {.where = NULL},
         "jsonl:1: the field \"q\" stands twice"},
        {"{\"q\": \"x\"}\n\n{\"p\": \"y\", \"z\": 1}\n",
         {.where = NULL},
         "jsonl:3: the row has no field \"q\"; it has: p, z"},
        {"{\"q\": 5}\n", {.where = NULL}, "jsonl:1: field \"q\" is not a text"},
        {"{\"q\": null}\n", {.where = NULL}, "jsonl:1: field \"q\" is not a text"},
        {"{\"q\": \"x\"}\n", {.answer = "a"}, "jsonl:1: the row has no field \"a\"; it has: q"},
        {"{\"q\": \"x\", \"a\": null}\n",
         {.answer = "a"},
         "jsonl:1: field \"a\" is not a text or a number"},
        {"{\"q\": \"x\", \"s\": \"5\"}\n{\"q\": \"y\", \"s\": \" \\n\"}\n",
         {.solution = "s"},
         "jsonl:2: field \"s\" is empty: there is no solution to teach by"},
        {"{\"q\": \"x\", \"a\": \"\"}\n",
         {.answer = "a", .solution = ""},
         "jsonl:1: field \"a\" is empty: there is no solution to teach by"},
        {"{\"q\": \"x\", \"a\": [1]}\n",
         {.answer = "a"},
         "jsonl:1: field \"a\" is not a text or a number"},
        {"{\"q\": \"x\", \"a\": true}\n",
         {.answer = "a"},
         "jsonl:1: field \"a\" is not a text or a number"},
        {"{\"q\": \"x\", \"a\": 12345678901234567890}\n",
         {.answer = "a"},
         "jsonl:1: the field \"a\" is not valid JSON"},
        {"[{\"q\": \"x\"}]\n", {.where = NULL}, "jq -c"},
        {"\n\n [\n{\"q\": \"x\"}\n]\n", {.where = NULL}, "jq -c"},
        {"\x1f\x8b", {.where = NULL}, "gunzip"},
        {"{\"q\": \"x\"}\n", {.where = "tokens < 3"}, "cannot be counted here"},
        {"{\"q\": \"\xff\"}\n", {.where = NULL}, "jsonl:1: the field \"q\" is not valid JSON"},
        {"{\"q\": \"\xc3\"}\n", {.where = NULL}, "jsonl:1: the field \"q\" is not valid JSON"},
        {"{\"q\": \"\xed\xa0\x80\"}\n",
         {.where = NULL},
         "jsonl:1: the field \"q\" is not valid JSON"}, /* surrogate */
        {"{\"q\": \"\xc0\xaf\"}\n",
         {.where = NULL},
         "jsonl:1: the field \"q\" is not valid JSON"}, /* overlong */
        {"{\"q\": \"\\ud83d\"}\n", {.where = NULL}, "jsonl:1: the field \"q\" is not valid JSON"},
        {"{\"q\": \"x\", \"n\": 1}\n",
         {.where = "n > 1"},
         "jsonl: none of the 1 rows satisfies where = 'n > 1'"},
        {"{\"q\": \"x\", \"n\": 1}\n", {.where = "n >> 1"}, "where = 'n >> 1': at position 4"},
        {"{\"q\": \"x\", \"n\": 1}\n", {.where = "m > 1"}, "jsonl:1: the row has no field \"m\""},
        {"{\"q\": \"x\", \"a\": \"5\"}\n",
         {.answer = "a", .answer_after = "##"},
         "jsonl: answer_after = '##' occurs in the field \"a\" of no row"},
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        struct dataset dataset;
        CHECK_STATUS(open_text(&dataset, table[i].text, table[i].source), STATUS_INPUT,
                     table[i].words);
        CHECK(dataset.count == 0 && dataset.path == NULL && dataset.entries == NULL);
    }
}

static void check_missing(void) {
    struct dataset dataset;
    struct dataset_source source = {.path = "there/is/no.jsonl", .prompt = "q"};
    CHECK_STATUS(dataset_open(&dataset, &source), STATUS_INPUT, "there/is/no.jsonl: ");
    source.path = "src";
    CHECK_STATUS(dataset_open(&dataset, &source), STATUS_INPUT, "src: ");
}

/* Fields that nobody asks for hold what they like; a zero is a character; a mark of byte order. */
static void check_tolerated(void) {
    struct dataset dataset;
    CHECK_OK(open_text(
        &dataset,
        "\xef\xbb\xbf{\"q\": \"x\\u0000y\", \"a\": \"\\u0000 ## 1\\u00002 \", \"z\": NaN}\n"
        "{\"z\": 1234567890123456789012, \"y\": \"\xff\", \"q\": \"b\", \"a\": 3}\n",
        (struct dataset_source){.answer = "a", .answer_after = "##"}));
    CHECK_EQ(dataset.count, 2);
    struct dataset_item item = dataset_item(&dataset, 0);
    CHECK_EQ(item.prompt_length, 3);
    CHECK(memcmp(item.prompt, "x\0y", 4) == 0);
    CHECK_EQ(item.reference_length, 3);
    CHECK(memcmp(item.reference, "1\0002", 4) == 0);
    CHECK_TEXT(dataset_item(&dataset, 1).reference, "3");
    dataset_close(&dataset);
}

static enum status count_bytes(void *context, const struct dataset_item *item, int64_t *tokens) {
    int *calls = context;
    ++*calls;
    if (item->prompt[0] == '!')
        return FAIL(STATUS_INPUT, "it cannot be counted");
    *tokens = (int64_t)(item->prompt_length + item->reference_length);
    return STATUS_OK;
}

/* `tokens` is counted where it decides, and what it read of a row that is not taken is undone. */
static void check_tokens(void) {
    static const char text[] = "{\"q\": \"abc\", \"a\": \"1\", \"n\": 1}\n"
                               "{\"q\": \"abcdefgh\", \"a\": \"1\", \"n\": 1}\n"
                               "{\"q\": \"ab\", \"n\": 2}\n"
                               "{\"q\": \"a\", \"a\": \"12\", \"n\": 1}\n";
    struct dataset dataset;
    int calls = 0;
    CHECK_OK(open_text(&dataset, text,
                       (struct dataset_source){.answer = "a",
                                               .where = "n < 2 && tokens <= 4",
                                               .count_tokens = count_bytes,
                                               .context = &calls}));
    CHECK_EQ(dataset.count, 2);
    CHECK_EQ(calls, 3);
    CHECK_TEXT(dataset_item(&dataset, 1).prompt, "a");
    CHECK_EQ(dataset.text.length, 4 + 2 + 2 + 3);
    dataset_close(&dataset);
}

/* Bad rows are left out and counted where that is asked for. */
static void check_bad_rows(void) {
    static const char text[] = "{\"q\": \"one\", \"n\": 1}\n"
                               "{\"q\": \"two\", \"n\": \"many\"}\n"
                               "{\"q\": \"torn\n"
                               "[]\n"
                               "{\"n\": 1}\n"
                               "{\"q\": \"!\", \"n\": 1}\n"
                               "{\"q\": \"six\", \"n\": 3}\n"
                               "{\"q\": \"no\", \"n\": 0}\n";
    struct dataset dataset;
    int calls = 0;
    struct dataset_source source = {
        .where = "n >= 1 && tokens < 9", .count_tokens = count_bytes, .context = &calls};
    CHECK_STATUS(open_text(&dataset, text, source), STATUS_INPUT, "jsonl:2: `where` compares");
    source.skip_bad = true;
    CHECK_OK(open_text(&dataset, text, source));
    CHECK_EQ(dataset.lines, 8);
    CHECK_EQ(dataset.bad, 5);
    CHECK_EQ(dataset.count, 2);
    CHECK_TEXT(dataset_item(&dataset, 0).prompt, "one");
    CHECK_TEXT(dataset_item(&dataset, 1).prompt, "six");
    CHECK_TEXT(status_sentence(), "");
    dataset_close(&dataset);
    CHECK_STATUS(open_text(&dataset, "{}\n{}\n", source), STATUS_INPUT, "all 2 rows are bad");
    CHECK_STATUS(open_text(&dataset, "{}\n{\"q\": \"x\", \"n\": 0}\n", source), STATUS_INPUT,
                 "1 are bad, and none satisfies");
    CHECK_STATUS(open_text(&dataset, "[1]\n", source), STATUS_INPUT, "jq -c");
}

/* A damaged file is read or refused. */
static void check_damaged(void) {
    static const char text[] = "{\"q\": \"one \\u00e9\", \"a\": \"1 ## 2\", \"n\": 1.5e3}\n\n"
                               "{\"q\": \"tw\xc3\xb6\", \"a\": -12, \"n\": 2}\n";
    int64_t fine = 0;
    for (uint32_t i = 0; i < 3000; i++) {
        char damaged[sizeof text];
        size_t length = sizeof text - 1;
        memcpy(damaged, text, sizeof text);
        const uint64_t bits = random_bits(2, RANDOM_TEST, i, 0, 0, 0);
        if (i % 3 == 0)
            length = bits % length;
        else
            damaged[bits % length] =
                i % 3 == 1 ? (char)(bits >> 32) : "\"{}[],:\n0"[bits >> 32 & 7];
        struct dataset_source source = {.prompt = "q",
                                        .answer = "a",
                                        .where = i % 2 ? "n >= 2" : "",
                                        .answer_after = i % 5 ? "" : "##"};
        source.path = scratch_write(program, "jsonl", damaged, length);
        struct dataset dataset;
        const enum status status = dataset_open(&dataset, &source);
        CHECK(status == STATUS_OK || status == STATUS_INPUT);
        if (status == STATUS_OK && i % 2) { /* what can be read needs no leave to skip */
            const int64_t count = dataset.count;
            struct dataset other;
            source.skip_bad = true;
            CHECK_OK(dataset_open(&other, &source));
            CHECK_EQ(other.count, count);
            CHECK_EQ(other.bad, 0);
            dataset_close(&other);
        }
        fine += status == STATUS_OK;
        dataset_close(&dataset);
    }
    CHECK(fine > 100 && fine < 2900);
}

int main(int argc, char **argv) {
    (void)argc;
    program = argv[0];
    check_rows();
    check_tolerated();
    check_tokens();
    check_bad_rows();
    check_hash();
    check_numbers();
    check_answer_after();
    check_broken();
    check_missing();
    check_damaged();
    return CHECK_END();
}
