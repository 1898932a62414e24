/* SPDX-License-Identifier: Apache-2.0
 *
 * Arrays, texts and attributes come back; files cut short at any byte or changed anywhere give a
 * status; links out of the file are not followed; the project's own tools (h5dump) read the files.
 */
#include "file/h5.h"

#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "base/memory.h"
#include "base/random.h"
#include "check.h"
#include "file/provenance.h"
#include "unit/file/folder.h"

enum { N = 3000 };

static int32_t ids[N];
static double table[4][3];

static enum status fill(struct h5 *h5) {
    const char *const names[] = {"one", "three", ""};
    const int64_t sizes[2] = {4, 3};
    TRY(h5_put_list(h5, "/answer/token_ids", H5_KIND_I32, N, ids));
    TRY(h5_put_list(h5, "/answer/empty", H5_KIND_F32, 0, NULL));
    TRY(h5_put(h5, "/step/grad/norm", H5_KIND_F64, H5_STORAGE_PLAIN, 2, sizes, table));
    TRY(h5_put(h5, "/step/nan", H5_KIND_F64, H5_STORAGE_PLAIN, 1, sizes, NULL));
    TRY(h5_put_integer(h5, "/step/valid", -7));
    TRY(h5_put_text(h5, "/settings", "run : { steps = 3; };\nü"));
    TRY(h5_put_text(h5, "/nothing", ""));
    TRY(h5_put_texts(h5, "/names", names, 3));
    TRY(h5_put_group(h5, "/bare"));
    return h5_put_attribute(h5, "/step/nan", "units", "tokens");
}

static void make(const char *path, enum h5_format format) {
    struct h5 *h5;
    CHECK_OK(h5_create(&h5, format));
    CHECK_OK(fill(h5));
    CHECK_OK(h5_save(&h5, path));
    CHECK(h5 == NULL);
}

static void check_numbers(const struct h5 *h5) {
    struct h5_shape shape;
    int32_t *list, two[2];
    double row[3];
    int64_t n, valid;
    CHECK_OK(h5_get_list(h5, "/answer/token_ids", H5_KIND_I32, &list, &n));
    CHECK_EQ(n, N);
    CHECK(memcmp(list, ids, sizeof ids) == 0);
    memory_release(&list);
    CHECK_OK(h5_get_list(h5, "/answer/empty", H5_KIND_F32, &list, &n));
    CHECK_EQ(n, 0);
    memory_release(&list);
    CHECK_OK(h5_get(h5, "/answer/token_ids", H5_KIND_I32, 5, 2, two));
    CHECK_EQ(two[1], ids[6]);
    CHECK_OK(h5_get(h5, "/step/grad/norm", H5_KIND_F64, 2, 1, row));
    CHECK_NEAR(row[1], table[2][1], 0);
    CHECK_OK(h5_get(h5, "/step/nan", H5_KIND_F64, 3, 1, row));
    CHECK(isnan(row[0]));
    CHECK_OK(h5_get_integer(h5, "/step/valid", &valid));
    CHECK_EQ(valid, -7);
    CHECK_OK(h5_shape(h5, "/step/grad/norm", &shape));
    CHECK_EQ(shape.rank, 2);
    CHECK_EQ(shape.elements, 12);
    CHECK(shape.kind == H5_KIND_F64 && !shape.is_text);
}

static void check_texts(const struct h5 *h5) {
    struct strbuf text = STRBUF_EMPTY;
    char *names;
    int64_t n, stride;
    CHECK_OK(h5_get_text(h5, "/settings", &text));
    CHECK_TEXT(strbuf_text(&text), "run : { steps = 3; };\nü");
    strbuf_clear(&text);
    CHECK_OK(h5_get_text(h5, "/nothing", &text));
    CHECK_TEXT(strbuf_text(&text), "");
    CHECK_OK(h5_get_attribute(h5, "/step/nan", "units", &text));
    CHECK_TEXT(strbuf_text(&text), "tokens");
    strbuf_clear(&text);
    CHECK_OK(h5_get_attribute(h5, "/step/nan", "none", &text));
    CHECK_TEXT(strbuf_text(&text), "");
    CHECK_OK(h5_get_texts(h5, "/names", &names, &stride, &n));
    CHECK_EQ(n, 3);
    CHECK_TEXT(names + stride, "three");
    CHECK_TEXT(names + 2 * stride, "");
    memory_release(&names);
    strbuf_release(&text);
}

static enum status count_visit(void *context, const char *path) {
    (void)path;
    ++*(int *)context;
    return STATUS_OK;
}

