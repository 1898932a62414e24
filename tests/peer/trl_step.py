#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Time a whole GRPO step here and in TRL's GRPOTrainer, in turn, on the same model, prompts and machine.

    trl_step.py GRADUS MODEL_DIR PROMPTS.jsonl [--rounds 2] [--prompts 4] [--answers 8] [--tokens 128] [--threads 2]
                [--precision highest|medium]

PROMPTS.jsonl has fields "question" and "answer". Both programs train all parameters in fp32 with AdamW on groups of answers
drawn at temperature 1, one update per batch, no KL, all answers in one tile or batch. TRL's own figure `step_time`
(generation, rewards, forward, backward, optimizer) is set against gradus' `time/step`. Both are given per drawn token as
well, since answers differ in length. Each program's second step counts: the first pays for warming up. Needs trl,
transformers, torch, datasets.

--precision is torch.set_float32_matmul_precision: "medium" takes oneDNN's fastest products on CPUs with bf16.
"""
import argparse
import json
import os
import subprocess
import tempfile

CONFIG = """
run : {{ directory = "{work}/run"; method = "rl"; steps = 2; seed = {seed}; }};
model : {{ path = "{model}"; }};
data : {{ train = ( {{ path = "{data}"; prompt = "question"; answer = "answer"; }} ); shuffle = false; }};
prompt : {{ chat = "none"; }};
rollout : {{ prompts_per_step = {prompts}; group_size = {answers}; max_new_tokens = {tokens}; }};
reward : {{ parts = ( {{ name = "length"; weight = 1.0; }} ); }};
optimizer : {{ learning_rate = 1e-6; }};
checkpoint : {{ every_s = 0; }};
parallel : {{ threads = {threads}; groups_per_tile = {prompts}; }};
"""


def gradus_step(arguments, seed):
    with tempfile.TemporaryDirectory() as work:
        path = os.path.join(work, "step.cfg")
        with open(path, "w") as file:
            file.write(CONFIG.format(work=work, seed=seed, model=os.path.abspath(arguments.model),
                                     data=os.path.abspath(arguments.data), prompts=arguments.prompts,
                                     answers=arguments.answers, tokens=arguments.tokens, threads=arguments.threads))
        subprocess.run([arguments.gradus, "train", path], check=True, capture_output=True)
        lines = [json.loads(line) for line in open(os.path.join(work, "run", "metrics.jsonl"))]
    last = lines[-1]
    drawn = last["completions/mean_length"] * arguments.prompts * arguments.answers
    return dict(seconds=last["time/step"], rollout=last["time/rollout"], training=last["time/gradient"], tokens=drawn)


def make_trainer(arguments):
    import torch
    from datasets import Dataset
    from transformers import AutoModelForCausalLM, AutoTokenizer
    from trl import GRPOConfig, GRPOTrainer

    torch.set_num_threads(arguments.threads)
    torch.set_float32_matmul_precision(arguments.precision)
    rows = [json.loads(line)["question"] for _, line in zip(range(64), open(arguments.data))]
    answers = arguments.prompts * arguments.answers
    config = GRPOConfig(
        output_dir=tempfile.mkdtemp(), per_device_train_batch_size=answers, gradient_accumulation_steps=1,
        num_generations=arguments.answers, max_completion_length=arguments.tokens, temperature=1.0, max_steps=2,
        learning_rate=1e-6, beta=0.0, logging_steps=1, report_to=[], use_cpu=True, bf16=False, save_strategy="no",
        gradient_checkpointing=False, disable_tqdm=True, shuffle_dataset=False)
    return GRPOTrainer(
        model=AutoModelForCausalLM.from_pretrained(arguments.model, dtype=torch.float32), args=config,
        processing_class=AutoTokenizer.from_pretrained(arguments.model),
        reward_funcs=lambda completions, **_: [float(len(c)) for c in completions],
        train_dataset=Dataset.from_dict({"prompt": rows}))


def trl_step(arguments):
    trainer = make_trainer(arguments)
    trainer.train()
    last = [entry for entry in trainer.state.log_history if "step_time" in entry][-1]
    tokens = last["completions/mean_length"] * arguments.prompts * arguments.answers
    return dict(seconds=last["step_time"], tokens=tokens)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("gradus"), parser.add_argument("model"), parser.add_argument("data")
    for name, value in (("rounds", 2), ("prompts", 4), ("answers", 8), ("tokens", 128), ("threads", 2)):
        parser.add_argument("--" + name, type=int, default=value)
    parser.add_argument("--precision", default="highest", choices=("highest", "medium"))
    arguments = parser.parse_args()
    ratios = []
    for round_number in range(arguments.rounds):
        ours, theirs = gradus_step(arguments, round_number), trl_step(arguments)
        per_token = (theirs["seconds"] / theirs["tokens"]) / (ours["seconds"] / ours["tokens"])
        ratios.append(per_token)
        print(f"round {round_number + 1}: gradus {ours['seconds']:.2f} s (rollout {ours['rollout']:.2f}, training "
              f"{ours['training']:.2f}; {ours['tokens']:.0f} tokens), TRL {theirs['seconds']:.2f} s "
              f"({theirs['tokens']:.0f} tokens), ratio {theirs['seconds'] / ours['seconds']:.2f}, per token {per_token:.2f}",
              flush=True)
    print(f"median ratio per token {sorted(ratios)[len(ratios) // 2]:.2f}")


if __name__ == "__main__":
    main()
