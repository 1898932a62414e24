/* SPDX-License-Identifier: Apache-2.0
 *
 * The central promise: tokens, log-probabilities and entropies of a decoded answer are the same
 * bits whatever is decoded beside it and on however many threads, and the trainer's forward over
 * the packed group gives the sampler's log-probabilities and entropies bit for bit.
 */
#include "backends.h"
#include "base/memory.h"
#include "check.h"
#include "model/decoder.h"
#include "unit/model/tiny.h"

enum { PROMPTS = 2, ANSWERS = 3, TOTAL = PROMPTS * ANSWERS, LONGEST = 75 };
static const int prompt_lengths[PROMPTS] = {70, 5};
static const int lengths[TOTAL] = {1, 40, LONGEST, 70, 3, 64};

struct answer {
    int32_t tokens[LONGEST];
    float logprob[LONGEST], entropy[LONGEST];
};

struct world {
    struct backend backend;
    struct model *model;
    struct decoder *decoder;
    struct sample_settings settings;
    int64_t steps; /* between two looks */
    int64_t most;  /* rows advanced together */
    int32_t prompts[PROMPTS][80];
    struct answer answers[TOTAL];
};

static void begin(struct world *world, int p, int first, int count) {
    struct decoder_answer answers[ANSWERS];
    for (int i = 0; i < count; i++)
        answers[i] = (struct decoder_answer){.index = (uint32_t)((first + i) % ANSWERS),
                                             .budget = lengths[first + i]};
    CHECK_OK(decoder_begin(world->decoder, &(struct decoder_prompt){.tokens = world->prompts[p],
                                                                    .n = prompt_lengths[p],
                                                                    .index = (uint32_t)p,
                                                                    .answers = answers,
                                                                    .answer_count = count}));
}

/* Reads the rows that have ended and takes them out; `who` are the answers of the rows. */
static void take(struct world *world, int *who) {
    bool done[TOTAL];
    int kept = 0;
    for (int64_t row = 0; row < decoder_rows(world->decoder); row++) {
        struct answer *answer = &world->answers[who[row]];
        done[row] = decoder_end(world->decoder, row) != DECODE_OPEN;
        if (!done[row]) {
            who[kept++] = who[row];
            continue;
        }
        CHECK_EQ(decoder_end(world->decoder, row), DECODE_FULL);
        CHECK_EQ(decoder_count(world->decoder, row), lengths[who[row]]);
        CHECK_OK(decoder_read(world->decoder, row, 0, lengths[who[row]],
                              &(struct decoder_numbers){.tokens = answer->tokens,
                                                        .logprob = answer->logprob,
                                                        .entropy = answer->entropy}));
    }
    decoder_drop(world->decoder, done);
}

/* Decodes the answers first … first + count − 1 together; finished ones leave. */
static void decode(struct world *world, int first, int count) {
    int who[TOTAL];
    for (int i = 0; i < count; i++)
        who[i] = first + i;
    for (int i = first, end; i < first + count; i = end) {
        const int p = i / ANSWERS, last = (p + 1) * ANSWERS;
        end = last < first + count ? last : first + count;
        begin(world, p, i, end - i);
    }
    take(world, who);
    while (decoder_rows(world->decoder) > 0) {
        const int64_t rows = decoder_rows(world->decoder);
        CHECK_OK(
            decoder_advance(world->decoder, rows < world->most ? rows : world->most, world->steps));
        take(world, who);
    }
}

