/* SPDX-License-Identifier: Apache-2.0 */
#define H5_USE_110_API
#include "file/h5.h"

#include <hdf5.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/memory.h"
#include "file/atomic.h"
#include "file/bytes.h"

#if H5_VERSION_GE(1, 12, 1) || (H5_VERSION_GE(1, 10, 7) && !H5_VERSION_GE(1, 12, 0))
#define HAS_LOCK_PROPERTY 1
#endif

enum {
    PATH_BYTES = 4096,
    DEPTH_MAX = 16,
    CHUNK_BYTES = 1 << 20,
    DEFLATE_LEVEL = 4,
    BLOCK_BYTES = 1 << 20,
};

struct h5 {
    hid_t file;
    bool in_memory, written;
    char path[PATH_BYTES]; /* for sentences; "" in memory */
};

/* --- the library --- */

/* Before the first call: no messages of its own, no plug-ins, no clean-up at exit (which loops over
 * a file that a full disk kept it from closing). */
static void start_library(void) {
    static bool started;
    if (started)
        return;
    started = true;
#ifndef HAS_LOCK_PROPERTY
    setenv("HDF5_USE_FILE_LOCKING", "FALSE", 1);
#endif
    H5dont_atexit();
    H5open();
    H5Eset_auto2(H5E_DEFAULT, NULL, NULL);
    H5PLset_loading_state(0);
}

const char *h5_version(void) {
    static char text[32];
    unsigned major, minor, release;
    start_library();
    H5get_libversion(&major, &minor, &release);
    snprintf(text, sizeof text, "%u.%u.%u", major, minor, release);
    return text;
}

static herr_t take_first(unsigned n, const H5E_error2_t *error, void *context) {
    const char **out = context;
    if (n == 0 && error->desc != NULL)
        *out = error->desc;
    return 0;
}

/* The library's innermost message in a sentence of ours. */
static enum status fail_h5(enum status status, const char *file, const char *path,
                           const char *what) {
    const char *cause = "no reason given";
    char quoted[STATUS_QUOTE_MAX], name[STATUS_QUOTE_MAX];
    H5Ewalk2(H5E_DEFAULT, H5E_WALK_UPWARD, take_first, &cause);
    FAIL(status, "%s: %s %s (HDF5: %s)", file[0] != '\0' ? file : "new file",
         status_quote(name, path, SIZE_MAX), what, status_quote(quoted, cause, SIZE_MAX));
    H5Eclear2(H5E_DEFAULT);
    return status;
}

static enum status fail_write(const struct h5 *h5, const char *path) {
    return fail_h5(STATUS_IO, h5->path, path, "cannot be written");
}

static enum status fail_read(const struct h5 *h5, const char *path) {
    return fail_h5(STATUS_INPUT, h5->path, path, "cannot be read");
}

static enum status fail_content(const struct h5 *h5, const char *path, const char *what) {
    char name[STATUS_QUOTE_MAX];
    return FAIL(STATUS_INPUT, "%s: %s %s", h5->path, status_quote(name, path, SIZE_MAX), what);
}

static hid_t kind_type(enum h5_kind kind) {
    switch (kind) {
    case H5_KIND_U8:
        return H5T_NATIVE_UINT8;
    case H5_KIND_I32:
        return H5T_NATIVE_INT32;
    case H5_KIND_I64:
        return H5T_NATIVE_INT64;
    case H5_KIND_F32:
        return H5T_NATIVE_FLOAT;
    case H5_KIND_F64:
        return H5T_NATIVE_DOUBLE;
    }
    return H5I_INVALID_HID;
}

int64_t h5_kind_bytes(enum h5_kind kind) {
    static const int64_t bytes[] = {[H5_KIND_U8] = 1,
                                    [H5_KIND_I32] = 4,
                                    [H5_KIND_I64] = 8,
                                    [H5_KIND_F32] = 4,
                                    [H5_KIND_F64] = 8};
    return bytes[kind];
}

/* --- files --- */

