/* SPDX-License-Identifier: Apache-2.0
 *
 * What decoding asks of the cache beside model.h; for the files of this folder only.
 */
#ifndef MODEL_CACHE_H
#define MODEL_CACHE_H

#include "model/model_state.h"

/* Gives the sequence zeroed pages for `length` positions in all; its length stays. */
enum status cache_sequence_reserve(struct cache *cache, struct cache_sequence *sequence,
                                   int64_t length) MUST_USE;

#endif