static void check_against_trainer(struct world *world) {
    struct batch batch = BATCH_EMPTY;
    float logprob[TOTAL * LONGEST], entropy[TOTAL * LONGEST];
    int64_t at = 0;
    const float temperature =
        world->settings.temperature > 0.0f ? world->settings.temperature : 1.0f;
    for (int p = 0; p < PROMPTS; p++) {
        int32_t segment;
        CHECK_OK(batch_append_prompt(&batch, world->prompts[p], prompt_lengths[p], &segment));
        for (int a = p * ANSWERS; a < (p + 1) * ANSWERS; a++)
            CHECK_OK(batch_append_answer(&batch, segment, world->answers[a].tokens, lengths[a]));
    }
    CHECK_OK(model_forward(world->model, &batch, temperature, false, logprob, entropy));
    for (int a = 0; a < TOTAL; at += lengths[a++]) {
        const size_t bytes = (size_t)lengths[a] * sizeof(float);
        for (int i = 0; i < lengths[a]; i++)
            if (memcmp(&logprob[at + i], &world->answers[a].logprob[i], sizeof(float)) != 0) {
                CHECK_FAILED("answer %d, token %d: trainer %.9g, sampler %.9g", a, i,
                             (double)logprob[at + i], (double)world->answers[a].logprob[i]);
                break;
            }
        CHECK(memcmp(&entropy[at], world->answers[a].entropy, bytes) == 0);
    }
    batch_release(&batch);
}

static void open_world(struct world *world, const char *backend, const char *name, int threads,
                       const struct sample_settings *settings) {
    memset(world, 0, sizeof *world);
    world->settings = *settings;
    world->steps = 1;
    world->most = TOTAL;
    CHECK_OK(backend_open(&world->backend, backend, threads));
    CHECK_OK(tiny_open(&world->model, &world->backend, name, false, NULL));
    CHECK_OK(decoder_create(&world->decoder, world->model,
                            &(struct decoder_settings){.sampling = *settings,
                                                       .most_rows = TOTAL,
                                                       .most_tokens = LONGEST,
                                                       .most_prompt = 80,
                                                       .seed = 5,
                                                       .step = 3}));
    for (int p = 0; p < PROMPTS; p++)
        tiny_tokens(p == 0 ? "prompt a" : "prompt b", model_hparams(world->model)->V,
                    world->prompts[p], prompt_lengths[p]);
}

static void close_world(struct world *world) {
    decoder_destroy(&world->decoder);
    tiny_close(&world->model);
    backend_close(&world->backend);
}

/* The prompts that have answers among `together` ones, for each call of decode; an answer of n tokens
 * feeds n − 1. */
static int64_t positions_of(int together) {
    int64_t sum = 0;
    for (int first = 0; first < TOTAL; first += together)
        for (int p = 0; p < PROMPTS; p++)
            if (first < (p + 1) * ANSWERS && first + together > p * ANSWERS)
                sum += prompt_lengths[p];
    for (int a = 0; a < TOTAL; a++)
        sum += lengths[a] - 1;
    return sum;
}

static void test_grouping(const char *backend, const char *name, int threads, int together,
                          const struct sample_settings *settings, const struct answer *want) {
    struct world *world = NULL;
    CHECK_OK(memory_new(&world, 1, "world"));
    open_world(world, backend, name, threads, settings);
    for (int first = 0; first < TOTAL; first += together)
        decode(world, first, TOTAL - first < together ? TOTAL - first : together);
    CHECK_EQ(model_positions_decoded(world->model), positions_of(together));
    CHECK_EQ(model_positions_computed(world->model), model_positions_decoded(world->model));
    for (int a = 0; want != NULL && a < TOTAL; a++)
        if (memcmp(&world->answers[a], &want[a], sizeof *want) != 0)
            CHECK_FAILED("%s, %s, %d threads, %d together: answer %d differs", backend, name,
                         threads, together, a);
    close_world(world);
    memory_release(&world);
}

/* Whenever the host looks, and where some rows wait. */
static void test_steps(const char *backend, const char *name,
                       const struct sample_settings *settings, const struct answer *want) {
    static const int64_t steps[] = {2, 7, 64, 200};
    struct world *world = NULL;
    CHECK_OK(memory_new(&world, 1, "world"));
    open_world(world, backend, name, 1, settings);
    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
        memset(world->answers, 0, sizeof world->answers);
        world->steps = steps[i];
        world->most = i % 2 == 0 ? 3 : TOTAL;
        decode(world, 0, TOTAL);
        for (int a = 0; a < TOTAL; a++)
            if (memcmp(&world->answers[a], &want[a], sizeof *want) != 0)
                CHECK_FAILED("%s, %s, %d steps between looks: answer %d differs", backend, name,
                             (int)steps[i], a);
    }
    close_world(world);
    memory_release(&world);
}

