#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Time in PyTorch what cuda/lab/bench_rows.c times here, on the same GPU and shapes.

    bench_rows > rows.txt; cuda_rows.py [rows.txt]

With the table of bench_rows it prints the ratio of the times as well: above 1, PyTorch takes longer. What PyTorch has as one
call is that call (the backward of rms_norm, the fused AdamW, embedding, index_add_, log_softmax with gather and entropy,
softmax with multinomial); what it does not (a norm to bf16, rotation, the gated activation) is written as models write it and
compiled by torch.compile. Medians of 21 runs behind 3 that warm up, by events, over 4 sets of arrays in turn. Needs torch with CUDA.
"""
import statistics
import sys

import torch
import torch.nn.functional as F

ROWS, VOCABULARY, TURNS = 16384, 151936, 4


def median_ms(calls):
    times = []
    for i in range(-3, 21):
        begin, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
        begin.record()
        calls[i % len(calls)]()
        end.record()
        end.synchronize()
        if i >= 0:
            times.append(begin.elapsed_time(end))
    return statistics.median(times)


def normal(*shape, dtype=torch.bfloat16):
    return torch.randn(*shape, dtype=dtype, device="cuda")


@torch.compile
def normed(x, weight):
    return F.rms_norm(x, weight.shape, weight, 1e-6).bfloat16()


def norm(width):
    """fp32 rows to bf16, as the residual stream is normed."""
    weight = normal(width, dtype=torch.float32)
    return [lambda x=normal(ROWS, width, dtype=torch.float32): normed(x, weight) for _ in range(TURNS)]


def norm_backward(width):
    calls = []
    for _ in range(TURNS):
        x = normal(ROWS, width, dtype=torch.float32).requires_grad_()
        weight = normal(width, dtype=torch.float32).requires_grad_()
        y = F.rms_norm(x, (width,), weight, 1e-6)
        dy = normal(ROWS, width, dtype=torch.float32)
        calls.append(lambda y=y, x=x, weight=weight, dy=dy: torch.autograd.grad(y, (x, weight), dy, retain_graph=True))
    return calls


@torch.compile
def rotate(x, cosines, sines):
    low, high = x.chunk(2, dim=-1)
    return torch.cat((low * cosines - high * sines, high * cosines + low * sines), dim=-1).to(x.dtype)


def rope(heads, width):
    angles = normal(ROWS, 1, width // 2, dtype=torch.float32)
    return [lambda x=normal(ROWS, heads, width): rotate(x, angles.cos(), angles.sin()) for _ in range(TURNS)]


@torch.compile
def gated(x):
    gate, up = x.chunk(2, dim=-1)
    return F.silu(gate) * up


def swiglu(width):
    return [lambda x=normal(ROWS, 2 * width): gated(x) for _ in range(TURNS)]


def swiglu_backward(width):
    calls = []
    for _ in range(TURNS):
        x = normal(ROWS, 2 * width).requires_grad_()
        y, dy = gated(x), normal(ROWS, width)
        calls.append(lambda y=y, x=x, dy=dy: torch.autograd.grad(y, x, dy, retain_graph=True))
    return calls


def embed(width):
    table, tokens = normal(VOCABULARY, width), torch.randint(VOCABULARY, (ROWS,), device="cuda")
    return [lambda: F.embedding(tokens, table).float()]


def scatter(width):
    rows = torch.randperm(ROWS, device="cuda")
    return [lambda x=normal(ROWS, width, dtype=torch.float32), out=normal(ROWS, width, dtype=torch.float32):
            out.index_add_(0, rows, x) for _ in range(TURNS)]


def head(rows, columns):
    targets = torch.randint(columns, (rows, 1), device="cuda")

    def call(z):
        log_p = torch.log_softmax(z, dim=-1)
        return log_p.gather(1, targets), -(log_p.exp() * log_p).sum(-1)
    return [lambda z=normal(rows, columns, dtype=torch.float32): call(z) for _ in range(TURNS)]


def sample(rows):
    return [lambda z=normal(rows, VOCABULARY, dtype=torch.float32): torch.multinomial(torch.softmax(z, -1), 1)
            for _ in range(2)]


def adamw(count):
    parameter = torch.nn.Parameter(normal(count, dtype=torch.float32))
    parameter.grad = normal(count, dtype=torch.float32)
    return [torch.optim.AdamW([parameter], lr=1e-6, fused=True).step]


def lerp(count):
    return [lambda x=normal(count, dtype=torch.float32), y=normal(count, dtype=torch.float32): torch.lerp(x, y, 0.3)
            for _ in range(TURNS)]


CASES = [("rmsnorm 896", norm, 896), ("rmsnorm 1536", norm, 1536), ("rmsnorm 3584", norm, 3584),
         ("rmsnorm backward 896", norm_backward, 896), ("rmsnorm backward 1536", norm_backward, 1536),
         ("rmsnorm backward 3584", norm_backward, 3584),
         ("rope 14+2 x 64", rope, 16, 64), ("rope 28+4 x 128", rope, 32, 128),
         ("swiglu 4864", swiglu, 4864), ("swiglu 8960", swiglu, 8960),
         ("swiglu backward 4864", swiglu_backward, 4864), ("swiglu backward 8960", swiglu_backward, 8960),
         ("embed 896", embed, 896), ("scatter 896, distinct", scatter, 896),
         ("head 512 x 16384", head, 512, 16384), ("head 8192 x 8192", head, 8192, 8192),
         ("sample 1", sample, 1), ("sample 64", sample, 64), ("sample 512", sample, 512),
         ("lerp 64 Mi", lerp, 1 << 26), ("adamw 500 M", adamw, 500000000)]


def read_table(path):
    """Times by the name of the row."""
    times = {}
    with open(path) as file:
        for line in file:
            words = line.rsplit(None, 3)
            if len(words) == 4 and words[3].endswith("%"):
                times[words[0].strip()] = float(words[1])
    return times


def main():
    if not torch.cuda.is_available():
        print("skipped: no GPU")
        sys.exit(77)
    ours = read_table(sys.argv[1]) if len(sys.argv) > 1 else {}
    print(f"{torch.cuda.get_device_name()}, torch {torch.__version__}")
    print(f"{'rows':26} {'torch ms':>9} {'here ms':>9} {'ratio':>7}")
    for name, make, *shape in CASES:
        ms = median_ms(make(*shape))
        here = ours.get(name)
        print(f"{name:26} {ms:9.4f}" + (f" {here:9.4f} {ms / here:7.2f}" if here else ""))
        torch.cuda.empty_cache()


if __name__ == "__main__":
    main()
