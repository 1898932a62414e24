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
    /* Rows [begin, end) of embedding and head are in no file, which holds `stored` rows: they are made
     * of the mean of those before. All 0: there are none. */
    struct {
        int64_t begin, end, stored;
    } made;
};

/* Reads DIR/config.json (and generation_config.json when there is one); whether the head is tied is
 * looked up in the weights, when they are there. */
enum status hparams_read(const char *directory, struct hparams *out) MUST_USE;

/* Tokens that the model does not have yet take the ids [known, size), and rows of embedding and head:
 * first rows that the files hold beyond the tokenizer's ids, then new ones, up to a multiple of
 * HPARAMS_ROWS. */
enum { HPARAMS_ROWS = 8 }; /* what products in bf16 want */
void hparams_make_rows(struct hparams *hparams, int64_t known, int64_t size);

/* Writes config.json and generation_config.json as transformers writes them, into an existing
 * directory. */
enum status hparams_write(const struct hparams *hparams, const char *directory) MUST_USE;

/* "qwen2", "qwen3", "llama". */
const char *arch_name(enum arch arch);

#endif
