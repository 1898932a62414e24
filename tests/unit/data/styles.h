/* SPDX-License-Identifier: Apache-2.0
 *
 * What tests/data/text stores of chat templates.
 */
#ifndef TESTS_UNIT_DATA_STYLES_H
#define TESTS_UNIT_DATA_STYLES_H

#include "check.h"

#include <jansson.h>

#include "file/json.h"
#include "text/chat_known.h"

#define DATA "tests/data/text/"

static inline json_t *styles_load(const char *name) {
    json_t *value = NULL;
    CHECK_OK(json_read_file(name, 1 << 24, &value));
    return value;
}

static inline const char *text_of(const json_t *object, const char *name) {
    return json_string_value(json_object_get(object, name));
}

/* The style that chat_resolve gives for this template of chat.json. */
static inline void find_style(const json_t *stored, const char *name, struct chat_style *style) {
    const json_t *template = json_object_get(json_object_get(stored, "templates"), name);
    char digest[65];
    *style = (struct chat_style){.begin_token = true};
    if (template != NULL)
        CHECK_OK(chat_known_digest(json_string_value(template), json_string_length(template),
                                   digest, &style->text));
    if (!chat_known_form(text_of(json_object_get(stored, "digests"), name), style))
        CHECK_FAILED("%s is not known", name);
    style->default_system = style->text.length > 0 ? style->text.text : NULL;
    if (strcmp(name, "qwen2_5") == 0)
        style->default_system =
            "You are Qwen, created by Alibaba Cloud. You are a helpful assistant.";
}

#endif
