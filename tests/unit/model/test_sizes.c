/* SPDX-License-Identifier: Apache-2.0
 *
 * A directory of several bf16 files of 134 MB in all is opened within a tenth more than its size:
 * by the books, and by what the system says is resident. With a master, which is fp32, within three
 * times its size and a tenth.
 */
#include "base/memory.h"
#include "check.h"
#include "file/safetensors.h"
#include "unit/file/folder.h"
#include "unit/model/tiny.h"

enum { FILES = 3, ENTRIES = 32, PIECE = 1 << 16 };

static const struct hparams shape = {.arch = ARCH_LLAMA,
                                     .layers = 8,
                                     .C = 512,
                                     .F = 2048,
                                     .H = 8,
                                     .K = 8,
                                     .D = 64,
                                     .V = 32768,
                                     .max_positions = 64,
                                     .rms_epsilon = 1e-5f,
                                     .rope_theta = 1e4,
                                     .bos = -1};

static void write_tensor(struct safetensors_writer *writer, int64_t elements) {
    static uint16_t piece[PIECE]; /* small numbers of both signs */
    for (int i = 0; i < PIECE; i++)
        piece[i] = (uint16_t)((i % 2 << 15) | (0x3c00 + i % 251));
    for (int64_t left = elements; left > 0; left -= PIECE)
        CHECK_OK(safetensors_append(writer, piece, 2 * (left < PIECE ? left : PIECE)));
}

/* The parameters f, f + FILES, …; gives the bytes of the numbers. */
static int64_t write_file(const char *path, const struct parameter *p, int64_t count, int f) {
    struct safetensors_entry entries[ENTRIES];
    struct safetensors_writer *writer = NULL;
    int64_t chosen = 0, elements = 0;
    for (int64_t i = f; i < count; i += FILES)
        entries[chosen++] = (struct safetensors_entry){.name = p[i].name,
                                                       .dtype = "BF16",
                                                       .shape = {p[i].rows, p[i].columns},
                                                       .rank = p[i].matrix ? 2 : 1};
    CHECK_OK(safetensors_create(&writer, path, entries, chosen));
    for (int64_t i = f; i < count; i += FILES) {
        write_tensor(writer, p[i].rows * p[i].columns);
        elements += p[i].rows * p[i].columns;
    }
    CHECK_OK(safetensors_commit(&writer));
    return 2 * elements;
}

static int64_t write_model(void) {
    struct parameter *p = NULL;
    char index[ENTRIES * FILES * 128] = "{\"weight_map\": {";
    size_t used = strlen(index);
    int64_t count, bytes = 0;
    CHECK_OK(parameters_list(&shape, &p, &count));
    CHECK(count <= ENTRIES * FILES);
    for (int64_t i = 0; i < count; i++)
        used +=
            (size_t)snprintf(index + used, sizeof index - used, "%s\"%s\": \"part-%d.safetensors\"",
                             i > 0 ? ", " : "", p[i].name, (int)(i % FILES));
    snprintf(index + used, sizeof index - used, "}}");
    folder_write(folder_file("model.safetensors.index.json"), index, strlen(index));
    for (int f = 0; f < FILES; f++) {
        char name[64];
        snprintf(name, sizeof name, "part-%d.safetensors", f);
        bytes += write_file(folder_file(name), p, count, f);
    }
    memory_release(&p);
    return bytes;
}

static void check_at_most(const char *what, int64_t bytes, double limit) {
    if (!((double)bytes <= limit))
        CHECK_FAILED("%s: %.1f MiB, allowed %.1f", what, (double)bytes / 1048576.0,
                     limit / 1048576.0);
}

static void load(bool with_master, double size) {
    const int64_t resident = memory_resident_bytes(), held = memory_totals().bytes;
    const double limit = (with_master ? 3.0 : 1.0) * size * 1.1;
    struct backend backend;
    struct weights *weights = NULL;
    float *master = NULL;
    CHECK_OK(backend_open(&backend, "cpu", 2));
    CHECK_OK(weights_create(&weights, &backend, &shape, DTYPE_BF16));
    if (with_master)
        CHECK_OK(backend_new(&backend, &master, parameters_elements(&shape), "master"));
    CHECK_OK(weights_load(weights, folder_path, master, NULL));
    check_at_most("peak of the books", memory_totals().peak_bytes - held, limit);
    check_at_most("peak resident size", memory_peak_resident_bytes() - resident, limit);
    weights_destroy(&weights);
    backend_release(&backend, &master);
    backend_close(&backend);
    CHECK_EQ(memory_totals().bytes, held);
}

/* The smaller one first: peaks do not go down again. */
int main(void) {
    memory_give_back();
    folder_make();
    const double size = (double)write_model();
    load(false, size);
    load(true, size);
    folder_remove();
    return CHECK_END();
}
