/* SPDX-License-Identifier: Apache-2.0
 *
 * The fingerprint of a model's weights is that of their bytes: the same however they lie in files and
 * whoever hashes which tensor, another one for any turned bit, name, shape or kind of number.
 */
#include "model/fingerprint.h"

#include "base/memory.h"
#include "base/random.h"
#include "check.h"
#include "unit/file/folder.h"

enum { TENSORS = 5, ELEMENTS = 1500000 }; /* of the first: 6 MB, in more than one piece */

static const int64_t sizes[TENSORS][2] = {{1500, 1000}, {7, 1}, {40, 3}, {1, 1}, {13, 11}};
static const char *const names[TENSORS] = {"embed", "norm", "up", "one", "down"};
static float values[TENSORS][ELEMENTS];

static int64_t elements_of(int i) {
    return sizes[i][0] * sizes[i][1];
}

/* Tensors [begin, end) in the order of their names or against it. */
static void write_file(const char *name, int begin, int end, bool backwards) {
    struct safetensors_writer *writer = NULL;
    struct safetensors_entry entries[TENSORS];
    for (int k = begin; k < end; k++) {
        const int i = backwards ? begin + end - 1 - k : k;
        entries[k - begin] = (struct safetensors_entry){
            .name = names[i], .dtype = "F32", .shape = {sizes[i][0], sizes[i][1]}, .rank = 2};
    }
    CHECK_OK(safetensors_create(&writer, folder_file(name), entries, end - begin));
    for (int k = begin; k < end; k++) {
        const int i = backwards ? begin + end - 1 - k : k;
        CHECK_OK(safetensors_append(writer, values[i], 4 * elements_of(i)));
    }
    CHECK_OK(safetensors_commit(&writer));
}

static void add_parts(const char *path, int parts, const char *renamed, char out[65]) {
    struct fingerprint all, part;
    struct safetensors *files = NULL;
    CHECK_OK(fingerprint_init(&all, 0, parts, TENSORS));
    CHECK_OK(safetensors_open(&files, path));
    for (int p = 0; p < parts; p++) {
        CHECK_OK(fingerprint_init(&part, p, parts, TENSORS));
        for (int i = 0; i < TENSORS; i++) {
            struct parameter parameter = {
                .rows = sizes[i][0], .columns = sizes[i][1], .matrix = true};
            snprintf(parameter.name, sizeof parameter.name, "%s",
                     i == 3 && renamed != NULL ? renamed : names[i]);
            CHECK_OK(fingerprint_add(&part, i, &parameter, safetensors_find(files, names[i])));
        }
        for (int i = 0; i < FINGERPRINT_WORDS * TENSORS; i++)
            all.words[i] += part.words[i];
        fingerprint_release(&part);
    }
    safetensors_close(&files);
    fingerprint_text(&all, out);
    fingerprint_release(&all);
}

static void test_same(char whole[65]) {
    char parts[65], sharded[65];
    static const char index[] = "{\"metadata\": {}, \"weight_map\": {\"embed\": \"a\", \"norm\": "
                                "\"a\", \"up\": \"b\", \"one\": \"b\", \"down\": \"b\"}}";
    add_parts(folder_file("whole"), 1, NULL, whole);
    CHECK_EQ(strlen(whole), 64);
    for (int n = 2; n <= TENSORS + 1; n++) {
        add_parts(folder_file("whole"), n, NULL, parts);
        CHECK_TEXT(parts, whole);
    }
    write_file("a", 0, 2, true);
    write_file("b", 2, TENSORS, true);
    folder_write(folder_file("model.safetensors.index.json"), index, sizeof index - 1);
    add_parts(folder_path, 2, NULL, sharded);
    CHECK_TEXT(sharded, whole);
}

/* Any bit of any tensor. */
static void test_other(const char *whole) {
    char other[65];
    for (uint32_t trial = 0; trial < 12; trial++) {
        const int i = (int)(trial % TENSORS);
        unsigned char *bytes = (unsigned char *)values[i];
        const uint64_t at =
            random_bits(4, RANDOM_TEST, trial, 0, 0, 0) % (uint64_t)(32 * elements_of(i));
        bytes[at / 8] ^= (unsigned char)(1u << at % 8);
        write_file("other", 0, TENSORS, false);
        add_parts(folder_file("other"), 1, NULL, other);
        if (strcmp(other, whole) == 0)
            CHECK_FAILED("bit %llu of tensor %d does not matter", (unsigned long long)at, i);
        bytes[at / 8] ^= (unsigned char)(1u << at % 8);
    }
    write_file("other", 0, TENSORS, false);
    add_parts(folder_file("other"), 1, NULL, other);
    CHECK_TEXT(other, whole);
    add_parts(folder_file("other"), 1, "another", other);
    CHECK(strcmp(other, whole) != 0);
}

int main(void) {
    char whole[65];
    folder_make();
    for (int i = 0; i < TENSORS; i++)
        for (int64_t k = 0; k < elements_of(i); k++)
            values[i][k] = (float)(k % 1001) + 0.25f * (float)i;
    write_file("whole", 0, TENSORS, false);
    test_same(whole);
    test_other(whole);
    folder_remove();
    CHECK_EQ(memory_totals().bytes, 0);
    return CHECK_END();
}
