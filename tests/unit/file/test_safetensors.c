/* SPDX-License-Identifier: Apache-2.0
 *
 * What is written is read back; each fault that the format can have is refused by a sentence; a
 * file cut short at any byte, and a header with any byte changed, never end the process.
 */
#include "file/safetensors.h"

#include <signal.h>
#include <sys/resource.h>

#include "base/memory.h"
#include "base/random.h"
#include "check.h"
#include "file/atomic.h"
#include "unit/file/folder.h"

static const float values[6] = {1, 2, 3, 4, 5, 6};

static void write_good(const char *path) {
    const struct safetensors_entry entries[] = {
        {.name = "z.weight", .dtype = "F32", .shape = {2, 3}, .rank = 2},
        {.name = "a.\"odd\" ü", .dtype = "BF16", .shape = {3}, .rank = 1},
        {.name = "empty", .dtype = "I64", .shape = {0}, .rank = 1},
        {.name = "scalar", .dtype = "F16", .rank = 0},
    };
    struct safetensors_writer *writer;
    CHECK_OK(safetensors_create(&writer, path, entries, 4));
    CHECK_OK(safetensors_append(writer, values, 10)); /* pieces need not follow the tensors */
    CHECK_OK(safetensors_append(writer, (const char *)values + 10, 14));
    CHECK_OK(safetensors_append(writer, "abcdef", 6));
    CHECK_OK(safetensors_append(writer, "gh", 2));
    CHECK_OK(safetensors_commit(&writer));
}

static void test_round_trip(void) {
    struct safetensors *files;
    const struct safetensor *tensor;
    write_good(folder_file("model.safetensors"));
    CHECK_OK(safetensors_open(&files, folder_path));
    CHECK_EQ(safetensors_count(files), 4);
    CHECK_TEXT(safetensors_at(files, 0)->name, "a.\"odd\" ü");
    CHECK_OK(safetensors_weight(files, "z.weight", &tensor));
    CHECK_TEXT(tensor->dtype, "F32");
    CHECK_EQ(tensor->rank, 2);
    CHECK_EQ(tensor->shape[0], 2);
    CHECK_EQ(tensor->shape[1], 3);
    CHECK_EQ(tensor->bytes, 24);
    CHECK_EQ((uintptr_t)tensor->data % 8, 0); /* the header is padded */
    CHECK(memcmp(tensor->data, values, 24) == 0);
    CHECK_OK(safetensors_weight(files, "scalar", &tensor));
    CHECK_EQ(tensor->elements, 1);
    CHECK(memcmp(tensor->data, "gh", 2) == 0);
    CHECK_STATUS(safetensors_weight(files, "empty", &tensor), STATUS_INPUT, "is I64");
    CHECK_STATUS(safetensors_weight(files, "none", &tensor), STATUS_INPUT, "\"none\" is missing");
    CHECK(safetensors_find(files, "none") == NULL);
    safetensors_close(&files);
}

static void write_raw(const char *path, const char *header, const char *data, size_t n) {
    char bytes[4096] = {0};
    const size_t length = strlen(header);
    bytes[0] = (char)(length & 0xff);
    bytes[1] = (char)(length >> 8);
    memcpy(bytes + 8, header, length);
    memcpy(bytes + 8 + length, data, n);
    folder_write(path, bytes, 8 + length + n);
}

/* A file of this header and `n` bytes of data must be refused with these words. */
static void check_refused(const char *header, size_t n, const char *words) {
    static const char data[64];
    struct safetensors *files;
    write_raw(folder_file("bad.safetensors"), header, data, n);
    CHECK_STATUS(safetensors_open(&files, folder_file("bad.safetensors")), STATUS_INPUT, words);
}

#define TENSOR(name, shape, begin, end)                                                            \
    "\"" name "\":{\"dtype\":\"F32\",\"shape\":" shape ",\"data_offsets\":[" begin "," end "]}"

