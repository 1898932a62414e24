/* SPDX-License-Identifier: Apache-2.0 */
#include "run/checkpoint.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "base/memory.h"
#include "file/atomic.h"
#include "file/bytes.h"
#include "file/seal.h"

enum { PATH_BYTES = 4096, NAME_BYTES = 256, DIGEST_BYTES = 32 };

static const char *const section_paths[CHECKPOINT_SECTIONS] = {
    [CHECKPOINT_PARAMETERS] = "/parameters",
    [CHECKPOINT_EXP_AVG] = "/optimizer/exp_avg",
    [CHECKPOINT_EXP_AVG_SQ] = "/optimizer/exp_avg_sq",
};

static int64_t elements(const struct parameter *parameter) {
    return parameter->rows * parameter->columns;
}

static const char *section_name(char out[NAME_BYTES], enum checkpoint_section section,
                                const struct parameter *parameter) {
    snprintf(out, NAME_BYTES, "%s/%s", section_paths[section], parameter->name);
    return out;
}

/* --- the list of datasets and their checksums --- */

/* Every dataset but the manifest's own: paths, and where their bytes lie. */
struct manifest {
    const struct h5 *h5;
    char (*paths)[NAME_BYTES];
    struct bytes_range *ranges;
    int64_t count, capacity;
};

static enum status manifest_reserve(struct manifest *manifest) {
    if (manifest->count < manifest->capacity)
        return STATUS_OK;
    const int64_t capacity = 2 * manifest->capacity + 64;
    TRY(memory_grow(&manifest->paths, capacity, "manifest"));
    TRY(memory_grow(&manifest->ranges, capacity, "manifest"));
    manifest->capacity = capacity;
    return STATUS_OK;
}

/* For h5_walk. */
static enum status add_entry(void *context, const char *path) {
    struct manifest *manifest = context;
    char quoted[STATUS_QUOTE_MAX];
    if (strncmp(path, "/manifest/", sizeof "/manifest/" - 1) == 0)
        return STATUS_OK;
    if (strlen(path) >= NAME_BYTES)
        return FAIL(STATUS_INPUT, "the name %s is too long for a checkpoint",
                    status_quote(quoted, path, SIZE_MAX));
    TRY(manifest_reserve(manifest));
    snprintf(manifest->paths[manifest->count], NAME_BYTES, "%s", path);
    struct bytes_range *range = &manifest->ranges[manifest->count++];
    return h5_place(manifest->h5, path, &range->offset, &range->bytes);
}

/* Everything in the file, in the order of names. */
static enum status manifest_collect(struct manifest *manifest, const struct h5 *h5) {
    *manifest = (struct manifest){.h5 = h5};
    return h5_walk(h5, "/", add_entry, manifest);
}

static void manifest_release(struct manifest *manifest) {
    memory_release(&manifest->paths);
    memory_release(&manifest->ranges);
}

/* --- writing --- */

struct checkpoint_writer {
    struct atomic *file;
    const struct parameter *parameters;
    int64_t parameter_count;
    int64_t *places[CHECKPOINT_SECTIONS]; /* (parameter_count) offsets in the file; NULL: no such */
    struct manifest manifest;
    int64_t sums_offset;
};

static enum status put_section(struct h5 *h5, enum checkpoint_section section,
                               const struct checkpoint_content *content) {
    char name[NAME_BYTES];
    for (int64_t i = 0; i < content->parameter_count; i++) {
        const struct parameter *parameter = &content->parameters[i];
        const int64_t sizes[2] = {parameter->rows, parameter->columns};
        section_name(name, section, parameter);
        TRY(h5_put(h5, name, H5_KIND_F32, H5_STORAGE_PLAIN, parameter->matrix ? 2 : 1, sizes,
                   NULL));
    }
    return STATUS_OK;
}

static enum status put_value(struct h5 *h5, const struct checkpoint_value *value) {
    char name[NAME_BYTES];
    snprintf(name, sizeof name, "/state/%s", value->name);
    switch (value->kind) {
    case CHECKPOINT_INTEGERS:
        return h5_put(h5, name, H5_KIND_I64, H5_STORAGE_PLAIN, 1, &value->count, value->integers);
    case CHECKPOINT_REALS:
        return h5_put(h5, name, H5_KIND_F64, H5_STORAGE_PLAIN, 1, &value->count, value->reals);
    case CHECKPOINT_TEXT:
        return h5_put_text(h5, name, value->text);
    }
    return FAIL(STATUS_DEFECT, "%s has no kind", name);
}

