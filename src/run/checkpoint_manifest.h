/* SPDX-License-Identifier: Apache-2.0
 *
 * What the writer and the reader of checkpoints share: the names inside a file, and the list of its
 * datasets, over which the manifest's checksums go.
 */
#ifndef RUN_CHECKPOINT_MANIFEST_H
#define RUN_CHECKPOINT_MANIFEST_H

#include <stdint.h>

#include "base/status.h"
#include "file/bytes.h"
#include "file/h5.h"
#include "model/parameters.h"
#include "run/checkpoint.h"

enum { CHECKPOINT_NAME_BYTES = 256, CHECKPOINT_DIGEST_BYTES = 32 };

/* The group of each section, as "/optimizer/exp_avg", and what its datasets are. */
struct checkpoint_section_info {
    const char *group, *text;
};
extern const struct checkpoint_section_info checkpoint_sections[CHECKPOINT_SECTIONS];

/* The dataset of a parameter in a section; returns `out`. */
const char *checkpoint_section_name(char out[CHECKPOINT_NAME_BYTES],
                                    enum checkpoint_section section,
                                    const struct parameter *parameter);

/* The numbers of a value in the file. */
enum h5_kind checkpoint_number(enum checkpoint_kind kind);

int64_t checkpoint_elements(const struct parameter *parameter);

/* Every dataset but the manifest's own: paths, and where their bytes lie. */
struct checkpoint_manifest {
    const struct h5 *h5;
    char (*paths)[CHECKPOINT_NAME_BYTES];
    struct bytes_range *ranges;
    int64_t count, capacity;
};

/* Everything in the file, in the order of names. Released also after a failure. */
enum status checkpoint_manifest_collect(struct checkpoint_manifest *manifest,
                                        const struct h5 *h5) MUST_USE;
void checkpoint_manifest_release(struct checkpoint_manifest *manifest);

#endif
