/* SPDX-License-Identifier: Apache-2.0
 *
 * A look at the text of an input file before libconfig parses it, for what libconfig (1.5 to 1.7)
 * lets pass or cannot say: it cuts integers that are written without an L to 32 bits, follows
 * @include, and calls a text without quotes a syntax error. Lines keep their numbers.
 */
#ifndef CONFIG_SCAN_H
#define CONFIG_SCAN_H

#include <stdbool.h>

#include "base/status.h"
#include "base/strbuf.h"

/* Appends `text` to *out with every integer marked as a 64-bit one. Refuses, with STATUS_INPUT and
 * "where:line: …" ("where: …" when it has no lines): @include, a zero byte, an integer beyond 64
 * bits, a text or comment that never ends, and words that are not true or false where a value is
 * expected. */
enum status scan_text(const char *where, bool has_lines, const char *text, size_t length,
                      struct strbuf *out) MUST_USE;

#endif
