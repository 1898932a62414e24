/* SPDX-License-Identifier: Apache-2.0
 *
 * All of a run's state comes back: every member of what a run counts and watches is given a number
 * of its own, the run is written, another one reads it, and all members are compared, whether or not
 * the table knows them.
 */
#include "run/state.h"

#include "unit/run/scene.h"

#include "base/memory.h"
#include "run/saving.h"

/* Every member of these is an int64_t, so that a new one is filled and compared without being named
 * here. */
enum { COUNTERS = sizeof(struct run_counters) / sizeof(int64_t) };
_Static_assert(sizeof(struct run_counters) == 8 * COUNTERS, "counters are int64_t");
_Static_assert(sizeof(struct flat) == 24, "name the new member of struct flat in fill and check");
_Static_assert(sizeof(struct tau) == 16, "name the new member of struct tau in fill and check");

static float element(int section, int64_t i) {
    return (float)(1000 * section + (int)(i % 997)) / 16.0f;
}

static void fill(struct run *run) {
    int64_t *counters = (int64_t *)(void *)&run->counters;
    struct stream_item item;
    for (int i = 0; i < COUNTERS; i++)
        counters[i] = 100 + i;
    run->counters.step = 3; /* at most run.steps */
    run->skipped_in_a_row = 201;
    run->discriminator_skipped_in_a_row = 209;
    if (run->discriminator_optimizer != NULL)
        run->discriminator_optimizer->steps = 210;
    run->optimizer->steps = 202;
    run->flat =
        (struct flat){.steps = 203, .had_form = true, .had_end = false, .longest_tokens = 204.5};
    run->tau = (struct tau){.log_scale = 207.5, .error = 208.5};
    run->best = (struct best){.step = 205, .value = 206.5};
    for (int i = 0; i < 7; i++)
        stream_next(run->stream, &item);
    for (int section = 0; section < CHECKPOINT_SECTIONS; section++) {
        float *values = state_vector(run, (enum checkpoint_section)section).values;
        for (int64_t i = 0; values != NULL && i < run->layout->elements; i++)
            values[i] = element(section, i);
    }
}

static void check(struct run *run) {
    const int64_t *counters = (const int64_t *)(const void *)&run->counters;
    struct stream_item item;
    for (int i = 0; i < COUNTERS; i++)
        CHECK_EQ(counters[i], &counters[i] == &run->counters.step ? 3 : 100 + i);
    CHECK_EQ(run->skipped_in_a_row, 201);
    if (run->discriminator_optimizer != NULL) {
        CHECK_EQ(run->discriminator_skipped_in_a_row, 209);
        CHECK_EQ(run->discriminator_optimizer->steps, 210);
    }
    CHECK_EQ(run->optimizer->steps, 202);
    CHECK_EQ(run->flat.steps, 203);
    CHECK(run->flat.had_form && !run->flat.had_end);
    CHECK_NEAR(run->flat.longest_tokens, 204.5, 0);
    CHECK_NEAR(run->tau.log_scale, 207.5, 0);
    CHECK_NEAR(run->tau.error, 208.5, 0);
    CHECK_EQ(run->best.step, 205);
    CHECK_NEAR(run->best.value, 206.5, 0);
    stream_next(run->stream, &item);
    CHECK_EQ(item.serial, 7);
    CHECK_EQ(item.data.row, 7);
    for (int section = 0; section < CHECKPOINT_SECTIONS; section++) {
        const float *values = state_vector(run, (enum checkpoint_section)section).values;
        for (int64_t i = 0; values != NULL && i < run->layout->elements; i++)
            if (values[i] != element(section, i)) {
                CHECK_FAILED("section %d: element %lld is %g", section, (long long)i,
                             (double)values[i]);
                break;
            }
    }
}

static void test_comes_back(const char *settings, int vectors) {
    struct scene scene;
    struct restart restart = {.fresh = false};
    scene_open(&scene, settings);
    CHECK_OK(run_output_open(&scene.run, &restart));
    fill(&scene.run);
    CHECK_OK(saving_begin(&scene.run));
    CHECK_OK(saving_finish(&scene.run));
    scene_close(&scene);
    scene_open(&scene, settings);
    CHECK_OK(restart_choose(&scene.settings, &scene.comm, &restart));
    CHECK(restart.again);
    CHECK_EQ(restart.step, 3);
    CHECK_OK(restart_load(&scene.run, &restart));
    check(&scene.run);
    CHECK_EQ(state_vectors(&scene.run), vectors);
    scene_close(&scene);
}

/* A game whose discriminator makes a step of its own, over a corpus of 12 texts. */
static const char *game(void) {
    static char settings[512];
    char text[1024];
    size_t n = 0;
    for (int i = 0; i < SCENE_ROWS; i++)
        n += (size_t)snprintf(text + n, sizeof text - n, "{\"text\": \"a text of a corpus, %d\"}\n",
                              i);
    folder_write(folder_file("texts.jsonl"), text, n);
    snprintf(settings, sizeof settings,
             "run.method=adversarial data.train=() data.corpus=({path=\"%s\";}) "
             "prompt.template={text} adversarial.window_tokens=8 adversarial.completion_tokens=3 "
             "adversarial.d_step=own run.directory=%s",
             folder_file("texts.jsonl"), folder_file("game"));
    return settings;
}

/* Names are told apart, and each has its units and its sentence. */
static void test_table(const char *settings) {
    struct scene scene;
    struct checkpoint_value values[STATE_VALUES_MAX];
    scene_open(&scene, settings);
    const int count = state_values(&scene.run, values);
    for (int i = 0; i < count; i++) {
        CHECK(values[i].unit[0] != '\0' && values[i].description[0] != '\0');
        CHECK(values[i].count > 0 && values[i].numbers != NULL);
        for (int j = 0; j < i; j++)
            CHECK(strcmp(values[i].name, values[j].name) != 0 &&
                  values[i].numbers != values[j].numbers);
    }
    scene_close(&scene);
}

int main(void) {
    scene_make();
    test_table("");
    test_table(game());
    test_comes_back("", 3);
    test_comes_back(game(), 5);
    folder_remove();
    CHECK_EQ(memory_totals().bytes, 0);
    return CHECK_END();
}
