#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Write real_expected.h: what transformers computes with SmolLM2-135M-Instruct in fp32 for some texts of ours.

    make_real_expected.py MODEL_DIR > real_expected.h       (made with torch 2.15.0, transformers 5.23.0)

For each text its token ids and the log-probability of every token but the first; and the greedy continuation of its first
tokens. A continuation ends early where the two largest logits are closer than 1e-3, since rounding decides there.
"""
import sys

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

TEXTS = [
    "The ranks share the prompts, and every rank decodes its answers together. What a row computes does not depend on the others.",
    "Question: A baker makes 12 loaves a day and sells 9 of them. How many are left after 5 days?\nAnswer: 3 loaves are left each day, so",
    "<|im_start|>user\nWhat is the capital of France?<|im_end|>\n<|im_start|>assistant\n",
    "def factorial(n):\n    if n == 0:\n        return 1\n    return n *",
    "1, 2, 4, 8, 16, 32, 64,",
    "Once upon a time there was a small gate that opened a little less the further one pushed it,",
]
NEW = 24


def rows(name, kind, values, form):
    lines = ", ".join(form(v) for v in values)
    print(f"static const {kind} {name}[] = {{{lines}}};")


def main():
    path = sys.argv[1]
    tokenizer = AutoTokenizer.from_pretrained(path)
    model = AutoModelForCausalLM.from_pretrained(path, dtype=torch.float32, attn_implementation="eager").eval()
    print("/* SPDX-License-Identifier: Apache-2.0\n * Made by make_real_expected.py; see there. */\n/* clang-format off */\n#include <stdint.h>")
    names = []
    for i, text in enumerate(TEXTS):
        ids = tokenizer.encode(text)
        with torch.no_grad():
            logp = torch.log_softmax(model(input_ids=torch.tensor([ids])).logits[0].double(), -1)
        values = [float(logp[t, ids[t + 1]]) for t in range(len(ids) - 1)]
        continuation, at = [], list(ids)
        for _ in range(NEW):
            with torch.no_grad():
                best = model(input_ids=torch.tensor([at])).logits[0, -1].topk(2)
            if float(best.values[0] - best.values[1]) < 1e-3:
                break
            continuation.append(int(best.indices[0]))
            at.append(continuation[-1])
        rows(f"real_ids_{i}", "int32_t", ids, str)
        rows(f"real_logprob_{i}", "float", values, lambda v: f"{v:.6f}f")
        rows(f"real_greedy_{i}", "int32_t", continuation, str)
        names.append(f"    {{real_ids_{i}, real_logprob_{i}, real_greedy_{i}, {len(ids)}, {len(continuation)}}},")
    print("static const struct real_text {\n    const int32_t *ids;\n    const float *logprob; /* (count - 1): of ids[1], ids[2], ... */"
          "\n    const int32_t *greedy;\n    int32_t count, greedy_count;\n} real_texts[] = {")
    print("\n".join(names) + "\n};\n/* clang-format on */")


if __name__ == "__main__":
    main()
