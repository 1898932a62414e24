#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Tokens that stand in the files beside tokenizer.json, as transformers takes them: beside.json.

    make_beside.py

Rows: {"name", "base": folder of this directory with the tokenizer.json, "added": its added_tokens when they differ,
"files": {name: content}, "eos": id of eos_token or null, "texts": [[text, ids, decoded without special tokens], …]}.
hangul.json: texts around the borders of Hangul composition and their normal form C by Python's unicodedata, which the NFC of
`tokenizers` gives as well (asserted).

Made with transformers 5.24.0, tokenizers 0.23.3, Python 3.11 (Unicode 14).
"""
import json, os, tempfile, unicodedata
from tokenizers import normalizers
from transformers import AutoTokenizer

HERE = os.path.dirname(os.path.abspath(__file__))
NEW = {"content": "<new>", "lstrip": False, "normalized": False, "rstrip": False, "single_word": False, "special": True}
TEXTS = ["a<new>b <x> c<|im_end|> d", "a <new> b", "the and <y>"]
ONLY = {"548": dict(NEW, content="<|endoftext|>"), "549": dict(NEW, content="<|im_start|>"), "550": dict(NEW, content="<|im_end|>")}
# name, base, added_tokens, tokenizer_config.json, special_tokens_map.json, added_tokens.json
CASES = [
    ("none", "smollm2", None, {}, None, None),
    ("decoder", "smollm2", None, {"added_tokens_decoder": {"551": NEW}}, None, None),
    ("decoder, out of order", "smollm2", None, {"added_tokens_decoder": {"552": dict(NEW, content="<x>"), "551": NEW}}, None, None),
    ("decoder, plain with rstrip", "smollm2", None, {"added_tokens_decoder": {"551": dict(NEW, special=False, normalized=True, rstrip=True)}}, None, None),
    ("decoder, other flags", "smollm2", None, {"added_tokens_decoder": {"550": dict(NEW, content="<|im_end|>", special=False, rstrip=True)}}, None, None),
    ("decoder alone", "smollm2", [], {"added_tokens_decoder": ONLY, "eos_token": "<|im_end|>"}, None, None),
    ("decoder of a word", "smollm2", None, {"added_tokens_decoder": {"551": dict(NEW, content="the")}}, None, None),
    ("added file", "smollm2", None, {}, None, {"<new>": 551, "<x>": 552}),
    ("added file, special", "smollm2", None, {}, {"eos_token": "<x>"}, {"<new>": 551, "<x>": 552}),
    ("added file, decoder wins", "smollm2", None, {"added_tokens_decoder": {}}, {"eos_token": "<x>"}, {"<new>": 551}),
    ("map", "smollm2", None, {}, {"eos_token": "<new>", "bos_token": dict(NEW, content="<x>")}, None),
    ("map wins", "smollm2", None, {"eos_token": "<|im_end|>"}, {"eos_token": "<new>"}, None),
    ("map, lists", "smollm2", None, {}, {"additional_special_tokens": ["<x>"], "extra_special_tokens": ["<y>"]}, None),
    ("named", "smollm2", None, {"eos_token": "<new>", "pad_token": "<x>", "additional_special_tokens": ["<y>"]}, None, None),
    ("named object", "smollm2", None, {"eos_token": {"__type": "AddedToken", **NEW}}, None, None),
    ("extra object", "smollm2", None, {"extra_special_tokens": {"image_token": "<new>"}}, None, None),
    ("in the vocabulary", "llama3", None, {"eos_token": "<|eot_id|>", "bos_token": "<|begin_of_text|>"}, None, None),
    ("bos asked for", "llama3", None, {"add_bos_token": False, "bos_token": "<|begin_of_text|>"}, None, None),
    ("plain token named", "flags", None, {"eos_token": "word"}, None, None),
    ("qwen2", "qwen2", None, {"eos_token": "<|endoftext|>", "pad_token": "<|endoftext|>"}, None, None),
]


def write(folder, name, value):
    with open(os.path.join(folder, name), "w", encoding="utf-8") as f:
        json.dump(value, f)


def row(name, base, added, config, special_map, added_file):
    with tempfile.TemporaryDirectory() as folder:
        root = json.load(open(os.path.join(HERE, base, "tokenizer.json"), encoding="utf-8"))
        if added is not None:
            root["added_tokens"] = added
        files = {"tokenizer_config.json": dict(config, tokenizer_class="PreTrainedTokenizerFast")}
        if special_map is not None:
            files["special_tokens_map.json"] = special_map
        if added_file is not None:
            files["added_tokens.json"] = added_file
        write(folder, "tokenizer.json", root)
        for file, value in files.items():
            write(folder, file, value)
        tok = AutoTokenizer.from_pretrained(folder)
        texts = [[t, tok(t)["input_ids"], tok.decode(tok(t)["input_ids"], skip_special_tokens=True)] for t in TEXTS]
        return {"name": name, "base": base, **({} if added is None else {"added": added}), "files": files, "eos": tok.eos_token_id, "texts": texts}


def hangul():
    """Leads, vowels, trails and syllables at and beyond the borders of their blocks, in all pairs and triples."""
    leads, vowels = (0x10FF, 0x1100, 0x1112, 0x1113), (0x1160, 0x1161, 0x1175, 0x1176)
    trails, syllables = (0x11A6, 0x11A7, 0x11A8, 0x11C2, 0x11C3), (0xABFF, 0xAC00, 0xAC01, 0xAC1B, 0xAC1C, 0xBA54, 0xD788, 0xD7A3, 0xD7A4)
    texts = [[l, v] for l in leads for v in vowels] + [[l, v, t] for l in leads for v in vowels for t in trails]
    texts += [[s, t] for s in syllables for t in trails] + [[s, t, 0x301] for s in syllables[2:5] for t in trails]
    texts += [[0xBA54, 0x11A7, 0x11A8], [0x11A7, 0x11A7], [0x61, 0x11A7, 0x301], [0x1100, 0x11A7, 0x1161], [0x65, 0x301, 0x11A7, 0x65, 0x301]]
    rows = []
    for text in ("".join(map(chr, t)) for t in texts):
        composed = unicodedata.normalize("NFC", text)
        assert composed == normalizers.NFC().normalize_str(text), text.encode("unicode_escape")
        rows.append([text, composed])
    return rows


def main():
    for name, rows in (("beside.json", [row(*case) for case in CASES]), ("hangul.json", hangul())):
        with open(os.path.join(HERE, name), "w") as f:
            f.write("[\n" + ",\n".join(json.dumps(r) for r in rows) + "\n]\n")


if __name__ == "__main__":
    main()
