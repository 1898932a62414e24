/* SPDX-License-Identifier: Apache-2.0 */
#include "base/file_kind.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const struct kind {
    const char *bytes;
    size_t length;
    const char *what;
} kinds[] = {
#define KIND(bytes, what)                                                                          \
    { bytes, sizeof(bytes) - 1, what }
    KIND("\x1f\x8b", "a gzip archive: unpack it with gunzip"),
    KIND("\x28\xb5\x2f\xfd", "a zstd archive: unpack it with zstd -d"),
    KIND("\xfd"
         "7zXZ\0",
         "an xz archive: unpack it with unxz"),
    KIND("BZh", "a bzip2 archive: unpack it with bunzip2"),
    KIND("PK\x03\x04", "a zip archive (a PyTorch file is one too): unpack it, or convert weights "
                       "to safetensors"),
    KIND("PAR1", "a Parquet file: convert it to JSON lines (in Python: "
                 "pandas.read_parquet(A).to_json(B, orient=\"records\", lines=True))"),
    KIND("ARROW1", "an Arrow file: convert it to JSON lines"),
    KIND("\x89HDF\r\n\x1a\n", "an HDF5 file"),
    KIND("\x93NUMPY", "a NumPy file"),
    KIND("GGUF", "a GGUF file: take the model's safetensors"),
    KIND("\x80\x02", "a pickle file: convert it to safetensors"),
    KIND("\x80\x04", "a pickle file: convert it to safetensors"),
    KIND("version https://git-lfs", "a pointer of git-lfs, not the file itself: run git lfs pull"),
    KIND("\xff\xfe", "UTF-16 text: convert it with iconv -f UTF-16 -t UTF-8"),
    KIND("\xfe\xff", "UTF-16 text: convert it with iconv -f UTF-16 -t UTF-8"),
    KIND("<!DOCTYPE", "an HTML page, perhaps the answer to a download that failed"),
    KIND("<!doctype", "an HTML page, perhaps the answer to a download that failed"),
    KIND("<html", "an HTML page, perhaps the answer to a download that failed"),
#undef KIND
};

const char *file_kind(const char *bytes, size_t length) {
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (length >= kinds[i].length && memcmp(bytes, kinds[i].bytes, kinds[i].length) == 0)
            return kinds[i].what;
    if (length >= 262 && memcmp(bytes + 257, "ustar", 5) == 0)
        return "a tar archive: unpack it with tar -x";
    return NULL;
}

const char *file_kind_of_mode(mode_t mode) {
    if (S_ISREG(mode))
        return NULL;
    if (S_ISDIR(mode))
        return "a directory, not a regular file: name a file in it";
    if (S_ISFIFO(mode))
        return "a pipe, not a regular file: it is read more than once, so write it into a file";
    return S_ISSOCK(mode) ? "a socket, not a regular file" : "a device, not a regular file";
}

enum status file_kind_check(int file, const char *path) {
    char bytes[FILE_KIND_BYTES];
    struct stat info;
    if (fstat(file, &info) != 0)
        return FAIL(STATUS_INPUT, "%s: the file cannot be looked at: %s", path, strerror(errno));
    const char *what = file_kind_of_mode(info.st_mode);
    const ssize_t length = what == NULL ? pread(file, bytes, sizeof bytes, 0) : 0;
    if (length > 0)
        what = file_kind(bytes, (size_t)length);
    return what == NULL ? STATUS_OK : FAIL(STATUS_INPUT, "%s: this is %s", path, what);
}
