#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Time forward and backward, and decoding, of a random model of a known shape here and in PyTorch, in turn, on the same GPU.

    cuda_step.py GRADUS [--shape qwen2.5-0.5b] [--groups 16] [--answers 64] [--rounds 3]

GRADUS is the program, or a bundle's; it is called with `bench --device cuda --precision bf16`. The step is that of `gradus bench step`:
groups of a prompt of 100 tokens and 8 answers of 128; gradus packs each prompt once (1124 positions a group), torch gets 8 sequences of
228 (1824), bf16 weights and activations, sdpa attention, logits at the answers alone, keeps activations; no optimizer step in either.
Decoding: `generate` of 64 tokens behind 64, sampling at temperature 1, beside `gradus bench decode`. The figures are medians of the rounds;
the ratio is torch's time over ours for the same group. Needs torch and transformers.
"""
import argparse
import re
import statistics
import subprocess
import time

PROMPT, ANSWERS, TOKENS = 100, 8, 128
PACKED = PROMPT + ANSWERS * TOKENS
SHAPES = {"qwen2.5-0.5b": (24, 896, 4864, 14, 2, 151936, True), "qwen2.5-1.5b": (28, 1536, 8960, 12, 2, 151936, True),
          "qwen2.5-7b": (28, 3584, 18944, 28, 4, 152064, False)}


def bench(a, what, *more):
    call = [a.gradus, "bench", what, "--device", "cuda", "--precision", "bf16", "--shape", a.shape, "--seconds", "0.3", *more]
    return subprocess.run(call, check=True, capture_output=True, text=True).stdout


def make_model(a):
    import torch
    from transformers import Qwen2Config, Qwen2ForCausalLM

    layers, width, mlp, heads, kv_heads, vocabulary, tied = SHAPES[a.shape]
    config = Qwen2Config(num_hidden_layers=layers, hidden_size=width, intermediate_size=mlp, num_attention_heads=heads,
                         num_key_value_heads=kv_heads, vocab_size=vocabulary, tie_word_embeddings=tied)
    config._attn_implementation = "sdpa"
    torch.manual_seed(0)
    with torch.device("cuda"):
        return Qwen2ForCausalLM(config).to(torch.bfloat16)


def torch_step(model, groups, vocabulary):
    import torch

    ids = torch.randint(0, vocabulary, (groups * ANSWERS, PROMPT + TOKENS), device="cuda")
    start = time.perf_counter()
    for part in ids.split(32):
        logits = model(input_ids=part, use_cache=False, logits_to_keep=TOKENS + 1).logits[:, :-1]
        torch.nn.functional.cross_entropy(logits.float().reshape(-1, logits.shape[-1]), part[:, PROMPT:].reshape(-1)).backward()
    torch.cuda.synchronize()
    taken = time.perf_counter() - start
    model.zero_grad()
    return taken


def torch_decode(model, answers, vocabulary):
    import torch

    ids = torch.randint(0, vocabulary, (answers, 64), device="cuda")
    torch.cuda.synchronize()
    start = time.perf_counter()
    model.generate(ids, attention_mask=torch.ones_like(ids), do_sample=True, top_k=0, max_new_tokens=64, min_new_tokens=64,
                   pad_token_id=0)
    torch.cuda.synchronize()
    return answers * 64 / (time.perf_counter() - start)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("gradus")
    parser.add_argument("--shape", default="qwen2.5-0.5b", choices=SHAPES)
    for name, value in (("groups", 16), ("answers", 64), ("rounds", 3)):
        parser.add_argument("--" + name, type=int, default=value)
    a = parser.parse_args()
    model, vocabulary = make_model(a), SHAPES[a.shape][5]
    torch_step(model, a.groups, vocabulary), torch_decode(model, a.answers, vocabulary)  # warm up
    ours, theirs = [], []
    for _ in range(a.rounds):
        text = bench(a, "step", "--groups", str(a.groups))
        ours.append(a.groups * PACKED / float(re.search(r"forward \+ backward +([\d.]+) positions/s", text).group(1)))
        theirs.append(torch_step(model, a.groups, vocabulary))
    step, peer = statistics.median(ours), statistics.median(theirs)
    print(f"{a.shape}: step of {a.groups} groups {1e3 * step:.1f} ms here, {1e3 * peer:.1f} ms torch, ratio {peer / step:.2f}, "
          f"per position {peer / step * PACKED / (ANSWERS * (PROMPT + TOKENS)):.2f}")
    decode = float(re.search(rf"decode +{a.answers} answers +([\d.]+) tokens/s", bench(a, "decode")).group(1))
    generate = statistics.median(torch_decode(model, a.answers, vocabulary) for _ in range(a.rounds))
    print(f"{a.shape}: decoding of {a.answers} answers {decode:.0f} tokens/s here, {generate:.0f} transformers, ratio {decode / generate:.2f}")


if __name__ == "__main__":
    main()