static void check_refusals(const struct h5 *h5) {
    double row[3];
    int64_t n;
    int32_t *list;
    struct strbuf text = STRBUF_EMPTY;
    CHECK(h5_has(h5, "/step/grad") && !h5_has(h5, "/step/none") && !h5_has(h5, "step"));
    CHECK_STATUS(h5_get(h5, "/step/nan", H5_KIND_F64, 3, 2, row), STATUS_INPUT, "shorter");
    CHECK_STATUS(h5_get(h5, "/step/nan", H5_KIND_F64, -1, 2, row), STATUS_INPUT, "shorter");
    CHECK_STATUS(h5_get(h5, "/step/nan", H5_KIND_F32, 0, 1, row), STATUS_INPUT, "kind");
    CHECK_STATUS(h5_get(h5, "/step/none", H5_KIND_F32, 0, 1, row), STATUS_INPUT, "/step/none");
    CHECK_STATUS(h5_get(h5, "/step", H5_KIND_F32, 0, 1, row), STATUS_INPUT, "/step");
    CHECK_STATUS(h5_get_list(h5, "/step/valid", H5_KIND_I64, &list, &n), STATUS_INPUT, "list");
    CHECK_STATUS(h5_get_text(h5, "/names", &text), STATUS_INPUT, "not one text");
    CHECK_STATUS(h5_get_text(h5, "/step/valid", &text), STATUS_INPUT, "no texts");
    strbuf_release(&text);
}

static void test_round_trip(const char *name, enum h5_format format) {
    struct h5 *h5;
    int count = 0;
    make(folder_file(name), format);
    CHECK_OK(h5_open(&h5, folder_file(name)));
    check_numbers(h5);
    check_texts(h5);
    check_refusals(h5);
    CHECK_OK(h5_walk(h5, "/", count_visit, &count));
    CHECK_EQ(count, 8);
    CHECK_OK(h5_close(&h5));
}

/* Everything of the file is read; whatever comes, the process goes on. */
static enum status read_any(void *context, const char *path) {
    const struct h5 *h5 = context;
    struct h5_shape shape;
    struct strbuf text = STRBUF_EMPTY;
    void *list;
    int64_t n, offset;
    if (h5_shape(h5, path, &shape) == STATUS_OK && shape.is_text)
        (void)!h5_get_text(h5, path, &text);
    else if (h5_get_list(h5, path, shape.kind, &list, &n) == STATUS_OK)
        memory_release(&list);
    (void)!h5_place(h5, path, &offset, &n);
    (void)!h5_get_attribute(h5, path, "units", &text);
    strbuf_release(&text);
    return STATUS_OK;
}

static void open_any(const char *path) {
    struct h5 *h5;
    if (h5_open(&h5, path) != STATUS_OK)
        return;
    (void)!h5_walk(h5, "/", read_any, h5);
    CHECK_OK(h5_close(&h5));
}

static void test_cut_short(const char *name) {
    struct h5 *h5;
    size_t n;
    char *good = folder_read(folder_file(name), &n);
    const char *path = folder_file("cut.h5");
    for (size_t cut = 0; cut < n; cut += cut < 400 ? 1 : 37) {
        folder_write(path, good, cut);
        CHECK_STATUS(h5_open(&h5, path), STATUS_INPUT, "cut.h5");
        CHECK(strstr(status_sentence(), "no reason given") == NULL);
    }
    CHECK_STATUS(h5_open(&h5, folder_file("none.h5")), STATUS_INPUT, "none.h5");
    CHECK_STATUS(h5_open(&h5, folder_path), STATUS_INPUT, "not a regular file");
    free(good);
}

/* The format with checksums only: the library itself ends the process on some
 * files of the other. */
static void test_changed(const char *name) {
    size_t n;
    char *bytes = folder_read(folder_file(name), &n);
    const char *path = folder_file("changed.h5");
    for (uint32_t i = 0; i < 1500; i++) {
        const uint64_t bits = random_bits(2, RANDOM_TEST, i, 0, 0, 0);
        const size_t at = (size_t)(bits >> 8) % n;
        bytes[at] ^= (char)(1 << (bits & 7));
        folder_write(path, bytes, n);
        open_any(path);
        bytes[at] ^= (char)(1 << (bits & 7));
    }
    free(bytes);
}

static void test_layout(void) {
    struct h5 *h5;
    const int64_t sizes[2] = {1024, 512}, three = 3;
    const float last[3] = {7, 8, 9};
    float have[3];
    int64_t offset, bytes;
    const char *path = folder_file("layout.h5");
    CHECK_OK(h5_create_layout(&h5, path));
    CHECK_OK(h5_put(h5, "/parameters/w.weight", H5_KIND_F32, H5_STORAGE_PLAIN, 2, sizes, NULL));
    CHECK_OK(h5_put(h5, "/parameters/b.bias", H5_KIND_F32, H5_STORAGE_PLAIN, 1, &three, NULL));
    CHECK_OK(h5_place(h5, "/parameters/w.weight", &offset, &bytes));
    CHECK_EQ(offset % (1 << 20), 0);
    CHECK_EQ(bytes, 1024 * 512 * 4);
    CHECK_OK(h5_place(h5, "/parameters/b.bias", &offset, &bytes));
    CHECK_EQ(bytes, 12);
    CHECK_OK(h5_close(&h5));
    FILE *stream = fopen(path, "r+b");
    fseek(stream, (long)offset, SEEK_SET);
    CHECK_EQ(fwrite(last, 4, 3, stream), 3);
    fclose(stream);
    CHECK_OK(h5_open(&h5, path));
    CHECK_OK(h5_get(h5, "/parameters/b.bias", H5_KIND_F32, 0, 3, have));
    CHECK(memcmp(have, last, sizeof have) == 0);
    CHECK_OK(h5_close(&h5));
}

