/* SPDX-License-Identifier: Apache-2.0 */
#include "file/provenance.h"

#include <jansson.h>
#include <stdio.h>

#include "base/clock.h"
#include "base/memory.h"
#include "base/sha256.h"
#include "file/bytes.h"
#include "revision.h" /* made at each build by revision.cmake */

static const char *or_empty(const char *text) {
    return text != NULL ? text : "";
}

/* Versions of what the program is linked with. */
static const char *libraries_text(const struct provenance *provenance, char *out, size_t size) {
    snprintf(out, size, "HDF5 %s; jansson " JANSSON_VERSION "%s%s", h5_version(),
             or_empty(provenance->libraries)[0] != '\0' ? "; " : "",
             or_empty(provenance->libraries));
    return out;
}

static enum status write_texts(struct h5 *h5, const struct provenance *provenance) {
    char now[24], libraries[2048];
    const struct {
        const char *path, *value, *text;
    } texts[] = {
        {"/provenance/version", REVISION_VERSION, "version of the program that wrote this file"},
        {"/provenance/git_revision", REVISION_COMMIT, "commit that the program was built from"},
        {"/provenance/compiler", REVISION_COMPILER, "compiler of the program"},
        {"/provenance/flags", REVISION_FLAGS, "flags of the compiler"},
        {"/provenance/libraries", libraries_text(provenance, libraries, sizeof libraries),
         "versions of the libraries"},
        {"/provenance/created", clock_utc(now), "when the file was made, UTC"},
        {"/provenance/command", provenance->command, "the command that made it"},
        {"/provenance/hosts", provenance->hosts, "host of each rank"},
        {"/provenance/devices", provenance->devices, "what computed"},
        {"/provenance/settings", provenance->settings, "settings.cfg of the run"},
        {"/provenance/weights", provenance->weights,
         "SHA-256 of the tensors of the base model that the run began with"},
    };
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        TRY(h5_put_text(h5, texts[i].path, or_empty(texts[i].value)));
        TRY(h5_describe(h5, texts[i].path, "1", texts[i].text));
    }
    return STATUS_OK;
}

static enum status write_integers(struct h5 *h5, const struct provenance *provenance) {
    const struct {
        const char *path, *unit, *text;
        int64_t value;
    } integers[] = {
        {"/provenance/git_modified", "1", "1: built from a tree with changes beyond the commit",
         REVISION_MODIFIED},
        {"/provenance/ranks", "processes", "MPI ranks of the job", provenance->ranks},
        {"/provenance/threads", "threads", "threads of a rank", provenance->threads},
        {"/provenance/seed", "1", "run.seed", provenance->seed},
    };
    for (size_t i = 0; i < sizeof integers / sizeof *integers; i++) {
        TRY(h5_put_integer(h5, integers[i].path, integers[i].value));
        TRY(h5_describe(h5, integers[i].path, integers[i].unit, integers[i].text));
    }
    return STATUS_OK;
}

static enum status write_inputs(struct h5 *h5, const struct provenance *provenance) {
    const char **paths, **sums;
    const int64_t n = provenance->input_count;
    TRY(memory_new(&paths, 2 * n, "provenance"));
    sums = paths + n;
    for (int64_t i = 0; i < n; i++) {
        paths[i] = provenance->inputs[i].path;
        sums[i] = provenance->inputs[i].sha256;
    }
    enum status status = h5_put_texts(h5, "/provenance/inputs/path", paths, n);
    if (status == STATUS_OK)
        status = h5_put_texts(h5, "/provenance/inputs/sha256", sums, n);
    memory_release(&paths);
    TRY(status);
    TRY(h5_describe(h5, "/provenance/inputs/path", "1", "files of data that were read"));
    return h5_describe(h5, "/provenance/inputs/sha256", "1", "their SHA-256, in hexadecimal");
}

enum status provenance_write(struct h5 *h5, const struct provenance *provenance) {
    TRY(write_texts(h5, provenance));
    TRY(write_integers(h5, provenance));
    return write_inputs(h5, provenance);
}

enum status provenance_hash(struct provenance_input *input, const char *path) {
    unsigned char digest[32];
    TRY(bytes_hash_file(path, digest));
    sha256_hex(digest, input->sha256);
    input->path = path;
    return STATUS_OK;
}

enum status provenance_describe(const struct h5 *h5, struct strbuf *out) {
    static const char *const names[] = {"version", "git_revision", "created",   "command", "hosts",
                                        "devices", "compiler",     "libraries", "weights"};
    struct strbuf text = STRBUF_EMPTY;
    char path[64], quoted[STATUS_QUOTE_MAX];
    enum status status = strbuf_append_text(out, "made by\n");
    for (size_t i = 0; i < sizeof names / sizeof *names && status == STATUS_OK; i++) {
        snprintf(path, sizeof path, "/provenance/%s", names[i]);
        strbuf_clear(&text);
        if (h5_has(h5, path)) /* older files lack some */
            status = h5_get_text(h5, path, &text);
        if (status == STATUS_OK && text.length > 0)
            status = strbuf_append_format(out, "  %-14s %s\n", names[i],
                                          status_quote(quoted, strbuf_text(&text), text.length));
    }
    strbuf_release(&text);
    return status;
}

enum status provenance_build(struct strbuf *out) {
    return strbuf_append_text(out, REVISION_VERSION " " REVISION_COMMIT " " REVISION_COMPILER);
}

enum status provenance_read_build(const struct h5 *h5, struct strbuf *out) {
    static const char *const paths[] = {"/provenance/version", "/provenance/git_revision",
                                        "/provenance/compiler"};
    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
        TRY(strbuf_append_text(out, i > 0 ? " " : ""));
        TRY(h5_get_text(h5, paths[i], out));
    }
    return STATUS_OK;
}

const char *provenance_version(void) {
    return REVISION_VERSION " (git " REVISION_COMMIT REVISION_MODIFIED_TEXT ")";
}
