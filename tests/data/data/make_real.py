#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Prints what tests/unit/data/test_real.c expects of ../shared/data (Python >= 3.8, standard library only)."""
import hashlib, json

rows = [json.loads(line) for line in open("../shared/data/gsm8k/train.jsonl")]
digest = lambda texts: hashlib.sha256("".join(t + "\n" for t in texts).encode()).hexdigest()
print("gsm8k", len(rows), hashlib.sha256(open("../shared/data/gsm8k/train.jsonl", "rb").read()).hexdigest())
print("questions", digest(r["question"] for r in rows))
print("references", digest(r["answer"].split("####")[-1].strip() for r in rows))
rows = [json.loads(line) for line in open("../shared/data/math_train/train.jsonl")]
taken = [i for i, r in enumerate(rows) if r["level"] >= 3 and (r["type"] == "Algebra" or not r["level"] < 5)]
print("math_train", len(rows), len(taken), "rows", digest(map(str, taken)), "answers", digest(rows[i]["answer"] for i in taken))
