/* SPDX-License-Identifier: Apache-2.0 */
#include "file/safetensors.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file_kind.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/strbuf.h"
#include "file/atomic.h"
#include "file/bytes.h"
#include "file/json.h"

enum { PATH_BYTES = 4096, NAME_BYTES_MAX = 1024, HEADER_BYTES_MAX = 100000000, FILES_MAX = 100000 };

#define SINGLE_NAME "model.safetensors"
#define INDEX_NAME  "model.safetensors.index.json"

/* One mapped file; `header` owns the names of its tensors. */
struct mapping {
    char path[PATH_BYTES];
    unsigned char *bytes;
    int64_t size, data_start;
    json_t *header;
};

struct safetensors {
    struct mapping *maps;
    int64_t map_count;
    struct safetensor *tensors;
    int64_t count;
};

static const struct kind {
    const char *name;
    int bits;
} kinds[] = {
    {"F32", 32},    {"BF16", 16},   {"F16", 16},    {"F64", 64},    {"I64", 64},
    {"I32", 32},    {"I16", 16},    {"I8", 8},      {"U64", 64},    {"U32", 32},
    {"U16", 16},    {"U8", 8},      {"BOOL", 8},    {"F8_E5M2", 8}, {"F8_E4M3", 8},
    {"F8_E8M0", 8}, {"F6_E2M3", 6}, {"F6_E3M2", 6}, {"F4", 4},      {"C64", 64},
};

static const struct kind *kind_find(const char *name) {
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (strcmp(kinds[i].name, name) == 0)
            return &kinds[i];
    return NULL;
}

/* --- one file: map, parse, check --- */

static enum status map_open_file(struct mapping *map, int file) {
    struct stat info;
    if (fstat(file, &info) != 0)
        return FAIL(STATUS_INPUT, "%s: the file cannot be looked at: %s", map->path,
                    strerror(errno));
    const char *what = file_kind_of_mode(info.st_mode);
    if (what != NULL)
        return FAIL(STATUS_INPUT, "%s: this is %s", map->path, what);
    map->size = (int64_t)info.st_size;
    if (map->size < 8)
        return FAIL(STATUS_INPUT, "%s: %lld bytes are too few for a safetensors file", map->path,
                    (long long)map->size);
    void *bytes = mmap(NULL, (size_t)map->size, PROT_READ, MAP_PRIVATE, file, 0);
    if (bytes == MAP_FAILED)
        return FAIL(STATUS_IO, "%s: the file cannot be mapped: %s", map->path, strerror(errno));
    map->bytes = bytes;
    return STATUS_OK;
}

