/* SPDX-License-Identifier: Apache-2.0
 *
 * Where a text gives its answer. Every function takes time linear in the text.
 */
#ifndef ANSWER_EXTRACT_H
#define ANSWER_EXTRACT_H

#include <stdbool.h>

#include "answer/span.h"

/* The places, in the order in which they are looked at unless another one is asked for. */
#define ANSWER_PLACES(X)                                                                           \
    X(BOXED, "boxed") /* the last \boxed{…} or \fbox{…}, or several that follow each other */  \
    X(BLOCK, "block") /* the last closed <answer> block */                                         \
    X(HASHES, "hashes") /* behind the last ####, up to the end of the line */                      \
    X(PHRASE,                                                                                      \
      "phrase")     /* behind the last "answer is" or "answer:", up to the end of the sentence */  \
    X(LAST, "last") /* the last formula between $ or the like, or the last number */

enum answer_place {
#define X(name, word) ANSWER_##name,
    ANSWER_PLACES(X)
#undef X
        ANSWER_PLACE_COUNT
};

/* Its word, and back: ANSWER_PLACE_COUNT when there is none such. */
const char *answer_place_word(enum answer_place place);
enum answer_place answer_place_find(const char *word);

/* The content of the <answer> block that closes last, as it stands; a tag opened twice counts from
 * the second. */
bool extract_block(struct span text, struct span *out);

/* What stands at that place, of a box in it the content; false when nothing does. */
bool answer_extract(struct span text, enum answer_place place, struct span *out);

#endif