static hid_t access_list(enum h5_format format) {
    const hid_t list = H5Pcreate(H5P_FILE_ACCESS);
    if (format == H5_FORMAT_CHECKED)
        H5Pset_libver_bounds(list, H5F_LIBVER_V110, H5F_LIBVER_V110);
#ifdef HAS_LOCK_PROPERTY
    H5Pset_file_locking(list, false, true);
#endif
    H5Pset_fclose_degree(list, H5F_CLOSE_STRONG);
    return list;
}

/* Makes the handle; the caller sets `file`. */
static enum status make_handle(struct h5 **h5, const char *path) {
    start_library();
    TRY(memory_new(h5, 1, "HDF5 file"));
    if (snprintf((*h5)->path, PATH_BYTES, "%s", path) < PATH_BYTES)
        return STATUS_OK;
    memory_release(h5);
    return FAIL(STATUS_INPUT, "a path of %zu bytes is too long", strlen(path));
}

/* The library forgets its message at the next call, so the sentence comes first. */
static enum status finish_open(struct h5 **h5, hid_t list, enum status failure, const char *what) {
    const enum status status =
        (*h5)->file >= 0 ? STATUS_OK : fail_h5(failure, (*h5)->path, "it", what);
    H5Pclose(list);
    if (status != STATUS_OK)
        memory_release(h5);
    return status;
}

enum status h5_create(struct h5 **h5, enum h5_format format) {
    TRY(make_handle(h5, ""));
    const hid_t list = access_list(format);
    H5Pset_fapl_core(list, BLOCK_BYTES, false);
    (*h5)->in_memory = true;
    (*h5)->file = H5Fcreate("memory", H5F_ACC_TRUNC, H5P_DEFAULT, list);
    return finish_open(h5, list, STATUS_MEMORY, "cannot be made in memory");
}

enum status h5_create_layout(struct h5 **h5, const char *path) {
    TRY(make_handle(h5, path));
    const hid_t list = access_list(H5_FORMAT_CHECKED);
    H5Pset_alignment(list, BLOCK_BYTES, BLOCK_BYTES);
    (*h5)->file = H5Fcreate(path, H5F_ACC_TRUNC, H5P_DEFAULT, list);
    return finish_open(h5, list, STATUS_IO, "cannot be created");
}

/* HDF5 would look for its signature further inside as well; ours stands at the beginning. */
static enum status check_signature(const char *path) {
    static const unsigned char signature[8] = {0x89, 'H', 'D', 'F', '\r', '\n', 0x1a, '\n'};
    unsigned char head[8] = {0};
    int64_t size;
    int file;
    TRY(bytes_open_file(path, &file, &size));
    const enum status status = size < 8 ? STATUS_OK : bytes_read_at(file, path, 0, head, 8);
    close(file);
    TRY(status);
    if (memcmp(head, signature, sizeof head) != 0)
        return FAIL(STATUS_INPUT, "%s: this is not an HDF5 file", path);
    return STATUS_OK;
}

enum status h5_open(struct h5 **h5, const char *path) {
    TRY(check_signature(path));
    TRY(make_handle(h5, path));
    const hid_t list = access_list(H5_FORMAT_LIVE);
    (*h5)->file = H5Fopen(path, H5F_ACC_RDONLY, list);
    return finish_open(h5, list, STATUS_INPUT, "cannot be opened");
}

enum status h5_close(struct h5 **h5) {
    enum status status = STATUS_OK;
    if (*h5 == NULL)
        return STATUS_OK;
    if (H5Fclose((*h5)->file) < 0)
        status = fail_h5(STATUS_IO, (*h5)->path, "it", "cannot be closed");
    memory_release(h5);
    return status;
}

