/* SPDX-License-Identifier: Apache-2.0
 *
 *     draws table SIZE ID...                                   lines for `gradus score`: a prompt's
 *                                                              token ids and each next token
 *     draws counts SCORES ANSWERS POSITION [rollout.x=value …] compares drawn tokens with the law
 *     draws trained ROLLOUT SCORES TEMPERATURE                 first tokens of a run's answers
 *     draws texts ROLLOUT                                      its prompts and answers as lines for
 *                                                              `gradus score`
 *     draws scored ROLLOUT SCORES DATASET                      the scores of these lines
 *     draws finish ANSWERS MOST TEXT ID...                     why each completion has ended: at one
 *                                                              of the stop ids, by the stop text, at
 *                                                              MOST tokens
 *
 * SCORES holds the whole distribution of one context as /logprob of the last token of SIZE lines.
 * counts applies temperature, presence penalty, top_k, top_p and min_p to it in double and compares
 * the counts of the completions' token at POSITION (from 0) with it by Pearson's chi squared; with
 * `after=ID` only completions whose first token is ID take part. No drawn token may be one that the
 * settings exclude.
 */
#include "numbers.h"

#include "file/json.h"

enum { VOCABULARY_MAX = 1024 };

/* --- lines for score --- */

static int table(char **words, int count) {
    for (long v = 0; v < strtol(words[0], NULL, 10); v++) {
        printf("{\"token_ids\": [");
        for (int i = 1; i < count; i++)
            printf("%s, ", words[i]);
        printf("%ld]}\n", v);
    }
    return 0;
}

static int texts(const char *path) {
    struct h5 *h5 = open_file(path);
    struct list prompts = read_list(h5, "/prompt/token_ids"),
                prompt_offsets = read_list(h5, "/prompt/offsets"),
                tokens = read_list(h5, "/answer/token_ids"),
                offsets = read_list(h5, "/answer/offsets"), group = read_list(h5, "/answer/group");
    for (int64_t i = 0; i < group.n; i++) {
        const int64_t g = (int64_t)group.at[i];
        const char *separator = "";
        printf("{\"token_ids\": [");
        for (int64_t t = (int64_t)prompt_offsets.at[g]; t < (int64_t)prompt_offsets.at[g + 1];
             t++) {
            printf("%s%d", separator, (int)prompts.at[t]);
            separator = ", ";
        }
        for (int64_t t = (int64_t)offsets.at[i]; t < (int64_t)offsets.at[i + 1]; t++)
            printf(", %d", (int)tokens.at[t]);
        printf("]}\n");
    }
    list_free(&prompts);
    list_free(&prompt_offsets);
    list_free(&tokens);
    list_free(&offsets);
    list_free(&group);
    (void)h5_close(&h5);
    return 0;
}

/* --- the law --- */

struct law {
    int64_t size;
    double logprob[VOCABULARY_MAX]; /* at temperature 1 */
    double p[VOCABULARY_MAX];       /* what is drawn from */
};

static void read_law(struct law *law, const char *path) {
    struct h5 *h5 = open_file(path);
    struct list offsets = read_list(h5, "/offsets"), logprob = read_list(h5, "/logprob");
    law->size = offsets.n - 1;
    if (law->size > VOCABULARY_MAX) {
        printf("%s holds %d lines\n", path, (int)law->size);
        exit(1);
    }
    double sum = 0;
    for (int64_t v = 0; v < law->size; v++) {
        law->logprob[v] = logprob.at[(int64_t)offsets.at[v + 1] - 1];
        sum += exp(law->logprob[v]);
    }
    expect_near("sum of all probabilities", sum, 1, 1e-5);
    list_free(&offsets);
    list_free(&logprob);
    (void)h5_close(&h5);
}

static void normalise(struct law *law) {
    double most = -INFINITY, sum = 0;
    for (int64_t v = 0; v < law->size; v++)
        most = fmax(most, law->p[v]);
    for (int64_t v = 0; v < law->size; v++)
        sum += law->p[v] = exp(law->p[v] - most);
    for (int64_t v = 0; v < law->size; v++)
        law->p[v] /= sum;
}

/* Probability mass and number of the tokens that are more probable than v; ties: lower ids. */
static void before(const struct law *law, int64_t v, double *mass, double *count) {
    *mass = *count = 0;
    for (int64_t u = 0; u < law->size; u++)
        if (law->p[u] > law->p[v] || (law->p[u] == law->p[v] && u < v)) {
            *mass += law->p[u];
            (*count)++;
        }
}

