/* SPDX-License-Identifier: Apache-2.0 */
#include "run/checkpoint_read.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "base/memory.h"
#include "file/bytes.h"
#include "file/provenance.h"
#include "file/seal.h"
#include "run/checkpoint_manifest.h"

enum { PATH_BYTES = 4096 };

struct checkpoint {
    struct h5 *h5;
    int file; /* the same file, for the tensors' bytes */
    char path[PATH_BYTES];
    struct parameter *parameters;
    int64_t parameter_count;
};

/* The manifest must name exactly what is in the file. */
static enum status check_names(const struct h5 *h5, const char *path,
                               const struct checkpoint_manifest *manifest) {
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

/* The digests of the manifest, `count` of them. */
static enum status stored_sums(const struct h5 *h5, const char *path, int64_t count,
                               unsigned char *digests) {
    struct h5_shape shape;
    TRY(h5_shape(h5, "/manifest/sha256", &shape));
    if (shape.rank != 2 || shape.sizes[0] != count || shape.sizes[1] != CHECKPOINT_DIGEST_BYTES)
        return FAIL(STATUS_INPUT, "%s: /manifest/sha256 has another shape than expected", path);
    return h5_get(h5, "/manifest/sha256", H5_KIND_U8, 0, count, digests);
}

enum status checkpoint_sums(const struct checkpoint *checkpoint, char **names, int64_t *stride,
                            unsigned char **digests, int64_t *count) {
    TRY(h5_get_texts(checkpoint->h5, "/manifest/name", names, stride, count));
    TRY(memory_new(digests, *count * CHECKPOINT_DIGEST_BYTES, "checksums"));
    return stored_sums(checkpoint->h5, checkpoint->path, *count, *digests);
}

/* `digests` (2 × count × 32 bytes): those of the file, then those of the manifest. */
static enum status compare_sums(const struct h5 *h5, const char *path, int file,
                                const struct checkpoint_manifest *manifest,
                                unsigned char *digests) {
    unsigned char *stored = digests + manifest->count * CHECKPOINT_DIGEST_BYTES;
    char quoted[STATUS_QUOTE_MAX];
    TRY(stored_sums(h5, path, manifest->count, stored));
    TRY(bytes_hash_ranges(file, path, manifest->ranges, manifest->count, digests));
    for (int64_t i = 0; i < manifest->count; i++)
        if (memcmp(digests + i * CHECKPOINT_DIGEST_BYTES, stored + i * CHECKPOINT_DIGEST_BYTES,
                   CHECKPOINT_DIGEST_BYTES) != 0)
            return FAIL(STATUS_INPUT, "%s: %s does not have its checksum: the file is damaged",
                        path, status_quote(quoted, manifest->paths[i], SIZE_MAX));
    return STATUS_OK;
}

static enum status verify_entries(const struct h5 *h5, const char *path, int file,
                                  const struct checkpoint_manifest *manifest) {
    unsigned char *digests;
    TRY(check_names(h5, path, manifest));
    TRY(memory_new(&digests, 2 * manifest->count * CHECKPOINT_DIGEST_BYTES, "checksums"));
    const enum status status = compare_sums(h5, path, file, manifest, digests);
    memory_release(&digests);
    return status;
}

static enum status verify(const struct h5 *h5, const char *path, int file) {
    struct checkpoint_manifest manifest;
    enum status status = checkpoint_manifest_collect(&manifest, h5);
    if (status == STATUS_OK)
        status = verify_entries(h5, path, file, &manifest);
    checkpoint_manifest_release(&manifest);
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
    *parameter =
        (struct parameter){.rows = shape.sizes[0],
                           .columns = shape.rank == 2 ? shape.sizes[1] : 1,
                           .matrix = shape.rank == 2,
                           .offset = i > 0 ? before->offset + checkpoint_elements(before) : 0};
    snprintf(parameter->name, sizeof parameter->name, "%s", name);
    checkpoint->parameter_count++;
    return STATUS_OK;
}

/* The seal first: HDF5 must not meet a damaged structure. */
static enum status open_checked(struct checkpoint *checkpoint, int file, bool check) {
    const char *path = checkpoint->path;
    bool parameters, names;
    TRY(seal_check(file, path));
    TRY(h5_open(&checkpoint->h5, path));
    TRY(h5_find(checkpoint->h5, "/parameters", &parameters));
    TRY(h5_find(checkpoint->h5, "/manifest/name", &names));
    if (!parameters || !names)
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
    checkpoint->file = file;
    return open_checked(checkpoint, file, check);
}

enum status checkpoint_open(struct checkpoint **checkpoint, const char *path, bool check) {
    TRY(memory_new(checkpoint, 1, "checkpoint"));
    (*checkpoint)->file = -1;
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

enum status checkpoint_retry(enum status (*read)(void *context), void *context) {
    enum status status = read(context);
    for (unsigned pause_s = 1; pause_s <= 3 && status == STATUS_IO; pause_s += 2) {
        log_warning("checkpoint", "%s; it is read again in %u s", status_sentence(), pause_s);
        status_clear();
        sleep(pause_s);
        status = read(context);
    }
    return status;
}

void checkpoint_close(struct checkpoint **checkpoint) {
    if (*checkpoint == NULL)
        return;
    (void)h5_close(&(*checkpoint)->h5); /* opened for reading: nothing can be lost */
    if ((*checkpoint)->file >= 0)
        close((*checkpoint)->file);
    memory_release(&(*checkpoint)->parameters);
    memory_release(checkpoint);
}

const struct parameter *checkpoint_parameters(const struct checkpoint *checkpoint, int64_t *count) {
    *count = checkpoint->parameter_count;
    return checkpoint->parameters;
}

const char *checkpoint_name(const struct checkpoint *checkpoint) {
    return checkpoint->path;
}

enum status checkpoint_read_block(const struct checkpoint *checkpoint,
                                  enum checkpoint_section section,
                                  const struct parameter *parameter, int64_t first, int64_t n,
                                  float *out) {
    char name[CHECKPOINT_NAME_BYTES];
    struct h5_shape shape;
    int64_t offset, bytes;
    checkpoint_section_name(name, section, parameter);
    TRY(h5_shape(checkpoint->h5, name, &shape));
    if (shape.is_text || shape.kind != H5_KIND_F32 || shape.rank != (parameter->matrix ? 2 : 1) ||
        shape.sizes[0] != parameter->rows ||
        (parameter->matrix && shape.sizes[1] != parameter->columns))
        return FAIL(STATUS_INPUT, "%s: %s is %lld × %lld; the model has %lld × %lld",
                    checkpoint->path, name, (long long)shape.sizes[0], (long long)shape.sizes[1],
                    (long long)parameter->rows, (long long)parameter->columns);
    TRY(h5_place(checkpoint->h5, name, &offset, &bytes));
    ASSERT(first >= 0 && n >= 0 && 4 * (first + n) <= bytes);
    return bytes_read_at(checkpoint->file, checkpoint->path, offset + 4 * first, out, 4 * n);
}

enum status checkpoint_read(const struct checkpoint *checkpoint, enum checkpoint_section section,
                            const struct parameter *parameter, float *out) {
    return checkpoint_read_block(checkpoint, section, parameter, 0, checkpoint_elements(parameter),
                                 out);
}

enum status checkpoint_read_parameter(void *checkpoint, const struct parameter *parameter,
                                      float *out) {
    return checkpoint_read(checkpoint, CHECKPOINT_PARAMETERS, parameter, out);
}

static enum status fail_state(const struct checkpoint *checkpoint, const char *name,
                              const char *what) {
    char quoted[STATUS_QUOTE_MAX];
    return FAIL(STATUS_INPUT,
                "%s: /state/%s %s: it was written by another version of the program, which can go "
                "on with it; this one starts over with --fresh",
                checkpoint->path, status_quote(quoted, name, SIZE_MAX), what);
}

static void put_back(const struct checkpoint_value *value, const void *numbers) {
    const int64_t *integers = numbers;
    bool *flags = value->numbers;
    if (value->kind != CHECKPOINT_FLAGS)
        memcpy(value->numbers, numbers,
               (size_t)(h5_kind_bytes(checkpoint_number(value->kind)) * value->count));
    for (int64_t i = 0; value->kind == CHECKPOINT_FLAGS && i < value->count; i++)
        flags[i] = integers[i] != 0;
}

static enum status read_value(const struct checkpoint *checkpoint,
                              const struct checkpoint_value *value) {
    const enum h5_kind kind = checkpoint_number(value->kind);
    char path[CHECKPOINT_NAME_BYTES];
    int64_t count;
    void *numbers;
    bool found;
    snprintf(path, sizeof path, "/state/%s", value->name);
    TRY(h5_find(checkpoint->h5, path, &found));
    if (!found)
        return fail_state(checkpoint, value->name, "is missing");
    TRY(h5_get_list(checkpoint->h5, path, kind, &numbers, &count));
    if (count == value->count)
        put_back(value, numbers);
    memory_release(&numbers);
    return count == value->count ? STATUS_OK
                                 : fail_state(checkpoint, value->name, "has another length");
}

/* The values that are asked for. */
struct table {
    const struct checkpoint *checkpoint;
    const struct checkpoint_value *values;
    int count;
};

/* For h5_walk over /state: what nobody asks for is a value that would be lost. */
static enum status check_known(void *context, const char *path) {
    const struct table *table = context;
    const char *name = path + strlen("/state/");
    for (int i = 0; i < table->count; i++)
        if (strcmp(table->values[i].name, name) == 0)
            return STATUS_OK;
    return fail_state(table->checkpoint, name, "is not known here");
}

enum status checkpoint_read_state(const struct checkpoint *checkpoint,
                                  const struct checkpoint_value *values, int count) {
    struct table table = {checkpoint, values, count};
    TRY(h5_walk(checkpoint->h5, "/state", check_known, &table));
    for (int i = 0; i < count; i++)
        TRY(read_value(checkpoint, &values[i]));
    return STATUS_OK;
}

enum status checkpoint_settings(const struct checkpoint *checkpoint, struct strbuf *out) {
    return h5_get_text(checkpoint->h5, "/settings", out);
}

enum status checkpoint_provenance(const struct checkpoint *checkpoint, const char *name,
                                  struct strbuf *out) {
    char path[CHECKPOINT_NAME_BYTES];
    snprintf(path, sizeof path, "/provenance/%s", name);
    return h5_get_text(checkpoint->h5, path, out);
}

enum status checkpoint_build(const struct checkpoint *checkpoint, struct strbuf *out) {
    return provenance_read_build(checkpoint->h5, out);
}

enum status checkpoint_inputs(const struct checkpoint *checkpoint, char **sums, int64_t *stride,
                              int64_t *count) {
    return h5_get_texts(checkpoint->h5, "/provenance/inputs/sha256", sums, stride, count);
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
