/* SPDX-License-Identifier: Apache-2.0
 *
 * Foreign text as it can be shown in a line of ours: valid UTF-8 without control characters, of
 * bounded length, whatever the bytes are.
 */
#ifndef BASE_PRINTABLE_H
#define BASE_PRINTABLE_H

#include <stddef.h>

/* Writes `text` to out[size] (size ≥ 4), always terminated, and returns the bytes written without
 * the terminator. Control characters, those that turn the direction of writing and bytes that are
 * no UTF-8 become \xNN; the ASCII characters in `marked` get a backslash. At most `most` characters
 * are written, an escape counting as the characters it shows; no character and no escape is cut.
 * Where something is left out, "…" follows. A text that needs no change and fits is copied as it
 * is. `text` must not lie in `out`. */
size_t printable(char *out, size_t size, size_t most, const char *marked, const char *text,
                 size_t length);

#endif
