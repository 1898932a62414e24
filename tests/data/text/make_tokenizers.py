#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Makes the small tokenizers of this folder and what `tokenizers` gives for them.

    make_tokenizers.py [--real DIR ...]

NAME/tokenizer.json   one of each family, a few hundred merges
NAME.json             cases: text (or hex of bytes), ids, ids with the post-processor, ids decoded with and without special tokens
unicode.json          SHA-256 of the ids of every Unicode plane and of random bytes
real.json             SHA-256 of the ids of real texts under real tokenizers, from ../../../../shared/data and --real
                      NAME=DIR (a model directory); entries of tokenizers that are not there are kept as they are
bytes/tokenizer.json  written by tokenizer_write_bytes; here it is only read

Made with tokenizers 0.23.3.
"""
import argparse, hashlib, json, os, random
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

HERE = os.path.dirname(os.path.abspath(__file__))
DATA = os.path.join(HERE, "../../../../shared/data")
QWEN = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
LLAMA = QWEN.replace(r"|\p{N}|", r"|\p{N}{1,3}|")
TEXT = """Natalia sold clips to 48 of her friends in April, and then she sold half as many clips in May. How many clips did
Natalia sell altogether in April and May? Natalia sold 48/2 = 24 clips in May. She sold 48+24 = 72 clips altogether.
#### 72
We'll see that it's 100% right: they've said "don't", I'm sure he'd agree, you're 12345 or 1,234,567.89 times better.
Let $f(x) = \\frac{x^2 + 1}{x - 1}$ for $x \\neq 1$; find $\\lim_{x \\to 2} f(x)$. The answer is \\boxed{5}.
    for i in range(10):\n        print(i)\t# eight spaces\r\n
