/* SPDX-License-Identifier: Apache-2.0 */
#include "reward/library.h"

#include <dlfcn.h>
#include <math.h>
#include <string.h>

#include "base/memory.h"
#include "reward/plugin.h"

#define TABLE "gradus_reward_plugin"

enum { ERROR_BYTES = 512 };

struct reward_library {
    char name[STATUS_QUOTE_MAX]; /* its path, quoted */
    void *object;
    const struct gradus_reward_plugin *table;
    void *state;
    bool is_open; /* its own open has succeeded */
};

/* What a function of the object says about its failure. */
static enum status tell_failure(const struct reward_library *library, const char *what,
                                const char text[ERROR_BYTES]) {
    char quoted[STATUS_QUOTE_MAX];
    const size_t length = strnlen(text, ERROR_BYTES);
    if (length == 0)
        return FAIL(STATUS_REWARD, "the reward library '%s' %s and does not say why", library->name,
                    what);
    return FAIL(STATUS_REWARD, "the reward library '%s' %s: '%s'", library->name, what,
                status_quote(quoted, text, length));
}

static enum status find_table(struct reward_library *library, const char *path) {
    char quoted[STATUS_QUOTE_MAX];
    library->object = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (library->object == NULL) {
        const char *why = dlerror();
        return FAIL(STATUS_INPUT, "the reward library '%s' cannot be loaded: '%s'", library->name,
                    status_quote(quoted, why != NULL ? why : "no reason given", SIZE_MAX));
    }
    library->table = dlsym(library->object, TABLE);
    if (library->table == NULL)
        return FAIL(STATUS_INPUT,
                    "the reward library '%s' exports no " TABLE
                    ", the table of src/reward/plugin.h",
                    library->name);
    if (library->table->version != GRADUS_REWARD_VERSION)
        return FAIL(
            STATUS_INPUT,
            "the reward library '%s' is made for version %u of src/reward/plugin.h, and this "
            "program has version %d: compile it again with that header",
            library->name, library->table->version, GRADUS_REWARD_VERSION);
    if (library->table->grade == NULL)
        return FAIL(STATUS_INPUT, "the reward library '%s' has no function grade in its table",
                    library->name);
    return STATUS_OK;
}

static enum status open_table(struct reward_library *library, const char *arguments) {
    char text[ERROR_BYTES] = "";
    struct gradus_reward_error error = {text, sizeof text};
    if (library->table->open != NULL &&
        library->table->open(arguments, &library->state, &error) != 0)
        return tell_failure(library, "cannot be opened", text);
    library->is_open = true;
    return STATUS_OK;
}

enum status reward_library_open(struct reward_library **library, const char *path,
                                const char *arguments) {
    TRY(memory_new(library, 1, "a reward library"));
    status_quote((*library)->name, path, SIZE_MAX);
    enum status status = find_table(*library, path);
    if (status == STATUS_OK)
        status = open_table(*library, arguments);
    if (status != STATUS_OK)
        reward_library_close(library);
    return status;
}

static struct gradus_reward_text text_of(const char *bytes, size_t length) {
    return (struct gradus_reward_text){.bytes = bytes, .length = length};
}

enum status reward_library_grade(struct reward_library *library, const struct reward_input *input,
                                 double *score) {
    char text[ERROR_BYTES] = "";
    struct gradus_reward_error error = {text, sizeof text};
    const struct gradus_reward_answer answer = {
        .prompt = text_of(input->prompt, input->prompt_length),
        .text = text_of(input->text, input->length),
        .reference = text_of(input->reference, input->reference_length),
        .tokens = input->tokens,
        .max_new_tokens = input->max_new_tokens,
        .finish_reason = input->finish_reason,
        .step = input->step,
        .group = input->group,
        .answer = input->answer_index,
        .source = input->source,
        .row = input->row};
    *score = NAN;
    if (library->table->grade(library->state, &answer, score, &error) != 0)
        return tell_failure(library, "cannot grade an answer", text);
    if (!isfinite(*score))
        return FAIL(STATUS_REWARD, "the reward library '%s' has given a reward that is not finite",
                    library->name);
    return STATUS_OK;
}

void reward_library_close(struct reward_library **library) {
    struct reward_library *l = *library;
    if (l == NULL)
        return;
    if (l->is_open && l->table->close != NULL)
        l->table->close(l->state);
    if (l->object != NULL)
        dlclose(l->object);
    memory_release(library);
}