static void test_refusals(void) {
    check_refused("{" TENSOR("a", "[2]", "4", "12") "}", 12, "hole");
    check_refused("{" TENSOR("a", "[2]", "0", "8") "," TENSOR("b", "[2]", "4", "12") "}", 12,
                  "overlaps");
    check_refused("{" TENSOR("a", "[2]", "0", "8") "," TENSOR("b", "[2]", "0", "8") "}", 8,
                  "overlaps");
    check_refused("{" TENSOR("a", "[2]", "0", "8") "}", 9, "1 bytes follow");
    check_refused("{" TENSOR("a", "[2]", "0", "8") "," TENSOR("a", "[2]", "8", "16") "}", 16,
                  "duplicate");
    check_refused("{" TENSOR("a", "[2]", "0", "8") "}", 7, "outside the file");
    check_refused("{" TENSOR("a", "[3]", "0", "8") "}", 8, "do not fit");
    check_refused("{" TENSOR("a", "[2]", "8", "0") "}", 8, "outside the file");
    check_refused("{" TENSOR("a", "[-2]", "0", "8") "}", 8, "whole number");
    check_refused("{" TENSOR("a", "[2.0]", "0", "8") "}", 8, "whole number");
    check_refused("{" TENSOR("a", "[4294967296,4294967296]", "0", "0") "}", 0, "too large");
    check_refused("{" TENSOR("a", "[4611686018427387904]", "0", "0") "}", 0, "size in bytes");
    check_refused("{" TENSOR("a", "[1,1,1,1,1,1,1,1,1]", "0", "4") "}", 4, "shape");
    check_refused("{" TENSOR("a", "[2]", "0", "18446744073709551624") "}", 8, "JSON");
    check_refused("{\"a\":{\"dtype\":\"F31\",\"shape\":[2],\"data_offsets\":[0,8]}}", 8, "dtype");
    check_refused("{\"a\":{\"dtype\":\"F4\",\"shape\":[1],\"data_offsets\":[0,0]}}", 0,
                  "whole number");
    check_refused("{\"a\":{\"dtype\":\"F32\",\"shape\":[2]}}", 8, "described");
    check_refused("{\"a\":7}", 8, "described");
    check_refused("{\"__metadata__\":{\"format\":1}}", 0, "__metadata__");
    check_refused("[]", 0, "not a JSON object");
    check_refused("{} x", 0, "JSON");
    check_refused("", 0, "not a JSON object");
}

/* What published files have and the format's own library reads. */
static void test_tolerated(void) {
    static const char data[8];
    struct safetensors *files;
    const char *path = folder_file("bad.safetensors");
    write_raw(path, "{\"__metadata__\":null," TENSOR("a", "[2]", "0", "8") "}", data, 8);
    CHECK_OK(safetensors_open(&files, path));
    CHECK_EQ(safetensors_count(files), 1);
    safetensors_close(&files);
    write_raw(path, "{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8],\"more\":1}}",
              data, 8);
    CHECK_OK(safetensors_open(&files, path));
    safetensors_close(&files);
}

static void test_kinds(void) {
    struct safetensors *files;
    const char *path = folder_file("bad.safetensors");
    folder_write(path, "version https://git-lfs.github.com/spec/v1\noid sha256:", 55);
    CHECK_STATUS(safetensors_open(&files, path), STATUS_INPUT, "git lfs pull");
    folder_write(path, "PK\x03\x04 and so on", 14);
    CHECK_STATUS(safetensors_open(&files, path), STATUS_INPUT, "PyTorch");
    folder_write(folder_file("pytorch_model.bin"), "x", 1);
    CHECK_STATUS(safetensors_open(&files, folder_path), STATUS_INPUT, "pytorch_model.bin");
    unlink(folder_file("pytorch_model.bin"));
}

static void test_lengths(void) {
    struct safetensors *files;
    const char *path = folder_file("bad.safetensors");
    folder_write(path, "\x01\xe1\xf5\x05\0\0\0\0{}", 10); /* 100,000,001 */
    CHECK_STATUS(safetensors_open(&files, path), STATUS_INPUT, "100000001 bytes long");
    folder_write(path, "\xff\xff\xff\xff\xff\xff\xff\xff{}", 10);
    CHECK_STATUS(safetensors_open(&files, path), STATUS_INPUT, "at most");
    folder_write(path, "\x10\0\0\0\0\0\0\0{}", 10);
    CHECK_STATUS(safetensors_open(&files, path), STATUS_INPUT, "inside its header");
    folder_write(path, "", 0);
    CHECK_STATUS(safetensors_open(&files, path), STATUS_INPUT, "too few");
    CHECK_STATUS(safetensors_open(&files, folder_file("none")), STATUS_INPUT, "opened");
}

