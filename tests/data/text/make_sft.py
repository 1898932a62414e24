#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Token ids of conversations with an answer, by transformers' apply_chat_template, up to the token that ends the turn: sft.json.

    make_sft.py

Rows: {"template": name in chat.json, "base": folder with the tokenizer.json, "messages", "answer", "thinking", "ids", "end"}.
"ids" are those of the whole conversation with the answer as the last message (add_generation_prompt = False), cut behind the
last token "end". Where the template does not trim, no answer begins with a newline or with two spaces: ours are encoded by
themselves, behind the prompt that a rollout has too, and such white space would join the newline that ends the prompt.

Made with transformers 5.24.0 and trl (its chat_templates folder).
"""
import json, os
from transformers import PreTrainedTokenizerFast
from make_chat import PUBLISHED, SHORT

HERE = os.path.dirname(os.path.abspath(__file__))
TEMPLATES = {"chatml": "smollm2", "smollm2": "smollm2", "default": "smollm2", "llama": "llama3", "llama3": "llama3", "llama3_1": "llama3",
             "llama3_2": "llama3", "qwen2_5": "qwen2", "qwen3": "qwen2", "qwen3_instruct_2507": "qwen2"}
ANSWERS = ["5", "5.\n", " 5 \n\n", "", " ", "\u3000caf\u00e9 \u00a0\x1c", "It is <|im_end|> 5", "Two\n\nlines.\n\n", "#### 5"]
THOUGHTS = ["<think>\n2+3=5\n</think>\n\n5", "<think></think>5", "a</think>b</think>\n\nc", "<think>\n\nt\n\n</think>\n\n\n5\n", "<think>open"]


def cut(ids, end):
    return ids[: len(ids) - ids[::-1].index(end)]


def main():
    rows = []
    for name, base in TEMPLATES.items():
        template = SHORT.get(name) or open(os.path.join(PUBLISHED, name + ".jinja"), encoding="utf-8", newline="").read()
        end = "<|eot_id|>" if name.startswith("llama") else "<|im_end|>"
        tok = PreTrainedTokenizerFast(tokenizer_file=os.path.join(HERE, base, "tokenizer.json"), bos_token="<|begin_of_text|>" if base == "llama3" else None)
        few = name in ("default", "llama3_2", "qwen3_instruct_2507", "chatml", "llama3")
        for answer in (ANSWERS[:4] if few else ANSWERS) + (["\n\n  5\n"] if base == "llama3" else []) + (THOUGHTS if name in ("qwen3", "smollm2", "llama3_1") else []):
            for system in (None, "You add.") if answer == "5.\n" else ("You add.",):
                for thinking in (True, False) if name == "qwen3" and "</think>" not in answer else (True,):
                    messages = ([["system", system]] if system is not None else []) + [["user", " 2+3? "]]
                    talk = [{"role": r, "content": c} for r, c in messages + [["assistant", answer]]]
                    more = {"date_string": "26 Jul 2024"} if "llama3_" in name else {}
                    ids = tok.apply_chat_template(talk, chat_template=template, add_generation_prompt=False, tokenize=True, return_dict=False, enable_thinking=thinking, **more)
                    rows.append({"template": name, "base": base, "messages": messages, "answer": answer, "thinking": thinking,
                                 "ids": cut(ids, tok.convert_tokens_to_ids(end)), "end": end})
    with open(os.path.join(HERE, "sft.json"), "w") as f:
        f.write("[\n" + ",\n".join(json.dumps(r) for r in rows) + "\n]\n")


if __name__ == "__main__":
    main()
