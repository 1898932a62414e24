/* SPDX-License-Identifier: Apache-2.0
 *
 * Which form a model's own chat template has. A template is known by the SHA-256 of its text, in
 * which the default system message counts as a blank and is read out.
 */
#ifndef TEXT_CHAT_KNOWN_H
#define TEXT_CHAT_KNOWN_H

#include "base/status.h"
#include "text/chat_style.h"

/* Fills a zeroed style from the template of the model directory. A missing or unknown template is a
 * sentence that names prompt.chat. */
enum status chat_known_find(const char *directory, struct chat_style *style) MUST_USE;

/* The digest of a template, and its default system message (empty when it has none). */
enum status chat_known_digest(const char *template, size_t length, char digest[65],
                              struct strbuf *default_system) MUST_USE;

/* Sets the form that belongs to a digest; false when the digest is not known. */
bool chat_known_form(const char *digest, struct chat_style *style);

#endif
