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

static enum status write_build(struct h5 *h5) {
    char now[24];
    TRY(h5_put_text(h5, "/provenance/version", REVISION_VERSION));
    TRY(h5_put_text(h5, "/provenance/git_revision", REVISION_COMMIT));
    TRY(h5_put_integer(h5, "/provenance/git_modified", REVISION_MODIFIED));
    TRY(h5_put_text(h5, "/provenance/compiler", REVISION_COMPILER));
    TRY(h5_put_text(h5, "/provenance/flags", REVISION_FLAGS));
    return h5_put_text(h5, "/provenance/created", clock_utc(now));
}

static enum status write_libraries(struct h5 *h5, const struct provenance *provenance) {
    char text[2048];
    snprintf(text, sizeof text, "HDF5 %s; jansson " JANSSON_VERSION "%s%s", h5_version(),
             or_empty(provenance->libraries)[0] != '\0' ? "; " : "",
             or_empty(provenance->libraries));
    return h5_put_text(h5, "/provenance/libraries", text);
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
    return status;
}

enum status provenance_write(struct h5 *h5, const struct provenance *provenance) {
    TRY(write_build(h5));
    TRY(write_libraries(h5, provenance));
    TRY(h5_put_text(h5, "/provenance/command", or_empty(provenance->command)));
    TRY(h5_put_text(h5, "/provenance/hosts", or_empty(provenance->hosts)));
    TRY(h5_put_text(h5, "/provenance/devices", or_empty(provenance->devices)));
    TRY(h5_put_text(h5, "/provenance/settings", or_empty(provenance->settings)));
    TRY(h5_put_integer(h5, "/provenance/ranks", provenance->ranks));
    TRY(h5_put_integer(h5, "/provenance/threads", provenance->threads));
    TRY(h5_put_integer(h5, "/provenance/seed", provenance->seed));
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
    static const char *const names[] = {"version", "git_revision", "created",  "command",
                                        "hosts",   "devices",      "compiler", "libraries"};
    struct strbuf text = STRBUF_EMPTY;
    char path[64], quoted[STATUS_QUOTE_MAX];
    enum status status = strbuf_append_text(out, "made by\n");
    for (size_t i = 0; i < sizeof names / sizeof *names && status == STATUS_OK; i++) {
        snprintf(path, sizeof path, "/provenance/%s", names[i]);
        strbuf_clear(&text);
        status = h5_get_text(h5, path, &text);
        if (status == STATUS_OK && text.length > 0)
            status = strbuf_append_format(out, "  %-14s %s\n", names[i],
                                          status_quote(quoted, strbuf_text(&text), text.length));
    }
    strbuf_release(&text);
    return status;
}

const char *provenance_version(void) {
    return REVISION_VERSION " (git " REVISION_COMMIT REVISION_MODIFIED_TEXT ")";
}
