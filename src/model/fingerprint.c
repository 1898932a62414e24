/* SPDX-License-Identifier: Apache-2.0 */
#include "model/fingerprint.h"

#include <string.h>
#include <unistd.h>

#include "base/memory.h"
#include "base/sha256.h"
#include "file/bytes.h"

enum { PIECE_BYTES = 1 << 22, DIGEST_BYTES = 32 };
_Static_assert(DIGEST_BYTES == FINGERPRINT_WORDS * sizeof(int64_t), "a digest is four words");

enum status fingerprint_init(struct fingerprint *fingerprint, int part, int parts, int64_t count) {
    *fingerprint = (struct fingerprint){.part = part, .parts = parts, .count = count};
    return memory_new(&fingerprint->words, FINGERPRINT_WORDS * count, "checksums of weights");
}

void fingerprint_release(struct fingerprint *fingerprint) {
    memory_release(&fingerprint->words);
    fingerprint->count = 0;
}

/* The pieces of a tensor in its file, and room for their digests. */
struct pieces {
    struct bytes_range *ranges;
    unsigned char *digests;
    int64_t count;
};

static enum status cut(struct pieces *pieces, const struct safetensor *tensor) {
    const int64_t begin = (const char *)tensor->data - (const char *)tensor->mapping;
    pieces->count = (tensor->bytes + PIECE_BYTES - 1) / PIECE_BYTES;
    TRY(memory_new(&pieces->ranges, pieces->count, "pieces of a tensor"));
    TRY(memory_new(&pieces->digests, DIGEST_BYTES * pieces->count, "pieces of a tensor"));
    for (int64_t i = 0; i < pieces->count; i++) {
        const int64_t at = i * PIECE_BYTES, left = tensor->bytes - at;
        pieces->ranges[i] = (struct bytes_range){.offset = begin + at,
                                                 .bytes = left < PIECE_BYTES ? left : PIECE_BYTES};
    }
    return STATUS_OK;
}

static enum status hash_pieces(const struct pieces *pieces, const char *path) {
    int file;
    int64_t size;
    TRY(bytes_open_file(path, &file, &size));
    const enum status status =
        bytes_hash_ranges(file, path, pieces->ranges, pieces->count, pieces->digests);
    close(file);
    return status;
}

enum status fingerprint_add(struct fingerprint *fingerprint, int64_t index,
                            const struct parameter *parameter, const struct safetensor *tensor) {
    struct pieces pieces = {.ranges = NULL};
    unsigned char digest[DIGEST_BYTES];
    struct sha256 hash;
    ASSERT(index >= 0 && index < fingerprint->count);
    if (index % fingerprint->parts != fingerprint->part)
        return STATUS_OK;
    enum status status = cut(&pieces, tensor);
    if (status == STATUS_OK)
        status = hash_pieces(&pieces, tensor->path);
    if (status == STATUS_OK) {
        const int64_t sizes[] = {parameter->rows, parameter->columns};
        sha256_init(&hash);
        sha256_update(&hash, pieces.digests, (size_t)(DIGEST_BYTES * pieces.count));
        sha256_update(&hash, tensor->dtype, strlen(tensor->dtype) + 1);
        sha256_update(&hash, sizes, sizeof sizes);
        sha256_update(&hash, parameter->name, strlen(parameter->name));
        sha256_finish(&hash, digest);
        memcpy(fingerprint->words + FINGERPRINT_WORDS * index, digest, DIGEST_BYTES);
    }
    memory_release(&pieces.ranges);
    memory_release(&pieces.digests);
    return status;
}

void fingerprint_text(const struct fingerprint *fingerprint, char out[FINGERPRINT_TEXT_BYTES]) {
    unsigned char digest[DIGEST_BYTES];
    struct sha256 hash;
    sha256_init(&hash);
    sha256_update(&hash, fingerprint->words, (size_t)(DIGEST_BYTES * fingerprint->count));
    sha256_finish(&hash, digest);
    sha256_hex(digest, out);
}
