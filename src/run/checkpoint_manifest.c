/* SPDX-License-Identifier: Apache-2.0 */
#include "run/checkpoint_manifest.h"

#include <stdio.h>
#include <string.h>

#include "base/memory.h"

const struct checkpoint_section_info checkpoint_sections[CHECKPOINT_SECTIONS] = {
    [CHECKPOINT_PARAMETERS] = {"/parameters", "a parameter of the model"},
    [CHECKPOINT_EXP_AVG] = {"/optimizer/exp_avg", "AdamW's mean of the parameter's gradients"},
    [CHECKPOINT_EXP_AVG_SQ] = {"/optimizer/exp_avg_sq",
                               "AdamW's mean of the parameter's squared gradients"},
    [CHECKPOINT_TEACHER] = {"/teacher", "the teacher's moving mean of the parameter"},
    [CHECKPOINT_DISCRIMINATOR_EXP_AVG] =
        {"/discriminator/optimizer/exp_avg",
         "the mean of the parameter's gradients in the discriminator's own AdamW"},
    [CHECKPOINT_DISCRIMINATOR_EXP_AVG_SQ] =
        {"/discriminator/optimizer/exp_avg_sq",
         "the mean of the parameter's squared gradients in the discriminator's own AdamW"},
};

enum h5_kind checkpoint_number(enum checkpoint_kind kind) {
    return kind == CHECKPOINT_REALS     ? H5_KIND_F64
           : kind == CHECKPOINT_SINGLES ? H5_KIND_F32
                                        : H5_KIND_I64;
}

int64_t checkpoint_elements(const struct parameter *parameter) {
    return parameter->rows * parameter->columns;
}

const char *checkpoint_section_name(char out[CHECKPOINT_NAME_BYTES],
                                    enum checkpoint_section section,
                                    const struct parameter *parameter) {
    snprintf(out, CHECKPOINT_NAME_BYTES, "%s/%s", checkpoint_sections[section].group,
             parameter->name);
    return out;
}

static enum status manifest_reserve(struct checkpoint_manifest *manifest) {
    if (manifest->count < manifest->capacity)
        return STATUS_OK;
    const int64_t capacity = 2 * manifest->capacity + 64;
    TRY(memory_grow(&manifest->paths, capacity, "manifest"));
    TRY(memory_grow(&manifest->ranges, capacity, "manifest"));
    manifest->capacity = capacity;
    return STATUS_OK;
}

/* For h5_walk. */
static enum status add_entry(void *context, const char *path) {
    struct checkpoint_manifest *manifest = context;
    char quoted[STATUS_QUOTE_MAX];
    if (strncmp(path, "/manifest/", sizeof "/manifest/" - 1) == 0)
        return STATUS_OK;
    if (strlen(path) >= CHECKPOINT_NAME_BYTES)
        return FAIL(STATUS_INPUT, "the name %s is too long for a checkpoint",
                    status_quote(quoted, path, SIZE_MAX));
    TRY(manifest_reserve(manifest));
    snprintf(manifest->paths[manifest->count], CHECKPOINT_NAME_BYTES, "%s", path);
    struct bytes_range *range = &manifest->ranges[manifest->count++];
    return h5_place(manifest->h5, path, &range->offset, &range->bytes);
}

/* Everything in the file, in the order of names. */
enum status checkpoint_manifest_collect(struct checkpoint_manifest *manifest, const struct h5 *h5) {
    *manifest = (struct checkpoint_manifest){.h5 = h5};
    return h5_walk(h5, "/", add_entry, manifest);
}

void checkpoint_manifest_release(struct checkpoint_manifest *manifest) {
    memory_release(&manifest->paths);
    memory_release(&manifest->ranges);
}
