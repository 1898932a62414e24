#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Time forward and backward of one group with a LoRA adapter here and in torch + peft, in turn, on the same model and machine.

    peft_step.py GRADUS MODEL_DIR [--rounds 3] [--rank 64] [--threads 2] [--seconds 2] [--precision highest|medium]

The group is that of `gradus bench step`: a prompt of 100 tokens and 8 answers of 128, adapters on all seven matrices, fp32, log-
probabilities of the answers' tokens. gradus packs the prompt once (1124 positions); torch gets 8 sequences of 228 (1824), computes
logits at the answers alone, keeps activations, and takes its fastest attention for this (sdpa). Both figures are the best of a round; no
optimizer step in either. "whole" is gradus without an adapter: what training all weights costs. The last two columns are torch's time
over ours, for the group and for a position that is computed. Needs torch, transformers, peft.
"""
import argparse
import os
import re
import subprocess
import time

PROMPT, ANSWERS, TOKENS = 100, 8, 128
PACKED, APART = PROMPT + ANSWERS * TOKENS, ANSWERS * (PROMPT + TOKENS)


def gradus_step(a):
    out = subprocess.run([a.gradus, "bench", "step", "--model", a.model, "--lora", str(a.rank), "--threads", str(a.threads),
                          "--seconds", str(a.seconds)], check=True, capture_output=True, text=True).stdout
    whole, lora = (PACKED / float(x) for x in re.findall(r"forward \+ backward +([\d.]+) positions/s", out))
    return whole, lora


def make_peer(a):
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    torch.set_num_threads(a.threads)
    torch.set_float32_matmul_precision(a.precision)
    base = AutoModelForCausalLM.from_pretrained(a.model, dtype=torch.float32, attn_implementation="sdpa")
    modules = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
    model = get_peft_model(base, LoraConfig(r=a.rank, lora_alpha=a.rank, target_modules=modules, task_type="CAUSAL_LM"))
    model.train()
    torch.manual_seed(1)
    ids = torch.randint(0, base.config.vocab_size, (ANSWERS, PROMPT + TOKENS))

    def step():
        start = time.perf_counter()
        logits = model(input_ids=ids, use_cache=False, logits_to_keep=TOKENS + 1).logits[:, :-1]
        torch.nn.functional.cross_entropy(logits.reshape(-1, logits.shape[-1]), ids[:, PROMPT:].reshape(-1)).backward()
        taken = time.perf_counter() - start
        model.zero_grad()
        return taken

    return step


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("gradus"), parser.add_argument("model")
    for name, value in (("rounds", 3), ("rank", 64), ("threads", 2), ("seconds", 2)):
        parser.add_argument("--" + name, type=int, default=value)
    parser.add_argument("--precision", default="highest", choices=("highest", "medium"))
    a = parser.parse_args()
    peer, ratios = make_peer(a), []
    peer()  # warms up
    for round_number in range(a.rounds):
        whole, lora = gradus_step(a)
        theirs = min(peer() for _ in range(3))
        ratios.append(theirs / lora)
        print(f"round {round_number + 1}: whole {whole:.2f} s, LoRA {lora:.2f} s ({whole / lora:.2f} x), torch + peft {theirs:.2f} s, "
              f"ratio {theirs / lora:.2f}, per position {theirs / APART / (lora / PACKED):.2f}, load {os.getloadavg()[0]:.1f}", flush=True)
    print(f"median ratio {sorted(ratios)[len(ratios) // 2]:.2f}")


if __name__ == "__main__":
    main()
