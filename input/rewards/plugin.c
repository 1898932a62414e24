/* SPDX-License-Identifier: Apache-2.0
 *
 * A reward in a shared object, to start from: the share of the reference's words that an answer holds
 * (recall of words), or with arguments = "length" the built-in part length.
 *
 *     cc -O2 -shared -fPIC -I src/reward -o input/rewards/plugin.so input/rewards/plugin.c
 *
 *     reward : { parts = ( { name = "plugin"; library = "rewards/plugin.so"; } ); };
 *
 * It looks at nothing but the answer it is given, so a run is the same on any number of ranks.
 */
#include "plugin.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

static bool is_space(char c) {
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

/* The next word from *at on; false at the end of the text. */
static bool next_word(struct gradus_reward_text text, size_t *at, struct gradus_reward_text *word) {
    while (*at < text.length && is_space(text.bytes[*at]))
        ++*at;
    word->bytes = text.bytes + *at;
    while (*at < text.length && !is_space(text.bytes[*at]))
        ++*at;
    word->length = (size_t)(text.bytes + *at - word->bytes);
    return word->length > 0;
}

static bool holds_word(struct gradus_reward_text text, struct gradus_reward_text wanted) {
    struct gradus_reward_text word;
    size_t at = 0;
    while (next_word(text, &at, &word))
        if (word.length == wanted.length && memcmp(word.bytes, wanted.bytes, word.length) == 0)
            return true;
    return false;
}

static double recall(const struct gradus_reward_answer *answer) {
    struct gradus_reward_text word;
    size_t at = 0;
    int words = 0, found = 0;
    while (next_word(answer->reference, &at, &word)) {
        words++;
        found += holds_word(answer->text, word);
    }
    return words > 0 ? (double)found / words : 0;
}

/* The state is the choice: NULL is recall. */
static int choose(const char *arguments, void **state, struct gradus_reward_error *error) {
    static char length;
    if (strcmp(arguments, "length") == 0)
        *state = &length;
    else if (arguments[0] != '\0') {
        snprintf(error->text, error->size, "arguments = \"%s\": there is length, and nothing",
                 arguments);
        return 1;
    }
    return 0;
}

static int grade(void *state, const struct gradus_reward_answer *answer, double *reward,
                 struct gradus_reward_error *error) {
    (void)error; /* nothing can fail */
    *reward =
        state != NULL ? (double)answer->tokens / (double)answer->max_new_tokens : recall(answer);
    return 0;
}

#if defined(__GNUC__)
__attribute__((visibility("default")))
#endif
extern const struct gradus_reward_plugin gradus_reward_plugin;
const struct gradus_reward_plugin gradus_reward_plugin = {
    .version = GRADUS_REWARD_VERSION, .open = choose, .grade = grade};
