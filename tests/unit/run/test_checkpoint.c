/* SPDX-License-Identifier: Apache-2.0
 *
 * A checkpoint gives back what was written; a file cut short or changed anywhere is refused, or
 * holds the same; a full disk leaves nothing; old ones go, the newest stay.
 */
#include "run/checkpoint_read.h"

#include <signal.h>
#include <sys/resource.h>

#include "base/memory.h"
#include "base/random.h"
#include "check.h"
#include "run/checkpoint_compare.h"
#include "run/checkpoint_folder.h"
#include "run/checkpoint_write.h"
#include "unit/file/folder.h"

enum { PARAMETERS = 3, ELEMENTS = 6 * 4 + 4 + 5 };

static const struct parameter parameters[PARAMETERS] = {
    {"model.embed_tokens.weight", 6, 4, true, 0},
    {"model.norm.weight", 4, 1, false, 24},
    {"a.bias", 5, 1, false, 28},
};
static float vectors[CHECKPOINT_SECTIONS][ELEMENTS];
static struct model_files files;
static int64_t positions[3] = {4, 5, 1 << 30};
static double baseline = 0.1;
static bool seen[2] = {true, false};
static const struct checkpoint_value state[] = {
    {"data/position", "prompts", "a", CHECKPOINT_INTEGERS, 3, positions},
    {"baseline", "1", "b", CHECKPOINT_REALS, 1, &baseline},
    {"seen", "1", "c", CHECKPOINT_FLAGS, 2, seen},
};
static const struct provenance provenance = {.seed = 3};

static struct checkpoint_content content(void) {
    return (struct checkpoint_content){.parameters = parameters,
                                       .parameter_count = PARAMETERS,
                                       .sections = {true, true, true, true, true, true},
                                       .state = state,
                                       .state_count = 3,
                                       .settings = "run : { steps = 3; };",
                                       .files = &files,
                                       .provenance = &provenance};
}

/* In blocks of 7, whose borders lie inside tensors. */
static enum status write_blocks(struct checkpoint_writer *writer) {
    for (int section = 0; section < CHECKPOINT_SECTIONS; section++)
        for (int64_t at = ELEMENTS - ELEMENTS % 7; at >= 0; at -= 7)
            TRY(checkpoint_write_block(writer, (enum checkpoint_section)section, at,
                                       vectors[section] + at,
                                       ELEMENTS - at < 7 ? ELEMENTS - at : 7));
    return STATUS_OK;
}

static enum status write_checkpoint(const char *path) {
    const struct checkpoint_content what = content();
    struct checkpoint_writer *writer;
    TRY(checkpoint_layout(&writer, path, &what));
    enum status status = write_blocks(writer);
    if (status == STATUS_OK)
        status = checkpoint_flush(writer);
    for (int part = 0; part < 3 && status == STATUS_OK; part++)
        status = checkpoint_check(writer, part, 3);
    if (status == STATUS_OK)
        return checkpoint_commit(&writer);
    checkpoint_abandon(&writer);
    return status;
}

static void check_vectors(const struct checkpoint *checkpoint) {
    float values[ELEMENTS];
    for (int section = 0; section < CHECKPOINT_SECTIONS; section++)
        for (int i = 0; i < PARAMETERS; i++) {
            const struct parameter *parameter = &parameters[i];
            CHECK_OK(
                checkpoint_read(checkpoint, (enum checkpoint_section)section, parameter, values));
            CHECK(memcmp(values, vectors[section] + parameter->offset,
                         (size_t)(parameter->rows * parameter->columns) * sizeof *values) == 0);
        }
}

static void check_state(const struct checkpoint *checkpoint) {
    struct strbuf text = STRBUF_EMPTY;
    int64_t integers[3] = {0};
    double real = 0.0;
    bool flags[2] = {false, true};
    struct checkpoint_value back[] = {
        {"seen", "1", "c", CHECKPOINT_FLAGS, 2, flags},
        {"baseline", "1", "b", CHECKPOINT_REALS, 1, &real},
        {"data/position", "prompts", "a", CHECKPOINT_INTEGERS, 3, integers},
        {"more", "1", "d", CHECKPOINT_INTEGERS, 1, integers},
    };
    CHECK_OK(checkpoint_read_state(checkpoint, back, 3));
    CHECK(memcmp(integers, positions, sizeof integers) == 0);
    CHECK_NEAR(real, 0.1, 0);
    CHECK(flags[0] && !flags[1]);
    CHECK_STATUS(checkpoint_read_state(checkpoint, back, 2), STATUS_INPUT,
                 "/state/data/position is not known here");
    CHECK_STATUS(checkpoint_read_state(checkpoint, back, 4), STATUS_INPUT,
                 "/state/more is missing");
    back[2].count = 2;
    CHECK_STATUS(checkpoint_read_state(checkpoint, back, 3), STATUS_INPUT, "another length");
    back[2].count = 3;
    back[2].kind = CHECKPOINT_REALS;
    CHECK_STATUS(checkpoint_read_state(checkpoint, back, 3), STATUS_INPUT, "kind");
    CHECK_OK(checkpoint_settings(checkpoint, &text));
    CHECK_TEXT(strbuf_text(&text), "run : { steps = 3; };");
    strbuf_release(&text);
}

