/* SPDX-License-Identifier: Apache-2.0
 *
 * Every Unicode plane and random bytes give the ids of `tokenizers`, for a small tokenizer of each
 * family.
 */
#include "cases.h"

int main(void) {
    json_t *stored = cases_load("unicode.json"), *want;
    const char *name;
    char directory[128];
    CHECK_EQ(json_object_size(stored), 4);
    json_object_foreach(stored, name, want) {
        snprintf(directory, sizeof directory, DATA "%s", name);
        struct tokenizer *tokenizer = cases_open(directory);
        cases_unicode(tokenizer, name, want);
        tokenizer_destroy(&tokenizer);
    }
    json_decref(stored);
    return CHECK_END();
}