/* temperature, penalty, top_k; then top_p and min_p of what is left, each as a cut. */
static void shape(struct law *law, int64_t seen) {
    const double temperature = setting_number("rollout.temperature", 1),
                 penalty = setting_number("rollout.presence_penalty", 0),
                 top_k = setting_number("rollout.top_k", 0),
                 top_p = setting_number("rollout.top_p", 1),
                 min_p = setting_number("rollout.min_p", 0);
    static bool kept[VOCABULARY_MAX];
    double most = 0;
    for (int64_t v = 0; v < law->size; v++)
        law->p[v] = (law->logprob[v] - (v == seen ? penalty : 0)) / temperature;
    normalise(law);
    for (int64_t v = 0; v < law->size; v++)
        most = fmax(most, law->p[v]);
    double within = 0; /* mass of the top_k tokens */
    for (int64_t v = 0; v < law->size; v++) {
        double mass, count;
        before(law, v, &mass, &count);
        kept[v] = top_k == 0 || count < top_k;
        within += kept[v] ? law->p[v] : 0;
    }
    for (int64_t v = 0; v < law->size; v++) {
        double mass, count;
        before(law, v, &mass, &count);
        kept[v] = kept[v] && mass < top_p * within && law->p[v] >= min_p * most;
    }
    for (int64_t v = 0; v < law->size; v++)
        law->p[v] = kept[v] ? log(law->p[v]) : -INFINITY;
    normalise(law);
}

/* --- drawn tokens --- */

struct tally {
    int64_t position, after, n;
    double count[VOCABULARY_MAX];
};

static enum status count_line(void *context, int64_t row, json_t *value) {
    struct tally *tally = context;
    size_t i;
    json_t *completion;
    (void)row;
    json_array_foreach(json_object_get(value, "completions"), i, completion) {
        const json_t *ids = json_object_get(completion, "token_ids");
        const json_int_t first = json_integer_value(json_array_get(ids, 0));
        if ((size_t)tally->position >= json_array_size(ids) ||
            (tally->after >= 0 && first != tally->after))
            continue;
        const json_int_t id = json_integer_value(json_array_get(ids, (size_t)tally->position));
        if (id < 0 || id >= VOCABULARY_MAX)
            return FAIL(STATUS_INPUT, "token %d", (int)id);
        tally->count[id]++;
        tally->n++;
    }
    return STATUS_OK;
}

/* Pearson's chi squared; tokens that are expected less than 5 times are taken together. */
static void compare_counts(const struct law *law, const struct tally *tally) {
    double chi = 0, cells = 0, rare = 0, rare_count = 0;
    for (int64_t v = 0; v < law->size; v++) {
        const double want = law->p[v] * (double)tally->n;
        if (want == 0)
            expect_near("draws of an excluded token", tally->count[v], 0, 0);
        if (want < 5) {
            rare += want;
            rare_count += tally->count[v];
            continue;
        }
        chi += (tally->count[v] - want) * (tally->count[v] - want) / want;
        cells++;
    }
    if (rare > 1) {
        chi += (rare_count - rare) * (rare_count - rare) / rare;
        cells++;
    }
    const double freedom = fmax(1, cells - 1);
    expect_near("chi squared of the draws", chi, freedom, 5 * sqrt(2 * freedom) + 3);
    printf("%d draws, %d kinds, chi squared %.1f\n", (int)tally->n, (int)cells, chi);
}

static int counts(char **words) {
    static struct law law;
    static struct tally tally;
    tally.position = strtol(words[2], NULL, 10);
    tally.after = (int64_t)setting_number("after", -1);
    read_law(&law, words[0]);
    shape(&law, tally.position > 0 ? tally.after : -1);
    require(json_lines_read(words[1], count_line, &tally));
    expect_near("enough draws", tally.n >= 100, 1, 0);
    compare_counts(&law, &tally);
    return verdict();
}

/* --- ends --- */

struct ends {
    int64_t most;
    const char *text;
    char **ids;
    int id_count;
    int64_t of[3]; /* stop, stop_text, length */
};

static bool is_stop(const struct ends *ends, json_int_t id) {
    for (int i = 0; i < ends->id_count; i++)
        if (strtol(ends->ids[i], NULL, 10) == id)
            return true;
    return false;
}

/* What `finish_reason` must be; and that the completion did not go on behind its end. */
static const char *reason_of(const struct ends *ends, const json_t *completion) {
    const json_t *ids = json_object_get(completion, "token_ids");
    const char *text = json_string_value(json_object_get(completion, "text"));
    const size_t n = json_array_size(ids);
    const char *found = strstr(text, ends->text);
    for (size_t t = 0; t + 1 < n; t++)
        expect_near("a stop id inside a completion",
                    is_stop(ends, json_integer_value(json_array_get(ids, t))), 0, 0);
    if (found != NULL)
        expect_near("characters behind the stop text", (double)strlen(found + strlen(ends->text)),
                    0, 0);
    expect_near("too many tokens", (int64_t)n > ends->most, 0, 0);
    if (n > 0 && is_stop(ends, json_integer_value(json_array_get(ids, n - 1))))
        return "stop";
    if (found != NULL)
        return "stop_text";
    return (int64_t)n == ends->most ? "length" : "none";
}

