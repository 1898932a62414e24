#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Tokens that gradus added to a model (model.added_tokens), as transformers reads them: equal ids, texts and log-probabilities.

    hf_added.py GRADUS START DATA.jsonl FIELD FOLDER

START is a model directory whose tokenizer lacks the four tags; FIELD of the rows of DATA.jsonl holds texts with them. In FOLDER
(made, and left) sft trains five steps of it three times: as it is, with rows that the tokenizer leaves free, and with a head of its
own. Of each result transformers must give the ids and decoded texts of `gradus tokenize` and the log-probabilities of `gradus score`,
and the rows of the tags before any step must be the mean of the others (of a start with learning rate 1e-30). Ends with 1 where
something differs. Made with transformers 5.24.0, torch 2.12.
"""
import json, os, subprocess, sys
import h5py, numpy, torch
from transformers import AutoModelForCausalLM, AutoTokenizer

gradus, start, data, field, folder = sys.argv[1:]
TAGS = ["<think>", "</think>", "<answer>", "</answer>"]
texts = [json.loads(line)[field] for line in open(data)][:16]
failed = 0


def run(*words, text=None):
    done = subprocess.run([gradus, *words], input=text, capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"gradus {' '.join(words)}: {done.stderr}")
    return done.stdout


def expect(what, good):
    global failed
    print(("ok      " if good else "DIFFERS ") + what)
    failed += not good


def train(name, model, rate):
    settings = os.path.join(folder, "sft.cfg")
    with open(settings, "w") as out:
        out.write(f"""run : {{ method = "sft"; steps = 5; }};
data : {{ train = ( {{ path = "{os.path.abspath(data)}"; prompt = "question"; answer = "{field}"; }} ); }};
prompt : {{ chat = "none"; }};
optimizer : {{ learning_rate = {rate}; weight_decay = 0.0; }};
""")
    target = os.path.join(folder, name)
    run("train", settings, f"model.path={model}", f"run.directory={target}", "model.added_tokens=" + json.dumps(TAGS))
    return os.path.join(target, "model")


def compare(name, directory):
    tokenizer = AutoTokenizer.from_pretrained(directory)
    model = AutoModelForCausalLM.from_pretrained(directory, dtype=torch.float32).eval()
    lines = run("tokenize", "--model", directory, "--json", text="".join(json.dumps(t) + "\n" for t in texts)).splitlines()
    ids = [[int(i) for i in line.split()] for line in lines]
    expect(f"{name}: ids", ids == [tokenizer(t, add_special_tokens=False).input_ids for t in texts])
    known = [tokenizer.convert_tokens_to_ids(t) for t in TAGS]
    expect(f"{name}: each tag is one token, {known}", all(len(tokenizer(t, add_special_tokens=False).input_ids) == 1 for t in TAGS))
    expect(f"{name}: texts without special tokens keep the tags", [tokenizer.decode(i, skip_special_tokens=True) for i in ids] == texts)
    scored = os.path.join(folder, name + ".jsonl")
    with open(scored, "w") as out:
        out.writelines(json.dumps({"token_ids": i}) + "\n" for i in ids)
    run("score", "--model", directory, "--input", scored, "--output", scored + ".h5")
    with h5py.File(scored + ".h5") as file:
        have, offsets = file["logprob"][:], file["offsets"][:]
    worst = 0.0
    for k, i in enumerate(ids):
        with torch.no_grad():
            wanted = torch.log_softmax(model(torch.tensor([i])).logits[0].double(), -1)
        wanted = wanted[:-1].gather(1, torch.tensor(i[1:])[:, None])[:, 0].numpy()
        worst = max(worst, float(numpy.abs(have[offsets[k] + 1:offsets[k + 1]] - wanted).max()))
    expect(f"{name}: log-probabilities, largest difference {worst:.2g}", worst < 2e-5)
    return model, known


def check_mean(name, model, base, known):
    for matrix, before in ((model.get_input_embeddings(), base.get_input_embeddings()),
                           (model.get_output_embeddings(), base.get_output_embeddings())):
        mean = before.weight[:known[0]].double().mean(0)
        off = float((matrix.weight[known].double() - mean).abs().max())
        expect(f"{name}: rows are the mean of the {known[0]} others, off by {off:.2g}", off < 1e-7)
        kept = torch.equal(matrix.weight[:known[0]], before.weight[:known[0]])
        expect(f"{name}: those stay", kept)


os.makedirs(folder, exist_ok=True)
base = AutoModelForCausalLM.from_pretrained(start, dtype=torch.float32)
tokenizer = AutoTokenizer.from_pretrained(start)
variants = {"plain": start}
for name, rows, tied in (("free", len(tokenizer) + 40, True), ("head", None, False)):
    torch.manual_seed(1)
    model = AutoModelForCausalLM.from_pretrained(start, dtype=torch.float32)
    if rows:
        model.resize_token_embeddings(rows, mean_resizing=False)
    if not tied:
        model.config.tie_word_embeddings = False
        model.lm_head.weight = torch.nn.Parameter(torch.randn_like(model.lm_head.weight) * 0.1)
    variants[name] = os.path.join(folder, name + "-start")
    model.save_pretrained(variants[name])
    tokenizer.save_pretrained(variants[name])
for name, directory in variants.items():
    base = AutoModelForCausalLM.from_pretrained(directory, dtype=torch.float32)
    model, known = compare(name, train(name, directory, "1e-2"))
    rows, before = model.get_input_embeddings().weight.shape[0], base.get_input_embeddings().weight.shape[0]
    expect(f"{name}: {before} rows became {rows}", rows == (before if name == "free" else -(-(len(tokenizer) + 4) // 8) * 8))
    model, known = compare(name + "-still", train(name + "-still", directory, "1e-30"))
    check_mean(name, model, base, known)
sys.exit(failed > 0)
