#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Time attention here and in PyTorch (scaled_dot_product_attention) on the same GPU, at the same shapes.

    cuda_attention.py [BENCH]

BENCH is the program bench_attention of cuda/lab; build-gpu/lab/bench_attention unless given. PyTorch gets bf16, its flash and
its cuDNN kernels; the faster of the two counts. Texts are a batch of equal lengths. A group (a prompt and 8 answers) is what
PyTorch has without packing: 8 texts, each with the prompt. Decoding: one query position against contiguous keys of 512
positions, without sharing; several sets of keys in turn, so that they come from memory. Ratios are PyTorch's time over ours:
above 1 is faster here. Needs torch.
"""
import statistics
import subprocess
import sys

import torch
import torch.nn.functional as F
from torch.nn.attention import SDPBackend, sdpa_kernel

SHAPES = {"0.5B": (14, 2, 64), "1.5B": (12, 2, 128), "7B": (28, 4, 128)}
BACKENDS = {"flash": SDPBackend.FLASH_ATTENTION, "cudnn": SDPBackend.CUDNN_ATTENTION}


def median_ms(work, runs=21):
    """Median of `runs` calls behind 3 that warm up."""
    times = []
    for run in range(runs + 3):
        begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        begin.record()
        work()
        end.record()
        end.synchronize()
        if run >= 3:
            times.append(begin.elapsed_time(end))
    return statistics.median(times)


def normal(*shape):
    return torch.randn(*shape, device="cuda", dtype=torch.bfloat16)


def attend(q, k, v, causal):
    return F.scaled_dot_product_attention(q, k, v, is_causal=causal, enable_gqa=True)


def training(heads, batch, length):
    """{backend: (forward ms, backward ms)} for `batch` texts of `length`."""
    H, K, D = heads
    found = {}
    for name, backend in BACKENDS.items():
        q, k, v = (normal(batch, n, length, D).requires_grad_() for n in (H, K, K))
        dout = normal(batch, H, length, D)
        try:
            with sdpa_kernel(backend):
                with torch.no_grad():
                    forward = median_ms(lambda: attend(q, k, v, True))
                out = attend(q, k, v, True)
                backward = median_ms(lambda: torch.autograd.grad(out, (q, k, v), dout, retain_graph=True))
            found[name] = (forward, backward)
        except RuntimeError as error:
            print(f"{name}: {str(error).splitlines()[0]}")
    return found


def decoding(heads, rows, length=512, sets=4):
    """{backend: ms} of one position of `rows` texts."""
    H, K, D = heads
    found = {}
    q = normal(rows, H, 1, D)
    caches = [(normal(rows, K, length, D), normal(rows, K, length, D)) for _ in range(sets)]
    for name, backend in BACKENDS.items():
        turn = 0

        def step():
            nonlocal turn
            turn += 1
            return attend(q, *caches[turn % sets], False)

        try:
            with sdpa_kernel(backend), torch.no_grad():
                found[name] = median_ms(step)
        except RuntimeError as error:
            print(f"{name}: {str(error).splitlines()[0]}")
    return found


def best(found, index=None):
    """(ms, backend) of the fastest."""
    times = [(value if index is None else value[index], name) for name, value in found.items()]
    return min(times) if times else (float("nan"), "none")


def main():
    command = sys.argv[1:2] or ["build-gpu/lab/bench_attention"]
    text = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    print(text, f"torch {torch.__version__} on {torch.cuda.get_device_name()}", sep="")
    for line in text.splitlines():
        words = line.split()
        if not words or words[0] not in SHAPES:
            continue
        heads = SHAPES[words[0]]
        if words[1] in ("texts", "groups"):
            T, forward, backward = int(words[-5]), float(words[-4]), float(words[-2])
            length = int(words[3]) if words[1] == "texts" else 105 + 300
            batch = T // length if words[1] == "texts" else T // (105 + 8 * 300) * 8
            found = training(heads, batch, length)
            parts = ((" forward", forward, *best(found, 0)), ("backward", backward, *best(found, 1)))
        elif words[2] == "0":
            rows, taken = int(words[1]), {"0": 3, "1": 4, "2": 5, "4": 6}[words[7]]
            parts = (("  decode", float(words[taken]), *best(decoding(heads, rows))),)
        else:
            continue
        for part, ours, theirs, name in parts:
            print(f"{' '.join(words[:3]):22s} {part}: {ours:8.4f} ms here, {theirs:8.4f} ms {name}, ratio {theirs / ours:5.2f}")


if __name__ == "__main__":
    main()