L'été, les garçons mangeaient des crêpes à Besançon. Größe, Übergröße, naïve Ångström, café.
Привет, мир! Сколько будет два плюс два? 中文的句子没有空格。四十八个朋友。日本語のテキスト。 한국어 문장입니다. مرحبا بالعالم ١٢٣
<think>The sum of 2 and 3 is 5.</think><answer>5</answer> 😀👍🏽 ½ ² Ⅷ ①
""" * 3


def split(pattern):
    return pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(pattern), "isolated"), pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])


def letters(missing=()):
    table = {b: chr(b) for b in [*range(33, 127), *range(161, 173), *range(174, 256)]}
    rest = [b for b in range(256) if b not in table]
    table.update({b: chr(256 + i) for i, b in enumerate(rest)})
    return [table[b] for b in range(256) if b not in missing]


def train(pre, merges, nfc=False, missing=(), whole=False):
    tok = Tokenizer(models.BPE(ignore_merges=whole))
    tok.normalizer = normalizers.NFC() if nfc else None
    tok.pre_tokenizer = pre
    tok.decoder = decoders.ByteLevel()
    alphabet = letters(missing)
    text = "".join(c for c in TEXT if not set(c.encode()) & set(missing))
    tok.train_from_iterator([text], trainers.BpeTrainer(vocab_size=len(alphabet) + merges, initial_alphabet=alphabet, show_progress=False))
    return tok


def special(tok, *names):
    tok.add_special_tokens([AddedToken(n, special=True, normalized=False) for n in names])


def make():
    out = {}
    t = out["qwen2"] = train(split(QWEN), 300, nfc=True)
    special(t, "<|endoftext|>", "<|im_start|>", "<|im_end|>")
    t.add_tokens([AddedToken(n, special=False, normalized=False) for n in ("<tool_call>", "</tool_call>", "<think>", "</think>")])
    t.post_processor = processors.ByteLevel(trim_offsets=False)

    t = out["llama3"] = train(split(LLAMA), 300, whole=True)
    # a token that no merge reaches: ignore_merges finds it all the same
    doc = json.loads(t.to_str())
    doc["model"]["vocab"]["ĠBesançon".replace("ç", "Ã§")] = len(doc["model"]["vocab"])
    t = out["llama3"] = Tokenizer.from_str(json.dumps(doc))
    special(t, "<|begin_of_text|>", "<|end_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>")
    bos = "<|begin_of_text|>"
    t.post_processor = processors.Sequence([processors.ByteLevel(trim_offsets=False), processors.TemplateProcessing(
        single=f"{bos} $A", pair=f"{bos} $A {bos} $B", special_tokens=[(bos, t.token_to_id(bos))])])

    gpt2 = pre_tokenizers.Sequence([pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)])
    t = out["smollm2"] = train(gpt2, 300, missing=(0xf1, 0xf2, 0xf3, 0xf5, 0xff, 0x01, 0x02, 0xe5))
    special(t, "<|endoftext|>", "<|im_start|>", "<|im_end|>")

    # GPT-2's own rule, digits in runs, an unknown token, and added tokens of every kind
    runs = pre_tokenizers.Sequence([pre_tokenizers.Digits(individual_digits=False), pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)])
    t = train(runs, 200, nfc=True, missing=(0xe4, 0xe6))
    doc = json.loads(t.to_str())
    doc["model"]["vocab"]["UNK"] = len(doc["model"]["vocab"])
    doc["model"]["unk_token"], doc["model"]["fuse_unk"] = "UNK", True
    doc["model"]["merges"] = [" ".join(m) for m in doc["model"]["merges"]]  # the old spelling
    t = out["flags"] = Tokenizer.from_str(json.dumps(doc))
    t.add_tokens([AddedToken("<left>", lstrip=True, normalized=False), AddedToken("<right>", rstrip=True, normalized=False),
                  AddedToken("<both>", lstrip=True, rstrip=True, normalized=False), AddedToken("word", single_word=True, normalized=False),
                  AddedToken("cafe\u0301", normalized=True), AddedToken("Ab", normalized=True, single_word=True), AddedToken("<a", normalized=False),
                  AddedToken("<a<b", normalized=False), AddedToken("é\u00a0", normalized=False)])
    special(t, "<s>", "</s>")
    t.post_processor = processors.TemplateProcessing(single="<s> $A </s>", pair="<s> $A $B", special_tokens=[("<s>", t.token_to_id("<s>")), ("</s>", t.token_to_id("</s>"))])
    return out


PARTS = ["'s", "'S", "'ll", "'LL", "'\u017f", "don't", "we'Re", " ", "  ", "   ", "\t", "\n", "\n\n", "\r\n", "\u00a0", "\u3000", "\u180e", "\u0085", "1", "12", "123", "1234",
         "\u0663", "½", "a", "Hello", " world", "é", "e\u0301", "\u0301", "\u0323\u0301", "中文", "é中", "😀", "\U00031350", "\U00010d40", "\U00011de0", ".", "...", "?!", " .", "#### 72",
         "<|im_start|>", "<|endoftext|>", "<tool_call>", "<|im_", "|>", "<|im_end|>", " <|im_end|> ", "<|begin_of_text|>", "<|eot_id|>", "<think>", "</s>", "<s>", "\0", "\x01", "\u200d",
         "\u2028", "\u212b", "\u1100\u1161\u11a8", "\ufffd", "\ufeff", "\U000f1234", "<left>", "<right>", "<both>", "word", "sword", "words", " word ", "cafe\u0301", "café", "Ab", "aAb",
         "<a", "<a<b", "<a<a<b", "é\u00a0", " Besançon", "\\boxed{5}", "ſ", "ß", "ﬀ", "İ", "ǅ", "\u0898\u0301", "\U00011930"]


YOUNG = {"\U00031350", "\U00010d40", "\U00011de0"}  # of what a single_word token touches, libraries differ on characters this young


def texts(parts):
    rng = random.Random(11)
    out = ["", " ", "\n", "Natalia sold 48/2 = 24 clips in May.\n#### 72", "x" * 300, " " * 40 + "x", "\n \n  \n", "The year 2024, 1234567 times", "it's IT'S it'S  'sunny", TEXT[:600]]
    out += parts
    out += ["".join(rng.choice(parts) for _ in range(rng.randrange(2, 12))) for _ in range(160)]
    return out


BROKEN = ["ff", "80", "c3", "c328", "e282", "e28241", "e2c3a9", "f09f98", "f09f", "f0", "f09f9841", "eda080", "edbfbf", "f4908080", "f5808080", "c080", "c1bf", "e08080", "f0808080", "41ff42", "c3a9ffc3a9",
          "e28ce4b8ad", "20c3", "c320", "3c7c696d5fff656e647c3e", "ffffff", "e4b8", "e4b8e4b8ad"]


def encode(tok, text, plus=False):
    return tok.encode(text, add_special_tokens=plus).ids


def cases(tok, parts):
    rng, rows = random.Random(12), []
    for kind, value in [("text", t) for t in texts(parts)] + [("hex", h) for h in BROKEN]:
        text = value if kind == "text" else bytes.fromhex(value).decode("utf-8", "replace")
        ids = encode(tok, text)
        rows.append({kind: value, "ids": ids, "special": encode(tok, text, True), "decoded": tok.decode(ids, skip_special_tokens=False)})
    size = max(tok.get_vocab().values()) + 1
    for _ in range(40):
        ids = [rng.randrange(size) for _ in range(rng.randrange(1, 12))]
        rows.append({"ids": ids, "decoded": tok.decode(ids, skip_special_tokens=False), "plain": tok.decode(ids, skip_special_tokens=True)})
    return rows


def digest(tok, items):
    h = hashlib.sha256()
    for text in items:
        h.update((" ".join(map(str, encode(tok, text))) + "\n").encode())
    return h.hexdigest()


JOIN = [" ", "a", "1", ".", "\n", "e\u0301"]


def plane(p):
    """Texts of 64 code points each; between them what the rules look at. Of planes without characters, the first 4096."""
    for first in range(p << 16, (p << 16) + (0x1000 if 4 <= p <= 13 else 0x10000), 64):
        yield "".join(chr(c) + JOIN[c % 6] for c in range(first, first + 64) if not 0xd800 <= c < 0xe000)


def noise():
    """4000 byte strings from a 32-bit linear congruential generator, in three mixtures."""
    state = 1
    pool = [0xe0, 0xf0, 0xf4, 0xed, 0x9f, 0xa0, 0x80, 0xbf, 0x41, 0x20, 0xc2, 0xc0, 0xff, 0xcc, 0x81, 0x65]

    def draw():
        nonlocal state
        state = (state * 1664525 + 1013904223) & 0xffffffff
        return state >> 16
    for i in range(4000):
        n = draw() % 40
        if i % 2:
            yield bytes(draw() & 255 for _ in range(n)).decode("utf-8", "replace")
        else:
            yield bytes(pool[draw() & 15] for _ in range(n)).decode("utf-8", "replace")


def rows_of(path):
    for line in open(os.path.join(DATA, path), encoding="utf-8"):
        yield json.loads(line)


def real_texts(name):
    if name == "gsm8k":
        for r in rows_of("gsm8k/test.jsonl"):
            yield from (r["question"], r["answer"])
    else:
        for r in rows_of("math500/test.jsonl"):
            yield from (r["problem"], r["solution"])


def dump(path, value):
    with open(os.path.join(HERE, path), "w", encoding="utf-8") as f:
        json.dump(value, f, ensure_ascii=True, indent=None, separators=(",", ":"))
        f.write("\n")


def main():
    ap = argparse.ArgumentParser()
    ap.add_argument("--real", nargs="*", default=[])
    args = ap.parse_args()
    unicode = {}
    for name, tok in make().items():
        os.makedirs(os.path.join(HERE, name), exist_ok=True)
        doc = json.loads(tok.to_str())
        dump(f"{name}/tokenizer.json", doc)
        tok = Tokenizer.from_file(os.path.join(HERE, name, "tokenizer.json"))
        with open(os.path.join(HERE, name + ".json"), "w") as f:
            f.write("[\n" + ",\n".join(json.dumps(r, separators=(",", ":")) for r in cases(tok, [p for p in PARTS if name != "flags" or p not in YOUNG])) + "\n]\n")
        unicode[name] = {"planes": [digest(tok, plane(p)) for p in range(17)], "noise": digest(tok, noise())}
    dump("unicode.json", unicode)
    plain = Tokenizer.from_file(os.path.join(HERE, "bytes/tokenizer.json"))
    assert encode(plain, "<|im_start|>caf\u00e9 12\ne\u0301<|im_end|>", True) == [257, *"caf\u00e9 12\ne\u0301".encode(), 258]
    if os.path.isdir(DATA):
        path = os.path.join(HERE, "real.json")
        real = json.load(open(path)) if os.path.exists(path) else {}
        for entry in ["qwen2=" + os.path.join(DATA, "tokenizer_qwen2"), *args.real]:
            name, folder = entry.split("=", 1)
            tok = Tokenizer.from_file(os.path.join(folder, "tokenizer.json"))
            real[name] = {"gsm8k": digest(tok, real_texts("gsm8k")), "math500": digest(tok, real_texts("math500")),
                          "planes": [digest(tok, plane(p)) for p in range(17)], "noise": digest(tok, noise())}
        dump("real.json", real)


if __name__ == "__main__":
    main()
