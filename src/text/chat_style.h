/* SPDX-License-Identifier: Apache-2.0
 *
 * A chat form with what a model's own template adds to it.
 */
#ifndef TEXT_CHAT_STYLE_H
#define TEXT_CHAT_STYLE_H

#include <stdbool.h>

#include "base/strbuf.h"

enum chat_form { CHAT_AUTO, CHAT_NONE, CHAT_CHATML, CHAT_QWEN3, CHAT_LLAMA3 };

struct chat_style {
    enum chat_form form;
    bool begin_token; /* llama3: the template writes its begin token */
    /* What the template puts first when no system turn is given; NULL for nothing. Static or
     * owned by the style's text buffer */
    const char *default_system;
    bool llama3_date; /* llama3: the header with knowledge and today's date (Llama 3.1 and later) */
    struct strbuf text; /* owns what default_system points to, when not static */
};

#endif
