#!/usr/bin/env python3
"""Expected numbers of tests/unit/model/test_discriminator.c, from PyTorch in double: layer norm, linear, a value head, and their loss.

    make_discriminator.py [OUT_DIR]         (default: the folder of this script)

Written with torch 2.15.0. discriminator.tsv, a line each: pooling (apart: last, and the value read at rows of its own), what, numbers; logits, values, loss, and the gradient of the loss by
the states and by each tensor. States and tensors are hashed(name) of make_expected.py, the norm's weight 1 + hashed.
"""
import os, sys
import torch
from torch.nn.functional import cross_entropy, layer_norm, linear
from make_expected import hashed, key_of

ROWS, C = 9, 6
SEQUENCES = [(0, 3), (3, 4), (4, 6), (6, 9)]
LABEL = torch.tensor([1, 0, 0, 1])
WEIGHT, VALUE_WEIGHT, TARGET = [torch.tensor(x, dtype=torch.float64) for x in ([0.3, 0.7, 1.25, 0.1], [0.5, 0.25, 2, 1], [1, 0, 1, 0])]
APART = [0, 2, 4, 7]
SHAPES = {"norm.weight": (C,), "norm.bias": (C,), "linear.weight": (2, C), "linear.bias": (2,), "value.weight": (1, C), "value.bias": (1,)}


def leaf(name, shape, scale=1.0, shift=0.0):
    n = int(torch.tensor(shape).prod())
    return (shift + scale * torch.from_numpy(hashed(key_of(name), n))).double().reshape(shape).requires_grad_()  # rounded to fp32


def main():
    folder = sys.argv[1] if len(sys.argv) > 1 else os.path.dirname(os.path.abspath(__file__))
    with open(os.path.join(folder, "discriminator.tsv"), "w") as out:
        for pooling in ("last", "mean", "apart"):
            states = leaf("discriminator states", (ROWS, C), 4.0)
            p = {name: leaf("discriminator " + name, shape, shift=float(name == "norm.weight")) for name, shape in SHAPES.items()}
            pooled = torch.stack([states[begin:end].mean(0) if pooling == "mean" else states[end - 1] for begin, end in SEQUENCES])
            y, y_value = (layer_norm(x, (C,), p["norm.weight"], p["norm.bias"], eps=1e-5) for x in (pooled, states[APART] if pooling == "apart" else pooled))
            logits, value = linear(y, p["linear.weight"], p["linear.bias"]), linear(y_value, p["value.weight"], p["value.bias"])[:, 0]
            loss = (WEIGHT * cross_entropy(logits, LABEL, reduction="none") + VALUE_WEIGHT * (value - TARGET) ** 2).sum()
            loss.backward()
            rows = {"logits": logits, "value": value, "loss": loss, "states": states.grad, **{n: t.grad for n, t in p.items()}}
            for name, numbers in rows.items():
                out.write("\t".join([pooling, name] + [f"{x:.12g}" for x in numbers.flatten().tolist()]) + "\n")


main()
