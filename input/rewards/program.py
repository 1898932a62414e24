#!/usr/bin/env python3
"""A reward program, to start from: how far an answer keeps to <think>...</think><answer>...</answer>.

    reward : { parts = ( { name = "program"; program = "rewards/program.py"; } ); };

Each rank starts one. For every line {"id", "prompt", "text", "reference", ...} on standard input it
writes {"id", "reward"}; src/reward/program.h has all fields. What goes to standard error is in the log.
The reward is that of the built-in part format, or with arguments = "length" that of length: copy the
file, change `reward`, and leave the rest. It should look at nothing but the answer it is given: then a
run is the same on any number of ranks.
"""
import json
import re
import sys

BLOCKS = re.compile(r"<think>.*</think>\s*<answer>.*</answer>", re.DOTALL)
TAGS = ("<think>", "</think>", "<answer>", "</answer>")


def reward(asked):
    if sys.argv[1:] == ["length"]:
        return asked["tokens"] / asked["max_new_tokens"]
    text = asked["text"].strip()
    if BLOCKS.fullmatch(text) and all(text.count(tag) == 1 for tag in TAGS):
        return 1.0
    return 0.25 * text.startswith("<think>") + 0.25 * text.endswith("</answer>")


for line in sys.stdin:
    asked = json.loads(line)
    print(json.dumps({"id": asked["id"], "reward": reward(asked)}), flush=True)
