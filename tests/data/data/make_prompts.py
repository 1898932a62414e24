#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Prints what tests/unit/data/test_prompt_real.c expects: SHA-256 of the token ids ("id id ... \\n" for each row) of the first 1000
prompts and answers of GSM8K. Made with tokenizers 0.23.3 from ../shared/data/tokenizer_qwen2/tokenizer.json."""
import hashlib, itertools, json

import tokenizers

tok = tokenizers.Tokenizer.from_file("../shared/data/tokenizer_qwen2/tokenizer.json")
rows = [json.loads(line) for line in itertools.islice(open("../shared/data/gsm8k/train.jsonl"), 1000)]
template = "Solve it.\n\n{prompt}\nAnswer:"


def digest(name, lists):
    print(name, sum(map(len, lists)), hashlib.sha256("".join("".join(f"{i} " for i in ids) + "\n" for ids in lists).encode()).hexdigest())


def chat(user):
    return f"<|im_start|>system\nThink.<|im_end|>\n<|im_start|>user\n{user}<|im_end|>\n<|im_start|>assistant\n"


users = [template.replace("{prompt}", r["question"]) for r in rows]
print("tokenizers", tokenizers.__version__)
digest("none", [tok.encode(u).ids for u in users])
digest("chatml", [tok.encode(chat(u), add_special_tokens=False).ids for u in users])
digest("answers", [tok.encode(r["answer"], add_special_tokens=False).ids + [151645] for r in rows])