static enum status put_files(struct h5 *h5, const struct model_files *files) {
    char name[NAME_BYTES];
    for (int i = 0; i < files->count; i++) {
        const int64_t length = (int64_t)files->files[i].bytes.length;
        snprintf(name, sizeof name, "/model/%s", files->files[i].name);
        TRY(h5_put(h5, name, H5_KIND_U8, H5_STORAGE_PLAIN, 1, &length,
                   strbuf_text(&files->files[i].bytes)));
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
    TRY(put_files(h5, content->files));
    return provenance_write(h5, content->provenance);
}

/* The manifest's names are known once all else is laid out; its checksums follow at the commit. */
static enum status put_manifest(struct checkpoint_writer *writer, struct h5 *h5) {
    const int64_t sizes[2] = {writer->manifest.count, DIGEST_BYTES};
    const char **names;
    int64_t bytes;
    TRY(memory_new(&names, writer->manifest.count, "manifest"));
    for (int64_t i = 0; i < writer->manifest.count; i++)
        names[i] = writer->manifest.paths[i];
    const enum status status = h5_put_texts(h5, "/manifest/name", names, writer->manifest.count);
    memory_release(&names);
    TRY(status);
    TRY(h5_put(h5, "/manifest/sha256", H5_KIND_U8, H5_STORAGE_PLAIN, 2, sizes, NULL));
    return h5_place(h5, "/manifest/sha256", &writer->sums_offset, &bytes);
}

static enum status note_places(struct checkpoint_writer *writer, const struct h5 *h5,
                               bool optimizer) {
    char name[NAME_BYTES];
    int64_t bytes;
    const int sections = optimizer ? CHECKPOINT_SECTIONS : 1;
    for (int section = 0; section < sections; section++) {
        TRY(memory_new(&writer->places[section], writer->parameter_count, "places"));
        for (int64_t i = 0; i < writer->parameter_count; i++) {
            section_name(name, (enum checkpoint_section)section, &writer->parameters[i]);
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
        status = manifest_collect(&writer->manifest, h5);
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
        const int64_t last = parameter->offset + elements(parameter);
        const int64_t end = offset + n < last ? offset + n : last;
        if (begin < end)
            TRY(bytes_write_at(atomic_descriptor(writer->file), atomic_part(writer->file),
                               places[i] + 4 * (begin - parameter->offset),
                               values + (begin - offset), 4 * (end - begin)));
    }
    return STATUS_OK;
}

/* The checksums go into the manifest; the seal covers it and all else that is no dataset's bytes.
 */
static enum status write_sums(const struct checkpoint_writer *writer, unsigned char *digests) {
    const int file = atomic_descriptor(writer->file);
    const char *path = atomic_part(writer->file);
    const struct manifest *manifest = &writer->manifest;
    TRY(bytes_hash_ranges(file, path, manifest->ranges, manifest->count, digests));
    TRY(bytes_write_at(file, path, writer->sums_offset, digests, manifest->count * DIGEST_BYTES));
    return seal_append(file, path, manifest->ranges, manifest->count);
}

enum status checkpoint_commit(struct checkpoint_writer **writer) {
    unsigned char *digests;
    enum status status =
        memory_new(&digests, (*writer)->manifest.count * DIGEST_BYTES, "checksums");
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
    manifest_release(&(*writer)->manifest);
    memory_release(writer);
}

/* --- keeping few --- */

/* The number in "step-000100.h5"; −1 for any other name. */
static int64_t step_of(const char *name) {
    long long step;
    int length = 0;
    if (strncmp(name, "step-", 5) != 0 || name[5] < '0' || name[5] > '9' || strlen(name) > 24)
        return -1;
    return sscanf(name, "step-%lld.h5%n", &step, &length) == 1 && length > 0 && name[length] == '\0'
               ? (int64_t)step
               : -1;
}

static int newest_first(const void *a, const void *b) {
    const int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return x < y ? 1 : x > y ? -1 : 0;
}

/* The steps of the checkpoints in an open folder, newest first. */
static enum status list_steps(DIR *folder, int64_t **steps, int64_t *count) {
    *steps = NULL;
    *count = 0;
    for (const struct dirent *entry; (entry = readdir(folder)) != NULL;) {
        if (step_of(entry->d_name) < 0)
            continue;
        TRY(memory_grow(steps, *count + 1, "list of checkpoints"));
        (*steps)[(*count)++] = step_of(entry->d_name);
    }
    if (*count > 0)
        qsort(*steps, (size_t)*count, sizeof **steps, newest_first);
    return STATUS_OK;
}

enum status checkpoint_prune(const char *directory, int64_t keep) {
    int64_t *steps, count;
    char name[32];
    ASSERT(keep >= 1);
    DIR *folder = opendir(directory);
    if (folder == NULL)
        return FAIL(STATUS_IO, "%s: the folder cannot be read: %s", directory, strerror(errno));
    enum status status = list_steps(folder, &steps, &count);
    for (int64_t i = keep; i < count && status == STATUS_OK; i++) {
        snprintf(name, sizeof name, "step-%06lld.h5", (long long)steps[i]);
        if (unlinkat(dirfd(folder), name, 0) != 0)
            log_warning("checkpoint", "%s/%s cannot be removed: %s", directory, name,
                        strerror(errno));
    }
    closedir(folder);
    memory_release(&steps);
    return status;
}

/* --- reading --- */

struct checkpoint {
    struct h5 *h5;
    char path[PATH_BYTES];
    struct parameter *parameters;
    int64_t parameter_count;
};

/* The manifest must name exactly what is in the file. */
static enum status check_names(const struct h5 *h5, const char *path,
                               const struct manifest *manifest) {
    char *names, quoted[STATUS_QUOTE_MAX];
    int64_t stride, n;
    TRY(h5_get_texts(h5, "/manifest/name", &names, &stride, &n));
    enum status status = STATUS_OK;
    for (int64_t i = 0; i < n && i < manifest->count && status == STATUS_OK; i++)
        if (strcmp(names + i * stride, manifest->paths[i]) != 0)
            status = FAIL(STATUS_INPUT, "%s: %s is not in the manifest", path,
                          status_quote(quoted, manifest->paths[i], SIZE_MAX));
    memory_release(&names);
    TRY(status);
    if (n != manifest->count)
        return FAIL(STATUS_INPUT, "%s: the manifest names %lld datasets; there are %lld", path,
                    (long long)n, (long long)manifest->count);
    return STATUS_OK;
}

/* `digests` (2 × count × 32 bytes): those of the file, then those of the manifest. */
static enum status compare_sums(const struct h5 *h5, const char *path, int file,
                                const struct manifest *manifest, unsigned char *digests) {
    unsigned char *stored = digests + manifest->count * DIGEST_BYTES;
    struct h5_shape shape;
    char quoted[STATUS_QUOTE_MAX];
    TRY(h5_shape(h5, "/manifest/sha256", &shape));
    if (shape.rank != 2 || shape.sizes[0] != manifest->count || shape.sizes[1] != DIGEST_BYTES)
        return FAIL(STATUS_INPUT, "%s: /manifest/sha256 has another shape than expected", path);
    TRY(h5_get(h5, "/manifest/sha256", H5_KIND_U8, 0, manifest->count, stored));
    TRY(bytes_hash_ranges(file, path, manifest->ranges, manifest->count, digests));
    for (int64_t i = 0; i < manifest->count; i++)
        if (memcmp(digests + i * DIGEST_BYTES, stored + i * DIGEST_BYTES, DIGEST_BYTES) != 0)
            return FAIL(STATUS_INPUT, "%s: %s does not have its checksum: the file is damaged",
                        path, status_quote(quoted, manifest->paths[i], SIZE_MAX));
    return STATUS_OK;
}

static enum status verify_entries(const struct h5 *h5, const char *path, int file,
                                  const struct manifest *manifest) {
    unsigned char *digests;
    TRY(check_names(h5, path, manifest));
    TRY(memory_new(&digests, 2 * manifest->count * DIGEST_BYTES, "checksums"));
    const enum status status = compare_sums(h5, path, file, manifest, digests);
    memory_release(&digests);
    return status;
}

static enum status verify(const struct h5 *h5, const char *path, int file) {
    struct manifest manifest;
    enum status status = manifest_collect(&manifest, h5);
    if (status == STATUS_OK)
        status = verify_entries(h5, path, file, &manifest);
    manifest_release(&manifest);
    return status;
}

/* For h5_list over /parameters. */
static enum status add_parameter(void *context, const char *path, bool is_group) {
    struct checkpoint *checkpoint = context;
    struct h5_shape shape;
    char quoted[STATUS_QUOTE_MAX];
    const char *name = strrchr(path, '/') + 1;
    if (is_group)
        return FAIL(STATUS_INPUT, "%s: %s is a group; a tensor is expected", checkpoint->path,
                    status_quote(quoted, path, SIZE_MAX));
    TRY(h5_shape(checkpoint->h5, path, &shape));
    if (shape.is_text || shape.kind != H5_KIND_F32 || shape.rank < 1 ||
        strlen(name) >= sizeof checkpoint->parameters->name)
        return FAIL(STATUS_INPUT, "%s: %s is not a tensor of fp32 numbers", checkpoint->path,
                    status_quote(quoted, path, SIZE_MAX));
    const int64_t i = checkpoint->parameter_count;
    TRY(memory_grow(&checkpoint->parameters, i + 1, "list of parameters"));
    struct parameter *parameter = &checkpoint->parameters[i];
    const struct parameter *before = i > 0 ? parameter - 1 : NULL;
    *parameter = (struct parameter){.rows = shape.sizes[0],
                                    .columns = shape.rank == 2 ? shape.sizes[1] : 1,
                                    .matrix = shape.rank == 2,
                                    .offset = i > 0 ? before->offset + elements(before) : 0};
    snprintf(parameter->name, sizeof parameter->name, "%s", name);
    checkpoint->parameter_count++;
    return STATUS_OK;
}

/* The seal first: HDF5 must not meet a damaged structure. */
static enum status open_checked(struct checkpoint *checkpoint, int file, bool check) {
    const char *path = checkpoint->path;
    TRY(seal_check(file, path));
    TRY(h5_open(&checkpoint->h5, path));
    if (!h5_has(checkpoint->h5, "/parameters") || !h5_has(checkpoint->h5, "/manifest/name"))
        return FAIL(STATUS_INPUT, "%s: this is not a checkpoint: it has no /parameters", path);
    if (check)
        TRY(verify(checkpoint->h5, path, file));
    return h5_list(checkpoint->h5, "/parameters", add_parameter, checkpoint);
}

static enum status open_file(struct checkpoint *checkpoint, const char *path, bool check) {
    int64_t size;
    int file;
    if (snprintf(checkpoint->path, PATH_BYTES, "%s", path) >= PATH_BYTES)
        return FAIL(STATUS_INPUT, "a path of %zu bytes is too long", strlen(path));
    TRY(bytes_open_file(path, &file, &size));
    const enum status status = open_checked(checkpoint, file, check);
    close(file);
    return status;
}

enum status checkpoint_open(struct checkpoint **checkpoint, const char *path, bool check) {
    TRY(memory_new(checkpoint, 1, "checkpoint"));
    const enum status status = open_file(*checkpoint, path, check);
    if (status != STATUS_OK)
        checkpoint_close(checkpoint);
    return status;
}

enum status checkpoint_verify(const char *path) {
    struct checkpoint *checkpoint;
    TRY(checkpoint_open(&checkpoint, path, true));
    checkpoint_close(&checkpoint);
    return STATUS_OK;
}

void checkpoint_close(struct checkpoint **checkpoint) {
    if (*checkpoint == NULL)
        return;
    (void)h5_close(&(*checkpoint)->h5); /* opened for reading: nothing can be lost */
    memory_release(&(*checkpoint)->parameters);
    memory_release(checkpoint);
}

const struct parameter *checkpoint_parameters(const struct checkpoint *checkpoint, int64_t *count) {
    *count = checkpoint->parameter_count;
    return checkpoint->parameters;
}

enum status checkpoint_read(const struct checkpoint *checkpoint, enum checkpoint_section section,
                            const struct parameter *parameter, float *out) {
    char name[NAME_BYTES];
    struct h5_shape shape;
    section_name(name, section, parameter);
    TRY(h5_shape(checkpoint->h5, name, &shape));
    if (shape.rank != (parameter->matrix ? 2 : 1) || shape.sizes[0] != parameter->rows ||
        shape.sizes[1] != parameter->columns)
        return FAIL(STATUS_INPUT, "%s: %s is %lld × %lld; the model has %lld × %lld",
                    checkpoint->path, name, (long long)shape.sizes[0], (long long)shape.sizes[1],
                    (long long)parameter->rows, (long long)parameter->columns);
    return h5_get(checkpoint->h5, name, H5_KIND_F32, 0, parameter->rows, out);
}

enum status checkpoint_read_parameter(void *checkpoint, const struct parameter *parameter,
                                      float *out) {
    return checkpoint_read(checkpoint, CHECKPOINT_PARAMETERS, parameter, out);
}

static const char *state_name(char out[NAME_BYTES], const char *name) {
    snprintf(out, NAME_BYTES, "/state/%s", name);
    return out;
}

enum status checkpoint_integers(const struct checkpoint *checkpoint, const char *name,
                                int64_t **values, int64_t *count) {
    char path[NAME_BYTES];
    return h5_get_list(checkpoint->h5, state_name(path, name), H5_KIND_I64, values, count);
}

enum status checkpoint_reals(const struct checkpoint *checkpoint, const char *name, double **values,
                             int64_t *count) {
    char path[NAME_BYTES];
    return h5_get_list(checkpoint->h5, state_name(path, name), H5_KIND_F64, values, count);
}

enum status checkpoint_text(const struct checkpoint *checkpoint, const char *name,
                            struct strbuf *out) {
    char path[NAME_BYTES];
    return h5_get_text(checkpoint->h5, state_name(path, name), out);
}

enum status checkpoint_settings(const struct checkpoint *checkpoint, struct strbuf *out) {
    return h5_get_text(checkpoint->h5, "/settings", out);
}

struct collection {
    const struct h5 *h5;
    struct model_files *files;
};

static enum status take_file(void *context, const char *path, bool is_group) {
    const struct collection *collection = context;
    const char *name = strrchr(path, '/') + 1;
    char *bytes;
    int64_t n;
    if (is_group || collection->files->count == MODEL_FILES_MAX ||
        strlen(name) >= sizeof collection->files->files[0].name || name[0] == '.')
        return FAIL(STATUS_INPUT, "%s is not a file of a model", path);
    TRY(h5_get_list(collection->h5, path, H5_KIND_U8, &bytes, &n));
    const enum status status = model_files_add(collection->files, name, bytes, (size_t)n);
    memory_release(&bytes);
    return status;
}

enum status checkpoint_files(const struct checkpoint *checkpoint, struct model_files *files) {
    struct collection collection = {.h5 = checkpoint->h5, .files = files};
    files->count = 0;
    return h5_list(checkpoint->h5, "/model", take_file, &collection);
}

/* --- inspection --- */

struct report {
    const struct h5 *h5;
    struct strbuf *out;
    int64_t count, elements;
};

static enum status count_tensor(void *context, const char *path) {
    struct report *report = context;
    struct h5_shape shape;
    TRY(h5_shape(report->h5, path, &shape));
    report->count++;
    report->elements += shape.elements;
    return STATUS_OK;
}

static enum status append_tensors(struct report *report, const char *group, const char *what) {
    report->count = report->elements = 0;
    if (!h5_has(report->h5, group))
        return strbuf_append_format(report->out, "  %-20s none\n", what);
    TRY(h5_walk(report->h5, group, count_tensor, report));
    return strbuf_append_format(report->out, "  %-20s %lld tensors, %lld numbers\n", what,
                                (long long)report->count, (long long)report->elements);
}

static enum status append_first(const struct report *report, const char *path,
                                const struct h5_shape *shape) {
    int64_t integer;
    double real;
    if (shape->kind == H5_KIND_I64) {
        TRY(h5_get(report->h5, path, H5_KIND_I64, 0, 1, &integer));
        return strbuf_append_format(report->out, "%lld", (long long)integer);
    }
    TRY(h5_get(report->h5, path, H5_KIND_F64, 0, 1, &real));
    return strbuf_append_format(report->out, "%.9g", real);
}

/* A value of /state in one line: the first number of a list, the length of a text. */
static enum status append_value(void *context, const char *path) {
    const struct report *report = context;
    struct h5_shape shape;
    TRY(h5_shape(report->h5, path, &shape));
    TRY(strbuf_append_format(report->out, "  %-20s ", path + 1));
    if (shape.is_text || shape.rank != 1 || shape.elements == 0 ||
        (shape.kind != H5_KIND_I64 && shape.kind != H5_KIND_F64))
        return strbuf_append_format(report->out, "%lld %s\n",
                                    (long long)(shape.is_text ? shape.text_bytes : shape.elements),
                                    shape.is_text ? "bytes of text" : "numbers");
    TRY(append_first(report, path, &shape));
    return shape.elements == 1 ? strbuf_append_text(report->out, "\n")
                               : strbuf_append_format(report->out, " … (%lld numbers)\n",
                                                      (long long)shape.elements);
}

static enum status append_file(void *context, const char *path, bool is_group) {
    const struct report *report = context;
    struct h5_shape shape;
    if (is_group)
        return STATUS_OK;
    TRY(h5_shape(report->h5, path, &shape));
    return strbuf_append_format(report->out, "  %-40s %lld bytes\n", path + 1,
                                (long long)shape.elements);
}

enum status checkpoint_describe(const struct h5 *h5, struct strbuf *out) {
    struct report report = {.h5 = h5, .out = out};
    TRY(strbuf_append_text(out, "checkpoint\n"));
    for (int section = 0; section < CHECKPOINT_SECTIONS; section++)
        TRY(append_tensors(&report, section_paths[section], section_paths[section] + 1));
    if (h5_has(h5, "/state"))
        TRY(h5_walk(h5, "/state", append_value, &report));
    return h5_has(h5, "/model") ? h5_list(h5, "/model", append_file, &report) : STATUS_OK;
}
