#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Compare and time `gradus tokenize` and the Python package tokenizers on the real texts below ../shared/data.

    hf_tokenize.py GRADUS [MODEL_DIR ...] [--data ../shared/data] [--rounds 3]

MODEL_DIR: folders with tokenizer.json as published (Qwen2.5, Qwen3, Llama 3.2, ...); with none, DATA/tokenizer_qwen2, and the same with the
added tokens of Qwen3, written to a temporary folder. Every text in every JSON lines file counts, each distinct one once: its ids must be equal,
plain and, where transformers and trl are there, as a conversation of two turns in the templates of Qwen2.5, Qwen3 and Llama 3.2 (those
whose tokens the vocabulary has). Times are of one thread on each side, in turn, without starting and reading the vocabulary, which is timed by
an empty input. Ends with 1 when an id differs, with 77 where there are no data.
"""
import argparse, glob, json, os, subprocess, sys, tempfile, time

os.environ["TOKENIZERS_PARALLELISM"] = "false"
QWEN3 = ["<think>", "</think>"]
QWEN = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|object_ref_start|>", "<|object_ref_end|>", "<|box_start|>", "<|box_end|>", "<|quad_start|>",
        "<|quad_end|>", "<|vision_start|>", "<|vision_end|>", "<|vision_pad|>", "<|image_pad|>", "<|video_pad|>"]
MORE = ["<tool_call>", "</tool_call>", "<|fim_prefix|>", "<|fim_middle|>", "<|fim_suffix|>", "<|fim_pad|>", "<|repo_name|>", "<|file_sep|>",
        "<tool_response>", "</tool_response>"] + QWEN3
CHATS = {"chatml": ("qwen2_5.jinja", "<|im_start|>"), "qwen3": ("qwen3.jinja", "<think>"), "llama3": ("llama3_2.jinja", "<|start_header_id|>")}


def texts_of(value):
    if isinstance(value, str):
        yield value
    for part in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from texts_of(part)


def read_texts(data):
    texts = {}
    for path in sorted(glob.glob(os.path.join(data, "*", "*.jsonl"))):
        for line in open(path, encoding="utf-8"):
            texts.update(dict.fromkeys(texts_of(json.loads(line))))
    return list(texts)


def ours(gradus, model, lines, *options):
    start = time.perf_counter()
    out = subprocess.run([gradus, "tokenize", "--model", model, *options], input="".join(json.dumps(l) + "\n" for l in lines).encode(), capture_output=True)
    took = time.perf_counter() - start
    if out.returncode != 0:
        sys.exit(f"gradus tokenize: {out.stderr.decode()}")
    return [[int(i) for i in l.split()] for l in out.stdout.decode().splitlines()], took


def differences(what, texts, have, want):
    wrong = [i for i, (a, b) in enumerate(zip(have, want)) if a != b]
    for i in wrong[:3]:
        print(f"  {texts[i]!r:.100}\n    {have[i]}\n    {want[i]}")
    print(f"  {what}: {len(want)} texts, {sum(map(len, want))} tokens, {len(wrong) + abs(len(have) - len(want))} differ")
    return len(wrong) + (len(have) != len(want))


def compare_chats(gradus, model, texts):
    try:
        import trl
        from transformers import PreTrainedTokenizerFast
    except ImportError:
        print("  transformers and trl are not there: conversations are left out")
        return 0
    tokenizer = PreTrainedTokenizerFast(tokenizer_file=os.path.join(model, "tokenizer.json"), bos_token="<|begin_of_text|>")
    bad = 0
    for chat, (file, token) in CHATS.items():
        if token not in tokenizer.get_vocab():
            continue
        template = open(os.path.join(os.path.dirname(trl.__file__), "chat_templates", file), encoding="utf-8").read()
        talks = [[{"role": "system", "content": "Add."}, {"role": "user", "content": u}, {"role": "assistant", "content": a}] for u, a in zip(texts[:4000:2], texts[1:4000:2])]
        want = [tokenizer.apply_chat_template(t, chat_template=template, return_dict=False, date_string="26 Jul 2024") for t in talks]
        options = [{"messages": t, "generation_prompt": False} for t in talks]
        name = chat
        if chat == "llama3" and b"date_string" in template.encode():  # the form by name is Llama 3's: the template itself has the date
            with tempfile.TemporaryDirectory() as folder:
                os.symlink(os.path.abspath(os.path.join(model, "tokenizer.json")), os.path.join(folder, "tokenizer.json"))
                json.dump({"bos_token": "<|begin_of_text|>", "chat_template": template}, open(os.path.join(folder, "tokenizer_config.json"), "w"))
                have, _ = ours(gradus, folder, options, "--chat", "auto")
        else:
            have, _ = ours(gradus, model, options, "--chat", name)
        bad += differences(f"conversations, {file}", talks, have, want)
    return bad


def compare(gradus, model, texts, rounds):
    from tokenizers import Tokenizer
    print(model)
    tokenizer = Tokenizer.from_file(os.path.join(model, "tokenizer.json"))
    have, _ = ours(gradus, model, texts, "--json")
    bad = differences("plain", texts, have, [tokenizer.encode(t, add_special_tokens=False).ids for t in texts])
    size, times = sum(len(t.encode()) for t in texts), ([], [])
    for _ in range(rounds):
        _, empty = ours(gradus, model, [], "--json")
        _, whole = ours(gradus, model, texts, "--json")
        start = time.perf_counter()
        for t in texts:
            tokenizer.encode(t, add_special_tokens=False).ids
        times[0].append(whole - empty), times[1].append(time.perf_counter() - start)
    mine, theirs = min(times[0]), min(times[1])
    print(f"  {size / 1e6:.1f} MB: gradus {size / 1e6 / mine:.1f} MB/s (with JSON in and ids out), tokenizers {size / 1e6 / theirs:.1f} MB/s, "
          f"{theirs / mine:.1f} times as fast; reading the vocabulary {empty:.2f} s")
    return bad + compare_chats(gradus, model, texts)


def write_qwen3(source, folder):
    """The Qwen2 vocabulary with the added tokens of Qwen3, as its published tokenizer.json has them."""
    from tokenizers import AddedToken, Tokenizer
    tokenizer = Tokenizer.from_file(os.path.join(source, "tokenizer.json"))
    tokenizer.add_special_tokens([AddedToken(t, special=True, normalized=False) for t in QWEN])
    tokenizer.add_tokens([AddedToken(t, special=False, normalized=False) for t in MORE])
    tokenizer.save(os.path.join(folder, "tokenizer.json"))


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("gradus"), ap.add_argument("models", nargs="*"), ap.add_argument("--rounds", type=int, default=3)
    ap.add_argument("--data", default=os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../../shared/data"))
    args = ap.parse_args()
    texts = read_texts(args.data) if os.path.isdir(args.data) else []
    if not texts:
        print(f"there are no texts below {args.data}")
        sys.exit(77)
    bad = sum(compare(args.gradus, m, texts, args.rounds) for m in args.models)
    if not args.models:
        own = os.path.join(args.data, "tokenizer_qwen2")
        bad += compare(args.gradus, own, texts, args.rounds)
        with tempfile.TemporaryDirectory() as folder:
            write_qwen3(own, folder)
            bad += compare(args.gradus, folder, texts, args.rounds)
    sys.exit(bad > 0)


if __name__ == "__main__":
    main()