/* The library's checksum of metadata: lookup3 of B. Jenkins (2006, public domain). */
static uint32_t lookup3(const unsigned char *bytes, size_t n) {
    static const int mix[6] = {4, 6, 8, 16, 19, 4}, last[7] = {14, 11, 25, 16, 4, 14, 24};
    uint32_t s[3];
    s[0] = s[1] = s[2] = 0xdeadbeefu + (uint32_t)n;
    for (; n > 0; bytes += n < 12 ? n : 12, n -= n < 12 ? n : 12) {
        for (size_t i = 0; i < 12 && i < n; i++)
            s[i / 4] += (uint32_t)bytes[i] << 8 * (i % 4);
        for (int i = 0; n > 12 && i < 6; i++) { /* a −= c, a ^= c rotated, c += b; then turn */
            uint32_t *a = &s[i % 3], *b = &s[(i + 1) % 3], *c = &s[(i + 2) % 3];
            *a = (*a - *c) ^ (*c << mix[i] | *c >> (32 - mix[i]));
            *c += *b;
        }
    }
    for (int i = 0; i < 7; i++) { /* c ^= b, c −= b rotated; then turn */
        uint32_t *c = &s[(i + 2) % 3], *b = &s[(i + 1) % 3];
        *c = (*c ^ *b) - (*b << last[i] | *b >> (32 - last[i]));
    }
    return s[2];
}

/* H5Fget_file_image clears the flag "open for writing" of a version 3 superblock and, up to HDF5
 * 1.10.8 at least, forgets its checksum. */
static void repair_superblock(unsigned char *image, int64_t n) {
    enum { VERSION_AT = 8, CHECKSUM_AT = 44, SUPERBLOCK_BYTES = 48 };
    if (n < SUPERBLOCK_BYTES || image[VERSION_AT] != 3)
        return;
    const uint32_t sum = lookup3(image, CHECKSUM_AT);
    for (int i = 0; i < 4; i++)
        image[CHECKSUM_AT + i] = (unsigned char)(sum >> 8 * i & 0xff);
}

/* The file as bytes; the caller releases *image. */
static enum status take_image(struct h5 *h5, unsigned char **image, int64_t *n) {
    *image = NULL;
    if (H5Fflush(h5->file, H5F_SCOPE_GLOBAL) < 0)
        return fail_write(h5, "it");
    const ssize_t bytes = H5Fget_file_image(h5->file, NULL, 0);
    if (bytes <= 0)
        return fail_write(h5, "it");
    TRY(memory_new(image, bytes, "HDF5 file"));
    *n = (int64_t)bytes;
    if (H5Fget_file_image(h5->file, *image, (size_t)bytes) != bytes)
        return fail_write(h5, "it");
    repair_superblock(*image, *n);
    return STATUS_OK;
}

enum status h5_save(struct h5 **h5, const char *path) {
    unsigned char *image;
    int64_t n = 0;
    ASSERT((*h5)->in_memory);
    enum status status = take_image(*h5, &image, &n);
    if (status == STATUS_OK)
        status = atomic_write_file(path, image, n);
    memory_release(&image);
    const enum status closed = h5_close(h5);
    return status != STATUS_OK ? status : closed;
}

/* --- writing --- */

static hid_t with_parents(void) {
    const hid_t list = H5Pcreate(H5P_LINK_CREATE);
    H5Pset_create_intermediate_group(list, 1);
    H5Pset_char_encoding(list, H5T_CSET_UTF8);
    return list;
}

enum status h5_put_group(struct h5 *h5, const char *path) {
    const hid_t parents = with_parents();
    const hid_t group = H5Gcreate2(h5->file, path, parents, H5P_DEFAULT, H5P_DEFAULT);
    const enum status status = group < 0 ? fail_write(h5, path) : STATUS_OK;
    H5Pclose(parents);
    if (group >= 0)
        H5Gclose(group);
    return status;
}

/* Chunks: whole rows of up to 1 MiB. */
static void set_packed(hid_t list, int rank, const hsize_t *sizes, size_t element) {
    hsize_t chunk[2] = {sizes[0], rank == 2 ? sizes[1] : 1};
    const hsize_t row = chunk[1] * element, rows = CHUNK_BYTES / row;
    if (chunk[0] > rows)
        chunk[0] = rows > 0 ? rows : 1;
    H5Pset_chunk(list, rank, chunk);
    H5Pset_shuffle(list);
    H5Pset_deflate(list, DEFLATE_LEVEL);
    H5Pset_fletcher32(list);
}

