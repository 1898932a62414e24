#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Time whole rollouts here and by transformers' generate, in turn, on the same model, prompts and machine.

    hf_generate.py GRADUS MODEL_DIR PROMPTS.jsonl [--prompts 4] [--answers 8] [--tokens 128] [--threads 2] [--rounds 3]

Each of the first PROMPTS lines (field "prompt") gets ANSWERS answers of at most TOKENS tokens at temperature 1, in fp32; tokens up to
an answer's end token count. transformers gets all of a round in one left-padded batch, which is what trainers built on it do; ours is `gradus generate`,
its start and the loading of the model subtracted by a run of 1 token each. Rates are drawn tokens/s, best of the rounds last. Needs torch
and transformers.
"""
import argparse
import json
import os
import subprocess
import tempfile
import time


def gradus_rollout(a, folder, prompts, tokens):
    rows, out, cfg = (os.path.join(folder, name) for name in ("rows.jsonl", "out.jsonl", "run.cfg"))
    with open(rows, "w") as f:
        f.writelines(json.dumps({"prompt": p}) + "\n" for p in prompts)
    with open(cfg, "w") as f:
        f.write(f'model : {{ path = "{a.model}"; }};\n'
                f'prompt : {{ chat = "none"; max_tokens = 512; }};\n'
                f"rollout : {{ group_size = {a.answers}; max_new_tokens = {tokens}; }};\n")
    if os.path.exists(out):
        os.unlink(out)
    start = time.time()
    subprocess.run([a.gradus, "generate", "--input", rows, "--output", out, cfg], check=True, stdout=subprocess.DEVNULL,
                   env={**os.environ, "OMP_NUM_THREADS": str(a.threads)})
    seconds = time.time() - start
    with open(out) as f:
        drawn = sum(len(c["token_ids"]) for line in f for c in json.loads(line)["completions"])
    return seconds, drawn


def make_peer(a, prompts):
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    torch.set_num_threads(a.threads)
    tokenizer = AutoTokenizer.from_pretrained(a.model, padding_side="left")
    tokenizer.pad_token = tokenizer.pad_token or tokenizer.eos_token
    model = AutoModelForCausalLM.from_pretrained(a.model, dtype=torch.float32, attn_implementation="sdpa").eval()
    batch = tokenizer(prompts, return_tensors="pt", padding=True)

    def rollout():
        start = time.time()
        with torch.no_grad():
            out = model.generate(**batch, do_sample=True, temperature=1.0, top_k=0, top_p=1.0, max_new_tokens=a.tokens,
                                 num_return_sequences=a.answers)[:, batch["input_ids"].shape[1]:]
        seconds = time.time() - start
        ended = (out == model.generation_config.eos_token_id).int().cumsum(1)  # the end token itself is drawn, what follows is padding
        return seconds, int(((ended - (out == model.generation_config.eos_token_id).int()) == 0).sum())

    return rollout


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("gradus")
    p.add_argument("model")
    p.add_argument("prompts_file")
    p.add_argument("--prompts", type=int, default=4)
    p.add_argument("--answers", type=int, default=8)
    p.add_argument("--tokens", type=int, default=128)
    p.add_argument("--threads", type=int, default=2)
    p.add_argument("--rounds", type=int, default=3)
    a = p.parse_args()
    with open(a.prompts_file) as f:
        prompts = [json.loads(line)["prompt"] for _, line in zip(range(a.prompts), f)]
    peer = make_peer(a, prompts)
    ours, theirs = [], []
    with tempfile.TemporaryDirectory() as folder:
        for r in range(a.rounds):
            start, first = gradus_rollout(a, folder, prompts, 1)
            seconds, drawn = gradus_rollout(a, folder, prompts, a.tokens)
            ours.append((drawn - first) / (seconds - start))
            seconds, drawn = peer()
            theirs.append(drawn / seconds)
            print(f"round {r + 1}: gradus {ours[-1]:.0f}, transformers {theirs[-1]:.0f} tokens/s, load {os.getloadavg()[0]:.1f}", flush=True)
    print(f"best: gradus {max(ours):.0f}, transformers {max(theirs):.0f} tokens/s, ratio {max(ours) / max(theirs):.2f}")


if __name__ == "__main__":
    main()
