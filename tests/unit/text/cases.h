/* SPDX-License-Identifier: Apache-2.0
 *
 * What the tests of this folder share: stored cases, digests of ids, and the texts that
 * tests/data/text/make_tokenizers.py makes in the same way.
 */
#ifndef TESTS_TEXT_CASES_H
#define TESTS_TEXT_CASES_H

#include <jansson.h>

#include "base/memory.h"
#include "base/sha256.h"
#include "base/strbuf.h"
#include "base/utf8.h"
#include "check.h"
#include "file/json.h"
#include "text/tokenizer.h"
#include "text/unicode.h"

#define DATA "tests/data/text/"

/* The stored file tests/data/text/NAME; the caller gives it back. */
static inline json_t *cases_load(const char *name) {
    char path[256];
    json_t *value = NULL;
    snprintf(path, sizeof path, DATA "%s", name);
    CHECK_OK(json_read_file(path, 1 << 24, &value));
    return value;
}

static inline struct tokenizer *cases_open(const char *directory) {
    struct tokenizer *tokenizer = NULL;
    CHECK_OK(tokenizer_open(&tokenizer, directory));
    if (tokenizer == NULL)
        exit(1);
    return tokenizer;
}

/* SHA-256 over the ids of texts, as "1 2 3\n" for each. */
struct cases_digest {
    struct tokenizer *tokenizer;
    struct sha256 hash;
    struct token_list ids;
    struct strbuf line;
};

static inline struct cases_digest cases_digest_begin(struct tokenizer *tokenizer) {
    struct cases_digest digest = {.tokenizer = tokenizer};
    sha256_init(&digest.hash);
    return digest;
}

static inline void cases_digest_add(struct cases_digest *digest, const char *text, size_t length) {
    digest->ids.count = 0;
    strbuf_clear(&digest->line);
    CHECK_OK(tokenizer_encode(digest->tokenizer, text, length, false, &digest->ids));
    for (int64_t i = 0; i < digest->ids.count; i++) {
        char digits[16];
        const int used = snprintf(digits, sizeof digits, i > 0 ? " %d" : "%d", digest->ids.ids[i]);
        CHECK_OK(strbuf_append(&digest->line, digits, (size_t)used));
    }
    CHECK_OK(strbuf_append(&digest->line, "\n", 1));
    sha256_update(&digest->hash, digest->line.text, digest->line.length);
}

static inline void cases_digest_end(struct cases_digest *digest, const char *name,
                                    const json_t *want) {
    unsigned char bytes[32];
    char hex[65];
    sha256_finish(&digest->hash, bytes);
    sha256_hex(bytes, hex);
    if (!json_is_string(want) || strcmp(hex, json_string_value(want)) != 0)
        CHECK_FAILED("%s: the ids have the digest %s, expected %s", name, hex,
                     json_is_string(want) ? json_string_value(want) : "none");
    memory_release(&digest->ids.ids);
    strbuf_release(&digest->line);
}

/* Texts of 64 code points each over one plane; of planes without characters, the first 4096. */
static inline void cases_plane(struct cases_digest *digest, int32_t plane) {
    static const char *const join[] = {" ", "a", "1", ".", "\n", "e\xcc\x81"};
    struct strbuf text = STRBUF_EMPTY;
    const int32_t count = plane >= 4 && plane <= 13 ? 0x1000 : 0x10000;
    for (int32_t first = plane << 16; first < (plane << 16) + count; first += 64) {
        strbuf_clear(&text);
        for (int32_t c = first; c < first + 64; c++)
            if (c < 0xd800 || c >= 0xe000) {
                CHECK_OK(utf8_append(c, &text));
                CHECK_OK(strbuf_append_text(&text, join[c % 6]));
            }
        cases_digest_add(digest, strbuf_text(&text), text.length);
    }
    strbuf_release(&text);
}

/* 4000 byte strings, most of them no UTF-8. */
static inline void cases_noise(struct cases_digest *digest) {
    static const unsigned char pool[] = {0xe0, 0xf0, 0xf4, 0xed, 0x9f, 0xa0, 0x80, 0xbf,
                                         0x41, 0x20, 0xc2, 0xc0, 0xff, 0xcc, 0x81, 0x65};
    uint32_t state = 1;
    char text[40];
    for (int i = 0; i < 4000; i++) {
        state = state * 1664525u + 1013904223u;
        const size_t length = (state >> 16) % 40;
        for (size_t k = 0; k < length; k++) {
            state = state * 1664525u + 1013904223u;
            const uint32_t draw = state >> 16;
            text[k] = (char)(i % 2 ? draw & 255 : pool[draw & 15]);
        }
        cases_digest_add(digest, text, length);
    }
}

/* Compares planes and noise with the digests of one tokenizer. */
static inline void cases_unicode(struct tokenizer *tokenizer, const char *name,
                                 const json_t *want) {
    char place[64];
    for (int32_t plane = 0; plane < 17; plane++) {
        struct cases_digest digest = cases_digest_begin(tokenizer);
        cases_plane(&digest, plane);
        snprintf(place, sizeof place, "%s, plane %d", name, plane);
        cases_digest_end(&digest, place,
                         json_array_get(json_object_get(want, "planes"), (size_t)plane));
    }
    struct cases_digest digest = cases_digest_begin(tokenizer);
    cases_noise(&digest);
    snprintf(place, sizeof place, "%s, noise", name);
    cases_digest_end(&digest, place, json_object_get(want, "noise"));
}

#endif
