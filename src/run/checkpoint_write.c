/* SPDX-License-Identifier: Apache-2.0 */
#include "run/checkpoint_write.h"

#include <stdio.h>

#include "base/memory.h"
#include "file/atomic.h"
#include "file/bytes.h"
#include "file/seal.h"
#include "run/checkpoint_manifest.h"

struct checkpoint_writer {
    struct atomic *file;
    const struct parameter *parameters;
    int64_t parameter_count;
    int64_t *places[CHECKPOINT_SECTIONS]; /* (parameter_count) offsets in the file; NULL: no such */
    struct checkpoint_manifest manifest;
    int64_t sums_offset;
};

static enum status put_section(struct h5 *h5, enum checkpoint_section section,
                               const struct checkpoint_content *content) {
    char name[CHECKPOINT_NAME_BYTES];
    for (int64_t i = 0; i < content->parameter_count; i++) {
        const struct parameter *parameter = &content->parameters[i];
        const int64_t sizes[2] = {parameter->rows, parameter->columns};
        checkpoint_section_name(name, section, parameter);
        TRY(h5_put(h5, name, H5_KIND_F32, H5_STORAGE_PLAIN, parameter->matrix ? 2 : 1, sizes,
                   NULL));
        TRY(h5_describe(h5, name, "1", checkpoint_sections[section].text));
    }
    return STATUS_OK;
}

static enum status put_flags(struct h5 *h5, const char *name,
                             const struct checkpoint_value *value) {
    const bool *flags = value->numbers;
    int64_t *integers;
    TRY(memory_new(&integers, value->count, "flags"));
    for (int64_t i = 0; i < value->count; i++)
        integers[i] = flags[i];
    const enum status status =
        h5_put(h5, name, H5_KIND_I64, H5_STORAGE_PLAIN, 1, &value->count, integers);
    memory_release(&integers);
    return status;
}

static enum status put_numbers(struct h5 *h5, const char *name,
                               const struct checkpoint_value *value) {
    if (value->kind == CHECKPOINT_FLAGS)
        return put_flags(h5, name, value);
    return h5_put(h5, name, value->kind == CHECKPOINT_REALS ? H5_KIND_F64 : H5_KIND_I64,
                  H5_STORAGE_PLAIN, 1, &value->count, value->numbers);
}

static enum status put_value(struct h5 *h5, const struct checkpoint_value *value) {
    char name[CHECKPOINT_NAME_BYTES];
    snprintf(name, sizeof name, "/state/%s", value->name);
    TRY(put_numbers(h5, name, value));
    return h5_describe(h5, name, value->unit, value->description);
}

static enum status put_files(struct h5 *h5, const struct model_files *files) {
    char name[CHECKPOINT_NAME_BYTES];
    for (int i = 0; i < files->count; i++) {
        const int64_t length = (int64_t)files->files[i].bytes.length;
        snprintf(name, sizeof name, "/model/%s", files->files[i].name);
        TRY(h5_put(h5, name, H5_KIND_U8, H5_STORAGE_PLAIN, 1, &length,
                   strbuf_text(&files->files[i].bytes)));
        TRY(h5_describe(h5, name, "byte", "a file of the model's directory, as it was read"));
    }
    return STATUS_OK;
}

static enum status put_content(struct h5 *h5, const struct checkpoint_content *content) {
    const int sections = content->optimizer ? CHECKPOINT_SECTIONS : 1;
    for (int section = 0; section < sections; section++)
        TRY(put_section(h5, (enum checkpoint_section)section, content));
    for (int64_t i = 0; i < content->state_count; i++)
        TRY(put_value(h5, &content->state[i]));
    TRY(h5_put_text(h5, "/settings", content->settings));
    TRY(h5_describe(h5, "/settings", "1", "settings.cfg of the run"));
    TRY(put_files(h5, content->files));
    return provenance_write(h5, content->provenance);
}

/* The manifest's names are known once all else is laid out; its checksums follow at the commit. */
static enum status put_manifest(struct checkpoint_writer *writer, struct h5 *h5) {
    const int64_t sizes[2] = {writer->manifest.count, CHECKPOINT_DIGEST_BYTES};
    const char **names;
    int64_t bytes;
    TRY(memory_new(&names, writer->manifest.count, "manifest"));
    for (int64_t i = 0; i < writer->manifest.count; i++)
        names[i] = writer->manifest.paths[i];
    const enum status status = h5_put_texts(h5, "/manifest/name", names, writer->manifest.count);
    memory_release(&names);
    TRY(status);
    TRY(h5_put(h5, "/manifest/sha256", H5_KIND_U8, H5_STORAGE_PLAIN, 2, sizes, NULL));
    TRY(h5_describe(h5, "/manifest/name", "1", "paths of all other datasets"));
    TRY(h5_describe(h5, "/manifest/sha256", "1", "SHA-256 of the bytes of each of them"));
    return h5_place(h5, "/manifest/sha256", &writer->sums_offset, &bytes);
}

