/* SPDX-License-Identifier: Apache-2.0
 *
 * What is a number, and which numbers are equal: exactly, without rounding.
 */
#include "answer/decimal.h"

#include "check.h"

static struct span span_of(const char *text) {
    return (struct span){text, strlen(text)};
}

static void test_equal(void) {
    static const char *const pairs[][2] = {
        {"1", "1.0"},
        {"1,000.50", "1.0005e3"},
        {"-0", "0.000"},
        {"+7", "7"},
        {".5", "0.50"},
        {"5.", "5"},
        {"1,234,567", "1234567"},
        {"007", "7"},
        {"1e-3", ".001"},
        {"100", "1E+2"},
        {"0e5", "0"},
        {"12345678901234567890.1", "12345678901234567890.10"},
        {"1e1000", "10e999"},
        {"-0.25e1", "-2.5"},
        {"1,234.5", "12345e-1"},
    };
    for (size_t i = 0; i < sizeof pairs / sizeof pairs[0]; i++) {
        struct decimal a, b;
        const bool read = decimal_read(span_of(pairs[i][0]), &a) &&
                          decimal_read(span_of(pairs[i][1]), &b) && decimal_equal(&a, &b) &&
                          decimal_equal(&b, &a);
        if (!read)
            CHECK_FAILED("%s is not %s", pairs[i][0], pairs[i][1]);
    }
}

/* Some would be equal as doubles. */
static void test_different(void) {
    static const char *const pairs[][2] = {
        {"12345678901234567890.1", "12345678901234567890.2"},
        {"0.1", "0.1000000000000000055511151231257827"},
        {"1", "-1"},
        {"1e400", "1e401"},
        {"1e-400", "0"},
        {"10", "1"},
        {"0.01", "0.1"},
        {"12", "123"},
        {"102", "12"},
    };
    for (size_t i = 0; i < sizeof pairs / sizeof pairs[0]; i++) {
        struct decimal a, b;
        CHECK(decimal_read(span_of(pairs[i][0]), &a) && decimal_read(span_of(pairs[i][1]), &b));
        if (decimal_equal(&a, &b) || decimal_equal(&b, &a))
            CHECK_FAILED("%s is taken for %s", pairs[i][0], pairs[i][1]);
    }
}

static void test_refused(void) {
    static const char *const texts[] = {
        "",
        ".",
        "-",
        "+-1",
        "e5",
        "1e",
        "1e+",
        "nan",
        "inf",
        "NaN",
        "0x10",
        "1 000",
        "1,00",
        "1234,567",
        "1,",
        ",123",
        "1.2.3",
        "1,234,56",
        "12a",
        "$5",
        "5%",
        "1_000",
        "1e5.0",
        "1e1000000000000001",
        "1e99999999999999999999",
        " 1",
        "1 ",
        "- 1",
        "1,2345",
        "1.000,5",
    };
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        struct decimal out;
        if (decimal_read(span_of(texts[i]), &out))
            CHECK_FAILED("\"%s\" is taken for a number", texts[i]);
    }
    struct decimal out;
    CHECK(!decimal_read((struct span){"1\0", 2}, &out) &&
          !decimal_read((struct span){NULL, 0}, &out));
}

int main(void) {
    test_equal();
    test_different();
    test_refused();
    return CHECK_END();
}
