/* SPDX-License-Identifier: Apache-2.0
 *
 * Writing a checkpoint: laid out by rank 0, filled in blocks by all, checked by all, committed with
 * its checksums. run/saving.h leads through it.
 */
#ifndef RUN_CHECKPOINT_WRITE_H
#define RUN_CHECKPOINT_WRITE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"
#include "comm/comm.h"
#include "file/provenance.h"
#include "model/parameters.h"
#include "run/checkpoint.h"
#include "run/model_directory.h"

/* What rank 0 knows; everything is borrowed until checkpoint_layout returns, the parameters until
 * the writer is gone. */
struct checkpoint_content {
    const struct parameter *parameters;
    int64_t parameter_count;
    bool sections[CHECKPOINT_SECTIONS]; /* that are there */
    const struct checkpoint_value *state;
    int64_t state_count;
    const char *settings;
    const struct model_files *files;
    const struct provenance *provenance;
};

struct checkpoint_writer;

/* Lays out the file, under another name until it is whole. The caller commits or abandons the writer. */
enum status checkpoint_layout(struct checkpoint_writer **writer, const char *path,
                              const struct checkpoint_content *content) MUST_USE;

/* Rank 0 gives its writer, the other ranks get theirs. The parameters are those of the content, and
 * outlive the writer. Collective. */
enum status checkpoint_join(struct checkpoint_writer **writer, struct comm *comm,
                            const struct parameter *parameters, int64_t count) MUST_USE;

/* Writes elements [offset, offset + n) of a flat vector (host memory) to their places. Every
 * element of every section must be written once, by any rank. This, flush and check call neither
 * MPI nor HDF5: any thread may, one at a time. */
enum status checkpoint_write_block(const struct checkpoint_writer *writer,
                                   enum checkpoint_section section, int64_t offset,
                                   const float *values, int64_t n) MUST_USE;

/* What this rank has written is on the disk. */
enum status checkpoint_flush(const struct checkpoint_writer *writer) MUST_USE;

/* Reads back and hashes share `part` of `parts` of all datasets, once every rank has flushed. */
enum status checkpoint_check(struct checkpoint_writer *writer, int part, int parts) MUST_USE;

/* Brings the checksums of all ranks to rank 0. Collective. */
enum status checkpoint_gather(struct checkpoint_writer *writer, struct comm *comm) MUST_USE;

/* Writes manifest and seal and gives the file its name, once all shares were checked. Rank 0 calls.
 * *writer becomes NULL in any case. */
enum status checkpoint_commit(struct checkpoint_writer **writer) MUST_USE;
void checkpoint_abandon(struct checkpoint_writer **writer);

#endif