static hid_t creation_list(const struct h5 *h5, hid_t type, enum h5_storage storage, int rank,
                           const hsize_t *sizes, bool empty) {
    const hid_t list = H5Pcreate(H5P_DATASET_CREATE);
    const double nan_value = (double)NAN;
    H5Pset_obj_track_times(list, false); /* the same content gives the same bytes */
    if (storage == H5_STORAGE_PACKED && rank > 0 && !empty)
        set_packed(list, rank, sizes, H5Tget_size(type));
    else
        H5Pset_alloc_time(list, H5D_ALLOC_TIME_EARLY);
    if (!h5->in_memory)
        H5Pset_fill_time(list, H5D_FILL_TIME_NEVER); /* every byte is written by others */
    else if (H5Tget_class(type) == H5T_FLOAT)
        H5Pset_fill_value(list, H5T_NATIVE_DOUBLE, &nan_value);
    return list;
}

/* A dataset of any type; data may be NULL. */
static enum status put_any(struct h5 *h5, const char *path, hid_t type, enum h5_storage storage,
                           int rank, const hsize_t *sizes, const void *data) {
    bool empty = false;
    for (int i = 0; i < rank; i++)
        empty = empty || sizes[i] == 0;
    const hid_t space = rank > 0 ? H5Screate_simple(rank, sizes, NULL) : H5Screate(H5S_SCALAR);
    const hid_t list = creation_list(h5, type, storage, rank, sizes, empty),
                parents = with_parents();
    const hid_t set = H5Dcreate2(h5->file, path, type, space, parents, list, H5P_DEFAULT);
    enum status status = set < 0 ? fail_write(h5, path) : STATUS_OK;
    if (set >= 0 && data != NULL && !empty &&
        H5Dwrite(set, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, data) < 0)
        status = fail_write(h5, path);
    if (set >= 0)
        H5Dclose(set);
    H5Pclose(parents);
    H5Pclose(list);
    H5Sclose(space);
    return status;
}

enum status h5_put(struct h5 *h5, const char *path, enum h5_kind kind, enum h5_storage storage,
                   int rank, const int64_t *sizes, const void *data) {
    hsize_t dims[2] = {0, 0};
    ASSERT(rank >= 0 && rank <= 2);
    for (int i = 0; i < rank; i++) {
        ASSERT(sizes[i] >= 0);
        dims[i] = (hsize_t)sizes[i];
    }
    return put_any(h5, path, kind_type(kind), storage, rank, dims, data);
}

enum status h5_put_list(struct h5 *h5, const char *path, enum h5_kind kind, int64_t n,
                        const void *data) {
    return h5_put(h5, path, kind, H5_STORAGE_PACKED, 1, &n, data);
}

enum status h5_put_integer(struct h5 *h5, const char *path, int64_t value) {
    return h5_put(h5, path, H5_KIND_I64, H5_STORAGE_PLAIN, 0, NULL, &value);
}

/* Texts of `bytes` bytes each, padded with zeros. */
static hid_t text_type(size_t bytes) {
    const hid_t type = H5Tcopy(H5T_C_S1);
    H5Tset_size(type, bytes > 0 ? bytes : 1);
    H5Tset_strpad(type, H5T_STR_NULLPAD);
    H5Tset_cset(type, H5T_CSET_UTF8);
    return type;
}

enum status h5_put_text(struct h5 *h5, const char *path, const char *text) {
    const hid_t type = text_type(strlen(text));
    const enum status status = put_any(h5, path, type, H5_STORAGE_PLAIN, 0, NULL, text);
    H5Tclose(type);
    return status;
}

enum status h5_put_texts(struct h5 *h5, const char *path, const char *const *texts, int64_t n) {
    size_t longest = 1;
    char *flat;
    for (int64_t i = 0; i < n; i++)
        longest = strlen(texts[i]) > longest ? strlen(texts[i]) : longest;
    TRY(memory_new(&flat, (size_t)n * longest, "texts"));
    for (int64_t i = 0; i < n; i++)
        memcpy(flat + (size_t)i * longest, texts[i], strlen(texts[i]));
    const hid_t type = text_type(longest);
    const hsize_t size = (hsize_t)n;
    const enum status status = put_any(h5, path, type, H5_STORAGE_PLAIN, 1, &size, flat);
    H5Tclose(type);
    memory_release(&flat);
    return status;
}

