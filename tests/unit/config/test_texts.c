/* SPDX-License-Identifier: Apache-2.0
 *
 * What the user writes into a text is what the settings hold, or the file is refused: no command of
 * LaTeX becomes a control character, in any text, from the file or the command line, and the dump
 * of any text is read back as it was.
 */
#include "config/settings.h"

#include "base/random.h"
#include "check.h"

#define NEEDED                                                                                     \
    "run:{directory=\"r\";steps=10;};model:{path=\"m\";};"                                         \
    "data:{train=({path=\"d\";prompt=\"p\";answer=\"a\";});};"

static enum status read_text(const char *text, char *override, struct settings *settings) {
    char *overrides[] = {override};
    return settings_read_text("x.cfg", text, strlen(text), overrides, override != NULL,
                              SETTINGS_FOR_TRAINING, settings);
}

/* A system text, as written between quotes in the file; the value must be `want`, or with NULL the
 * file refused with `words`. */
static void check_system(const char *written, const char *want, const char *words) {
    char text[512];
    struct settings s;
    snprintf(text, sizeof text, "%s\nprompt:{system=\"%s\";};", NEEDED, written);
    const enum status status = read_text(text, NULL, &s);
    if (want == NULL)
        CHECK_STATUS(status, STATUS_INPUT, words);
    else if (status != STATUS_OK)
        CHECK_FAILED("\"%s\" is refused: %s", written, status_sentence());
    else
        CHECK_TEXT(s.prompt.system, want);
    if (status == STATUS_OK)
        settings_release(&s);
}

static void escapes(void) {
    check_system("a\\nThink\\n\\nb", "a\nThink\n\nb", "");
    check_system("a\\t1\\t", "a\t1\t", "");
    check_system("\\\\frac{1}{2} \\\\times \\\\neq", "\\frac{1}{2} \\times \\neq", "");
    check_system("\\\"so\\\" \\x41\\x0a\\x09\\x0c", "\"so\" A\n\t\x0c", "");
    check_system("\\d+ \\( x \\) \\{ \\%", "\\d+ \\( x \\) \\{ \\%", "");
    check_system("raw\ttab \x0c", "raw\ttab \x0c", "");
    check_system("\\nless, \\nmid and \\nparallel", "\nless, \nmid and \nparallel", "");
    check_system("\\nNabla \\neqs", "\nNabla \neqs", "");
    check_system("\\frac", NULL,
                 "x.cfg:2: \"\\frac\" in a text would become a form feed and \"rac\": write "
                 "\"\\\\frac\" for a backslash, or \"\\x0c\" where a form feed is meant");
    check_system("one\\nTwo\n\nthree \\times", NULL, "x.cfg:4: \"\\times\" in a text");
    check_system("\\text{a}", NULL, "would become a tab and \"ext\": write \"\\\\text\"");
    check_system("\\r\\n", NULL, "\"\\r\" in a text would become a carriage return and \"\"");
    check_system("\\beta", NULL, "a backspace");
    check_system("\\alpha", NULL, "a bell");
    check_system("\\vec{v}", NULL, "a vertical tab");
    check_system("x \\neq 3", NULL, "a line break and \"eq\": write \"\\\\neq\"");
    check_system("\\\\\\frac", NULL, "a form feed"); /* a backslash, then an escape */
}

