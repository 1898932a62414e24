/* SPDX-License-Identifier: Apache-2.0
 *
 * Datasets, texts and attributes out of a file that may be anybody's: nothing is followed out of it,
 * and every size is checked before it is believed.
 */
#include "file/h5.h"

#include <string.h>

#include "base/memory.h"
#include "file/h5_library.h"

/* True when every link of the path stands in the file itself. */
bool h5_is_inside(const struct h5 *h5, const char *path) {
    char part[H5_PATH_BYTES];
    const size_t length = strlen(path);
    H5L_info_t info;
    if (length >= sizeof part || path[0] != '/')
        return false;
    for (size_t end = 1; end <= length; end++) {
        if (path[end] != '/' && path[end] != '\0')
            continue;
        memcpy(part, path, end);
        part[end] = '\0';
        if (end > 1 &&
            (H5Lget_info(h5->file, part, &info, H5P_DEFAULT) < 0 || info.type != H5L_TYPE_HARD))
            return false;
    }
    return true;
}

bool h5_has(const struct h5 *h5, const char *path) {
    const bool inside = h5_is_inside(h5, path);
    H5Eclear2(H5E_DEFAULT);
    return inside;
}

enum status h5_find(const struct h5 *h5, const char *path, bool *found) {
    *found = h5_is_inside(h5, path);
    if (!*found && h5_system_failed())
        return h5_fail_read(h5, path);
    H5Eclear2(H5E_DEFAULT);
    return STATUS_OK;
}

/* A dataset opened for reading, with what is known of it. */
struct source {
    hid_t set, type, space;
    struct h5_shape shape;
};

static void source_close(struct source *source) {
    if (source->space >= 0)
        H5Sclose(source->space);
    if (source->type >= 0)
        H5Tclose(source->type);
    if (source->set >= 0)
        H5Dclose(source->set);
}

/* Data in the file itself, and filters that we know. */
static bool is_kept_plainly(hid_t set) {
    const hid_t list = H5Dget_create_plist(set);
    const H5D_layout_t layout = list >= 0 ? H5Pget_layout(list) : H5D_LAYOUT_ERROR;
    bool good = layout == H5D_CONTIGUOUS || layout == H5D_CHUNKED || layout == H5D_COMPACT;
    if (good && layout == H5D_CONTIGUOUS)
        good = H5Pget_external_count(list) == 0;
    const int filters = good ? H5Pget_nfilters(list) : 0;
    for (int i = 0; i < filters; i++) {
        unsigned flags;
        size_t values = 0;
        const H5Z_filter_t filter =
            H5Pget_filter2(list, (unsigned)i, &flags, &values, NULL, 0, NULL, NULL);
        good = good && (filter == H5Z_FILTER_SHUFFLE || filter == H5Z_FILTER_DEFLATE ||
                        filter == H5Z_FILTER_FLETCHER32);
    }
    if (list >= 0)
        H5Pclose(list);
    return good;
}

static bool read_type(hid_t type, struct h5_shape *shape) {
    shape->is_text = H5Tget_class(type) == H5T_STRING && H5Tis_variable_str(type) == 0;
    shape->text_bytes = shape->is_text ? (int64_t)H5Tget_size(type) : 0;
    for (int kind = H5_KIND_U8; kind <= H5_KIND_F64; kind++)
        if (H5Tequal(type, h5_kind_type((enum h5_kind)kind)) > 0) {
            shape->kind = (enum h5_kind)kind;
            return true;
        }
    return shape->is_text;
}

static bool read_sizes(hid_t space, struct h5_shape *shape) {
    hsize_t sizes[2] = {1, 1};
    shape->rank = H5Sget_simple_extent_ndims(space);
    if (H5Sget_simple_extent_type(space) == H5S_NULL || shape->rank < 0 || shape->rank > 2 ||
        H5Sget_simple_extent_dims(space, sizes, NULL) < 0)
        return false;
    shape->sizes[0] = (int64_t)sizes[0];
    shape->sizes[1] = (int64_t)sizes[1];
    return sizes[0] <= INT64_MAX / 8 && sizes[1] <= INT64_MAX / 8 &&
           !__builtin_mul_overflow(shape->sizes[0], shape->sizes[1], &shape->elements) &&
           shape->elements <= INT64_MAX / 8;
}

static enum status source_fill(const struct h5 *h5, const char *path, struct source *source) {
    bool found;
    TRY(h5_find(h5, path, &found));
    if (!found)
        return h5_fail_content(h5, path, "is not in the file");
    source->set = H5Dopen2(h5->file, path, H5P_DEFAULT);
    if (source->set < 0)
        return h5_fail_read(h5, path);
    if (!is_kept_plainly(source->set))
        return h5_fail_content(h5, path, "is kept outside the file or by an unknown filter");
    source->type = H5Dget_type(source->set);
    source->space = H5Dget_space(source->set);
    if (source->type < 0 || source->space < 0)
        return h5_fail_read(h5, path);
    if (!read_type(source->type, &source->shape))
        return h5_fail_content(h5, path, "has numbers of a kind that is not read");
    if (!read_sizes(source->space, &source->shape))
        return h5_fail_content(h5, path, "has a shape that is not read");
    return STATUS_OK;
}