static void test_index(void) {
    struct safetensors *files;
    const struct safetensor *tensor;
    char index[512];
    snprintf(index, sizeof index, "%s", folder_file("model.safetensors.index.json"));
    unlink(folder_file("model.safetensors"));
    CHECK_STATUS(safetensors_open(&files, folder_path), STATUS_INPUT, "holds neither");
    write_good(folder_file("one.safetensors"));
    write_raw(folder_file("two.safetensors"), "{" TENSOR("b", "[1]", "0", "4") "}", "1234", 4);
#define MAP(entries) folder_write(index, "{\"weight_map\":{" entries "}}", strlen(entries) + 17)
    MAP("\"z.weight\":\"one.safetensors\",\"b\":\"two.safetensors\"");
    CHECK_OK(safetensors_open(&files, folder_path));
    CHECK_EQ(safetensors_count(files), 5);
    CHECK_OK(safetensors_weight(files, "b", &tensor));
    CHECK(memcmp(tensor->data, "1234", 4) == 0);
    safetensors_close(&files);
    MAP("\"b\":\"one.safetensors\"");
    CHECK_OK(safetensors_open(&files, folder_path)); /* the files say where a tensor stands */
    CHECK(safetensors_find(files, "b") == NULL);
    safetensors_close(&files);
    MAP("\"b\":\"../two.safetensors\"");
    CHECK_STATUS(safetensors_open(&files, folder_path), STATUS_INPUT, "not a file beside it");
    MAP("\"b\":\"..\"");
    CHECK_STATUS(safetensors_open(&files, folder_path), STATUS_INPUT, "not a file beside it");
    MAP("\"b\":\"three.safetensors\"");
    CHECK_STATUS(safetensors_open(&files, folder_path), STATUS_INPUT, "three.safetensors");
    MAP("\"b\":3");
    CHECK_STATUS(safetensors_open(&files, folder_path), STATUS_INPUT, "no text");
    MAP("");
    CHECK_STATUS(safetensors_open(&files, folder_path), STATUS_INPUT, "names 0 files");
    write_good(folder_file("three.safetensors"));
    MAP("\"z.weight\":\"one.safetensors\",\"scalar\":\"three.safetensors\"");
    CHECK_STATUS(safetensors_open(&files, folder_path), STATUS_INPUT, "as well");
    unlink(index);
}

/* Opening must end in a status; what opens must be readable to its last byte. */
static void open_any(const char *path) {
    struct safetensors *files;
    unsigned sum = 0;
    if (safetensors_open(&files, path) != STATUS_OK)
        return;
    for (int64_t i = 0; i < safetensors_count(files); i++)
        for (int64_t at = 0; at < safetensors_at(files, i)->bytes; at++)
            sum += ((const unsigned char *)safetensors_at(files, i)->data)[at];
    CHECK(sum < 1u << 20);
    safetensors_close(&files);
}

static void test_broken(void) {
    size_t n;
    struct safetensors *files;
    const char *path = folder_file("bad.safetensors");
    char *good = folder_read(folder_file("one.safetensors"), &n);
    for (size_t cut = 0; cut < n; cut++) {
        folder_write(path, good, cut);
        CHECK_STATUS(safetensors_open(&files, path), STATUS_INPUT, "bad.safetensors");
    }
    for (uint32_t i = 0; i < 3000; i++) {
        char *bytes = malloc(n);
        memcpy(bytes, good, n);
        for (uint32_t change = 0; change <= i % 3; change++)
            bytes[random_bits(1, RANDOM_TEST, i, change, 0, 0) % n] =
                (char)(random_bits(1, RANDOM_TEST, i, change, 1, 0) & 0xff);
        folder_write(path, bytes, n);
        open_any(path);
        free(bytes);
    }
    free(good);
}

static void test_full_disk(void) {
    static char block[8192];
    struct safetensors_writer *writer;
    struct rlimit limit;
    const struct safetensors_entry entry = {
        .name = "w", .dtype = "F32", .shape = {4096}, .rank = 1};
    const int before = folder_entries(folder_path);
    signal(SIGXFSZ, SIG_IGN);
    getrlimit(RLIMIT_FSIZE, &limit);
    limit.rlim_cur = 10000;
    setrlimit(RLIMIT_FSIZE, &limit);
    CHECK_OK(safetensors_create(&writer, folder_file("full.safetensors"), &entry, 1));
    CHECK_OK(safetensors_append(writer, block, sizeof block));
    CHECK_STATUS(safetensors_append(writer, block, sizeof block), STATUS_IO, "full.safetensors");
    safetensors_abandon(&writer);
    CHECK_EQ(folder_entries(folder_path), before);
}

int main(void) {
    folder_make();
    test_round_trip();
    test_refusals();
    test_lengths();
    test_tolerated();
    unlink(folder_file("model.safetensors"));
    test_kinds();
    test_index();
    test_broken();
    test_full_disk();
    folder_remove();
    CHECK_EQ(memory_totals().bytes, 0);
    return CHECK_END();
}
