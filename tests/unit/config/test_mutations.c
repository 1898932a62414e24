/* SPDX-License-Identifier: Apache-2.0
 *
 * An input file with random damage is read or refused with a sentence, whatever the damage; what is
 * read can be written and read again.
 */
#include "config/settings.h"

#include "base/random.h"
#include "check.h"

enum { ROUNDS = 6000, EDITS = 6 };

static const char *const pieces[] = {
    "{",         "}",     "(",    ")",        "[",    "]",
    "\"",        ";",     ",",    "=",        ":",    "#",
    "//",        "/*",    "*/",   "\\",       "\n",   "@incl",
    "@include ", "1e999", "-",    "0x",       "99L",  "1.",
    ".",         "\\x",   "é",    "\xff",     "true", "9223372036854775808",
    "run",       "data",  "null", "1e-5",     "a.b=", "+-1",
    "0xL",       "\r",    "\t",   "{prompt}",
};

static uint32_t draw(uint32_t round, uint32_t edit, uint32_t what, uint32_t below) {
    return (uint32_t)(random_uniform(7, RANDOM_TEST, round, edit, what, 0) * below);
}

/* Cuts a few bytes out or puts a piece in, at a random place. */
static void damage(struct strbuf *text, uint32_t round) {
    const uint32_t edits = 1 + draw(round, 0, 9, EDITS);
    for (uint32_t e = 0; e < edits; e++) {
        const size_t at = draw(round, e, 0, (uint32_t)text->length);
        struct strbuf next = STRBUF_EMPTY;
        CHECK_OK(strbuf_append(&next, text->text, at));
        size_t skip = draw(round, e, 1, 2) == 0 ? draw(round, e, 2, 8) : 0;
        if (skip == 0)
            CHECK_OK(strbuf_append_text(&next,
                                        pieces[draw(round, e, 3, sizeof pieces / sizeof *pieces)]));
        if (skip > text->length - at)
            skip = text->length - at;
        CHECK_OK(strbuf_append(&next, text->text + at + skip, text->length - at - skip));
        strbuf_release(text);
        *text = next;
    }
}

static void read_damaged(const struct strbuf *text, int *read) {
    struct settings first, second;
    const enum status status = settings_read_text("x.cfg", text->text, text->length, NULL, 0,
                                                  SETTINGS_FOR_TRAINING, &first);
    if (status != STATUS_OK) {
        CHECK_EQ(status, STATUS_INPUT);
        CHECK(strncmp(status_sentence(), "x.cfg", 5) == 0);
        CHECK(strchr(status_sentence(), '\n') == NULL);
        return;
    }
    struct strbuf dump = STRBUF_EMPTY;
    CHECK_OK(settings_dump(&first, &dump));
    CHECK_OK(settings_read_text("dump.cfg", dump.text, dump.length, NULL, 0, SETTINGS_FOR_TRAINING,
                                &second));
    strbuf_release(&dump);
    settings_release(&first);
    settings_release(&second);
    ++*read;
}

int main(void) {
    static const char *const sample =
        "// sample\nrun : { directory = \"r\"; steps = 10; seed = 3L; };\n"
        "model : { path = \"m\"; recompute = true; };\n"
        "data : { train = ( { path = \"d\"; prompt = \"p\"; answer = \"a\"; weight = 2.5; } ); };\n"
        "prompt : { system = \"You\\n\\x41\" \"are\"; template = \"Q: {prompt}\"; };  # words\n"
        "rollout : { group_size = 0x10; temperature = .5; stop = [ \"a\", \"b\" ]; };\n"
        "/* rewards */ reward : { parts = ( { name = \"format\"; }, { name = \"answer\"; } ); };\n"
        "objective : { gate = \"erf\"; clip_low = 1e-1; };\n";
    int read = 0;
    for (uint32_t round = 0; round < ROUNDS; round++) {
        struct strbuf text = STRBUF_EMPTY;
        CHECK_OK(strbuf_append_text(&text, sample));
        damage(&text, round);
        read_damaged(&text, &read);
        strbuf_release(&text);
    }
    printf("%d of %d damaged files could be read\n", read, ROUNDS);
    CHECK(read > ROUNDS / 50);
    CHECK(read < ROUNDS);
    return CHECK_END();
}
