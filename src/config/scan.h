/* SPDX-License-Identifier: Apache-2.0
 *
 * A look at the text of an input file before libconfig parses it, for what libconfig (1.5 to 1.7)
 * lets pass or cannot say: it cuts integers that are written without an L to 32 bits, follows
 * @include, calls a text without quotes a syntax error, and makes control characters of what was
 * meant as a backslash: of "\frac" a form feed and "rac". Lines keep their numbers.
 */
#ifndef CONFIG_SCAN_H
#define CONFIG_SCAN_H

#include <stdbool.h>

#include "base/status.h"
#include "base/strbuf.h"

/* Appends `text` to *out with every integer marked as a 64-bit one. Refuses, with STATUS_INPUT and
 * "where:line: …" ("where: …" when it has no lines): @include, a zero byte, an integer beyond 64
 * bits, a text or comment that never ends, an escape that was hardly meant as one (see below), and
 * words that are not true or false where a value is expected. */
enum status scan_text(const char *where, bool has_lines, const char *text, size_t length,
                      struct strbuf *out) MUST_USE;

/* The escapes of a text. \\ and \" are what they say, \xNN is a byte by its number, \n a line break
 * and \t a tab; a backslash before any other letter stays where libconfig has no meaning for it.
 * Refused are \a \b \f \r \v, which no prompt is in need of, and \n and \t where they begin a
 * command of LaTeX: \t before any letter (\times, \theta, \text), \n only where the letters behind
 * it make the name of one (\nabla, \neq), since a line break before a word is frequent. The command
 * means a backslash, which is written \\; the character, where it is meant, is \x0a, \x09.
 *
 * Whether \n or \t (`letter`) before `rest` looks like a command. */
bool scan_is_command(char letter, const char *rest);

#endif
