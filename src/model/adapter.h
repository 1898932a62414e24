/* SPDX-License-Identifier: Apache-2.0
 *
 * Low-rank adapters (LoRA, Hu et al., arXiv 2106.09685): a matrix W (N, K) that is one of the
 * targets acts as
 *
 *     y = x Wᵀ + γ (x Aᵀ) Bᵀ,      A (rank, K),  B (N, rank)
 *
 * with γ = alpha / rank, or alpha / √rank where the rank is to be stable (rsLoRA, Kalajdzievski,
 * arXiv 2312.03732). A and B are fp32 whatever the precision of the weights, and all that is
 * trained. Names are those of peft: base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight.
 *
 * Factors of targets that share an input are multiplied together: the A of q, k and v stand as one
 * matrix of 3 rank rows, in the flat vector too. Per layer, for each group (qkv, o, gate and up,
 * down): the A of its targets, then their B.
 */
#ifndef MODEL_ADAPTER_H
#define MODEL_ADAPTER_H

#include <stdbool.h>
#include <stdint.h>

#include "backend/backend.h"
#include "base/status.h"
#include "model/hparams.h"
#include "model/parameters.h"

enum lora_target { LORA_Q, LORA_K, LORA_V, LORA_O, LORA_GATE, LORA_UP, LORA_DOWN, LORA_TARGETS };

struct adapter_settings {
    int64_t rank;
    double alpha;
    bool rank_stabilized;
    bool targets[LORA_TARGETS]; /* one at least */
};

struct adapter;

/* Makes an adapter for a model of that shape beside weights of the type `beside`; its factors are
 * zero. Their working copy has the type of the activations that the backend computes with then: fp32
 * on the CPU, whatever the weights; the master is fp32 always. The caller destroys it, after the
 * models that use it; the backend must outlive it. */
enum status adapter_create(struct adapter **adapter, struct backend *backend,
                           const struct hparams *hparams, enum dtype beside,
                           const struct adapter_settings *settings) MUST_USE;
void adapter_destroy(struct adapter **adapter);

const struct adapter_settings *adapter_settings(const struct adapter *adapter);
const struct parameter_set *adapter_parameters(const struct adapter *adapter);

/* The factors that an adapter with these settings has; *items (memory_release) is the set's list.
 * Settings without a target are refused. */
enum status adapter_parameters_list(const struct hparams *hparams,
                                    const struct adapter_settings *settings,
                                    struct parameter **items, struct parameter_set *set) MUST_USE;

/* γ of y = x Wᵀ + γ (x Aᵀ) Bᵀ. */
float adapter_scale(const struct adapter_settings *settings);

/* "q_proj", the name of the target's module; "q" in input files. */
const char *lora_target_module(enum lora_target target);
const char *lora_target_name(enum lora_target target);

/* A new adapter's master (backend memory), as peft initialises it: A uniform in ±1/√K (Kaiming's
 * initialisation with a = √5), B zero, so that the model is unchanged. A function of the seed. */
enum status adapter_initialise(const struct adapter *adapter, uint64_t seed,
                               float *master) MUST_USE;

/* The working copy becomes that of the flat fp32 vector (backend memory). */
enum status adapter_refresh(struct adapter *adapter, const float *master) MUST_USE;

#endif
