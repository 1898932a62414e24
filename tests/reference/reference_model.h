/* SPDX-License-Identifier: Apache-2.0
 *
 * A decoder-only transformer (Qwen2, Qwen3, Llama) in double precision over one sequence at a time:
 * no packing, no cache, no shared prompts. A packed group computed by the program must equal its
 * sequences computed one by one here, and finite differences of what is computed here are the
 * gradients.
 */
#ifndef TESTS_REFERENCE_REFERENCE_MODEL_H
#define TESTS_REFERENCE_REFERENCE_MODEL_H

#include <stdbool.h>
#include <stdint.h>

#include "model/hparams.h"
#include "model/model.h"

struct reference_model {
    const struct hparams *hparams;
    const struct parameter *parameters; /* as model_parameters gives them */
    int64_t parameter_count;
    const double *values; /* the flat parameter vector */
    /* Angles in double; else frequencies, angles and table as transformers has them, rounded to
     * fp32 */
    bool exact_rope;
};

/* Log-probability of tokens[i] after tokens[0 … i − 1] under softmax(z / temperature), and the
 * entropy of that distribution, for i = first … n − 1 (first ≥ 1): logprob and entropy hold
 * n − first numbers. */
struct reference_sequence {
    const int32_t *tokens;
    int64_t n, first;
    double temperature;
    double *logprob, *entropy;
};
void reference_model_score(const struct reference_model *model,
                           const struct reference_sequence *sequence);

/* Logits (n, V) at every position of the sequence. */
void reference_model_logits(const struct reference_model *model, const int32_t *tokens, int64_t n,
                            double *logits);

/* Rotary table (positions, D): D/2 cosines, then D/2 sines, of each position. */
void reference_rope_table(const struct hparams *hparams, int64_t positions, bool exact,
                          double *table);

#endif
