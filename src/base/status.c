/* SPDX-License-Identifier: Apache-2.0 */
#include "base/status.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static _Thread_local char sentence[STATUS_SENTENCE_MAX];
static _Thread_local char place[256];
static void (*defect_hook)(void);

enum status status_fail(enum status status, const char *file, int line, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(sentence, sizeof sentence, format, arguments);
    va_end(arguments);
    snprintf(place, sizeof place, "%s:%d", file, line);
    return status;
}

const char *status_sentence(void) {
    return sentence;
}

const char *status_place(void) {
    return place;
}

void status_set_sentence(const char *text) {
    snprintf(sentence, sizeof sentence, "%s", text);
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

const char *status_quote(char *out, const char *text, size_t length) {
    size_t used = 0;
    if (length == SIZE_MAX)
        length = strlen(text);
    size_t i = 0;
    for (size_t shown = 0; i < length && shown < 80; i++) {
        const unsigned char c = (unsigned char)text[i];
        if (c < 0x20 || c == 0x7f)
            used += (size_t)snprintf(out + used, 5, "\\x%02x", c);
        else
            out[used++] = (char)c;
        shown += (c & 0xc0) != 0x80; /* the bytes that continue a UTF-8 character are not counted */
    }
    while (i < length && ((unsigned char)text[i] & 0xc0) == 0x80 && used + 4 < STATUS_QUOTE_MAX)
        out[used++] = text[i++];
    if (i < length) {
        memcpy(out + used, "…", 3);
        used += 3;
    }
    out[used] = '\0';
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
