/* SPDX-License-Identifier: Apache-2.0
 *
 * Fields that nobody asks for may hold anything; those asked for are read as json_parse reads them;
 * mutated rows do no harm, and what is found equals what jansson finds where it reads the row.
 */
#include "file/json_fields.h"

#include "base/memory.h"
#include "base/random.h"
#include "base/strbuf.h"
#include "check.h"
#include "file/json.h"
#include "file/lines.h"
#include "unit/file/folder.h"

static const char *const names[] = {"q", "a", "n"};

static enum status parse(const char *text, json_t **out) {
    return json_parse_fields(text, strlen(text), "f.jsonl", 7, names, 3, out);
}

static void accept(const char *text, const char *q) {
    json_t *row = NULL;
    CHECK_OK(parse(text, &row));
    const char *have = json_string_value(json_object_get(row, "q"));
    CHECK_TEXT(have != NULL ? have : "none", q);
    json_decref(row);
}

static void refuse(const char *text, const char *words) {
    json_t *row = NULL;
    CHECK_STATUS(parse(text, &row), STATUS_INPUT, words);
    CHECK(row == NULL);
}

static void check_accepted(void) {
    accept("{\"q\": \"x\"}", "x");
    accept(" { \"q\" : \"x\" , \"z\" : NaN } ", "x");
    accept("{\"z\": 123456789012345678901234567890, \"q\": \"x\"}", "x");
    accept("{\"z\": -Infinity, \"y\": 1e999, \"q\": \"x\"}", "x");
    accept("{\"z\": [{\"q\": \"no\", \"b\": [NaN, \"]}\\\"\"]}], \"q\": \"x\"}", "x");
    accept("{\"z\": \"\\ud83d\", \"y\": \"\xff\xfe\", \"q\": \"x\"}", "x");
    accept("{\"z\": 1, \"z\": 2, \"q\": \"x\"}", "x");
    accept("{\"\\u0071\": \"x\"}", "x");
    accept("{\"\xff\": 1, \"\\ud83d\": 2, \"\": 3, \"q\": \"x\"}", "x");
    accept("{\"z\": \"q\\\\\", \"q\": \"x\"}", "x");
    accept("{}", "none");
    json_t *row;
    CHECK_OK(parse("{\"q\": \"a\\u0000b\", \"other\": {}, \"n\": 5}", &row));
    CHECK_EQ(json_string_length(json_object_get(row, "q")), 3);
    CHECK_EQ(json_integer_value(json_object_get(row, "n")), 5);
    CHECK_EQ(json_object_size(row), 3); /* other is listed */
    json_decref(row);
    CHECK_OK(parse("[1]", &row)); /* no object: as it is */
    CHECK(json_is_array(row));
    json_decref(row);
}

static void check_refused(void) {
    refuse("{\"q\": NaN}", "f.jsonl:7: the field \"q\" is not valid JSON");
    refuse("{\"n\": 123456789012345678901234567890}", "\"n\"");
    refuse("{\"q\": \"\\ud83d\"}", "\"q\"");
    refuse("{\"q\": \"\xff\"}", "\"q\"");
    refuse("{\"q\": 1, \"z\": 2, \"q\": 3}", "duplicate");
    refuse("{\"q\": {\"b\": 1, \"b\": 2}}", "\"q\"");
    refuse("{\"q\": \"x\"", "f.jsonl:7: not valid JSON");
    refuse("{\"q\": \"x\"} x", "not valid JSON");
    refuse("{\"q\": \"x\",}", "not valid JSON");
    refuse("{\"z\": [}, \"q\": \"x\"}", "not valid JSON");
    refuse("{\"z\": , \"q\": \"x\"}", "not valid JSON");
    refuse("{\"z\": \"x}", "not valid JSON");
    refuse("{\"z\" 1}", "not valid JSON");
    refuse("", "not valid JSON");
    char deep[5000];
    memset(deep, '[', sizeof deep - 1);
    deep[sizeof deep - 1] = '\0';
    memcpy(deep, "{\"z\":", 5);
    refuse(deep, "not valid JSON");
}

