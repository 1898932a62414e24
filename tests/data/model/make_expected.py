#!/usr/bin/env python3
"""Expected numbers of tests/unit/model/test_peer.c, from PyTorch and transformers in double precision.

    make_expected.py [OUT_DIR]         (default: the folder of this script)

Written with torch 2.15.0, transformers 5.23.0, numpy 2.4.6. For each shape: NAME/config.json and NAME/generation_config.json as
transformers saves them, and NAME/expected.json: log-probabilities and entropies of a group and of a text, the gradient of
sum(a logprob + b entropy) by parameter (norm, and product with a fixed vector), one AdamW step, and the log-probabilities after it.
Every sequence is run alone, padded to nothing. Weights are a function of name and index that tests/unit/model/tiny.h repeats bit
for bit, so none are stored.
"""
import json, os, sys
import numpy as np
import torch, transformers
from transformers import AutoConfig, AutoModelForCausalLM, GenerationConfig

VOCAB = 1100  # more than one block of the output head
TEMPERATURE = 0.7
ADAMW = dict(lr=1e-2, betas=(0.9, 0.95), eps=1e-3)
WEIGHT_DECAY = 0.1
LENGTHS = dict(prompt=7, answers=[5, 1, 9], text=6)
SHAPE = dict(vocab_size=VOCAB, num_hidden_layers=2, max_position_embeddings=256, hidden_act="silu", bos_token_id=1, eos_token_id=2)
ROPE3 = dict(rope_type="llama3", rope_theta=5e5, factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0, original_max_position_embeddings=16)
SHAPES = {
    "qwen2": dict(model_type="qwen2", hidden_size=48, intermediate_size=72, num_attention_heads=4, num_key_value_heads=2,
                  rms_norm_eps=1e-6, tie_word_embeddings=True),
    "qwen3": dict(model_type="qwen3", hidden_size=40, intermediate_size=96, num_attention_heads=4, num_key_value_heads=2, head_dim=16,
                  rms_norm_eps=1e-6, tie_word_embeddings=False, rope_parameters=dict(rope_type="default", rope_theta=1e6)),
    "llama3": dict(model_type="llama", hidden_size=40, intermediate_size=56, num_attention_heads=5, num_key_value_heads=1, head_dim=8,
                   rms_norm_eps=1e-5, tie_word_embeddings=True, rope_parameters=ROPE3),
    "llama_bias": dict(model_type="llama", hidden_size=32, intermediate_size=48, num_attention_heads=2, num_key_value_heads=2,
                       rms_norm_eps=1e-5, tie_word_embeddings=False, attention_bias=True, mlp_bias=True),
}
M64 = np.uint64(0xFFFFFFFFFFFFFFFF)


def hashed(key, n):
    """n floats in [-0.5, 0.5): 24 bits of splitmix64(key + index), exact in fp32."""
    with np.errstate(over="ignore"):
        z = (np.uint64(key) + np.arange(1, n + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)) & M64
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        z ^= z >> np.uint64(31)
    return ((z >> np.uint64(40)).astype(np.float32) * np.float32(2.0**-24) - np.float32(0.5)).astype(np.float32)


def key_of(name):
    """FNV-1a, 64 bits."""
    h = 0xCBF29CE484222325
    for c in name.encode():
        h = (h ^ c) * 0x100000001B3 & 0xFFFFFFFFFFFFFFFF
    return h


def weights(name, n):
    u = hashed(key_of(name), n)
    if name.endswith("norm.weight"):
        return np.float32(1) + u * np.float32(0.5)
    return u * np.float32(0.5 if name.endswith("bias") else 0.75 if "proj" in name else 1.0)


def tokens(name, n):
    return np.floor((hashed(key_of(name), n).astype(np.float64) + 0.5) * VOCAB).astype(int).tolist()


def sequences():
    """(tokens, index of the first predicted token), in the order of the packed batch's targets."""
    prompt = tokens("prompt", LENGTHS["prompt"])
    for i, n in enumerate(LENGTHS["answers"]):
        yield prompt + tokens(f"answer{i}", n), len(prompt)
    yield tokens("text", LENGTHS["text"]), 1


def score(model):
    logprob, entropy = [], []
    for ids, first in sequences():
        lp = torch.log_softmax(model(input_ids=torch.tensor([ids])).logits[0] / TEMPERATURE, -1)[first - 1 : -1]
        logprob.append(lp.gather(-1, torch.tensor(ids[first:])[:, None])[:, 0])
        entropy.append(-(lp.exp() * lp).sum(-1))
    return torch.cat(logprob), torch.cat(entropy)


def projection(name, tensor):
    return float((torch.from_numpy(hashed(key_of("projection " + name), tensor.numel())).double() * tensor.detach().flatten()).sum())


def expected(model):
    logprob, entropy = score(model)
    n = len(logprob)
    a, b = (torch.from_numpy(hashed(key_of(k), n)).double() for k in ("d_logprob", "d_entropy"))
    (a * logprob + b * entropy).sum().backward()
    named = list(model.named_parameters())
    out = dict(torch=torch.__version__, transformers=transformers.__version__, logprob=logprob.tolist(), entropy=entropy.tolist(), gradient={
        name: [float(p.grad.norm()), projection(name, p.grad)] for name, p in named})
    groups = [dict(params=[p for _, p in named if p.ndim == 2], weight_decay=WEIGHT_DECAY), dict(params=[p for _, p in named if p.ndim == 1], weight_decay=0.0)]
    torch.optim.AdamW(groups, **ADAMW).step()
    out["stepped"] = {name: projection(name, p) for name, p in named}
    with torch.no_grad():
        out["logprob_after"] = score(model)[0].tolist()
    return out


def main():
    out = sys.argv[1] if len(sys.argv) > 1 else os.path.dirname(os.path.abspath(__file__))
    torch.set_num_threads(1)
    for name, shape in SHAPES.items():
        config = AutoConfig.for_model(**{**SHAPE, **shape})
        model = AutoModelForCausalLM.from_config(config, attn_implementation="eager").double().eval()
        for key, p in model.named_parameters():
            p.data = torch.from_numpy(weights(key, p.numel())).double().reshape(p.shape)
        folder = os.path.join(out, name)
        os.makedirs(folder, exist_ok=True)
        config.architectures = [type(model).__name__]
        config.save_pretrained(folder)
        GenerationConfig(bos_token_id=1, eos_token_id=[2, 3]).save_pretrained(folder)
        with open(os.path.join(folder, "expected.json"), "w") as f:
            json.dump(expected(model), f, indent=1)
            f.write("\n")


if __name__ == "__main__":
    main()