static void test_provenance(void) {
    struct h5 *h5;
    struct provenance_input input;
    struct strbuf text = STRBUF_EMPTY;
    int64_t ranks;
    CHECK_OK(provenance_hash(&input, folder_file("live.h5")));
    const struct provenance provenance = {
        .hosts = "node1 node2", .ranks = 2, .inputs = &input, .input_count = 1};
    CHECK_OK(h5_create(&h5, H5_FORMAT_CHECKED));
    CHECK_OK(provenance_write(h5, &provenance));
    CHECK_OK(h5_save(&h5, folder_file("p.h5")));
    CHECK_OK(h5_open(&h5, folder_file("p.h5")));
    CHECK_OK(h5_get_integer(h5, "/provenance/ranks", &ranks));
    CHECK_EQ(ranks, 2);
    CHECK_OK(h5_get_text(h5, "/provenance/inputs/sha256", &text));
    CHECK_TEXT(strbuf_text(&text), input.sha256);
    CHECK_EQ(text.length, 64);
    CHECK_OK(h5_close(&h5));
    strbuf_release(&text);
}

/* Everything in the fixture but /inside is refused, and none of it is followed. */
static void test_links(void) {
    static const char *const refused[] = {"/soft",    "/external", "/deep/cube", "/group/cube",
                                          "/half",    "/varying",  "/nothing",   "/elsewhere",
                                          "/virtual", "/lzf",      "/group"};
    struct h5 *h5;
    struct h5_shape shape;
    struct strbuf text = STRBUF_EMPTY;
    int count = 0;
    CHECK_OK(h5_open(&h5, "tests/data/file/links.h5"));
    CHECK_OK(h5_shape(h5, "/inside", &shape));
    CHECK_EQ(shape.elements, 3);
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++)
        CHECK_STATUS(h5_shape(h5, refused[i], &shape), STATUS_INPUT, refused[i]);
    CHECK(!h5_has(h5, "/soft") && !h5_has(h5, "/external") && !h5_has(h5, "/deep/cube"));
    CHECK_STATUS(h5_get_attribute(h5, "/group", "units", &text), STATUS_INPUT, "short text");
    CHECK_STATUS(h5_walk(h5, "/group", count_visit, &count), STATUS_INPUT, "too deep");
    CHECK_OK(h5_close(&h5));
    strbuf_release(&text);
}

static int run_tool(const char *command) {
    const int code = system(command);
    return WIFEXITED(code) ? WEXITSTATUS(code) : -1;
}

static void test_tools(void) {
    char command[1024];
    if (run_tool("h5dump --version >/dev/null 2>&1") != 0)
        return;
    const char *const names[] = {"live.h5", "checked.h5", "p.h5", "layout.h5"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        snprintf(command, sizeof command, "h5dump -H '%s' >/dev/null && h5ls -r '%s' >/dev/null",
                 folder_file(names[i]), folder_file(names[i]));
        CHECK_EQ(run_tool(command), 0);
    }
}

static void test_full_disk(void) {
    struct h5 *h5;
    struct rlimit limit;
    const int before = folder_entries(folder_path);
    getrlimit(RLIMIT_FSIZE, &limit);
    limit.rlim_cur = 4096;
    setrlimit(RLIMIT_FSIZE, &limit);
    CHECK_OK(h5_create(&h5, H5_FORMAT_CHECKED));
    CHECK_OK(fill(h5));
    CHECK_STATUS(h5_save(&h5, folder_file("full.h5")), STATUS_IO, "full.h5");
    limit.rlim_cur = RLIM_INFINITY;
    setrlimit(RLIMIT_FSIZE, &limit);
    CHECK_EQ(folder_entries(folder_path), before);
    make(folder_file("after.h5"), H5_FORMAT_CHECKED); /* the library is still usable */
}

int main(void) {
    folder_make();
    signal(SIGXFSZ, SIG_IGN);
    for (int32_t i = 0; i < N; i++)
        ids[i] = (int32_t)random_bits(3, RANDOM_TEST, (uint32_t)i, 0, 0, 0);
    for (int i = 0; i < 12; i++)
        table[i / 3][i % 3] = i + 0.5;
    test_round_trip("live.h5", H5_FORMAT_LIVE);
    test_round_trip("checked.h5", H5_FORMAT_CHECKED);
    test_cut_short("live.h5");
    test_cut_short("checked.h5");
    test_changed("checked.h5");
    test_layout();
    test_provenance();
    test_links();
    test_tools();
    test_full_disk();
    folder_remove();
    CHECK_EQ(memory_totals().bytes, 0);
    return CHECK_END();
}
