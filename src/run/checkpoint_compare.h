/* SPDX-License-Identifier: Apache-2.0
 *
 * Whether two checkpoints hold the same run, by the checksums of their manifests.
 */
#ifndef RUN_CHECKPOINT_COMPARE_H
#define RUN_CHECKPOINT_COMPARE_H

#include "base/status.h"
#include "run/checkpoint_manifest.h"

/* `name` becomes that of the first dataset, in the order of names, whose bits differ or that one of
 * the two lacks; "" when there is none. What says where and how a run went (/provenance, /settings)
 * is not compared. Both seals must hold. */
enum status checkpoint_first_difference(const char *path, const char *other,
                                        char name[CHECKPOINT_NAME_BYTES]) MUST_USE;

#endif
