/* SPDX-License-Identifier: Apache-2.0
 *
 * The expressions are those of tokenizer.json, written so that every version of PCRE2 gives what
 * `tokenizers` gives: the classes are spelled out where the two differ. \s is White_Space (PCRE2
 * has U+180E too); letters and numbers are those of Unicode 16 (Rust's numbers of Unicode 17 for
 * Digits), the ranges below being what Unicode 14 lacks.
 */
#include "text/split.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include <string.h>

#define SPACE                                                                                      \
    "\\x{9}-\\x{d}\\x{20}\\x{85}\\x{a0}\\x{1680}\\x{2000}-\\x{200a}\\x{2028}\\x{2029}\\x{202f}"    \
    "\\x{205f}\\x{3000}"
#define LETTER                                                                                      \
    "a-zA-Z\\p{L}\\x{1c89}-\\x{1c8a}\\x{a7cb}-\\x{a7cd}\\x{a7da}-\\x{a7dc}\\x{105c0}-\\x{105f3}"    \
    "\\x{10d4a}-\\x{10d65}\\x{10d6f}-\\x{10d85}\\x{10ec2}-\\x{10ec4}\\x{1123f}-\\x{11240}"          \
    "\\x{11380}-\\x{11389}\\x{1138b}\\x{1138e}\\x{11390}-\\x{113b5}\\x{113b7}\\x{113d1}\\x{113d3}"  \
    "\\x{11bc0}-\\x{11be0}\\x{11f02}\\x{11f04}-\\x{11f10}\\x{11f12}-\\x{11f33}\\x{1342f}"           \
    "\\x{13441}-\\x{13446}\\x{13460}-\\x{143fa}\\x{16100}-\\x{1611d}\\x{16d40}-\\x{16d6c}"          \
    "\\x{18cff}\\x{1b132}\\x{1b155}\\x{1df25}-\\x{1df2a}\\x{1e030}-\\x{1e06d}\\x{1e4d0}-\\x{1e4eb}" \
    "\\x{1e5d0}-\\x{1e5ed}\\x{1e5f0}\\x{2b739}\\x{2ebf0}-\\x{2ee5d}\\x{31350}-\\x{323af}"
#define NUMBER                                                                                      \
    "0-9\\p{N}\\x{10d40}-\\x{10d49}\\x{116d0}-\\x{116e3}\\x{11bf0}-\\x{11bf9}\\x{11f50}-\\x{11f59}" \
    "\\x{16130}-\\x{16139}\\x{16d70}-\\x{16d79}\\x{1ccf0}-\\x{1ccf9}\\x{1d2c0}-\\x{1d2d3}"          \
    "\\x{1e4f0}-\\x{1e4f9}\\x{1e5f1}-\\x{1e5fa}"
#define NUMBER_17 NUMBER "\\x{11de0}-\\x{11de9}\\x{16ff4}-\\x{16ff6}"

/* Qwen2's and Llama 3's differ in how many digits stand together. */
#define SPLIT_PATTERN(number)                                                                      \
    "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n" LETTER NUMBER "]?[" LETTER "]+|" number                \
    " ?[^" SPACE LETTER NUMBER "]+[\\r\\n]*|[" SPACE "]*[\\r\\n]+|[" SPACE "]+(?![^" SPACE         \
    "])|[" SPACE "]+"

static const struct {
    const char *name; /* what a Split step calls it, NULL for none */
    const char *pattern;
} rules[SPLIT_RULE_COUNT] = {
    [SPLIT_QWEN2] = {"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}| "
                     "?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+",
                     SPLIT_PATTERN("[" NUMBER "]|")},
    [SPLIT_LLAMA3] = {"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}| "
                      "?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+",
                      SPLIT_PATTERN("[" NUMBER "]{1,3}|")},
    [SPLIT_GPT2] = {"'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)"
                    "|\\s+",
                    "'s|'t|'re|'ve|'m|'ll|'d| ?[" LETTER "]+| ?[" NUMBER
                    "]+| ?[^" SPACE LETTER NUMBER "]+|[" SPACE "]+(?![^" SPACE "])|[" SPACE "]+"},
    [SPLIT_DIGIT] = {NULL, "[" NUMBER_17 "]|[^" NUMBER_17 "]+"},
    [SPLIT_DIGITS] = {NULL, "[" NUMBER_17 "]+|[^" NUMBER_17 "]+"},
};