/* Where jansson reads the whole row, both find the same. */
static void check_mutations(void) {
    static const char seed[] =
        "{\"q\": \"a\\\"b\", \"z\": [1, {\"k\": \"]\"}, NaN], \"n\": 12, \"a\": -1.5e3}";
    static const char letters[] = "0\"{}[],:\\ NaeE.-u\xff\x01";
    for (uint32_t round = 0; round < 60000; round++) {
        char text[sizeof seed];
        json_t *have = NULL, *want = NULL;
        memcpy(text, seed, sizeof seed);
        for (uint32_t k = 0; k < 1 + round % 5; k++)
            text[random_bits(3, RANDOM_SHUFFLE, round, k, 0, 0) % (sizeof seed - 1)] =
                letters[random_bits(3, RANDOM_SHUFFLE, round, k, 1, 0) % (sizeof letters - 1)];
        const enum status status = parse(text, &have);
        if (json_parse(text, strlen(text), "f", 1, &want) == STATUS_OK && json_is_object(want)) {
            CHECK_EQ(status, STATUS_OK);
            for (int i = 0; i < 3; i++) {
                json_t *x = json_object_get(have, names[i]), *y = json_object_get(want, names[i]);
                CHECK((x == NULL) == (y == NULL) && (x == NULL || json_equal(x, y)));
            }
        }
        json_decref(have);
        json_decref(want);
    }
}

static enum status read_text(const char *text, json_t **out) {
    folder_write(folder_file("c.json"), text, strlen(text));
    return json_read_tolerant(folder_file("c.json"), 1 << 20, out);
}

static void check_tolerant(void) {
    json_t *value;
    CHECK_OK(read_text("\xef\xbb\xbf{\"model_max_length\": 1000000000000000019884624838656, \"a\": "
                       "[NaN, -Infinity, 1e400, -2, 1.5], \"b\": \"NaN 99999999999999999999\"}",
                       &value));
    CHECK(json_is_null(json_object_get(value, "model_max_length")));
    const json_t *list = json_object_get(value, "a");
    CHECK(json_is_null(json_array_get(list, 0)) && json_is_null(json_array_get(list, 1)) &&
          json_is_null(json_array_get(list, 2)));
    CHECK_EQ(json_integer_value(json_array_get(list, 3)), -2);
    CHECK_NEAR(json_real_value(json_array_get(list, 4)), 1.5, 0);
    CHECK_TEXT(json_string_value(json_object_get(value, "b")), "NaN 99999999999999999999");
    json_decref(value);
    CHECK_STATUS(read_text("{\"a\": nul}", &value), STATUS_INPUT, "c.json:1: not valid JSON");
    CHECK_STATUS(read_text("{\"a\": \"", &value), STATUS_INPUT, "not valid JSON");
    CHECK_STATUS(read_text("version https://git-lfs.github.com/spec/v1\n", &value), STATUS_INPUT,
                 "git lfs pull");
}

static enum status keep_first(void *context, int64_t row, const char *text, size_t length) {
    char *first = context;
    if (row == 0 && length < 16)
        memcpy(first, text, length + 1);
    return STATUS_OK;
}

/* What is no file of lines is called by its name, with what to do. */
static void check_kinds(void) {
    static const struct {
        const char *bytes;
        size_t length;
        const char *words;
    } table[] = {{"\x1f\x8b\x08", 3, "gunzip"},
                 {"PAR1....", 8, "pandas.read_parquet"},
                 {"PK\x03\x04", 4, "zip archive"},
                 {"\xff\xfe{\0", 4, "iconv"},
                 {"version https://git-lfs.github.com/spec/v1\noid", 46, "git lfs pull"},
                 {"<!DOCTYPE html>", 15, "HTML"}};
    char first[16] = "";
    const char *path = folder_file("lines");
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        folder_write(path, table[i].bytes, table[i].length);
        CHECK_STATUS(lines_read_file(path, keep_first, first), STATUS_INPUT, table[i].words);
    }
    unlink(path);
    CHECK_STATUS(lines_read_file(path, keep_first, first), STATUS_INPUT, "cannot be opened");
    CHECK_STATUS(lines_read_file(folder_path, keep_first, first), STATUS_INPUT, "a directory");
    CHECK_EQ(mkfifo(path, 0600), 0);
    CHECK_STATUS(lines_read_file(path, keep_first, first), STATUS_INPUT, "a pipe");
    unlink(path);
    folder_write(path, "\xef\xbb\xbf{}\n", 6);
    CHECK_OK(lines_read_file(path, keep_first, first));
    CHECK_TEXT(first, "{}");
}

int main(void) {
    folder_make();
    check_accepted();
    check_refused();
    check_mutations();
    check_tolerant();
    check_kinds();
    folder_remove();
    CHECK_EQ(memory_totals().bytes, 0);
    return CHECK_END();
}
