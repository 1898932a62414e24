/* SPDX-License-Identifier: Apache-2.0
 *
 * Datasets, texts and attributes into a file.
 */
#include "file/h5.h"

#include <math.h>
#include <string.h>

#include "base/memory.h"
#include "file/h5_library.h"

enum { CHUNK_BYTES = 1 << 20, DEFLATE_LEVEL = 4 };

static hid_t with_parents(void) {
    const hid_t list = H5Pcreate(H5P_LINK_CREATE);
    H5Pset_create_intermediate_group(list, 1);
    H5Pset_char_encoding(list, H5T_CSET_UTF8);
    return list;
}

enum status h5_put_group(struct h5 *h5, const char *path) {
    const hid_t parents = with_parents();
    const hid_t group = H5Gcreate2(h5->file, path, parents, H5P_DEFAULT, H5P_DEFAULT);
    const enum status status = group < 0 ? h5_fail_write(h5, path) : STATUS_OK;
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
    enum status status = set < 0 ? h5_fail_write(h5, path) : STATUS_OK;
    if (set >= 0 && data != NULL && !empty &&
        H5Dwrite(set, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, data) < 0)
        status = h5_fail_write(h5, path);
    if (set >= 0 && H5Dclose(set) < 0 && status == STATUS_OK)
        status = h5_fail_write(h5, path); /* what the library had kept back is written here */
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
    return put_any(h5, path, h5_kind_type(kind), storage, rank, dims, data);
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
        status = h5_fail_write(h5, path);
    if (attribute >= 0 && H5Aclose(attribute) < 0 && status == STATUS_OK)
        status = h5_fail_write(h5, path);
    H5Sclose(space);
    return status;
}

enum status h5_put_attribute(struct h5 *h5, const char *path, const char *name, const char *text) {
    const hid_t type = text_type(strlen(text));
    const enum status status = put_attribute(h5, path, name, type, text);
    H5Tclose(type);
    return status;
}

enum status h5_put_attribute_real(struct h5 *h5, const char *path, const char *name, double value) {
    return put_attribute(h5, path, name, H5T_NATIVE_DOUBLE, &value);
}

enum status h5_describe(struct h5 *h5, const char *path, const char *units,
                        const char *description) {
    TRY(h5_put_attribute(h5, path, "units", units));
    return h5_put_attribute(h5, path, "description", description);
}