static void test_round_trip(void) {
    struct checkpoint *checkpoint;
    struct model_files back;
    int64_t count;
    const struct parameter other = {"model.norm.weight", 5, 1, false, 0};
    float values[8];
    CHECK_OK(write_checkpoint(folder_file("step-000002.h5")));
    CHECK_EQ(folder_entries(folder_path), 1);
    CHECK_OK(checkpoint_open(&checkpoint, folder_file("step-000002.h5"), true));
    const struct parameter *list = checkpoint_parameters(checkpoint, &count);
    CHECK_EQ(count, PARAMETERS);
    CHECK_TEXT(list[1].name, "model.embed_tokens.weight");
    CHECK(list[1].matrix && list[1].rows == 6 && list[1].columns == 4 && list[1].offset == 5);
    check_vectors(checkpoint);
    check_state(checkpoint);
    CHECK_OK(checkpoint_files(checkpoint, &back));
    CHECK_EQ(back.count, 2);
    CHECK_TEXT(back.files[0].name, "config.json");
    CHECK_TEXT(strbuf_text(&back.files[0].bytes), "{\"a\": 1}");
    model_files_release(&back);
    CHECK_STATUS(checkpoint_read(checkpoint, CHECKPOINT_PARAMETERS, &other, values), STATUS_INPUT,
                 "the model has 5");
    checkpoint_close(&checkpoint);
}

static void test_describe(void) {
    struct h5 *h5;
    struct strbuf text = STRBUF_EMPTY;
    CHECK_OK(h5_open(&h5, folder_file("step-000002.h5")));
    CHECK_OK(checkpoint_describe(h5, &text));
    CHECK(strstr(strbuf_text(&text), "3 tensors, 33 numbers") != NULL);
    CHECK(strstr(strbuf_text(&text), "4 … (3 numbers)") != NULL);
    CHECK_OK(h5_close(&h5));
    strbuf_release(&text);
}

/* A file that passes as a whole must hold what was written. */
static bool open_any(const char *path) {
    struct checkpoint *checkpoint;
    if (checkpoint_open(&checkpoint, path, true) != STATUS_OK) {
        CHECK(strstr(status_sentence(), path) != NULL);
        return false;
    }
    check_vectors(checkpoint);
    check_state(checkpoint);
    checkpoint_close(&checkpoint);
    return true;
}

static void test_damage(void) {
    size_t n;
    char *bytes = folder_read(folder_file("step-000002.h5"), &n);
    const char *path = folder_file("bad.h5");
    for (size_t cut = 0; cut < n; cut += cut < 300 ? 1 : 83) {
        folder_write(path, bytes, cut);
        CHECK(!open_any(path));
    }
    for (size_t at = 0; at < n; at += at < 300 ? 1 : 17) {
        const char bit = (char)(1 << random_bits(6, RANDOM_TEST, (uint32_t)at, 0, 0, 0) % 8);
        bytes[at] ^= bit;
        folder_write(path, bytes, n);
        if (open_any(path))
            CHECK_FAILED("a change at byte %zu of %zu was not seen", at, n);
        bytes[at] ^= bit;
    }
    free(bytes);
    unlink(path);
}

