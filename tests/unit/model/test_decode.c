/* SPDX-License-Identifier: Apache-2.0
 *
 * The central promise: tokens, log-probabilities and entropies of a decoded answer are the same
 * bits whatever is decoded beside it and on however many threads, and the trainer's forward over
 * the packed group gives the sampler's log-probabilities and entropies bit for bit.
 */
#include "base/memory.h"
#include "base/random.h"
#include "check.h"
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
    struct cache *cache;
    struct sample_settings settings;
    int32_t prompts[PROMPTS][80];
    struct answer answers[TOTAL];
};

static void draw(struct world *world, const int *who, const int *step, const int32_t *source,
                 int64_t B) {
    double uniforms[TOTAL];
    const int32_t *seen[TOTAL];
    int32_t counts[TOTAL], tokens[TOTAL];
    float logprob[TOTAL], entropy[TOTAL];
    for (int64_t b = 0; b < B; b++) {
        uniforms[b] =
            random_uniform(5, RANDOM_TEST, (uint32_t)who[b], (uint32_t)step[who[b]], 0, 0);
        seen[b] = world->answers[who[b]].tokens;
        counts[b] = step[who[b]];
    }
    CHECK_OK(model_draw(world->model, &(struct draw_args){.source = source,
                                                          .uniforms = uniforms,
                                                          .seen = seen,
                                                          .seen_counts = counts,
                                                          .B = B,
                                                          .settings = world->settings,
                                                          .tokens = tokens,
                                                          .logprob = logprob,
                                                          .entropy = entropy}));
    for (int64_t b = 0; b < B; b++) {
        struct answer *answer = &world->answers[who[b]];
        answer->tokens[step[who[b]]] = tokens[b];
        answer->logprob[step[who[b]]] = logprob[b];
        answer->entropy[step[who[b]]] = entropy[b];
    }
}

/* Decodes the answers first … first + count − 1 together; finished ones leave. */
static void decode(struct world *world, int first, int count) {
    struct cache_sequence prompts[PROMPTS] = {{.length = 0}}, own[TOTAL] = {{.length = 0}};
    int step[TOTAL] = {0}, who[TOTAL] = {0};
    int32_t source[TOTAL];
    for (int p = 0; p < PROMPTS; p++)
        CHECK_OK(model_prefill(world->model, world->cache, world->prompts[p], prompt_lengths[p],
                               &prompts[p], p));
    for (int i = 0; i < count; i++) {
        who[i] = first + i;
        source[i] = (first + i) / ANSWERS;
    }
    draw(world, who, step, source, count);
    for (int64_t B = count; B > 0;) {
        struct decode_row rows[TOTAL];
        int64_t kept = 0;
        for (int64_t b = 0; b < B; b++)
            if (++step[who[b]] < lengths[who[b]])
                who[kept++] = who[b];
            else
                cache_sequence_release(world->cache, &own[who[b]]);
        B = kept;
        for (int64_t b = 0; b < B; b++) {
            const int a = who[b], p = a / ANSWERS;
            rows[b] = (struct decode_row){.token = world->answers[a].tokens[step[a] - 1],
                                          .position = (int32_t)(prompt_lengths[p] + step[a] - 1),
                                          .prompt = &prompts[p],
                                          .own = &own[a]};
            source[b] = (int32_t)b;
        }
        CHECK_OK(model_decode(world->model, world->cache, rows, B));
        draw(world, who, step, source, B);
    }
    for (int p = 0; p < PROMPTS; p++)
        cache_sequence_release(world->cache, &prompts[p]);
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
    CHECK_OK(backend_open(&world->backend, backend, threads));
    CHECK_OK(tiny_open(&world->model, &world->backend, name, false, NULL));
    CHECK_OK(cache_create(&world->cache, model_backend(world->model), model_hparams(world->model)));
    for (int p = 0; p < PROMPTS; p++)
        tiny_tokens(p == 0 ? "prompt a" : "prompt b", model_hparams(world->model)->V,
                    world->prompts[p], prompt_lengths[p]);
}

static void close_world(struct world *world) {
    cache_destroy(&world->cache);
    tiny_close(&world->model);
    backend_close(&world->backend);
}

/* Prompts once for each call of decode; an answer of n tokens feeds n − 1. */
static int64_t positions_of(int calls) {
    int64_t sum = (int64_t)calls * (prompt_lengths[0] + prompt_lengths[1]);
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
    CHECK_EQ(model_positions_decoded(world->model),
             positions_of((TOTAL + together - 1) / together));
    CHECK_EQ(model_positions_computed(world->model), model_positions_decoded(world->model));
    for (int a = 0; want != NULL && a < TOTAL; a++)
        if (memcmp(&world->answers[a], &want[a], sizeof *want) != 0)
            CHECK_FAILED("%s, %s, %d threads, %d together: answer %d differs", backend, name,
                         threads, together, a);
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
    const int64_t pages = cache_bytes(world->cache), bytes = memory_totals().bytes;
    decode(world, 0, TOTAL); /* released pages serve again, and old content does no harm */
    CHECK_EQ(cache_bytes(world->cache), pages);
    CHECK_EQ(memory_totals().bytes, bytes);
    check_against_trainer(world);
    test_grouping("cpu", name, 2, 4, settings, world->answers);
    if (every_grouping) {
        test_grouping("cpu", name, 2, TOTAL, settings, world->answers);
        test_grouping("cpu", name, 1, 1, settings, world->answers);
        test_grouping("check", name, 1, 3, settings, world->answers);
    }
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
    CHECK_EQ(memory_totals().bytes, 0);
    return CHECK_END();
}