static enum status check_ends(void *context, int64_t row, json_t *value) {
    static const char *const names[] = {"stop", "stop_text", "length"};
    struct ends *ends = context;
    size_t i;
    json_t *completion;
    json_array_foreach(json_object_get(value, "completions"), i, completion) {
        const char *have = json_string_value(json_object_get(completion, "finish_reason")),
                   *want = reason_of(ends, completion);
        if (strcmp(have, want) != 0)
            printf("line %d: completion %d: finish_reason is %s, not %s\n", (int)row + 1, (int)i,
                   have, want);
        expect_near("finish_reason is right", strcmp(have, want), 0, 0);
        for (int k = 0; k < 3; k++)
            ends->of[k] += strcmp(want, names[k]) == 0;
    }
    return STATUS_OK;
}

static int finish(char **words, int count) {
    struct ends ends = {.most = strtol(words[1], NULL, 10),
                        .text = words[2],
                        .ids = words + 3,
                        .id_count = count - 3};
    require(json_lines_read(words[0], check_ends, &ends));
    for (int k = 0; k < 3; k++)
        expect_near("completions end in each of the three ways", ends.of[k] > 0, 1, 0);
    return verdict();
}

/* --- log-probabilities of a run --- */

/* At temperature T, of the first token of each answer; the run has one prompt alone. */
static int trained(char **words) {
    static struct law law;
    const double temperature = strtod(words[2], NULL);
    struct h5 *h5 = open_file(words[0]);
    struct list tokens = read_list(h5, "/answer/token_ids"),
                offsets = read_list(h5, "/answer/offsets"),
                logprob = read_list(h5, "/token/logprob"),
                sampler = read_list(h5, "/token/logprob_sampler"),
                reference = h5_has(h5, "/token/logprob_reference")
                                ? read_list(h5, "/token/logprob_reference")
                                : (struct list){.at = NULL},
                entropy = read_list(h5, "/token/entropy");
    double want = 0;
    read_law(&law, words[1]);
    for (int64_t v = 0; v < law.size; v++)
        law.p[v] = law.logprob[v] / temperature;
    normalise(&law);
    for (int64_t v = 0; v < law.size; v++)
        want -= law.p[v] > 0 ? law.p[v] * log(law.p[v]) : 0;
    for (int64_t i = 0; i + 1 < offsets.n; i++) {
        const int64_t t = (int64_t)offsets.at[i];
        const double exact = log(law.p[(int64_t)tokens.at[t]]);
        expect_near("/token/logprob", logprob.at[t], exact, 2e-5);
        expect_near("/token/logprob_sampler", sampler.at[t], exact, 2e-5);
        if (reference.at != NULL)
            expect_near("/token/logprob_reference", reference.at[t], exact, 2e-5);
        expect_near("/token/entropy", entropy.at[t], want, 2e-5);
    }
    struct list *all[] = {&tokens, &offsets, &logprob, &sampler, &reference, &entropy};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        list_free(all[i]);
    (void)h5_close(&h5);
    return verdict();
}

static int scored(char **words) {
    struct h5 *rollout = open_file(words[0]), *scores = open_file(words[1]);
    struct list offsets = read_list(rollout, "/answer/offsets"),
                have = read_list(rollout, words[2]), rows = read_list(scores, "/offsets"),
                want = read_list(scores, strstr(words[2], "entropy") ? "/entropy" : "/logprob");
    expect_near("lines", (double)rows.n, (double)offsets.n, 0);
    for (int64_t i = 0; i + 1 < offsets.n && i + 1 < rows.n; i++) {
        const int64_t n = (int64_t)(offsets.at[i + 1] - offsets.at[i]);
        for (int64_t t = 0; t < n; t++)
            expect_near(words[2], have.at[(int64_t)offsets.at[i] + t],
                        want.at[(int64_t)rows.at[i + 1] - n + t], 1e-6);
    }
    list_free(&offsets);
    list_free(&have);
    list_free(&rows);
    list_free(&want);
    (void)h5_close(&rollout);
    (void)h5_close(&scores);
    return verdict();
}

int main(int argc, char **argv) {
    if (argc > 5) {
        setting_words = argv + 5;
        setting_count = argc - 5;
    }
    if (argc > 3 && strcmp(argv[1], "table") == 0)
        return table(argv + 2, argc - 2);
    if (argc > 4 && strcmp(argv[1], "counts") == 0)
        return counts(argv + 2);
    if (argc == 5 && strcmp(argv[1], "trained") == 0)
        return trained(argv + 2);
    if (argc == 3 && strcmp(argv[1], "texts") == 0)
        return texts(argv[2]);
    if (argc == 5 && strcmp(argv[1], "scored") == 0)
        return scored(argv + 2);
    if (argc > 5 && strcmp(argv[1], "finish") == 0)
        return finish(argv + 2, argc - 2);
    printf("usage: draws table|counts|finish|trained|texts|scored ...\n");
    return 2;
}