/* Every byte of the tensors themselves is covered. */
static void test_every_weight(void) {
    size_t n;
    struct h5 *h5;
    int64_t offset, length;
    const char *path = folder_file("bad.h5");
    CHECK_OK(h5_open(&h5, folder_file("step-000002.h5")));
    CHECK_OK(h5_place(h5, "/optimizer/exp_avg_sq/a.bias", &offset, &length));
    CHECK_OK(h5_close(&h5));
    CHECK_EQ(length, 20);
    char *bytes = folder_read(folder_file("step-000002.h5"), &n);
    for (int64_t at = offset; at < offset + length; at++) {
        bytes[at] ^= 1;
        folder_write(path, bytes, n);
        CHECK_STATUS(checkpoint_verify(path), STATUS_INPUT, "exp_avg_sq/a.bias does not have");
        bytes[at] ^= 1;
    }
    free(bytes);
    unlink(path);
}

static void test_full_disk(void) {
    struct rlimit limit;
    const int before = folder_entries(folder_path);
    size_t n;
    free(folder_read(folder_file("step-000002.h5"), &n));
    getrlimit(RLIMIT_FSIZE, &limit);
    for (size_t room = 0; room < n; room += 1201) {
        limit.rlim_cur = room;
        setrlimit(RLIMIT_FSIZE, &limit);
        CHECK_STATUS(write_checkpoint(folder_file("full.h5")), STATUS_IO, "full.h5");
        CHECK_EQ(folder_entries(folder_path), before);
    }
    limit.rlim_cur = RLIM_INFINITY;
    setrlimit(RLIMIT_FSIZE, &limit);
    CHECK_OK(write_checkpoint(folder_file("step-000003.h5"))); /* the library goes on */
    CHECK_OK(checkpoint_verify(folder_file("step-000003.h5")));
}

/* What a checkpoint of other content is told apart by. */
static void check_difference(const struct checkpoint_content *what, const char *expected) {
    char name[CHECKPOINT_NAME_BYTES] = "?";
    const char *other = folder_file("other.h5");
    struct checkpoint_writer *writer;
    CHECK_OK(checkpoint_layout(&writer, other, what));
    CHECK_OK(write_blocks(writer));
    CHECK_OK(checkpoint_check(writer, 0, 1));
    CHECK_OK(checkpoint_commit(&writer));
    CHECK_OK(checkpoint_first_difference(folder_file("one.h5"), other, name));
    CHECK_TEXT(name, expected);
}

static void test_compare(void) {
    const struct provenance elsewhere = {.seed = 3, .ranks = 4, .hosts = "other"};
    struct checkpoint_content what = content();
    CHECK_OK(write_checkpoint(folder_file("one.h5")));
    what.settings = "run : { steps = 4; };";
    what.provenance = &elsewhere;
    check_difference(&what, "");
    what.state_count = 2;
    check_difference(&what, "/state/seen");
    what.state_count = 3;
    vectors[CHECKPOINT_EXP_AVG][25] += 1.0f;
    check_difference(&what, "/optimizer/exp_avg/model.norm.weight");
    vectors[CHECKPOINT_EXP_AVG][25] -= 1.0f;
    vectors[CHECKPOINT_PARAMETERS][29] = -vectors[CHECKPOINT_PARAMETERS][29];
    check_difference(&what, "/parameters/a.bias");
    vectors[CHECKPOINT_PARAMETERS][29] = -vectors[CHECKPOINT_PARAMETERS][29];
    unlink(folder_file("one.h5"));
    unlink(folder_file("other.h5"));
}

static void test_prune(void) {
    folder_write(folder_file("step-1000000.h5"), "", 0);
    folder_write(folder_file("step-000004.h5.gradus.part"), "", 0);
    folder_write(folder_file("step-x.h5"), "", 0);
    CHECK_OK(checkpoint_prune(folder_path, 2, 0));
    CHECK_EQ(folder_entries(folder_path), 4);
    CHECK_OK(checkpoint_verify(folder_file("step-000003.h5")));
    CHECK_STATUS(checkpoint_prune(folder_file("none"), 2, 0), STATUS_IO, "none");
}

int main(void) {
    folder_make();
    signal(SIGXFSZ, SIG_IGN);
    for (int i = 0; i < CHECKPOINT_SECTIONS * ELEMENTS; i++)
        vectors[i / ELEMENTS][i % ELEMENTS] = (float)i + 0.5f;
    CHECK_OK(model_files_add(&files, "config.json", "{\"a\": 1}", 8));
    CHECK_OK(model_files_add(&files, "tokenizer.json", "{}", 2));
    test_round_trip();
    test_describe();
    test_damage();
    test_every_weight();
    test_full_disk();
    test_compare();
    test_prune();
    model_files_release(&files);
    folder_remove();
    CHECK_EQ(memory_totals().bytes, 0);
    return CHECK_END();
}