static enum status note_places(struct checkpoint_writer *writer, const struct h5 *h5,
                               bool optimizer) {
    char name[CHECKPOINT_NAME_BYTES];
    int64_t bytes;
    const int sections = optimizer ? CHECKPOINT_SECTIONS : 1;
    for (int section = 0; section < sections; section++) {
        TRY(memory_new(&writer->places[section], writer->parameter_count, "places"));
        for (int64_t i = 0; i < writer->parameter_count; i++) {
            checkpoint_section_name(name, (enum checkpoint_section)section, &writer->parameters[i]);
            TRY(h5_place(h5, name, &writer->places[section][i], &bytes));
        }
    }
    return STATUS_OK;
}

static enum status lay_out(struct checkpoint_writer *writer,
                           const struct checkpoint_content *content) {
    struct h5 *h5;
    TRY(h5_create_layout(&h5, atomic_part(writer->file)));
    enum status status = put_content(h5, content);
    if (status == STATUS_OK)
        status = checkpoint_manifest_collect(&writer->manifest, h5);
    if (status == STATUS_OK)
        status = put_manifest(writer, h5);
    if (status == STATUS_OK)
        status = note_places(writer, h5, content->optimizer);
    const enum status closed = h5_close(&h5);
    writer->manifest.h5 = NULL;
    return status != STATUS_OK ? status : closed;
}

enum status checkpoint_layout(struct checkpoint_writer **writer, const char *path,
                              const struct checkpoint_content *content) {
    TRY(memory_new(writer, 1, "checkpoint writer"));
    (*writer)->parameters = content->parameters;
    (*writer)->parameter_count = content->parameter_count;
    enum status status = atomic_file_create(&(*writer)->file, path);
    if (status == STATUS_OK)
        status = lay_out(*writer, content);
    if (status != STATUS_OK)
        checkpoint_abandon(writer);
    return status;
}

enum status checkpoint_write_block(const struct checkpoint_writer *writer,
                                   enum checkpoint_section section, int64_t offset,
                                   const float *values, int64_t n) {
    const int64_t *places = writer->places[section];
    ASSERT(places != NULL);
    for (int64_t i = 0; i < writer->parameter_count; i++) {
        const struct parameter *parameter = &writer->parameters[i];
        const int64_t begin = offset > parameter->offset ? offset : parameter->offset;
        const int64_t last = parameter->offset + checkpoint_elements(parameter);
        const int64_t end = offset + n < last ? offset + n : last;
        if (begin < end)
            TRY(bytes_write_at(atomic_descriptor(writer->file), atomic_part(writer->file),
                               places[i] + 4 * (begin - parameter->offset),
                               values + (begin - offset), 4 * (end - begin)));
    }
    return STATUS_OK;
}

/* The checksums go into the manifest; the seal covers it and all else that
 * is no dataset's bytes. */
static enum status write_sums(const struct checkpoint_writer *writer, unsigned char *digests) {
    const int file = atomic_descriptor(writer->file);
    const char *path = atomic_part(writer->file);
    const struct checkpoint_manifest *manifest = &writer->manifest;
    TRY(bytes_hash_ranges(file, path, manifest->ranges, manifest->count, digests));
    TRY(bytes_write_at(file, path, writer->sums_offset, digests,
                       manifest->count * CHECKPOINT_DIGEST_BYTES));
    return seal_append(file, path, manifest->ranges, manifest->count);
}

enum status checkpoint_commit(struct checkpoint_writer **writer) {
    unsigned char *digests;
    enum status status =
        memory_new(&digests, (*writer)->manifest.count * CHECKPOINT_DIGEST_BYTES, "checksums");
    if (status == STATUS_OK) {
        status = write_sums(*writer, digests);
        memory_release(&digests);
    }
    if (status == STATUS_OK)
        status = atomic_commit(&(*writer)->file);
    checkpoint_abandon(writer);
    return status;
}

void checkpoint_abandon(struct checkpoint_writer **writer) {
    if (*writer == NULL)
        return;
    atomic_abandon(&(*writer)->file);
    for (int section = 0; section < CHECKPOINT_SECTIONS; section++)
        memory_release(&(*writer)->places[section]);
    checkpoint_manifest_release(&(*writer)->manifest);
    memory_release(writer);
}
