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
    X(BLOCK, "block") /* the last closed block, <answer> … </answer> */                          \
    X(HASHES, "hashes") /* behind the last ####, up to the end of the line */                      \
    X(PHRASE, "phrase") /* behind the last "answer is" or "answer:", up to the sentence's end */   \
    X(LAST, "last")     /* the last formula between $ or the like, or number with its computation */

enum answer_place {
#define X(name, word) ANSWER_##name,
    ANSWER_PLACES(X)
#undef X
        ANSWER_PLACE_COUNT
};

/* Its word, and back: ANSWER_PLACE_COUNT when there is none such. */
const char *answer_place_word(enum answer_place place);
enum answer_place answer_place_find(const char *word);

/* The tags <name> and </name>, as texts. */
enum { EXTRACT_NAME_MOST = 32 };
struct extract_tags {
    char open[EXTRACT_NAME_MOST + 3], close[EXTRACT_NAME_MOST + 4];
};

/* False unless the name has 1 to EXTRACT_NAME_MOST bytes and no < > / or white space among them. */
bool extract_tags_make(const char *name, struct extract_tags *out);

/* The content of the block between these tags that closes last, as it stands; a tag opened
 * twice counts from the second. */
bool extract_block(struct span text, const struct extract_tags *tags, struct span *out);

/* What stands at that place, of a box in it the content; false when nothing does. `block` are
 * the tags of BLOCK. */
bool answer_extract(struct span text, enum answer_place place, const struct extract_tags *block,
                    struct span *out);

#endif
