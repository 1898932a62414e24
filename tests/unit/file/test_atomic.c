/* SPDX-License-Identifier: Apache-2.0
 *
 * Files and directories appear whole or not at all, also on a full disk; checksums have their
 * published values.
 */
#include "file/atomic.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>

#include "base/memory.h"
#include "base/sha256.h"
#include "check.h"
#include "file/bytes.h"
#include "unit/file/folder.h"

/* Files of this process may grow to `bytes` only: writing beyond fails like a full disk. */
static void limit_files(rlim_t bytes) {
    struct rlimit limit;
    getrlimit(RLIMIT_FSIZE, &limit);
    limit.rlim_cur = bytes;
    setrlimit(RLIMIT_FSIZE, &limit);
}

static void check_content(const char *path, const char *want) {
    struct strbuf have = STRBUF_EMPTY;
    CHECK_OK(bytes_read_file(path, 1 << 20, &have));
    CHECK_TEXT(strbuf_text(&have), want);
    strbuf_release(&have);
}

static void test_file(void) {
    const char *path = folder_file("a.txt");
    CHECK_OK(atomic_write_file(path, "one", 3));
    check_content(path, "one");
    folder_write(folder_file("a.txt.gradus.part"), "left by a killed process", 24);
    CHECK_OK(atomic_write_file(path, "two", 3));
    check_content(path, "two");
    CHECK_EQ(folder_entries(folder_path), 1);
    CHECK_STATUS(atomic_write_file(folder_file("none/a.txt"), "x", 1), STATUS_IO, "none/a.txt");
    CHECK_STATUS(atomic_write_file("", "x", 1), STATUS_INPUT, "path");
}

static void test_abandon(void) {
    struct atomic *file;
    CHECK_OK(atomic_file_create(&file, folder_file("b.txt")));
    CHECK_OK(bytes_write(atomic_descriptor(file), atomic_part(file), "half", 4));
    CHECK_EQ(folder_entries(folder_path), 2);
    atomic_abandon(&file);
    CHECK(file == NULL);
    CHECK_EQ(folder_entries(folder_path), 1);
}

static void test_full_disk(void) {
    static const char big[100000];
    limit_files(65536);
    CHECK_STATUS(atomic_write_file(folder_file("a.txt"), big, sizeof big), STATUS_IO, "a.txt");
    limit_files(RLIM_INFINITY);
    CHECK_EQ(folder_entries(folder_path), 1);
    check_content(folder_file("a.txt"), "two");
    const int full = open("/dev/full", O_WRONLY);
    if (full < 0)
        return;
    CHECK_STATUS(bytes_write(full, "full", "x", 1), STATUS_IO, "No space left");
    close(full);
}

static void test_directory(void) {
    struct atomic *made;
    char inner[512];
    const char *path = folder_file("model/");
    mkdir(folder_file("model.gradus.part"), 0777); /* left by a killed process */
    folder_write(folder_file("model.gradus.part/old"), "x", 1);
    CHECK_OK(atomic_directory_create(&made, path, false));
    snprintf(inner, sizeof inner, "%s/config.json", atomic_part(made));
    CHECK_OK(atomic_write_file(inner, "{}", 2));
    CHECK_OK(atomic_commit(&made));
    CHECK_EQ(folder_entries(path), 1);
    check_content(folder_file("model/config.json"), "{}");
    CHECK_STATUS(atomic_directory_create(&made, path, false), STATUS_INPUT, "not an empty");
    CHECK_OK(atomic_directory_create(&made, path, true));
    CHECK_OK(atomic_commit(&made));
    CHECK_EQ(folder_entries(path), 0);
    CHECK_OK(atomic_directory_create(&made, path, false)); /* empty: may be taken */
    atomic_abandon(&made);
    CHECK_EQ(folder_entries(folder_path), 2);
    CHECK_STATUS(atomic_directory_create(&made, folder_file("a.txt"), false), STATUS_INPUT,
                 "a.txt");
}

static void test_checksums(void) {
    unsigned char digest[32];
    char hex[65];
    CHECK_EQ(bytes_crc32("123456789", 9), 0xcbf43926);
    CHECK_OK(atomic_write_file(folder_file("abc"), "abc", 3));
    CHECK_OK(bytes_hash_file(folder_file("abc"), digest));
    sha256_hex(digest, hex);
    CHECK_TEXT(hex, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

static void test_reading(void) {
    struct strbuf out = STRBUF_EMPTY;
    char two[2];
    const int file = open(folder_file("abc"), O_RDONLY);
    CHECK_OK(bytes_read_at(file, "abc", 1, two, 2));
    CHECK(memcmp(two, "bc", 2) == 0);
    CHECK_STATUS(bytes_read_at(file, "abc", 2, two, 2), STATUS_INPUT, "ends 1 bytes early");
    close(file);
    CHECK_STATUS(bytes_read_file(folder_file("abc"), 2, &out), STATUS_INPUT, "3 bytes");
    CHECK_STATUS(bytes_read_file(folder_path, 2, &out), STATUS_INPUT, "not a regular file");
    CHECK_STATUS(bytes_read_file(folder_file("none"), 2, &out), STATUS_INPUT, "cannot be opened");
    strbuf_release(&out);
}

int main(void) {
    folder_make();
    signal(SIGXFSZ, SIG_IGN);
    test_file();
    test_abandon();
    test_full_disk();
    test_directory();
    test_checksums();
    test_reading();
    folder_remove();
    CHECK_EQ(memory_totals().bytes, 0);
    return CHECK_END();
}
