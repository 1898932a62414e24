/* SPDX-License-Identifier: Apache-2.0
 *
 * A plan in one sentence: its largest parts at the peak, most first, each once.
 */
#include "run/plan.h"

#include <stdio.h>
#include <string.h>

#include "check.h"

#define MIB ((int64_t)1 << 20)

/* A part that holds so many MiB while answers are drawn, and while the model is trained. */
static void add(struct plan_memory *memory, const char *label, int64_t rollout, int64_t training) {
    struct plan_part *part = &memory->parts[memory->part_count++];
    snprintf(part->label, sizeof part->label, "%s", label);
    part->bytes[PLAN_ROLLOUT] = rollout * MIB;
    part->bytes[PLAN_TRAINING] = training * MIB;
    memory->sums[PLAN_ROLLOUT] += rollout * MIB;
    memory->sums[PLAN_TRAINING] += training * MIB;
}

static void check(const struct plan_memory *memory, const char *expected) {
    char text[PLAN_SENTENCE_MAX];
    if (strcmp(plan_sentence(memory, text), expected) != 0)
        CHECK_FAILED("the sentence is \"%s\", expected \"%s\"", text, expected);
}

int main(void) {
    static struct plan_memory memory = {.outside = 3 * MIB};
    add(&memory, "cache", 90, 0);
    add(&memory, "weights", 8, 8);
    add(&memory, "moments", 8, 8);
    check(&memory, "a rank needs up to 109.0 MiB, in rollout, 3.0 of them program and libraries, "
                   "90.0 cache, 8.0 weights, 8.0 moments");
    add(&memory, "activations", 0, 100);
    add(&memory, "gradient", 0, 8);
    add(&memory, "tile", 0, 1);
    add(&memory, "head", 0, 2);
    check(&memory, "a rank needs up to 130.0 MiB, in training, 3.0 of them program and libraries, "
                   "100.0 activations, 8.0 weights, 8.0 moments, 8.0 gradient, 2.0 head");
    return CHECK_END();
}
