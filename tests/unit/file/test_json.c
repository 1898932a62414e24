/* SPDX-License-Identifier: Apache-2.0
 *
 * JSON and its lines: what is refused, with which sentence, and what the fields give.
 */
#include "base/memory.h"
#include "base/strbuf.h"
#include "check.h"
#include "file/json.h"
#include "file/lines.h"
#include "folder.h"

static void refuse(const char *text, const char *words) {
    json_t *value = NULL;
    CHECK_STATUS(json_parse(text, strlen(text), "f.json", 0, &value), STATUS_INPUT, words);
    CHECK(value == NULL);
    CHECK(strncmp(status_sentence(), "f.json:", 7) == 0);
}

static void check_refusals(void) {
    refuse("", "JSON");
    refuse("{\"a\": 1, \"a\": 2}", "duplicate");
    refuse("{\"a\": 1} x", "JSON");
    refuse("{\"a\": 1}{}", "JSON");
    refuse("{\"a\": NaN}", "JSON");
    refuse("{\"a\": 1e999}", "JSON");
    refuse("{\"a\": 99999999999999999999}", "JSON");
    refuse("\"\xff\"", "JSON");
    refuse("\"\\ud800\"", "JSON");
    refuse("\"a\nb\"", "JSON");
    refuse("[1,\n2,\n}", "f.json:3:");
    json_t *value;
    CHECK_STATUS(json_parse("{", 1, "g.jsonl", 41, &value), STATUS_INPUT, "g.jsonl:41:");
    CHECK_STATUS(json_parse("[1]\0", 4, "f.json", 0, &value), STATUS_INPUT, "JSON");
    struct strbuf deep = STRBUF_EMPTY;
    for (int i = 0; i < 1000000; i++)
        CHECK_OK(strbuf_append_text(&deep, i % 2 ? "{\"a\":" : "["));
    refuse(deep.text, "depth");
    strbuf_release(&deep);
}

static void check_fields(void) {
    static const char text[] =
        "{\"i\": -7, \"r\": 0.5, \"t\": true, \"s\": \"\xc3\xa9\", \"n\": null,"
        " \"z\": \"a\\u0000b\"}";
    json_t *value;
    int64_t integer;
    double real;
    bool truth;
    const char *string;
    CHECK_OK(json_parse(text, sizeof text - 1, "f.json", 0, &value));
    CHECK_OK(json_get_integer(value, "f", "i", 3, &integer));
    CHECK_EQ(integer, -7);
    CHECK_OK(json_get_integer(value, "f", "absent", 3, &integer));
    CHECK_EQ(integer, 3);
    CHECK_OK(json_get_integer(value, "f", "n", 4, &integer));
    CHECK_EQ(integer, 4);
    CHECK_STATUS(json_get_integer(value, "f", "r", 3, &integer), STATUS_INPUT, "\"r\"");
    CHECK_OK(json_get_real(value, "f", "i", 0.0, &real));
    CHECK_NEAR(real, -7.0, 0.0);
    CHECK_OK(json_get_real(value, "f", "r", 0.0, &real));
    CHECK_NEAR(real, 0.5, 0.0);
    CHECK_STATUS(json_get_real(value, "f", "s", 0.0, &real), STATUS_INPUT, "a number is expected");
    CHECK_OK(json_get_bool(value, "f", "t", false, &truth));
    CHECK(truth);
    CHECK_STATUS(json_get_bool(value, "f", "i", false, &truth), STATUS_INPUT, "true or false");
    CHECK_OK(json_get_string(value, "f", "s", NULL, &string));
    CHECK_TEXT(string, "\xc3\xa9");
    CHECK_OK(json_get_string(value, "f", "n", NULL, &string));
    CHECK(string == NULL);
    CHECK_STATUS(json_get_string(value, "f", "i", NULL, &string), STATUS_INPUT, "a text");
    CHECK_STATUS(json_get_string(value, "f", "z", NULL, &string), STATUS_INPUT, "zero character");
    CHECK_STATUS(json_get_bool(json_object_get(value, "i"), "f", "x", false, &truth), STATUS_INPUT,
                 "an object is expected");
    CHECK_STATUS(json_get_bool(NULL, "f", "x", false, &truth), STATUS_INPUT, "nothing");
    json_decref(value);
}