/* Commands of LaTeX, with one backslash: as they are, or refused. */
static void commands(void) {
    static const char *const names[] = {
        "alpha",   "angle",        "approx",  "arctan",   "array",      "ast",        "bar",
        "begin",   "beta",         "bigcup",  "binom",    "boldsymbol", "bot",        "boxed",
        "bullet",  "cap",          "cdot",    "circ",     "cos",        "cup",        "delta",
        "dfrac",   "displaystyle", "div",     "dots",     "ell",        "emptyset",   "end",
        "epsilon", "equiv",        "eta",     "exists",   "exp",        "flat",       "floor",
        "forall",  "frac",         "frown",   "gamma",    "gcd",        "geq",        "hat",
        "infty",   "int",          "kappa",   "lambda",   "langle",     "left",       "leq",
        "lim",     "ln",           "log",     "mathbb",   "mu",         "nabla",      "natural",
        "ncong",   "ne",           "nearrow", "neg",      "neq",        "newline",    "nexists",
        "ngeq",    "ni",           "nleq",    "nolimits", "not",        "notag",      "notin",
        "nsim",    "nu",           "nwarrow", "omega",    "oplus",      "overline",   "partial",
        "phi",     "pi",           "pm",      "prime",    "psi",        "quad",       "rangle",
        "rbrace",  "rceil",        "rfloor",  "rho",      "right",      "rightarrow", "rm",
        "sigma",   "sin",          "sqrt",    "subset",   "sum",        "tag",        "tan",
        "tau",     "tbinom",       "text",    "textbf",   "tfrac",      "theta",      "tilde",
        "times",   "to",           "top",     "triangle", "underline",  "upsilon",    "vdots",
        "vec",     "vee",          "vert",    "widehat",  "xi",         "xleftarrow", "zeta"};
    int refused = 0;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char text[512], want[64];
        struct settings s;
        snprintf(want, sizeof want, "\\%s{x} \\%s_1 \\%s", names[i], names[i], names[i]);
        snprintf(text, sizeof text, "%sprompt:{system=\"%s\";};", NEEDED, want);
        if (read_text(text, NULL, &s) == STATUS_OK) {
            CHECK_TEXT(s.prompt.system, want);
            settings_release(&s);
        } else {
            CHECK(strstr(status_sentence(), "for a backslash") != NULL);
            refused++;
        }
    }
    CHECK(refused > 30);
}

/* Every text of the file, and what is quoted on the command line; there a bare text is taken as it
 * is. */
static void places(void) {
    static const char *const places[] = {
        "prompt:{template=\"{prompt}\\frac\";};", "rollout:{stop=[\"\\n\",\"\\times\"];};",
        "reward:{parts=({name=\"\\rho\";});};", "prompt:{date=\"\\vec\";};",
        "run:{directory=\"\\tmp\";};"};
    struct settings s;
    for (size_t i = 0; i < sizeof places / sizeof *places; i++)
        CHECK_STATUS(read_text(places[i], NULL, &s), STATUS_INPUT, "x.cfg:1: \"\\");
    CHECK_STATUS(read_text(NEEDED, "prompt.system=\"\\frac\"", &s), STATUS_INPUT,
                 "command line: prompt.system: \"\\frac\" in a text would become");
    CHECK_STATUS(read_text(NEEDED,
                           "data.train=({path=\"d\";prompt=\"p\";answer=\"a\";"
                           "where=\"x == '\\times'\";})",
                           &s),
                 STATUS_INPUT, "command line: data.train: \"\\times\" in a text");
    CHECK_OK(read_text(NEEDED, "prompt.system=\\frac \\n", &s));
    CHECK_TEXT(s.prompt.system, "\\frac \\n");
    settings_release(&s);
}

/* Any text comes back from the dump. */
static void dumps(void) {
    static const char *const pieces[] = {"\\", "\n", "\t", "\f", "\r", "\a", "\x7f", "\"", "eq",
                                         "u",  "an", "é",  " ",  "#",  "n",  "t",    "x",  "0c"};
    for (uint32_t round = 0; round < 3000; round++) {
        char override[256] = "prompt.system=.";
        for (uint32_t i = 0; i < 12; i++)
            strncat(override,
                    pieces[(size_t)(random_uniform(5, RANDOM_TEST, round, i, 0, 0) *
                                    (sizeof pieces / sizeof *pieces))],
                    8);
        struct settings first, second;
        struct strbuf text = STRBUF_EMPTY;
        CHECK_OK(read_text(NEEDED, override, &first));
        CHECK_OK(settings_dump(&first, &text));
        CHECK_OK(read_text(text.text, NULL, &second));
        CHECK_TEXT(second.prompt.system, strchr(override, '=') + 1);
        strbuf_release(&text);
        settings_release(&first);
        settings_release(&second);
    }
}

int main(void) {
    escapes();
    commands();
    places();
    dumps();
    return CHECK_END();
}