bool split_find(const char *pattern, enum split_rule *rule) {
    for (int i = 0; i < SPLIT_RULE_COUNT; i++)
        if (rules[i].name != NULL && strcmp(rules[i].name, pattern) == 0) {
            *rule = (enum split_rule)i;
            return true;
        }
    return false;
}

const char *split_pattern(enum split_rule rule) {
    return rules[rule].name;
}

enum status splitter_add(struct splitter *splitter, enum split_rule rule) {
    int error;
    PCRE2_SIZE where;
    const int i = splitter->count;
    ASSERT(i < SPLIT_RULES_MAX);
    pcre2_code *code = pcre2_compile((PCRE2_SPTR)rules[rule].pattern, PCRE2_ZERO_TERMINATED,
                                     PCRE2_UTF | PCRE2_UCP | PCRE2_ANCHORED, &error, &where, NULL);
    if (code == NULL && error == PCRE2_ERROR_HEAP_FAILED)
        return FAIL(STATUS_MEMORY, "memory ran out while a splitting rule was compiled");
    if (code == NULL)
        return FAIL(STATUS_DEFECT, "PCRE2 does not compile splitting rule %d: error %d at %zu",
                    (int)rule, error, where);
    pcre2_jit_compile(code, PCRE2_JIT_COMPLETE); /* where there is none, PCRE2 interprets */
    splitter->codes[i] = code;
    splitter->matches[i] = pcre2_match_data_create(1, NULL);
    splitter->count++;
    if (splitter->limits == NULL)
        splitter->limits = pcre2_match_context_create(NULL);
    if (splitter->matches[i] == NULL || splitter->limits == NULL)
        return FAIL(STATUS_MEMORY, "memory ran out for PCRE2");
    return STATUS_OK;
}

void splitter_release(struct splitter *splitter) {
    for (int i = 0; i < splitter->count; i++) {
        pcre2_code_free(splitter->codes[i]);
        pcre2_match_data_free(splitter->matches[i]);
    }
    pcre2_match_context_free(splitter->limits);
    *splitter = (struct splitter){.count = 0};
}

struct visitor {
    enum status (*visit)(void *context, const char *piece, size_t length);
    void *context;
};

static enum status match_failed(int error, size_t at) {
    unsigned char text[128] = "";
    pcre2_get_error_message(error, text, sizeof text);
    return FAIL(STATUS_INPUT, "the splitting rule gives up at byte %zu of a text: %s", at,
                (const char *)text);
}

/* Rules from `rule` on, over one piece. */
static enum status run_from(struct splitter *splitter, int rule, const char *text, size_t length,
                            const struct visitor *visitor) {
    if (rule == splitter->count)
        return visitor->visit(visitor->context, text, length);
    pcre2_match_data *match = splitter->matches[rule];
    const PCRE2_SIZE *span = pcre2_get_ovector_pointer(match);
    for (size_t at = 0; at < length;) {
        const int found = pcre2_match(splitter->codes[rule], (PCRE2_SPTR)text, length, at,
                                      PCRE2_NO_UTF_CHECK, match, splitter->limits);
        if (found < 0)
            return match_failed(found, at);
        const size_t end = span[1];
        ASSERT(end > at);
        TRY(run_from(splitter, rule + 1, text + at, end - at, visitor));
        at = end;
    }
    return STATUS_OK;
}

enum status splitter_run(struct splitter *splitter, const char *text, size_t length,
                         enum status (*visit)(void *context, const char *piece, size_t length),
                         void *context) {
    const struct visitor visitor = {.visit = visit, .context = context};
    /* The rules go back over white space once; what needs more than a few steps for each byte is
     * no text of ours. */
    if (splitter->limits != NULL)
        pcre2_set_match_limit(splitter->limits,
                              length < (1u << 24) ? 10000 + 100 * (uint32_t)length : UINT32_MAX);
    return length > 0 ? run_from(splitter, 0, text, length, &visitor) : STATUS_OK;
}
