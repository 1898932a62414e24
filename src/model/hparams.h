/* SPDX-License-Identifier: Apache-2.0
 *
 * What config.json says about the shape of a model. Both spellings found in the wild are read
 * (rope_theta, rope_scaling, torch_dtype; rope_parameters, dtype); a field that would change the
 * computation and is not supported is refused by name (design, section 9).
 */
#ifndef MODEL_HPARAMS_H
#define MODEL_HPARAMS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"
#include "tensor/dtype.h"

enum arch { ARCH_QWEN2, ARCH_QWEN3, ARCH_LLAMA };

enum { HPARAMS_STOP_MAX = 16 };

struct hparams {
    enum arch arch;
    int64_t layers, C, F, H, K, D, V; /* the alphabet of backend.h */
    int64_t max_positions;
    float rms_epsilon;
    double rope_theta;
    bool rope_llama3; /* rope scaling of Llama 3.1 and later */
    double rope_factor, rope_low_freq_factor, rope_high_freq_factor;
    int64_t rope_original_positions;
    /* Qwen2, or attention_bias of Llama (then the output projection has one as well) */
    bool qkv_bias;
    bool o_bias, mlp_bias;
    bool qk_norm;     /* Qwen3 */
    bool tied;        /* the output head is the embedding, by config.json and by the weights */
    enum dtype dtype; /* as stored */
    /* bos −1 when absent; eos of generation_config.json, else of config.json */
    int32_t bos, eos[HPARAMS_STOP_MAX];
    int eos_count;
};

/* Reads DIR/config.json (and generation_config.json when there is one); whether the head is tied is
 * looked up in the weights, when they are there. */
enum status hparams_read(const char *directory, struct hparams *out) MUST_USE;

/* Writes config.json and generation_config.json as transformers writes them, into an existing
 * directory. */
enum status hparams_write(const struct hparams *hparams, const char *directory) MUST_USE;

/* "qwen2", "qwen3", "llama". */
const char *arch_name(enum arch arch);

#endif
