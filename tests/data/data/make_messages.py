#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Conversations as `datasets` writes them, and their token ids by transformers' apply_chat_template.

    make_messages.py

messages.jsonl, messages_parts.jsonl: rows by Dataset.to_json, with null fields, nested lists, numbers and columns that nobody asks for.
messages.json: {"rows": [{"file", "row", "template": name in ../text/chat.json, "base": folder with the tokenizer.json, "system": prompt.system or null,
"thinking", "ids", "mask", "prompt_ids"}]}. "ids" are those of the whole conversation, cut behind the last turn of the assistant; "mask" is 1 for
what the assistant wrote and the token that ends its turn; "prompt_ids" are those of the conversation before a last turn of the assistant, with the generation prompt.

The mask is return_assistant_tokens_mask for llama3, whose training template in TRL has generation markers around just that. TRL's markers for Qwen
take the newlines around a turn too, so there the mask is read off the ids: from behind the tokens of "<|im_start|>assistant\\n" (and without thinking
of an empty think block in the last turn) to the next <|im_end|>. Where an answer begins with a newline under ChatML ("joined"), the ids are those of the text
up to the answer and of the answer on, as a model would have drawn it; transformers joins the two newlines there.

Made with transformers 5.24.0, trl 1.16.0 (its chat_templates folder) and datasets.
"""
import json, os, sys
from datasets import Dataset
from transformers import PreTrainedTokenizerFast

HERE = os.path.dirname(os.path.abspath(__file__))
TEXT = os.path.join(HERE, "..", "text")
sys.path.insert(0, TEXT)
from make_chat import PUBLISHED, SHORT

TEMPLATES = {"chatml": "smollm2", "smollm2": "smollm2", "llama3": "llama3", "llama3_1": "llama3", "llama3_2": "llama3", "qwen2_5": "qwen2", "qwen3": "qwen2",
             "qwen3_instruct_2507": "qwen2"}
S, U, A = "system", "user", "assistant"
TALKS = [
    [(U, "  What is 2+3?\n"), (A, "5.\n")],
    [(S, "You add."), (U, "2+3?"), (A, "5")],
    [(S, "You add."), (U, "2+3?"), (A, "5"), (U, "And 4+4?"), (A, " Eight, caf\u00e9. "), (U, "Sure?"), (A, "Yes.\n\n")],
    [(U, "a"), (A, ""), (U, ""), (A, "b")],
    [(U, "2+3?"), (A, "5"), (U, "Thanks")],
    [(U, "2+3?"), (A, "5"), (A, "Five.")],
    [(S, ""), (U, "2+3?"), (A, "5")],
    [(A, "Hello"), (U, "2+3?"), (A, "5")],
    [(U, "2+3?"), (S, "Be short."), (A, "5")],
    [(U, "2+3?"), (A, "<think>\n2+3=5\n</think>\n\n5"), (U, "Sure?"), (A, "<think>\nyes\n</think>\n\nYes")],
    [(U, "2+3?"), (A, "<think>a</think>\n\n5"), (U, "<tool_response>1</tool_response>"), (A, "6")],
    [(U, "2+3?"), (A, "5", "2+3=5\n"), (U, "Sure?"), (A, "\n\nYes", "\nlet me see\n")],
    [(U, "2+3?"), (A, "5", ""), (A, "Five", "\n"), (A, "V", "<think>x</think>")],
    [(U, "2+3?"), (A, "\n\n5"), (U, "Sure?"), (A, "\nYes")],
    [(U, "2+3?"), (A, "<think>a</think>5", "")],
]
PARTS = [[(U, ["2+3", "?"]), (A, ["5"])], [(S, ["You", " add."]), (U, ["2+3?"]), (A, ["", "Fi", "ve"]), (U, ["Sure?"]), (A, ["Yes"])]]


def write_rows():
    rows = [{"id": i, "tools": [], "messages": [{"role": m[0], "content": m[1], "reasoning_content": m[2] if len(m) > 2 else None, "tool_calls": None, "name": None}
                                                  for m in talk],
             "score": i / 4 if i % 2 else None, "nested": [[i, None], []], "answer": str(i)} for i, talk in enumerate(TALKS)]
    Dataset.from_list(rows).to_json(os.path.join(HERE, "messages.jsonl"))
    rows = [{"messages": [{"role": r, "content": [{"type": "text", "text": t} for t in texts]} for r, texts in talk]} for talk in PARTS]
    Dataset.from_list(rows).to_json(os.path.join(HERE, "messages_parts.jsonl"))


def find(ids, piece, at):
    return next((i for i in range(at, len(ids) - len(piece) + 1) if ids[i:i + len(piece)] == piece), None)


def read_mask(tok, ids, thinking, last_block):
    """ChatML: what stands behind each head of the assistant's, its end included"""
    head, end, block = tok.encode("<|im_start|>assistant\n", add_special_tokens=False), tok.convert_tokens_to_ids("<|im_end|>"), tok.encode("<think>\n\n</think>\n\n", add_special_tokens=False)
    mask, at = [0] * len(ids), 0
    while (at := find(ids, head, at)) is not None:
        at += len(head)
        stop = ids.index(end, at) + 1
        if not thinking and last_block and ids[at:at + len(block)] == block:
            at += len(block)
        mask[at:stop] = [1] * (stop - at)
        at = stop
    return mask


