/* SPDX-License-Identifier: Apache-2.0 */
#include "run/checkpoint_write.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/memory.h"
#include "file/atomic.h"
#include "file/bytes.h"
#include "file/seal.h"
#include "run/checkpoint_manifest.h"

enum { PATH_BYTES = 4200 };

struct checkpoint_writer {
    struct atomic *file;   /* on rank 0 */
    char path[PATH_BYTES]; /* of the file as long as it is in the making */
    int descriptor;        /* this rank's own */
    const struct parameter *parameters;
    int64_t parameter_count;
    int64_t *places[CHECKPOINT_SECTIONS]; /* (parameter_count) offsets in the file; NULL: no such */
    struct checkpoint_manifest manifest;  /* elsewhere than on rank 0 without paths */
    unsigned char *digests;               /* (manifest.count, 32) of what this rank has checked */
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
    return h5_put(h5, name, checkpoint_number(value->kind), H5_STORAGE_PLAIN, 1, &value->count,
                  value->numbers);
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
    for (int section = 0; section < CHECKPOINT_SECTIONS; section++)
        if (content->sections[section])
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
                               const bool sections[CHECKPOINT_SECTIONS]) {
    char name[CHECKPOINT_NAME_BYTES];
    int64_t bytes;
    for (int section = 0; section < CHECKPOINT_SECTIONS; section++) {
        if (!sections[section])
            continue;
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
        status = note_places(writer, h5, content->sections);
    const enum status closed = h5_close(&h5);
    writer->manifest.h5 = NULL;
    return status != STATUS_OK ? status : closed;
}

enum status checkpoint_layout(struct checkpoint_writer **writer, const char *path,
                              const struct checkpoint_content *content) {
    TRY(memory_new(writer, 1, "checkpoint writer"));
    (*writer)->descriptor = -1;
    (*writer)->parameters = content->parameters;
    (*writer)->parameter_count = content->parameter_count;
    enum status status = atomic_file_create(&(*writer)->file, path);
    if (status == STATUS_OK) {
        (*writer)->descriptor = atomic_descriptor((*writer)->file);
        snprintf((*writer)->path, PATH_BYTES, "%s", atomic_part((*writer)->file));
        status = lay_out(*writer, content);
    }
    if (status == STATUS_OK)
        status = memory_new(&(*writer)->digests,
                            (*writer)->manifest.count * CHECKPOINT_DIGEST_BYTES, "checksums");
    if (status != STATUS_OK)
        checkpoint_abandon(writer);
    return status;
}

/* --- on the other ranks --- */

/* What rank 0 tells them. */
struct announcement {
    char path[PATH_BYTES];
    bool sections[CHECKPOINT_SECTIONS];
    int64_t ranges;
};

static enum status make_room(struct checkpoint_writer *writer, const struct announcement *said) {
    for (int section = 0; section < CHECKPOINT_SECTIONS; section++)
        if (said->sections[section])
            TRY(memory_new(&writer->places[section], writer->parameter_count, "places"));
    TRY(memory_new(&writer->manifest.ranges, said->ranges, "manifest"));
    writer->manifest.count = said->ranges;
    TRY(memory_new(&writer->digests, said->ranges * CHECKPOINT_DIGEST_BYTES, "checksums"));
    snprintf(writer->path, PATH_BYTES, "%s", said->path);
    writer->descriptor = open(writer->path, O_RDWR | O_CLOEXEC);
    return writer->descriptor >= 0 ? STATUS_OK
                                   : FAIL(STATUS_IO, "%s: the file cannot be opened: %s",
                                          writer->path, strerror(errno));
}

static enum status follow(struct checkpoint_writer **writer, const struct announcement *said,
                          const struct parameter *parameters, int64_t count) {
    TRY(memory_new(writer, 1, "checkpoint writer"));
    (*writer)->descriptor = -1;
    (*writer)->parameters = parameters;
    (*writer)->parameter_count = count;
    return make_room(*writer, said);
}

static void announce(const struct checkpoint_writer *writer, struct announcement *said) {
    snprintf(said->path, PATH_BYTES, "%s", writer->path);
    for (int section = 0; section < CHECKPOINT_SECTIONS; section++)
        said->sections[section] = writer->places[section] != NULL;
    said->ranges = writer->manifest.count;
}

enum status checkpoint_join(struct checkpoint_writer **writer, struct comm *comm,
                            const struct parameter *parameters, int64_t count) {
    struct announcement said = {.ranges = 0};
    enum status status = STATUS_OK;
    if (comm->rank == 0)
        announce(*writer, &said);
    TRY(comm_broadcast(comm, &said, sizeof said, 0));
    if (comm->rank != 0)
        status = follow(writer, &said, parameters, count);
    TRY(comm_agree(comm, status));
    for (int section = 0; section < CHECKPOINT_SECTIONS; section++)
        if (said.sections[section])
            TRY(comm_broadcast(comm, (*writer)->places[section],
                               (size_t)count * sizeof *(*writer)->places[section], 0));
    return comm_broadcast(comm, (*writer)->manifest.ranges,
                          (size_t)said.ranges * sizeof *(*writer)->manifest.ranges, 0);
}

/* --- the tensors' bytes --- */

/* The parameter that holds an element. */
static int64_t find_parameter(const struct checkpoint_writer *writer, int64_t element) {
    int64_t low = 0, high = writer->parameter_count;
    while (high - low > 1) {
        const int64_t middle = (low + high) / 2;
        *(writer->parameters[middle].offset <= element ? &low : &high) = middle;
    }
    return low;
}

enum status checkpoint_write_block(const struct checkpoint_writer *writer,
                                   enum checkpoint_section section, int64_t offset,
                                   const float *values, int64_t n) {
    const int64_t *places = writer->places[section];
    ASSERT(places != NULL);
    for (int64_t i = find_parameter(writer, offset), at = offset; at < offset + n; i++) {
        const struct parameter *parameter = &writer->parameters[i];
        const int64_t last = parameter->offset + checkpoint_elements(parameter);
        const int64_t end = offset + n < last ? offset + n : last;
        TRY(bytes_write_at(writer->descriptor, writer->path,
                           places[i] + 4 * (at - parameter->offset), values + (at - offset),
                           4 * (end - at)));
        at = end;
    }
    return STATUS_OK;
}

enum status checkpoint_flush(const struct checkpoint_writer *writer) {
    return fsync(writer->descriptor) == 0
               ? STATUS_OK
               : FAIL(STATUS_IO, "%s: writing failed: %s", writer->path, strerror(errno));
}

/* Which of `parts` checks a dataset: the one in whose share of all bytes its middle lies. */
static bool is_share(const struct bytes_range *range, int64_t before, int64_t total, int part,
                     int parts) {
    const double middle = (double)before + 0.5 * (double)range->bytes;
    int its = total > 0 ? (int)(middle / (double)total * parts) : 0;
    its = its < parts ? its : parts - 1;
    return its == part;
}

/* Opened anew: on a network file system that shows what other nodes have written. */
static enum status check_share(struct checkpoint_writer *writer, int file, int part, int parts) {
    const struct checkpoint_manifest *manifest = &writer->manifest;
    int64_t total = 0, before = 0;
    for (int64_t i = 0; i < manifest->count; i++)
        total += manifest->ranges[i].bytes;
    for (int64_t i = 0; i < manifest->count; i++) {
        const struct bytes_range *range = &manifest->ranges[i];
        if (is_share(range, before, total, part, parts))
            TRY(bytes_hash_at(file, writer->path, range->offset, range->bytes,
                              writer->digests + i * CHECKPOINT_DIGEST_BYTES));
        before += range->bytes;
    }
    return STATUS_OK;
}

enum status checkpoint_check(struct checkpoint_writer *writer, int part, int parts) {
    const int file = open(writer->path, O_RDONLY | O_CLOEXEC);
    if (file < 0)
        return FAIL(STATUS_IO, "%s: the file cannot be opened: %s", writer->path, strerror(errno));
    const enum status status = check_share(writer, file, part, parts);
    close(file);
    return status;
}

/* Every dataset was checked by one rank: elsewhere its digest is all zeros, and so a sum is it. */
enum status checkpoint_gather(struct checkpoint_writer *writer, struct comm *comm) {
    const size_t n = (size_t)writer->manifest.count * CHECKPOINT_DIGEST_BYTES;
    unsigned char *all = NULL;
    size_t *sizes = NULL;
    TRY(comm_gather(comm, writer->digests, n, 0, (void **)&all, &sizes));
    for (size_t i = 0; all != NULL && i < n * (size_t)(comm->size - 1); i++)
        writer->digests[i % n] |= all[n + i];
    memory_release(&all);
    memory_release(&sizes);
    return STATUS_OK;
}

/* --- the end --- */

/* The checksums go into the manifest; the seal covers it and all else that
 * is no dataset's bytes. */
static enum status write_sums(const struct checkpoint_writer *writer) {
    const struct checkpoint_manifest *manifest = &writer->manifest;
    TRY(bytes_write_at(writer->descriptor, writer->path, writer->sums_offset, writer->digests,
                       manifest->count * CHECKPOINT_DIGEST_BYTES));
    return seal_append(writer->descriptor, writer->path, manifest->ranges, manifest->count);
}

enum status checkpoint_commit(struct checkpoint_writer **writer) {
    enum status status = write_sums(*writer);
    if (status == STATUS_OK) {
        (*writer)->descriptor = -1; /* closed by the commit */
        status = atomic_commit(&(*writer)->file);
    }
    checkpoint_abandon(writer);
    return status;
}

void checkpoint_abandon(struct checkpoint_writer **writer) {
    if (*writer == NULL)
        return;
    if ((*writer)->file == NULL && (*writer)->descriptor >= 0)
        close((*writer)->descriptor);
    atomic_abandon(&(*writer)->file);
    memory_release(&(*writer)->digests);
    for (int section = 0; section < CHECKPOINT_SECTIONS; section++)
        memory_release(&(*writer)->places[section]);
    checkpoint_manifest_release(&(*writer)->manifest);
    memory_release(writer);
}