static enum status put_attribute(struct h5 *h5, const char *path, const char *name, hid_t type,
                                 const void *value) {
    const hid_t space = H5Screate(H5S_SCALAR);
    const hid_t attribute =
        H5Acreate_by_name(h5->file, path, name, type, space, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
    enum status status = STATUS_OK;
    if (attribute < 0 || H5Awrite(attribute, type, value) < 0)
        status = fail_write(h5, path);
    if (attribute >= 0)
        H5Aclose(attribute);
    H5Sclose(space);
    return status;
}

enum status h5_put_attribute(struct h5 *h5, const char *path, const char *name, const char *text) {
    const hid_t type = text_type(strlen(text));
    const enum status status = put_attribute(h5, path, name, type, text);
    H5Tclose(type);
    return status;
}

/* --- reading --- */

/* True when every link of the path stands in the file itself. */
static bool is_inside(const struct h5 *h5, const char *path) {
    char part[PATH_BYTES];
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
    const bool inside = is_inside(h5, path);
    H5Eclear2(H5E_DEFAULT);
    return inside;
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
        if (H5Tequal(type, kind_type((enum h5_kind)kind)) > 0) {
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
    if (!is_inside(h5, path))
        return fail_content(h5, path, "is not in the file");
    source->set = H5Dopen2(h5->file, path, H5P_DEFAULT);
    if (source->set < 0)
        return fail_read(h5, path);
    if (!is_kept_plainly(source->set))
        return fail_content(h5, path, "is kept outside the file or by an unknown filter");
    source->type = H5Dget_type(source->set);
    source->space = H5Dget_space(source->set);
    if (source->type < 0 || source->space < 0)
        return fail_read(h5, path);
    if (!read_type(source->type, &source->shape))
        return fail_content(h5, path, "has numbers of a kind that is not read");
    if (!read_sizes(source->space, &source->shape))
        return fail_content(h5, path, "has a shape that is not read");
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
                   ? fail_read(h5, path)
                   : STATUS_OK;
    const hid_t memory = H5Screate_simple(source->shape.rank, count, NULL);
    herr_t failed = H5Sselect_hyperslab(source->space, H5S_SELECT_SET, from, NULL, count, NULL);
    if (failed >= 0)
        failed = H5Dread(source->set, source->type, memory, source->space, H5P_DEFAULT, out);
    const enum status status = failed < 0 ? fail_read(h5, path) : STATUS_OK;
    H5Sclose(memory);
    return status;
}

static enum status check_range(const struct h5 *h5, const char *path, const struct h5_shape *shape,
                               enum h5_kind kind, int64_t start, int64_t n) {
    const int64_t rows = shape->rank == 0 ? 1 : shape->sizes[0];
    if (shape->is_text || shape->kind != kind)
        return fail_content(h5, path, "holds numbers of another kind than expected");
    if (start < 0 || n < 0 || start > rows || n > rows - start)
        return fail_content(h5, path, "is shorter than expected");
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
        return fail_content(h5, path, "is larger than its file can hold");
    return STATUS_OK;
}

enum status h5_get_list(const struct h5 *h5, const char *path, enum h5_kind kind, void *values,
                        int64_t *n) {
    struct h5_shape shape;
    void *block;
    TRY(h5_shape(h5, path, &shape));
    if (shape.rank != 1)
        return fail_content(h5, path, "is not a list");
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
        return fail_content(h5, path, "holds no texts");
    if (shape->elements > (int64_t)1 << 30)
        return fail_content(h5, path, "holds too many texts");
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
        n == 1 ? strbuf_append_text(out, text) : fail_content(h5, path, "is not one text");
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
        status = fail_content(h5, path, "has an attribute that is no short text");
    else if (H5Aread(attribute, type, text) < 0)
        status = fail_read(h5, path);
    if (type >= 0)
        H5Tclose(type);
    return status == STATUS_OK ? strbuf_append_text(out, text) : status;
}

enum status h5_get_attribute(const struct h5 *h5, const char *path, const char *name,
                             struct strbuf *out) {
    if (!is_inside(h5, path))
        return fail_content(h5, path, "is not in the file");
    if (H5Aexists_by_name(h5->file, path, name, H5P_DEFAULT) <= 0) {
        H5Eclear2(H5E_DEFAULT);
        return STATUS_OK;
    }
    const hid_t attribute = H5Aopen_by_name(h5->file, path, name, H5P_DEFAULT, H5P_DEFAULT);
    if (attribute < 0)
        return fail_read(h5, path);
    const enum status status = read_attribute(h5, path, attribute, out);
    H5Aclose(attribute);
    return status;
}

/* --- going through a file --- */

struct listing {
    const struct h5 *h5;
    const char *group;
    enum status (*visit)(void *context, const char *path, bool is_group);
    void *context;
    enum status status;
};

static herr_t list_entry(hid_t group, const char *name, const H5L_info_t *info, void *context) {
    struct listing *listing = context;
    char path[PATH_BYTES];
    H5O_info_t object;
    if (info->type != H5L_TYPE_HARD)
        return 0;
    const char *separator = strcmp(listing->group, "/") == 0 ? "" : "/";
    if (snprintf(path, sizeof path, "%s%s%s", listing->group, separator, name) >=
        (int)sizeof path) {
        listing->status = fail_content(listing->h5, listing->group, "holds a name too long");
        return -1;
    }
    if (H5Oget_info_by_name(group, name, &object, H5P_DEFAULT) < 0) {
        listing->status = fail_read(listing->h5, path);
        return -1;
    }
    if (object.type == H5O_TYPE_GROUP || object.type == H5O_TYPE_DATASET)
        listing->status = listing->visit(listing->context, path, object.type == H5O_TYPE_GROUP);
    return listing->status == STATUS_OK ? 0 : -1;
}

enum status h5_list(const struct h5 *h5, const char *group,
                    enum status (*visit)(void *context, const char *path, bool is_group),
                    void *context) {
    struct listing listing = {.h5 = h5, .group = group, .visit = visit, .context = context};
    if (!is_inside(h5, group))
        return fail_content(h5, group, "is not in the file");
    const hid_t id = H5Gopen2(h5->file, group, H5P_DEFAULT);
    if (id < 0)
        return fail_read(h5, group);
    hsize_t at = 0;
    const herr_t failed = H5Literate(id, H5_INDEX_NAME, H5_ITER_INC, &at, list_entry, &listing);
    if (failed < 0 && listing.status == STATUS_OK)
        listing.status = fail_read(h5, group);
    H5Gclose(id);
    H5Eclear2(H5E_DEFAULT);
    return listing.status;
}

struct walk {
    const struct h5 *h5;
    enum status (*visit)(void *context, const char *path);
    void *context;
    int depth;
};

static enum status walk_entry(void *context, const char *path, bool is_group) {
    struct walk *walk = context;
    if (!is_group)
        return walk->visit(walk->context, path);
    if (walk->depth == DEPTH_MAX)
        return fail_content(walk->h5, path, "lies too deep");
    walk->depth++;
    const enum status status = h5_list(walk->h5, path, walk_entry, walk);
    walk->depth--;
    return status;
}

enum status h5_walk(const struct h5 *h5, const char *group,
                    enum status (*visit)(void *context, const char *path), void *context) {
    struct walk walk = {.h5 = h5, .visit = visit, .context = context};
    return h5_list(h5, group, walk_entry, &walk);
}

enum status h5_place(const struct h5 *h5, const char *path, int64_t *offset, int64_t *bytes) {
    struct source source;
    TRY(source_open(h5, path, &source));
    const haddr_t place = H5Dget_offset(source.set);
    *bytes = source.shape.elements * (int64_t)H5Tget_size(source.type);
    *offset = place == HADDR_UNDEF ? 0 : (int64_t)place;
    source_close(&source);
    if (*bytes > 0 && place == HADDR_UNDEF)
        return fail_content(h5, path, "does not lie in one piece");
    return STATUS_OK;
}