def main():
    write_rows()
    out = []
    for name, base in TEMPLATES.items():
        template = SHORT.get(name) or open(os.path.join(PUBLISHED, name + ".jinja"), encoding="utf-8", newline="").read()
        tok = PreTrainedTokenizerFast(tokenizer_file=os.path.join(TEXT, base, "tokenizer.json"), bos_token="<|begin_of_text|>" if base == "llama3" else None)
        for file in ("messages.jsonl", "messages_parts.jsonl"):
            for row, line in enumerate(open(os.path.join(HERE, file))):
                talk = json.loads(line)["messages"]
                for m in talk:
                    m["content"] = m["content"] if isinstance(m["content"], str) else "".join(p["text"] for p in m["content"])
                for system, thinking in ((None, True), ("Sum.", True), (None, False)):
                    if thinking is False and (name != "qwen3" or row in (9, 10, 11, 12, 14)) or system and row not in (0, 1, 8):
                        continue
                    more = {"date_string": "26 Jul 2024"} if "llama3_" in name else {}
                    more |= {"enable_thinking": thinking} if name == "qwen3" else {}
                    full = ([{"role": S, "content": system}] if system and all(m["role"] != S for m in talk) else []) + talk
                    ask = full[:-1] if full[-1]["role"] == A else full
                    make = lambda t, **k: tok.apply_chat_template(t, chat_template=template, tokenize=True, return_dict=False, **more, **k)
                    ids, prompt = make(full, add_generation_prompt=False), make(ask, add_generation_prompt=True)
                    if base == "llama3":
                        mask = None
                        if name == "llama3":
                            training = open(os.path.join(PUBLISHED, "llama3_training.jinja"), encoding="utf-8").read()
                            both = tok.apply_chat_template(full, chat_template=training, return_dict=True, return_assistant_tokens_mask=True)
                            assert both["input_ids"] == ids
                            mask = both["assistant_masks"]
                        head, end = tok.encode("<|start_header_id|>assistant<|end_header_id|>\n\n", add_special_tokens=False), tok.convert_tokens_to_ids("<|eot_id|>")
                        read, at = [0] * len(ids), 0
                        while (at := find(ids, head, at)) is not None:
                            at += len(head)
                            stop = ids.index(end, at) + 1
                            read[at:stop] = [1] * (stop - at)
                            at = stop
                        assert mask is None or mask == read, (mask, read)
                        mask = read
                    else:
                        joined = row in (11, 13) and file == "messages.jsonl"
                        if joined:  # pieces: what a generation prompt ends with is not joined with what follows
                            text = tok.apply_chat_template(full, chat_template=template, tokenize=False, **more)
                            head, ids = "<|im_start|>assistant\n", []
                            pieces = text.split(head)
                            for i, p in enumerate(pieces):
                                body, sep, rest = p.partition("<|im_end|>") if i else ("", "", p)
                                tail = head if i + 1 < len(pieces) else ""
                                ids += tok.encode(body, add_special_tokens=False) + tok.encode(sep + rest + tail, add_special_tokens=False)
                        mask = read_mask(tok, ids, thinking, True)
                    last = max(i for i, m in enumerate(mask) if m) + 1
                    out.append({"file": file, "row": row, "template": name, "base": base, "system": system, "thinking": thinking, "ids": ids[:last], "mask": mask[:last],
                                "prompt_ids": prompt})
    with open(os.path.join(HERE, "messages.json"), "w") as f:
        f.write('{"rows": [\n' + ",\n".join(json.dumps(r, separators=(",", ":")) for r in out) + "\n]}\n")


if __name__ == "__main__":
    main()