static void write_text(const char *name, const char *text, size_t length) {
    FILE *file = fopen(folder_file(name), "wb");
    CHECK(file != NULL && fwrite(text, 1, length, file) == length && fclose(file) == 0);
}

static void check_files(void) {
    json_t *value;
    write_text("a.json", "[1, 2]\n", 7);
    CHECK_OK(json_read_file(folder_file("a.json"), 7, &value));
    CHECK_EQ(json_array_size(value), 2);
    json_decref(value);
    CHECK_STATUS(json_read_file(folder_file("a.json"), 6, &value), STATUS_INPUT, "6");
    CHECK_STATUS(json_read_file(folder_file("none.json"), 6, &value), STATUS_INPUT, "none.json");
    CHECK_STATUS(json_read_file(folder_path, 6, &value), STATUS_INPUT, folder_path);
}

struct seen {
    int64_t rows, last, sum, stop;
};

static enum status see(void *context, int64_t row, json_t *value) {
    struct seen *seen = context;
    seen->rows++;
    seen->last = row;
    seen->sum += json_integer_value(value);
    return row == seen->stop ? FAIL(STATUS_INPUT, "stopped at %lld", (long long)row) : STATUS_OK;
}

static void check_lines(void) {
    static const char text[] = "1\n\n 2 \r\n \t\n3\n[4";
    struct seen seen = {.stop = -1};
    write_text("a.jsonl", text, sizeof text - 4); /* up to the LF after 3 */
    CHECK_OK(json_lines_read(folder_file("a.jsonl"), see, &seen));
    CHECK_EQ(seen.rows, 3);
    CHECK_EQ(seen.last, 4);
    CHECK_EQ(seen.sum, 6);
    seen = (struct seen){.stop = 2};
    CHECK_STATUS(json_lines_read(folder_file("a.jsonl"), see, &seen), STATUS_INPUT, "stopped at 2");
    CHECK_EQ(seen.rows, 2);
    seen = (struct seen){.stop = -1};
    write_text("b.jsonl", text, sizeof text - 1);
    CHECK_STATUS(json_lines_read(folder_file("b.jsonl"), see, &seen), STATUS_INPUT, "b.jsonl:6:");
    write_text("c.jsonl", "1\n2 2\n", 6);
    CHECK_STATUS(json_lines_read(folder_file("c.jsonl"), see, &seen), STATUS_INPUT, "c.jsonl:2:");
    write_text("d.jsonl", "1", 1);
    seen = (struct seen){.stop = -1};
    CHECK_OK(json_lines_read(folder_file("d.jsonl"), see, &seen));
    CHECK_EQ(seen.sum, 1);
    CHECK_STATUS(json_lines_read(folder_file("none"), see, &seen), STATUS_INPUT, "none");
    CHECK_STATUS(json_lines_read(folder_path, see, &seen), STATUS_INPUT, folder_path);
}

static enum status count_bytes(void *context, int64_t row, const char *text, size_t length) {
    int64_t *counts = context;
    counts[0] += (int64_t)length;
    counts[1] = row;
    counts[2] += length > 0 && text[length / 2] == '\0';
    return STATUS_OK;
}

/* Lines longer than any buffer, and zero bytes. */
static void check_long_lines(void) {
    int64_t counts[3] = {0};
    FILE *file = fopen(folder_file("long"), "wb+");
    for (int i = 0; file != NULL && i < 200000; i++)
        fputc(i == 150000 ? '\n' : '\0', file);
    CHECK(file != NULL);
    if (file == NULL)
        return;
    rewind(file);
    CHECK_OK(lines_read(file, "long", count_bytes, counts));
    CHECK_EQ(counts[0], 199999);
    CHECK_EQ(counts[1], 1);
    CHECK_EQ(counts[2], 2);
    fclose(file);
}

int main(void) {
    folder_make();
    check_refusals();
    check_fields();
    check_files();
    check_lines();
    check_long_lines();
    folder_remove();
    CHECK_EQ(memory_totals().bytes, 0);
    return CHECK_END();
}
