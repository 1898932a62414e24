/* SPDX-License-Identifier: Apache-2.0 */
#include "file/h5.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/memory.h"
#include "file/atomic.h"
#include "file/bytes.h"
#include "file/h5_library.h"
#include "file/seal.h"

#if H5_VERSION_GE(1, 12, 1) || (H5_VERSION_GE(1, 10, 7) && !H5_VERSION_GE(1, 12, 0))
#define HAS_LOCK_PROPERTY 1
#endif

enum { BLOCK_BYTES = 1 << 20 };

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

bool h5_system_failed(void) {
    const char *cause = "";
    H5Ewalk2(H5E_DEFAULT, H5E_WALK_UPWARD, take_first, &cause);
    return strstr(cause, "errno = ") != NULL;
}

/* What the system said in a message of the library, or all of it where no call of the system failed. */
static const char *reason_in(const char *cause, size_t *length) {
    static const char before[] = "error message = '";
    const char *said = strstr(cause, before), *end = NULL;
    *length = SIZE_MAX;
    if (said != NULL)
        end = strchr(said += strlen(before), '\'');
    if (end == NULL)
        return cause;
    *length = (size_t)(end - said);
    return said;
}

/* The library's innermost message in a sentence of ours. Where that is a call of the system that
 * failed, the disk is at fault and not the file. */
static enum status fail_h5(enum status status, const char *file, const char *path,
                           const char *what) {
    const char *cause = "no reason given";
    char quoted[STATUS_QUOTE_MAX], name[STATUS_QUOTE_MAX];
    size_t length;
    H5Ewalk2(H5E_DEFAULT, H5E_WALK_UPWARD, take_first, &cause);
    if (status == STATUS_INPUT && h5_system_failed())
        status = STATUS_IO;
    const char *reason = reason_in(cause, &length);
    FAIL(status, "%s: %s %s (HDF5: %s)", file[0] != '\0' ? file : "new file",
         status_quote(name, path, SIZE_MAX), what, status_quote(quoted, reason, length));
    H5Eclear2(H5E_DEFAULT);
    return status;
}

enum status h5_fail_write(const struct h5 *h5, const char *path) {
    return fail_h5(STATUS_IO, h5->path, path, "cannot be written");
}

enum status h5_fail_read(const struct h5 *h5, const char *path) {
    return fail_h5(STATUS_INPUT, h5->path, path, "cannot be read");
}

enum status h5_fail_content(const struct h5 *h5, const char *path, const char *what) {
    char name[STATUS_QUOTE_MAX];
    return FAIL(STATUS_INPUT, "%s: %s %s", h5->path, status_quote(name, path, SIZE_MAX), what);
}

hid_t h5_kind_type(enum h5_kind kind) {
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
    if (snprintf((*h5)->path, H5_PATH_BYTES, "%s", path) < H5_PATH_BYTES)
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

/* The file as bytes; the caller releases *image. */
static enum status take_image(struct h5 *h5, unsigned char **image, int64_t *n) {
    *image = NULL;
    if (H5Fflush(h5->file, H5F_SCOPE_GLOBAL) < 0)
        return h5_fail_write(h5, "it");
    const ssize_t bytes = H5Fget_file_image(h5->file, NULL, 0);
    if (bytes <= 0)
        return h5_fail_write(h5, "it");
    TRY(memory_new(image, bytes, "HDF5 file"));
    *n = (int64_t)bytes;
    if (H5Fget_file_image(h5->file, *image, (size_t)bytes) != bytes)
        return h5_fail_write(h5, "it");
    h5_repair_superblock(*image, *n);
    return STATUS_OK;
}

static enum status write_sealed(const char *path, const void *image, int64_t n) {
    struct atomic *atomic;
    TRY(atomic_file_create(&atomic, path));
    const int file = atomic_descriptor(atomic);
    enum status status = bytes_write(file, atomic_part(atomic), image, n);
    if (status == STATUS_OK)
        status = seal_append(file, atomic_part(atomic), NULL, 0);
    if (status == STATUS_OK)
        return atomic_commit(&atomic);
    atomic_abandon(&atomic);
    return status;
}

static enum status save(struct h5 **h5, const char *path,
                        enum status (*write)(const char *path, const void *image, int64_t n)) {
    unsigned char *image;
    int64_t n = 0;
    ASSERT((*h5)->in_memory);
    enum status status = take_image(*h5, &image, &n);
    if (status == STATUS_OK)
        status = write(path, image, n);
    memory_release(&image);
    const enum status closed = h5_close(h5);
    return status != STATUS_OK ? status : closed;
}

enum status h5_save(struct h5 **h5, const char *path) {
    return save(h5, path, atomic_write_file);
}

enum status h5_save_sealed(struct h5 **h5, const char *path) {
    return save(h5, path, write_sealed);
}

enum status h5_open_sealed(struct h5 **h5, const char *path) {
    int64_t size;
    int file;
    TRY(bytes_open_file(path, &file, &size));
    const enum status status = seal_check(file, path);
    close(file);
    return status == STATUS_OK ? h5_open(h5, path) : status;
}