static void test_model(const char *name, const struct sample_settings *settings,
                       bool every_grouping) {
    struct world *world = NULL;
    CHECK_OK(memory_new(&world, 1, "world"));
    open_world(world, "cpu", name, 1, settings);
    decode(world, 0, TOTAL);
    check_against_trainer(world);
    const int64_t pages = decoder_cache_bytes(world->decoder), bytes = memory_totals().bytes;
    decode(world, 0, TOTAL); /* released pages serve again, and old content does no harm */
    CHECK_EQ(decoder_cache_bytes(world->decoder), pages);
    CHECK_EQ(memory_totals().bytes, bytes);
    check_against_trainer(world);
    test_grouping("cpu", name, 2, 4, settings, world->answers);
    if (every_grouping) {
        test_grouping("cpu", name, 2, TOTAL, settings, world->answers);
        test_grouping("cpu", name, 1, 1, settings, world->answers);
        test_grouping("check", name, 1, 3, settings, world->answers);
        test_steps("cpu", name, settings, world->answers);
        test_steps("check", name, settings, world->answers);
    }
    close_world(world);
    memory_release(&world);
}

/* On a device the bits are its own, the same for any grouping; a step is recorded once for a class of
 * numbers of rows, whichever rows they are and however often the host looks. */
static void test_device(const char *name, const struct sample_settings *settings) {
    struct world *world = NULL;
    CHECK_OK(memory_new(&world, 1, "world"));
    open_world(world, "cuda", name, 1, settings);
    world->steps = 3;
    decode(world, 0, TOTAL); /* of six rows, which are the most, of four, two and one */
    const int64_t recorded = world->backend.steps_recorded;
    CHECK(recorded >= 3 && recorded <= 4);
    decode(world, 0, TOTAL);
    CHECK_EQ(world->backend.steps_recorded, recorded);
    check_against_trainer(world);
    for (int together = 1; together < TOTAL; together += 3)
        test_grouping("cuda", name, 1, together, settings, world->answers);
    close_world(world);
    memory_release(&world);
}

/* Greedy tokens have the largest probability: none of the others drawn in their place is better. */
static void test_greedy(void) {
    struct world *world = NULL;
    struct batch batch = BATCH_EMPTY;
    CHECK_OK(memory_new(&world, 1, "world"));
    open_world(world, "cpu", "qwen2", 1, &(struct sample_settings){.top_p = 1.0f});
    decode(world, 0, 1);
    const int64_t V = model_hparams(world->model)->V;
    float *scores = NULL;
    CHECK_OK(memory_new(&scores, 2 * V, "scores"));
    int32_t segment;
    CHECK_OK(batch_append_prompt(&batch, world->prompts[0], prompt_lengths[0], &segment));
    for (int32_t v = 0; v < V; v++)
        CHECK_OK(batch_append_answer(&batch, segment, &v, 1));
    CHECK_OK(model_forward(world->model, &batch, 1.0f, false, scores, scores + V));
    for (int64_t v = 0; v < V; v++)
        CHECK(scores[v] <= scores[world->answers[0].tokens[0]]);
    CHECK(scores[world->answers[0].tokens[0]] == world->answers[0].logprob[0]);
    memory_release(&scores);
    batch_release(&batch);
    close_world(world);
    memory_release(&world);
}

int main(void) {
    const struct sample_settings shaped = {
        .temperature = 0.8f, .top_p = 0.9f, .top_k = 200, .presence_penalty = 0.5f};
    const struct sample_settings greedy = {.temperature = 0.0f, .top_p = 1.0f};
    for (int i = 0; i < TINY_COUNT; i++)
        test_model(tiny_names[i], &shaped, strcmp(tiny_names[i], "qwen3") == 0);
    test_model("qwen3", &greedy, false);
    test_greedy();
    if (backends_have_cuda())
        test_device("qwen3", &shaped);
    CHECK_EQ(memory_totals().bytes, 0);
    return CHECK_END();
}
