#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Write trl_expected.h: losses, their gradients and advantages of TRL on small stored tensors.

    python make_trl_expected.py > trl_expected.h          (trl 1.16.0, torch 2.15.0)

TRL's own loss code runs, GRPOTrainer._compute_loss, on a stand-in for the trainer that hands it log-probabilities and
entropies instead of computing them with a model. Everything is fp64; the inputs are fp32 numbers, so that a program in
fp32 can be given exactly the same. The advantages are made by the lines of GRPOTrainer._generate_and_score_completions
(scale_rewards group, none) and RLOOTrainer with TRL's nanstd; TRL centres scale_rewards = "batch" by the group mean.
"""
import types
from collections import defaultdict

import torch
import trl
from trl import GRPOTrainer
from trl.trainer.utils import nanstd

torch.set_default_dtype(torch.float64)  # for the constants that TRL makes on the way
torch.manual_seed(20)
LENGTHS = [5, 1, 7, 4]
ADVANTAGES = [1.25, -0.75, 0.5, -1.5]
MAX_NEW_TOKENS = 9
B, T = len(LENGTHS), max(LENGTHS)
MASK = torch.tensor([[float(t < n) for t in range(T)] for n in LENGTHS], dtype=torch.float64)


def fp32(x):
    return x.float().double()


LOGPROB = fp32(-2 * torch.rand(B, T, dtype=torch.float64) - 0.1)
OLD = fp32(LOGPROB + 0.35 * torch.randn(B, T, dtype=torch.float64))
OLD[2, 3] = LOGPROB[2, 3] + 1.5  # far below and far above, where gates are nearly or wholly closed
OLD[3, 1] = LOGPROB[3, 1] - 1.5
OLD = fp32(OLD)
REFERENCE = fp32(LOGPROB + 0.5 * torch.randn(B, T, dtype=torch.float64))
ENTROPY = fp32(2 * torch.rand(B, T, dtype=torch.float64))

# name, gate, level, aggregation as GRADUS calls them; then TRL's settings
CASES = [
    ("grpo", "clip", "token", "sequence_mean", dict(loss_type="grpo")),
    ("grpo asymmetric", "clip", "token", "sequence_mean", dict(loss_type="grpo", epsilon_low=0.1, epsilon_high=0.28)),
    ("grpo two-sided", "clip", "token", "sequence_mean", dict(loss_type="grpo", delta=1.5)),
    ("grpo with kl", "clip", "token", "sequence_mean", dict(loss_type="grpo", beta=0.1)),
    ("grpo, sequence", "clip", "sequence", "sequence_mean",
     dict(loss_type="grpo", importance_sampling_level="sequence", epsilon_low=0.05, epsilon_high=0.05)),
    ("bnpo", "clip", "token", "token_mean", dict(loss_type="bnpo")),
    ("bnpo with entropy", "clip", "token", "token_mean", dict(loss_type="bnpo", entropy_coef=0.01)),
    ("dapo", "clip", "token", "token_mean", dict(loss_type="dapo", epsilon_high=0.28)),
    ("dapo, sequence", "clip", "sequence", "token_mean",
     dict(loss_type="dapo", importance_sampling_level="sequence", epsilon_low=0.3, epsilon_high=0.3)),
    ("dr_grpo", "clip", "token", "constant", dict(loss_type="dr_grpo")),
    ("dr_grpo with kl", "clip", "token", "constant", dict(loss_type="dr_grpo", beta=0.04)),
    ("sapo", "sigmoid", "token", "sequence_mean", dict(loss_type="sapo")),
    ("sapo 10 12", "sigmoid", "token", "sequence_mean", dict(loss_type="sapo", tau_pos=10.0, tau_neg=12.0)),
    ("sapo with kl", "sigmoid", "token", "sequence_mean", dict(loss_type="sapo", beta=0.1)),
    ("sapo, sequence", "sigmoid", "sequence", "sequence_mean",
     dict(loss_type="sapo", importance_sampling_level="sequence", tau_pos=10.0, tau_neg=12.0)),
]


def trainer(c, logprob):
    """What _compute_loss reads of a trainer, and no more."""
    one = lambda x: x
    return types.SimpleNamespace(
        _get_per_token_logps_and_entropies=lambda *a, **k: (logprob, ENTROPY, None),
        aux_loss_enabled=False, top_entropy_quantile=1.0, off_policy_mask_threshold=None, use_vllm=False,
        importance_sampling_level=c.get("importance_sampling_level", "token"), loss_type=c["loss_type"],
        beta=c.get("beta", 0.0), epsilon_low=c.get("epsilon_low", 0.2), epsilon_high=c.get("epsilon_high", 0.2),
        max_completion_length=MAX_NEW_TOKENS, current_gradient_accumulation_steps=1,
        _entropy_bonus_enabled="entropy_coef" in c, use_adaptive_entropy=False, entropy_coef=c.get("entropy_coef", 0.0),
        args=types.SimpleNamespace(use_bias_correction_kl=False, delta=c.get("delta"), steps_per_generation=1,
                                   sapo_temperature_pos=c.get("tau_pos", 1.0), sapo_temperature_neg=c.get("tau_neg", 1.05)),
        accelerator=types.SimpleNamespace(num_processes=1, gather=one, reduce=lambda x, reduction: x, sync_gradients=False),
        model=types.SimpleNamespace(training=True), _metrics={"train": defaultdict(list)},
    )


def compute(c):
    logprob = LOGPROB.clone().requires_grad_(True)
    me = trainer(c, logprob)
    inputs = dict(prompt_ids=torch.zeros(B, 1, dtype=torch.long), prompt_mask=torch.ones(B, 1, dtype=torch.float64),
                  completion_ids=torch.zeros(B, T, dtype=torch.long), completion_mask=MASK,
                  advantages=torch.tensor(ADVANTAGES, dtype=torch.float64), old_per_token_logps=OLD,
                  ref_per_token_logps=REFERENCE, num_items_in_batch=MASK.sum())
    loss = GRPOTrainer._compute_loss(me, None, inputs)
    loss.backward()
    metrics = {k: v[0] for k, v in me._metrics["train"].items()}
    return float(loss.detach()), logprob.grad, metrics


def flat(x):
    return [float(x[b, t]) for b, n in enumerate(LENGTHS) for t in range(n)]


def numbers(values, form):
    return "{" + ", ".join(form % v for v in values) + "}"


REWARDS = torch.tensor([2.0, 1.25, 0.25, 0.0, 1.0, 1.0, 1.0, 1.0, 0.5, 1.0, 1.5, 0.1, 0.25, 0.0, 0.0, 0.0], dtype=torch.float64)
G = 4


def advantages(kind):
    grouped = REWARDS.view(-1, G)
    mean, std = grouped.mean(1).repeat_interleave(G), nanstd(grouped, dim=1).repeat_interleave(G)
    if kind == "group":
        return (REWARDS - mean) / (std + 1e-4)
    if kind == "group_mean":
        return REWARDS - mean
    if kind == "batch":
        return (REWARDS - mean) / (nanstd(REWARDS) + 1e-4)
    return REWARDS - ((grouped.sum(1, keepdim=True) - grouped) / (G - 1)).view(-1)  # leave_one_out


def main():
    n = sum(LENGTHS)
    print("/* SPDX-License-Identifier: Apache-2.0")
    print(" *")
    print(f" * Made by make_trl_expected.py with trl {trl.__version__}, torch {torch.__version__.split('+')[0]}; do not edit. */")
    print("/* clang-format off */")
    print(f"enum {{ TRL_ANSWERS = {B}, TRL_TOKENS = {n}, TRL_MAX_NEW_TOKENS = {MAX_NEW_TOKENS} }};")
    print(f"static const int trl_lengths[] = {numbers(LENGTHS, '%d')};")
    print(f"static const double trl_advantages[] = {numbers(ADVANTAGES, '%r')};")
    for name, x in (("logprob", LOGPROB), ("old", OLD), ("reference", REFERENCE), ("entropy", ENTROPY)):
        print(f"static const float trl_{name}[] = {numbers(flat(x), '%.9gf')};")
    print("struct trl_case {")
    print("    const char *name, *gate, *level, *aggregation;")
    print("    double clip_low, clip_high, clip_dual, tau_pos, tau_neg, kl_coef, entropy_coef;")
    print("    double loss, low_mean, high_mean, kl; /* −1: TRL does not report it */")
    print("    double d_logprob[TRL_TOKENS];")
    print("};")
    print("static const struct trl_case trl_cases[] = {")
    for name, gate, level, aggregation, c in CASES:
        loss, grad, m = compute(c)
        settings = [c.get("epsilon_low", 0.2), c.get("epsilon_high", 0.2), c.get("delta", 0.0), c.get("tau_pos", 1.0),
                    c.get("tau_neg", 1.05), c.get("beta", 0.0), c.get("entropy_coef", 0.0)]
        clip = level == "token"  # TRL averages over answers, not tokens, at the other level
        results = [loss] + [m.get(f"clip_ratio/{side}_mean", -1) if clip else -1 for side in ("low", "high")] + [m.get("kl", -1)]
        print(f'    {{"{name}", "{gate}", "{level}", "{aggregation}", {", ".join("%r" % float(x) for x in settings)},')
        print(f'     {", ".join("%.17g" % x for x in results)},')
        print(f'     {numbers(flat(grad), "%.17g")}}},')
    print("};")
    print(f"enum {{ TRL_REWARDS = {len(REWARDS)}, TRL_GROUP_SIZE = {G} }};")
    print(f"static const double trl_rewards[] = {numbers(REWARDS.tolist(), '%r')};")
    for kind in ("group", "group_mean", "leave_one_out", "batch"):
        print(f"static const double trl_{kind}[] = {numbers(advantages(kind).tolist(), '%.17g')};")


main()
