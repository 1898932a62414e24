#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Time forward and backward, decoding, and a whole step of GRPO, of a random model of a known shape here and in PyTorch, in turn, on
the same GPU.

    cuda_step.py GRADUS [--shape qwen2.5-0.5b] [--groups 16] [--answers 64] [--rounds 3]

GRADUS is the program, or a bundle's; it is called with `bench --device cuda --precision bf16`. The step is that of `gradus bench step`:
groups of a prompt of 100 tokens and 8 answers of 128; gradus packs each prompt once (1124 positions a group), torch gets 8 sequences of
228 (1824), bf16 weights and activations, sdpa attention, logits at the answers alone, keeps activations; no optimizer step in either.
Decoding: `generate` of 64 tokens behind 64, sampling at temperature 1, beside `gradus bench decode`. A step of GRPO, beside `gradus bench
grpo`: `generate` of 128 tokens for 8 answers to each of the groups' prompts of 100, the clipped loss over their tokens with its backward
(the same parts of 32 sequences), a fused AdamW; torch holds weights and moments in bf16, gradus fp32 beside its bf16 weights, and sums the
gradient in fixed point. The figures are medians of the rounds; the ratio is torch's time over ours for the same groups. Needs torch and
transformers.
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


def answer_logprobs(model, part):
    import torch

    logits = model(input_ids=part, use_cache=False, logits_to_keep=TOKENS + 1).logits[:, :-1].float()
    return torch.log_softmax(logits, -1).gather(-1, part[:, PROMPT:, None])[..., 0]


def torch_grpo(model, optimizer, groups, vocabulary):
    import torch

    prompts = torch.randint(0, vocabulary, (groups, PROMPT), device="cuda").repeat_interleave(ANSWERS, 0)
    advantages = torch.randn(groups * ANSWERS, 1, device="cuda")
    torch.cuda.synchronize()
    start = time.perf_counter()
    with torch.no_grad():
        ids = model.generate(prompts, attention_mask=torch.ones_like(prompts), do_sample=True, top_k=0, max_new_tokens=TOKENS,
                             min_new_tokens=TOKENS, pad_token_id=0)
    for part, advantage in zip(ids.split(32), advantages.split(32)):
        logprob = answer_logprobs(model, part)
        ratio = (logprob - logprob.detach()).exp()
        loss = -torch.minimum(ratio * advantage, ratio.clamp(0.8, 1.2) * advantage).mean(-1).sum() / len(ids)
        loss.backward()
    optimizer.step()
    optimizer.zero_grad()
    torch.cuda.synchronize()
    return time.perf_counter() - start


def compare_grpo(a, model, vocabulary):
    import torch

    optimizer = torch.optim.AdamW(model.parameters(), lr=0.0, fused=True)
    torch_grpo(model, optimizer, a.groups, vocabulary)  # warm up
    ours, theirs = [], []
    for _ in range(a.rounds):
        text = bench(a, "grpo", "--groups", str(a.groups))
        ours.append(1e-3 * float(re.search(r"grpo step of \d+ groups +([\d.]+) ms", text).group(1)))
        theirs.append(torch_grpo(model, optimizer, a.groups, vocabulary))
    step, peer = statistics.median(ours), statistics.median(theirs)
    print(f"{a.shape}: GRPO step of {a.groups} groups {1e3 * step:.1f} ms here, {1e3 * peer:.1f} ms torch, ratio {peer / step:.2f}")


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
    compare_grpo(a, model, vocabulary)


if __name__ == "__main__":
    main()
