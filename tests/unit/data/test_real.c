/* SPDX-License-Identifier: Apache-2.0
 *
 * Real files read as Python reads them: GSM8K with its answers cut, MATH with a filter. Expected
 * digests by tests/data/data/make_real.py.
 */
#include "check.h"

#include "base/sha256.h"
#include "data/stream.h"
#include "file/bytes.h"

#define GSM8K "../shared/data/gsm8k/train.jsonl"
#define MATH  "../shared/data/math_train/train.jsonl"

/* Digest of all rows' texts, a line feed after each. */
static void check_digest(const struct dataset *dataset, const char *what, const char *want) {
    struct sha256 hash;
    unsigned char digest[32];
    char have[65];
    sha256_init(&hash);
    for (int64_t i = 0; i < dataset->count; i++) {
        const struct dataset_item item = dataset_item(dataset, i);
        char number[32];
        const char *text = item.reference;
        snprintf(number, sizeof number, "%lld", (long long)item.row);
        if (strcmp(what, "prompts") == 0)
            text = item.prompt;
        else if (strcmp(what, "rows") == 0)
            text = number;
        sha256_update(&hash, text, strlen(text));
        sha256_update(&hash, "\n", 1);
    }
    sha256_finish(&hash, digest);
    sha256_hex(digest, have);
    CHECK_TEXT(have, want);
}

static void check_gsm8k(void) {
    struct dataset dataset;
    CHECK_OK(dataset_open(&dataset, &(struct dataset_source){.path = GSM8K,
                                                             .prompt = "question",
                                                             .answer = "answer",
                                                             .answer_after = "####"}));
    CHECK_EQ(dataset.count, 7473);
    CHECK_EQ(dataset.unmarked, 0);
    CHECK_TEXT(dataset.sha256, "17f347dc51477c50d4efb83959dbb7c56297aba886e5544ee2aaed3024813465");
    CHECK_TEXT(dataset_item(&dataset, 0).reference, "72");
    check_digest(&dataset, "prompts",
                 "c491a92513b1c17cf59aa1216a705550e524b494777c3ecaabd27153736ae7b9");
    check_digest(&dataset, "references",
                 "f9d698d1923c5783e5aa4506eb5a539f5de23eae104446dc169cdb1d7e9fd89e");
    dataset_close(&dataset);
}

static void check_math(void) {
    struct dataset dataset;
    CHECK_OK(dataset_open(
        &dataset,
        &(struct dataset_source){.path = MATH,
                                 .prompt = "problem",
                                 .answer = "answer",
                                 .where = "level >= 3 && (type == \"Algebra\" || !level < 5)"}));
    CHECK_EQ(dataset.lines, 4500);
    CHECK_EQ(dataset.count, 1678);
    check_digest(&dataset, "rows",
                 "b8adc3b15cb84c3ea2c28966edf71bdfede22c5abc418509c084e7c326ad7bc7");
    check_digest(&dataset, "references",
                 "323cecaf7c69bb553c1962a9d031179c46704fce12ee2dd9993348c2b8c8a77a");
    dataset_close(&dataset);
}

static void check_epoch(void) {
    static unsigned char seen[7473];
    struct stream *stream;
    const struct stream_source source = {.data = {.path = GSM8K, .prompt = "question"},
                                         .weight = 1};
    CHECK_OK(stream_create(&stream, &source, 1, &(struct stream_options){.shuffle = true}));
    int64_t in_place = 0;
    for (int64_t i = 0; i < 7473; i++) {
        struct stream_item item;
        stream_next(stream, &item);
        seen[item.data.row]++;
        in_place += item.data.row == i;
    }
    for (int64_t i = 0; i < 7473; i++)
        CHECK_EQ(seen[i], 1);
    CHECK(in_place < 10);
    stream_destroy(&stream);
}

int main(void) {
    if (!bytes_is_file(GSM8K) || !bytes_is_file(MATH))
        CHECK_SKIP("../shared/data is not here");
    check_gsm8k();
    check_math();
    check_epoch();
    return CHECK_END();
}