static enum status source_open(const struct h5 *h5, const char *path, struct source *source) {
    *source =
        (struct source){.set = H5I_INVALID_HID, .type = H5I_INVALID_HID, .space = H5I_INVALID_HID};
    const enum status status = source_fill(h5, path, source);
    H5Eclear2(H5E_DEFAULT);
    if (status != STATUS_OK)
        source_close(source);
    return status;
}

enum status h5_shape(const struct h5 *h5, const char *path, struct h5_shape *out) {
    struct source source;
    TRY(source_open(h5, path, &source));
    *out = source.shape;
    source_close(&source);
    return STATUS_OK;
}

/* Reads n elements (rows for rank 2) from `start` of an opened dataset; the range is inside. */
static enum status read_range(const struct h5 *h5, const char *path, const struct source *source,
                              int64_t start, int64_t n, void *out) {
    const hsize_t from[2] = {(hsize_t)start, 0},
                  count[2] = {(hsize_t)n, (hsize_t)source->shape.sizes[1]};
    if (n == 0 || count[1] == 0)
        return STATUS_OK;
    if (source->shape.rank == 0)
        return H5Dread(source->set, source->type, H5S_ALL, H5S_ALL, H5P_DEFAULT, out) < 0
                   ? h5_fail_read(h5, path)
                   : STATUS_OK;
    const hid_t memory = H5Screate_simple(source->shape.rank, count, NULL);
    herr_t failed = H5Sselect_hyperslab(source->space, H5S_SELECT_SET, from, NULL, count, NULL);
    if (failed >= 0)
        failed = H5Dread(source->set, source->type, memory, source->space, H5P_DEFAULT, out);
    const enum status status = failed < 0 ? h5_fail_read(h5, path) : STATUS_OK;
    H5Sclose(memory);
    return status;
}

static enum status check_range(const struct h5 *h5, const char *path, const struct h5_shape *shape,
                               enum h5_kind kind, int64_t start, int64_t n) {
    const int64_t rows = shape->rank == 0 ? 1 : shape->sizes[0];
    if (shape->is_text || shape->kind != kind)
        return h5_fail_content(h5, path, "holds numbers of another kind than expected");
    if (start < 0 || n < 0 || start > rows || n > rows - start)
        return h5_fail_content(h5, path, "is shorter than expected");
    return STATUS_OK;
}

enum status h5_get(const struct h5 *h5, const char *path, enum h5_kind kind, int64_t start,
                   int64_t n, void *out) {
    struct source source;
    TRY(source_open(h5, path, &source));
    enum status status = check_range(h5, path, &source.shape, kind, start, n);
    if (status == STATUS_OK)
        status = read_range(h5, path, &source, start, n, out);
    source_close(&source);
    return status;
}

/* What stands in the file must be at most as large as the file allows: deflate packs 1032 to 1. */
static enum status check_size(const struct h5 *h5, const char *path, int64_t bytes) {
    hsize_t size = 0;
    if (H5Fget_filesize(h5->file, &size) < 0 || (uint64_t)bytes / 1100 > size)
        return h5_fail_content(h5, path, "is larger than its file can hold");
    return STATUS_OK;
}

enum status h5_get_list(const struct h5 *h5, const char *path, enum h5_kind kind, void *values,
                        int64_t *n) {
    struct h5_shape shape;
    void *block;
    TRY(h5_shape(h5, path, &shape));
    if (shape.rank != 1)
        return h5_fail_content(h5, path, "is not a list");
    TRY(check_range(h5, path, &shape, kind, 0, shape.sizes[0]));
    TRY(check_size(h5, path, shape.elements * h5_kind_bytes(kind)));
    TRY(memory_allocate(&block, (size_t)shape.sizes[0], (size_t)h5_kind_bytes(kind), path));
    const enum status status = h5_get(h5, path, kind, 0, shape.sizes[0], block);
    *n = shape.sizes[0];
    if (status != STATUS_OK)
        memory_release(&block);
    memcpy(values, &block, sizeof block);
    return status;
}

enum status h5_get_integer(const struct h5 *h5, const char *path, int64_t *out) {
    return h5_get(h5, path, H5_KIND_I64, 0, 1, out);
}

