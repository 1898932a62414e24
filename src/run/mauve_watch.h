/* SPDX-License-Identifier: Apache-2.0
 *
 * MAUVE on the way of a run (mauve.every): how far what it writes is from the texts that it continues.
 *
 * At the end of each step the features of its completions, and of the real ones of their windows, are
 * computed by the ranks that own them, brought to all, and join those of the newest mauve.generations;
 * where it is due rank 0 compares them. They outlive a restart in the checkpoint, as features: these are
 * what the next comparison takes, whatever texts they were of. No bit of the training depends on it.
 */
#ifndef RUN_MAUVE_WATCH_H
#define RUN_MAUVE_WATCH_H

#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"
#include "mauve/recent.h"
#include "model/fingerprint.h"
#include "model/model.h"
#include "text/tokenizer.h"

struct run;

struct mauve_watch {
    bool on; /* the run has it, and what follows is there */
    struct mauve_settings how;
    int64_t most_tokens;         /* of a text */
    struct hparams hparams;      /* of the model that reads the texts; with mauve.features it has */
    struct tokenizer *tokenizer; /* a tokenizer and weights of its own, else NULL: the run's */
    struct weights *weights;
    struct model *model; /* of these weights, without an adapter */
    struct fingerprint fingerprint;
    char weights_sha256[FINGERPRINT_TEXT_BYTES];
    struct mauve_recent recent;
    int64_t
        weights_sum; /* CRC-32 of weights_sha256: whose features these are, in a checkpoint too */
    /* What the comparison of the last step gave, of so many completions; 0: there was none. */
    struct divergence_score score;
    int64_t generations;
};

/* All that can be refused before models are made; the run's longest sequence takes the texts in. Given
 * back by mauve_watch_close, also after a failure. */
enum status mauve_watch_open(struct run *run) MUST_USE;
void mauve_watch_close(struct run *run);

/* Model and memory, once the run's model is there, on a planned backend too. */
enum status mauve_watch_reserve(struct run *run) MUST_USE;
void mauve_watch_unreserve(struct run *run);

/* Which weights read the texts, once those of the run are known. Collective. */
enum status mauve_watch_identify(struct run *run) MUST_USE;

/* STATUS_INPUT where what was read from a checkpoint are features by other weights. */
enum status mauve_watch_check(struct run *run) MUST_USE;

/* Takes in the texts of the step that ends, and compares where that is due. Collective. */
enum status mauve_watch_step(struct run *run) MUST_USE;

/* For plans: the memory of such a step, and bytes of a checkpoint. */
enum status mauve_watch_rehearse(struct run *run) MUST_USE;
int64_t mauve_watch_bytes(const struct run *run);

/* Tokens of the longest text that features are of. */
int64_t mauve_watch_longest(const struct run *run);

#endif
