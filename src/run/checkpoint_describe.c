/* SPDX-License-Identifier: Apache-2.0 */
#include "run/checkpoint_read.h"

#include "base/memory.h"
#include "file/json.h"
#include "run/adapter_directory.h"
#include "run/checkpoint_manifest.h"

struct report {
    const struct h5 *h5;
    struct strbuf *out;
    int64_t count, elements;
};

static enum status count_tensor(void *context, const char *path) {
    struct report *report = context;
    struct h5_shape shape;
    TRY(h5_shape(report->h5, path, &shape));
    report->count++;
    report->elements += shape.elements;
    return STATUS_OK;
}

static enum status append_tensors(struct report *report, const char *group, const char *what) {
    report->count = report->elements = 0;
    if (!h5_has(report->h5, group))
        return strbuf_append_format(report->out, "  %-20s none\n", what);
    TRY(h5_walk(report->h5, group, count_tensor, report));
    return strbuf_append_format(report->out, "  %-20s %lld tensors, %lld numbers\n", what,
                                (long long)report->count, (long long)report->elements);
}

static enum status append_first(const struct report *report, const char *path,
                                const struct h5_shape *shape) {
    int64_t integer;
    double real;
    if (shape->kind == H5_KIND_I64) {
        TRY(h5_get(report->h5, path, H5_KIND_I64, 0, 1, &integer));
        return strbuf_append_format(report->out, "%lld", (long long)integer);
    }
    TRY(h5_get(report->h5, path, H5_KIND_F64, 0, 1, &real));
    return strbuf_append_format(report->out, "%.9g", real);
}

/* A value of /state in one line: the first number of a list, the length of a text. */
static enum status append_value(void *context, const char *path) {
    const struct report *report = context;
    struct h5_shape shape;
    TRY(h5_shape(report->h5, path, &shape));
    TRY(strbuf_append_format(report->out, "  %-20s ", path + 1));
    if (shape.is_text || shape.rank != 1 || shape.elements == 0 ||
        (shape.kind != H5_KIND_I64 && shape.kind != H5_KIND_F64))
        return strbuf_append_format(report->out, "%lld %s\n",
                                    (long long)(shape.is_text ? shape.text_bytes : shape.elements),
                                    shape.is_text ? "bytes of text" : "numbers");
    TRY(append_first(report, path, &shape));
    return shape.elements == 1 ? strbuf_append_text(report->out, "\n")
                               : strbuf_append_format(report->out, " … (%lld numbers)\n",
                                                      (long long)shape.elements);
}

static enum status append_file(void *context, const char *path, bool is_group) {
    const struct report *report = context;
    struct h5_shape shape;
    if (is_group)
        return STATUS_OK;
    TRY(h5_shape(report->h5, path, &shape));
    return strbuf_append_format(report->out, "  %-40s %lld bytes\n", path + 1,
                                (long long)shape.elements);
}

/* What adapter is trained, where one is. */
static enum status append_adapter(const struct h5 *h5, struct strbuf *out) {
    static const char path[] = "/model/" ADAPTER_CONFIG_NAME;
    struct adapter_settings settings;
    json_t *config = NULL;
    char *text = NULL;
    int64_t length;
    if (!h5_has(h5, path))
        return STATUS_OK;
    TRY(h5_get_list(h5, path, H5_KIND_U8, &text, &length));
    enum status status = json_parse(text, (size_t)length, ADAPTER_CONFIG_NAME, 0, &config);
    if (status == STATUS_OK)
        status = adapter_config_read(config, ADAPTER_CONFIG_NAME, &settings);
    if (status == STATUS_OK)
        status = adapter_settings_describe(&settings, out);
    json_decref(config);
    memory_release(&text);
    return status;
}

enum status checkpoint_describe(const struct h5 *h5, struct strbuf *out) {
    struct report report = {.h5 = h5, .out = out};
    TRY(strbuf_append_text(out, "checkpoint\n"));
    TRY(append_adapter(h5, out));
    for (int section = 0; section < CHECKPOINT_SECTIONS; section++)
        if (h5_has(h5, checkpoint_sections[section].group))
            TRY(append_tensors(&report, checkpoint_sections[section].group,
                               checkpoint_sections[section].group + 1));
    if (h5_has(h5, "/state"))
        TRY(h5_walk(h5, "/state", append_value, &report));
    return h5_has(h5, "/model") ? h5_list(h5, "/model", append_file, &report) : STATUS_OK;
}
