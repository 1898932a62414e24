/* SPDX-License-Identifier: Apache-2.0 */
#include "base/status.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/printable.h"

static _Thread_local char sentence[STATUS_SENTENCE_MAX];
static _Thread_local char place[256];
static void (*defect_hook)(void);

/* A sentence is one line of valid UTF-8, whatever went into it: not all that is foreign is quoted. */
static void keep(const char *text) {
    printable(sentence, sizeof sentence, SIZE_MAX, "", text, strlen(text));
}

enum status status_fail(enum status status, const char *file, int line, const char *format, ...) {
    char text[2 * STATUS_SENTENCE_MAX] = ""; /* what is too long is cut by keep, which says so */
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, STATUS_SENTENCE_MAX + 1, format, arguments);
    va_end(arguments);
    snprintf(place, sizeof place, "%s:%d", file, line);
    if (status == STATUS_DEFECT)
        snprintf(text + strlen(text), sizeof place + 64, " (a defect at %s: please report it)",
                 place);
    keep(text);
    return status;
}

const char *status_sentence(void) {
    return sentence;
}

const char *status_place(void) {
    return place;
}

void status_set_sentence(const char *text) {
    keep(text);
}

void status_clear(void) {
    sentence[0] = place[0] = '\0';
}

const char *status_text(enum status status) {
    static const char *const texts[] = {
#define X(name, exit, text) text,
        STATUS_LIST(X)
#undef X
    };
    return texts[status];
}

int status_exit(enum status status) {
    static const int exits[] = {
#define X(name, exit, text) exit,
        STATUS_LIST(X)
#undef X
    };
    return exits[status];
}

const char *status_quote(char out[STATUS_QUOTE_MAX], const char *text, size_t length) {
    if (length == SIZE_MAX)
        length = strlen(text);
    printable(out, STATUS_QUOTE_MAX, STATUS_QUOTE_CHARACTERS, "\"\\", text, length);
    return out;
}

void status_on_defect(void (*abort_all)(void)) {
    defect_hook = abort_all;
}

_Noreturn void status_defect(const char *file, int line, const char *condition) {
    fprintf(stderr, "gradus: defect: %s:%d: %s does not hold; please report this line\n", file,
            line, condition);
    if (defect_hook != NULL)
        defect_hook();
    abort();
}