static enum status read_texts(const struct h5 *h5, const char *path, const struct source *source,
                              char **texts, int64_t *stride, int64_t *n) {
    const struct h5_shape *shape = &source->shape;
    char *flat;
    if (!shape->is_text || shape->rank == 2 || shape->text_bytes < 1 || shape->text_bytes > 1 << 30)
        return h5_fail_content(h5, path, "holds no texts");
    if (shape->elements > (int64_t)1 << 30)
        return h5_fail_content(h5, path, "holds too many texts");
    *n = shape->elements;
    *stride = shape->text_bytes + 1;
    TRY(check_size(h5, path, *n * shape->text_bytes));
    TRY(memory_new(&flat, *n * shape->text_bytes, path));
    enum status status = read_range(h5, path, source, 0, *n, flat);
    if (status == STATUS_OK)
        status = memory_new(texts, *n * *stride, path);
    for (int64_t i = 0; i < *n && status == STATUS_OK; i++)
        memcpy(*texts + i * *stride, flat + i * shape->text_bytes, (size_t)shape->text_bytes);
    memory_release(&flat);
    return status;
}

enum status h5_get_texts(const struct h5 *h5, const char *path, char **texts, int64_t *stride,
                         int64_t *n) {
    struct source source;
    *texts = NULL;
    TRY(source_open(h5, path, &source));
    const enum status status = read_texts(h5, path, &source, texts, stride, n);
    source_close(&source);
    return status;
}

enum status h5_get_text(const struct h5 *h5, const char *path, struct strbuf *out) {
    char *text;
    int64_t stride, n;
    TRY(h5_get_texts(h5, path, &text, &stride, &n));
    const enum status status =
        n == 1 ? strbuf_append_text(out, text) : h5_fail_content(h5, path, "is not one text");
    memory_release(&text);
    return status;
}

static enum status read_attribute(const struct h5 *h5, const char *path, hid_t attribute,
                                  struct strbuf *out) {
    char text[4096] = "";
    const hid_t type = H5Aget_type(attribute);
    const size_t bytes = type >= 0 ? H5Tget_size(type) : 0;
    enum status status = STATUS_OK;
    if (type < 0 || H5Tget_class(type) != H5T_STRING || H5Tis_variable_str(type) != 0 ||
        bytes >= sizeof text || H5Aget_storage_size(attribute) > bytes)
        status = h5_fail_content(h5, path, "has an attribute that is no short text");
    else if (H5Aread(attribute, type, text) < 0)
        status = h5_fail_read(h5, path);
    if (type >= 0)
        H5Tclose(type);
    return status == STATUS_OK ? strbuf_append_text(out, text) : status;
}

enum status h5_get_attribute(const struct h5 *h5, const char *path, const char *name,
                             struct strbuf *out) {
    if (!h5_is_inside(h5, path))
        return h5_fail_content(h5, path, "is not in the file");
    if (H5Aexists_by_name(h5->file, path, name, H5P_DEFAULT) <= 0) {
        H5Eclear2(H5E_DEFAULT);
        return STATUS_OK;
    }
    const hid_t attribute = H5Aopen_by_name(h5->file, path, name, H5P_DEFAULT, H5P_DEFAULT);
    if (attribute < 0)
        return h5_fail_read(h5, path);
    const enum status status = read_attribute(h5, path, attribute, out);
    H5Aclose(attribute);
    return status;
}

static enum status read_real(const struct h5 *h5, const char *path, hid_t attribute,
                             double *value) {
    const hid_t type = H5Aget_type(attribute);
    enum status status = STATUS_OK;
    if (type < 0 || H5Tequal(type, H5T_NATIVE_DOUBLE) <= 0 ||
        H5Aget_storage_size(attribute) != sizeof *value)
        status = h5_fail_content(h5, path, "has an attribute that is no real number");
    else if (H5Aread(attribute, type, value) < 0)
        status = h5_fail_read(h5, path);
    if (type >= 0)
        H5Tclose(type);
    return status;
}

enum status h5_get_attribute_real(const struct h5 *h5, const char *path, const char *name,
                                  double *value) {
    if (!h5_is_inside(h5, path) || H5Aexists_by_name(h5->file, path, name, H5P_DEFAULT) <= 0) {
        H5Eclear2(H5E_DEFAULT);
        return h5_fail_content(h5, path, "lacks an attribute");
    }
    const hid_t attribute = H5Aopen_by_name(h5->file, path, name, H5P_DEFAULT, H5P_DEFAULT);
    if (attribute < 0)
        return h5_fail_read(h5, path);
    const enum status status = read_real(h5, path, attribute, value);
    H5Aclose(attribute);
    return status;
}

enum status h5_place(const struct h5 *h5, const char *path, int64_t *offset, int64_t *bytes) {
    struct source source;
    TRY(source_open(h5, path, &source));
    const haddr_t place = H5Dget_offset(source.set);
    *bytes = source.shape.elements * (int64_t)H5Tget_size(source.type);
    *offset = place == HADDR_UNDEF ? 0 : (int64_t)place;
    source_close(&source);
    if (*bytes > 0 && place == HADDR_UNDEF)
        return h5_fail_content(h5, path, "does not lie in one piece");
    return STATUS_OK;
}