static enum status map_file(struct mapping *map) {
    const int file = open(map->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (file < 0)
        return FAIL(STATUS_INPUT, "%s: the file cannot be opened: %s", map->path, strerror(errno));
    const enum status status = map_open_file(map, file);
    close(file);
    return status;
}

/* A file whose header cannot be right is perhaps of another kind (a right one may begin with any
 * bytes). */
static enum status check_kind(const struct mapping *map) {
    const size_t length = map->size < FILE_KIND_BYTES ? (size_t)map->size : FILE_KIND_BYTES;
    const char *what = file_kind((const char *)map->bytes, length);
    return what == NULL
               ? STATUS_OK
               : FAIL(STATUS_INPUT, "%s: not a safetensors file: this is %s", map->path, what);
}

static enum status read_header(struct mapping *map) {
    uint64_t length = 0;
    for (int i = 7; i >= 0; i--)
        length = length << 8 | map->bytes[i];
    if (length > HEADER_BYTES_MAX || (int64_t)length > map->size - 8 || length == 0 ||
        map->bytes[8] != '{')
        TRY(check_kind(map));
    if (length > HEADER_BYTES_MAX)
        return FAIL(STATUS_INPUT,
                    "%s: not a safetensors file: its header would be %llu bytes long (at most %d)",
                    map->path, (unsigned long long)length, HEADER_BYTES_MAX);
    if ((int64_t)length > map->size - 8)
        return FAIL(STATUS_INPUT, "%s: the file ends inside its header of %llu bytes (cut short?)",
                    map->path, (unsigned long long)length);
    map->data_start = 8 + (int64_t)length;
    if (length == 0 || map->bytes[8] != '{')
        return FAIL(STATUS_INPUT, "%s: its header is not a JSON object", map->path);
    TRY(json_parse((const char *)map->bytes + 8, (size_t)length, map->path, 0, &map->header));
    if (!json_is_object(map->header))
        return FAIL(STATUS_INPUT, "%s: its header is not a JSON object", map->path);
    return STATUS_OK;
}

static enum status fail_tensor(const struct mapping *map, const char *name, const char *what) {
    char quoted[STATUS_QUOTE_MAX];
    return FAIL(STATUS_INPUT, "%s: tensor \"%s\" %s", map->path,
                status_quote(quoted, name, SIZE_MAX), what);
}

static enum status read_shape(const struct mapping *map, const json_t *shape,
                              struct safetensor *out) {
    if (!json_is_array(shape) || json_array_size(shape) > SAFETENSORS_RANK_MAX)
        return fail_tensor(map, out->name, "has no shape of at most 8 sizes");
    out->rank = (int)json_array_size(shape);
    out->elements = 1;
    for (int i = 0; i < out->rank; i++) {
        const json_t *size = json_array_get(shape, (size_t)i);
        if (!json_is_integer(size) || json_integer_value(size) < 0)
            return fail_tensor(map, out->name, "has a size that is not a whole number from 0");
        out->shape[i] = json_integer_value(size);
        if (__builtin_mul_overflow(out->elements, out->shape[i], &out->elements))
            return fail_tensor(map, out->name, "has sizes whose product is too large");
    }
    return STATUS_OK;
}

static enum status read_kind(const struct mapping *map, const json_t *dtype,
                             struct safetensor *out) {
    const struct kind *kind = json_is_string(dtype) ? kind_find(json_string_value(dtype)) : NULL;
    int64_t bits;
    if (kind == NULL)
        return fail_tensor(map, out->name, "has a dtype that safetensors does not know");
    if (__builtin_mul_overflow(out->elements, (int64_t)kind->bits, &bits) || bits % 8 != 0)
        return fail_tensor(map, out->name, "has a size in bytes that is no whole number");
    out->dtype = kind->name;
    out->bytes = bits / 8;
    return STATUS_OK;
}

static enum status read_place(const struct mapping *map, const json_t *offsets,
                              struct safetensor *out) {
    const json_t *from = json_array_get(offsets, 0), *to = json_array_get(offsets, 1);
    if (json_array_size(offsets) != 2 || !json_is_integer(from) || !json_is_integer(to))
        return fail_tensor(map, out->name, "has no data_offsets [begin, end]");
    const json_int_t begin = json_integer_value(from), end = json_integer_value(to);
    if (begin < 0 || end < begin || end > map->size - map->data_start)
        return fail_tensor(map, out->name, "lies outside the file (cut short?)");
    if (end - begin != out->bytes)
        return fail_tensor(map, out->name, "has data_offsets that do not fit its shape and dtype");
    out->data = map->bytes + map->data_start + begin;
    return STATUS_OK;
}

static enum status read_tensor(const struct mapping *map, const char *name, const json_t *value,
                               struct safetensor *out) {
    *out = (struct safetensor){.name = name, .path = map->path, .mapping = map->bytes};
    if (strlen(name) > NAME_BYTES_MAX)
        return fail_tensor(map, name, "has a name of more than 1024 bytes");
    if (json_object_get(value, "dtype") == NULL || json_object_get(value, "shape") == NULL ||
        json_object_get(value, "data_offsets") == NULL)
        return fail_tensor(map, name, "is not described by dtype, shape and data_offsets");
    TRY(read_shape(map, json_object_get(value, "shape"), out));
    TRY(read_kind(map, json_object_get(value, "dtype"), out));
    return read_place(map, json_object_get(value, "data_offsets"), out);
}

static enum status check_metadata(const struct mapping *map, json_t *metadata) {
    const char *key;
    json_t *value;
    if (json_is_null(metadata))
        return STATUS_OK;
    if (!json_is_object(metadata))
        return FAIL(STATUS_INPUT, "%s: its __metadata__ is not an object of texts", map->path);
    json_object_foreach(metadata, key, value) {
        if (!json_is_string(value))
            return FAIL(STATUS_INPUT, "%s: its __metadata__ is not an object of texts", map->path);
    }
    return STATUS_OK;
}

static int compare_places(const void *a, const void *b) {
    const struct safetensor *x = a, *y = b;
    const unsigned char *p = x->data, *q = y->data;
    if (p != q)
        return p < q ? -1 : 1;
    return x->bytes < y->bytes ? -1 : x->bytes > y->bytes;
}

/* The tensors in order of place must cover the data exactly. */
static enum status check_cover(const struct mapping *map, struct safetensor *tensors,
                               int64_t count) {
    const unsigned char *at = map->bytes + map->data_start, *end = map->bytes + map->size;
    qsort(tensors, (size_t)count, sizeof *tensors, compare_places);
    for (int64_t i = 0; i < count; i++) {
        if (tensors[i].data != at)
            return fail_tensor(map, tensors[i].name,
                               (const unsigned char *)tensors[i].data < at
                                   ? "overlaps the one before it"
                                   : "leaves a hole before it");
        at += tensors[i].bytes;
    }
    if (at != end)
        return FAIL(STATUS_INPUT, "%s: %lld bytes follow after the last tensor", map->path,
                    (long long)(end - at));
    return STATUS_OK;
}

/* Appends the tensors of one file to the set. */
static enum status read_file(struct safetensors *files, struct mapping *map) {
    const char *name;
    json_t *value;
    TRY(map_file(map));
    TRY(read_header(map));
    const int64_t first = files->count, room = (int64_t)json_object_size(map->header);
    TRY(memory_grow(&files->tensors, first + room, "list of tensors"));
    json_object_foreach(map->header, name, value) {
        if (strcmp(name, "__metadata__") == 0)
            TRY(check_metadata(map, value));
        else
            TRY(read_tensor(map, name, value, &files->tensors[files->count++]));
    }
    return check_cover(map, files->tensors + first, files->count - first);
}

/* --- a set of files --- */

static int compare_names(const void *a, const void *b) {
    const struct safetensor *x = a, *y = b;
    return strcmp(x->name, y->name);
}

static enum status sort_by_name(struct safetensors *files) {
    char quoted[STATUS_QUOTE_MAX];
    if (files->count > 0)
        qsort(files->tensors, (size_t)files->count, sizeof *files->tensors, compare_names);
    for (int64_t i = 1; i < files->count; i++)
        if (strcmp(files->tensors[i - 1].name, files->tensors[i].name) == 0)
            return FAIL(
                STATUS_INPUT, "%s: tensor \"%s\" stands in %s as well", files->tensors[i].path,
                status_quote(quoted, files->tensors[i].name, SIZE_MAX), files->tensors[i - 1].path);
    return STATUS_OK;
}

static enum status open_single(struct safetensors *files, const char *path) {
    TRY(memory_new(&files->maps, 1, "safetensors file"));
    files->map_count = 1;
    if (snprintf(files->maps[0].path, PATH_BYTES, "%s", path) >= PATH_BYTES)
        return FAIL(STATUS_INPUT, "a path of %zu bytes is too long", strlen(path));
    TRY(read_file(files, &files->maps[0]));
    return sort_by_name(files);
}

/* The name of a file beside the index: nothing that leads elsewhere. */
static enum status check_shard_name(const char *index, const json_t *value) {
    const char *name = json_string_value(value);
    char quoted[STATUS_QUOTE_MAX];
    if (name == NULL)
        return FAIL(STATUS_INPUT, "%s: weight_map names a file by something that is no text",
                    index);
    if (name[0] == '\0' || strchr(name, '/') != NULL || strcmp(name, "..") == 0 ||
        strcmp(name, ".") == 0)
        return FAIL(STATUS_INPUT, "%s: weight_map names \"%s\", which is not a file beside it",
                    index, status_quote(quoted, name, SIZE_MAX));
    return STATUS_OK;
}

/* The distinct files of the map, as keys of `names`. */
static enum status list_shards(const char *index, json_t *map, json_t *names) {
    const char *tensor;
    json_t *file;
    json_object_foreach(map, tensor, file) {
        TRY(check_shard_name(index, file));
        if (json_object_set_new(names, json_string_value(file), json_true()) != 0)
            return FAIL(STATUS_MEMORY, "%s: memory ran out", index);
    }
    if (json_object_size(names) == 0 || json_object_size(names) > FILES_MAX)
        return FAIL(STATUS_INPUT, "%s: weight_map names %zu files; 1 to %d are possible", index,
                    json_object_size(names), FILES_MAX);
    return STATUS_OK;
}

static enum status read_shards(struct safetensors *files, const char *directory, json_t *names) {
    const char *name;
    json_t *unused;
    TRY(memory_new(&files->maps, json_object_size(names), "safetensors files"));
    json_object_foreach(names, name, unused) {
        struct mapping *map = &files->maps[files->map_count++];
        if (snprintf(map->path, PATH_BYTES, "%s/%s", directory, name) >= PATH_BYTES)
            return FAIL(STATUS_INPUT, "%s: a path of a file in it is too long", directory);
        TRY(read_file(files, map));
    }
    return sort_by_name(files);
}

/* The files say where a tensor stands; an index that says otherwise is named in the log. A tensor
 * that is in none of them is missing to whoever needs it. */
static void check_index(const struct safetensors *files, const char *index, json_t *map) {
    const char *name, *first = NULL;
    json_t *file;
    int64_t wrong = 0;
    json_object_foreach(map, name, file) {
        const struct safetensor *tensor = safetensors_find(files, name);
        const char *base = tensor != NULL ? strrchr(tensor->path, '/') + 1 : "";
        if (strcmp(base, json_string_value(file)) == 0)
            continue;
        first = wrong++ == 0 ? name : first;
    }
    char quoted[STATUS_QUOTE_MAX];
    if (wrong > 0)
        log_info("model", "%s: tensors not in the file that it names = %lld, the first is \"%s\"",
                 index, (long long)wrong, status_quote(quoted, first, SIZE_MAX));
}

static enum status open_indexed(struct safetensors *files, const char *directory, const char *index,
                                json_t *root, json_t *names) {
    json_t *map = json_object_get(root, "weight_map");
    if (!json_is_object(map) || names == NULL)
        return FAIL(STATUS_INPUT, "%s: it has no object weight_map", index);
    TRY(list_shards(index, map, names));
    TRY(read_shards(files, directory, names));
    check_index(files, index, map);
    return STATUS_OK;
}

static enum status fail_missing(const char *directory) {
    static const char *const others[] = {"pytorch_model.bin", "pytorch_model.bin.index.json",
                                         "consolidated.00.pth"};
    char path[PATH_BYTES];
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        if (snprintf(path, sizeof path, "%s/%s", directory, others[i]) < PATH_BYTES &&
            bytes_is_file(path))
            return FAIL(STATUS_INPUT,
                        "%s: it holds %s, but neither " SINGLE_NAME " nor " INDEX_NAME
                        ": convert the weights to safetensors",
                        directory, others[i]);
    return FAIL(STATUS_INPUT, "%s: it holds neither " SINGLE_NAME " nor " INDEX_NAME, directory);
}

static enum status open_directory(struct safetensors *files, const char *directory) {
    char path[PATH_BYTES];
    json_t *root = NULL;
    snprintf(path, sizeof path, "%s/" SINGLE_NAME, directory);
    if (bytes_is_file(path))
        return open_single(files, path);
    snprintf(path, sizeof path, "%s/" INDEX_NAME, directory);
    if (!bytes_is_file(path))
        return fail_missing(directory);
    TRY(json_read_file(path, HEADER_BYTES_MAX, &root));
    json_t *names = json_object();
    const enum status status = open_indexed(files, directory, path, root, names);
    json_decref(names);
    json_decref(root);
    return status;
}

enum status safetensors_open(struct safetensors **files, const char *path) {
    TRY(memory_new(files, 1, "safetensors files"));
    const enum status status =
        bytes_is_directory(path) ? open_directory(*files, path) : open_single(*files, path);
    if (status != STATUS_OK)
        safetensors_close(files);
    return status;
}

void safetensors_close(struct safetensors **files) {
    if (*files == NULL)
        return;
    for (int64_t i = 0; i < (*files)->map_count; i++) {
        if ((*files)->maps[i].bytes != NULL)
            munmap((*files)->maps[i].bytes, (size_t)(*files)->maps[i].size);
        json_decref((*files)->maps[i].header);
    }
    memory_release(&(*files)->maps);
    memory_release(&(*files)->tensors);
    memory_release(files);
}

int64_t safetensors_count(const struct safetensors *files) {
    return files->count;
}

const struct safetensor *safetensors_at(const struct safetensors *files, int64_t index) {
    ASSERT(index >= 0 && index < files->count);
    return &files->tensors[index];
}

const struct safetensor *safetensors_find(const struct safetensors *files, const char *name) {
    const struct safetensor wanted = {.name = name};
    if (files->count == 0)
        return NULL;
    return bsearch(&wanted, files->tensors, (size_t)files->count, sizeof wanted, compare_names);
}

enum status safetensors_weight(const struct safetensors *files, const char *name,
                               const struct safetensor **out) {
    static const char *const floats[] = {"F32", "BF16", "F16"};
    *out = safetensors_find(files, name);
    if (*out == NULL)
        return FAIL(STATUS_INPUT, "%s: tensor \"%s\" is missing", files->maps[0].path, name);
    for (size_t i = 0; i < sizeof floats / sizeof *floats; i++)
        if (strcmp((*out)->dtype, floats[i]) == 0)
            return STATUS_OK;
    return FAIL(STATUS_INPUT, "%s: tensor \"%s\" is %s; weights must be F32, BF16 or F16",
                (*out)->path, name, (*out)->dtype);
}

/* --- writing --- */

struct safetensors_writer {
    struct atomic *file;
    int64_t wanted, written; /* bytes of data */
};

static enum status append_entry(struct strbuf *header, const struct safetensors_entry *entry,
                                int64_t *at) {
    const struct kind *kind = kind_find(entry->dtype);
    ASSERT(kind != NULL && entry->rank >= 0 && entry->rank <= SAFETENSORS_RANK_MAX);
    json_t *name = json_string(entry->name); /* NULL unless it is UTF-8 */
    char *text = json_dumps(name, JSON_ENCODE_ANY);
    json_decref(name);
    if (text == NULL)
        return FAIL(STATUS_MEMORY, "memory ran out while a header of safetensors was made");
    enum status status =
        strbuf_append_format(header, ",%s:{\"dtype\":\"%s\",\"shape\":[", text, entry->dtype);
    free(text);
    int64_t elements = 1;
    for (int i = 0; i < entry->rank && status == STATUS_OK; i++) {
        elements *= entry->shape[i];
        status =
            strbuf_append_format(header, "%s%lld", i > 0 ? "," : "", (long long)entry->shape[i]);
    }
    TRY(status);
    const int64_t begin = *at;
    *at += elements * kind->bits / 8;
    return strbuf_append_format(header, "],\"data_offsets\":[%lld,%lld]}", (long long)begin,
                                (long long)*at);
}

static enum status make_header(struct strbuf *header, const struct safetensors_entry *entries,
                               int64_t count, int64_t *data_bytes) {
    *data_bytes = 0;
    TRY(strbuf_append(header, "\0\0\0\0\0\0\0", 8)); /* the length, filled in below */
    TRY(strbuf_append_text(header, "{\"__metadata__\":{\"format\":\"pt\"}"));
    for (int64_t i = 0; i < count; i++)
        TRY(append_entry(header, &entries[i], data_bytes));
    TRY(strbuf_append_text(header, "}"));
    while (header->length % 8 != 0)
        TRY(strbuf_append_text(header, " "));
    uint64_t length = header->length - 8;
    for (int i = 0; i < 8; i++, length >>= 8)
        header->text[i] = (char)(unsigned char)(length & 0xff);
    return STATUS_OK;
}

static enum status begin_file(struct safetensors_writer *writer, const char *path,
                              const struct strbuf *header) {
    TRY(atomic_file_create(&writer->file, path));
    return bytes_write(atomic_descriptor(writer->file), atomic_part(writer->file), header->text,
                       (int64_t)header->length);
}

enum status safetensors_create(struct safetensors_writer **writer, const char *path,
                               const struct safetensors_entry *entries, int64_t count) {
    struct strbuf header = STRBUF_EMPTY;
    TRY(memory_new(writer, 1, "safetensors writer"));
    enum status status = make_header(&header, entries, count, &(*writer)->wanted);
    if (status == STATUS_OK)
        status = begin_file(*writer, path, &header);
    strbuf_release(&header);
    if (status != STATUS_OK)
        safetensors_abandon(writer);
    return status;
}

enum status safetensors_append(struct safetensors_writer *writer, const void *bytes, int64_t n) {
    ASSERT(n >= 0 && n <= writer->wanted - writer->written);
    writer->written += n;
    return bytes_write(atomic_descriptor(writer->file), atomic_part(writer->file), bytes, n);
}

enum status safetensors_commit(struct safetensors_writer **writer) {
    ASSERT((*writer)->written == (*writer)->wanted);
    const enum status status = atomic_commit(&(*writer)->file);
    memory_release(writer);
    return status;
}

void safetensors_abandon(struct safetensors_writer **writer) {
    if (*writer == NULL)
        return;
    atomic_abandon(&(*writer)->file);
    memory_release(writer);
}
