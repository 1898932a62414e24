/* SPDX-License-Identifier: Apache-2.0
 *
 * Shared objects that are no good rewards; BROKEN says which.
 */
#include "reward/plugin.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#define BROKEN_TABLE   1 /* exports nothing */
#define BROKEN_VERSION 2 /* made for another version */
#define BROKEN_GRADE   3 /* has no function */
#define BROKEN_LATER                                                                               \
    4 /* opens as its arguments say, and fails at the text "bad", "silent" or "nan" */
#define BROKEN_STEP                                                                                \
    5 /* fails in the step that the file its arguments name holds; else tokens / max_new_tokens */

#if BROKEN == BROKEN_STEP
static char path[4096];

static int remember(const char *arguments, void **state, struct gradus_reward_error *error) {
    (void)error;
    snprintf(path, sizeof path, "%s", arguments);
    *state = path;
    return 0;
}

static int grade_step(void *state, const struct gradus_reward_answer *answer, double *reward,
                      struct gradus_reward_error *error) {
    int step = 0;
    FILE *file = fopen(state, "r");
    if (file == NULL || fscanf(file, "%d", &step) != 1)
        step = 0;
    if (file != NULL)
        fclose(file);
    *reward = (double)answer->tokens / (double)answer->max_new_tokens;
    if (answer->step == step)
        snprintf(error->text, error->size, "the scale is broken");
    return answer->step == step;
}
#define OPEN  remember
#define GRADE grade_step
#else
#define OPEN  open_it
#define GRADE grade
static int open_it(const char *arguments, void **state, struct gradus_reward_error *error) {
    *state = NULL;
    if (strcmp(arguments, "refuse") != 0)
        return 0;
    snprintf(error->text, error->size, "no licence");
    return 1;
}

static int grade(void *state, const struct gradus_reward_answer *answer, double *reward,
                 struct gradus_reward_error *error) {
    (void)state;
    if (strcmp(answer->text.bytes, "nan") == 0)
        *reward = NAN;
    else if (strcmp(answer->text.bytes, "never") != 0)
        *reward = (double)answer->text.length;
    if (strcmp(answer->text.bytes, "bad") == 0)
        snprintf(error->text, error->size, "a bad text of group %d", (int)answer->group);
    return strcmp(answer->text.bytes, "bad") == 0 || strcmp(answer->text.bytes, "silent") == 0;
}

#endif

#if BROKEN == BROKEN_TABLE
#define EXPORT
#else
#define EXPORT __attribute__((visibility("default")))
#endif

extern EXPORT const struct gradus_reward_plugin gradus_reward_plugin;
const struct gradus_reward_plugin gradus_reward_plugin = {
    .version = GRADUS_REWARD_VERSION + (BROKEN == BROKEN_VERSION),
    .open = OPEN,
    .grade = BROKEN == BROKEN_GRADE ? NULL : GRADE,
};
