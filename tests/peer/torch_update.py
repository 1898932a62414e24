#!/usr/bin/env python3
"""The vectors of a step of GXPO by torch's foreach operations, beside `gradus bench update`.

    python3 tests/peer/torch_update.py [GRADUS_BIN] [--device cpu|cuda] [--lora RANK] [--threads N]

Three steps of torch.optim.AdamW(foreach=True), copies of theta_0 and g_0, ratio, scale and reposition (algorithms.md, 1.4; K = 5,
alpha = 0.5) as torch._foreach_* on tensors of the shapes of SmolLM2-135M, all of one run, best of several rounds. With GRADUS_BIN the
same is run by it, and both times are printed with their quotient.
"""
import argparse, re, subprocess, time
import torch

parser = argparse.ArgumentParser()
parser.add_argument("gradus", nargs="?")
parser.add_argument("--device", default="cpu")
parser.add_argument("--lora", type=int, default=0)
parser.add_argument("--threads", type=int, default=1)
parser.add_argument("--rounds", type=int, default=5)
args = parser.parse_args()
torch.set_num_threads(args.threads)

LAYERS, C, F, QKV, V = 30, 576, 1536, 960, 49152
matrices = [(QKV, C), (C, C), (F, C), (F, C), (C, F)]
if args.lora:
    shapes = [s for _ in range(LAYERS) for n, k in [(C, C), (192, C), (192, C), (C, C), (F, C), (F, C), (C, F)] for s in ((args.lora, k), (n, args.lora))]
else:
    shapes = [(V, C), (C,)] + [s for _ in range(LAYERS) for s in matrices + [(C,), (C,)]]
params = [torch.randn(s, device=args.device) * 0.05 for s in shapes]
n = sum(p.numel() for p in params)
gradients = [[torch.randn_like(p) * 1e-3 for p in params] for _ in range(1)]
opt = torch.optim.AdamW(params, lr=1e-6, foreach=True)
for p, g in zip(params, gradients[0]):
    p.grad = g


def scale(r, K):
    """S_K / S_2 for lists of tensors, in place where foreach can"""
    q = torch._foreach_mul(r, r)
    s = [torch.ones_like(x) for x in r]
    power = q
    for _ in range(K // 2 - 1):
        torch._foreach_mul_(s, q)
        torch._foreach_add_(s, 1.0)
        power = torch._foreach_mul(power, q)
    if K % 2:
        torch._foreach_add_(s, torch._foreach_div(power, torch._foreach_add(r, 1.0)))
    for x in s:
        torch.nan_to_num_(x, nan=1.0, posinf=1.0, neginf=1.0)
    torch._foreach_clamp_max_(s, K / 2 + 1)
    torch._foreach_clamp_min_(s, 1.0)
    return s


@torch.no_grad()
def step(K=5, alpha=0.5):
    theta0 = torch._foreach_add(params, 0.0)
    g0 = torch._foreach_add([p.grad for p in params], 0.0)
    opt.step()
    g1 = [p.grad for p in params]
    opt.step()
    active = [x.abs() > 1e-8 for x in g0]
    r = torch._foreach_div(g1, g0)
    r = [torch.where(a, x, 1.0) for a, x in zip(active, r)]
    torch._foreach_clamp_min_(r, -2.0)
    torch._foreach_clamp_max_(r, 3.0)
    s = scale(r, K)
    s = [torch.where(a, x, 1.0) for a, x in zip(active, s)]
    torch._foreach_sub_(params, theta0)
    torch._foreach_mul_(params, s)
    torch._foreach_mul_(params, alpha)
    torch._foreach_add_(params, theta0)
    opt.step()


best = float("inf")
step()
for _ in range(args.rounds):
    if args.device == "cuda":
        torch.cuda.synchronize()
    start = time.perf_counter()
    step()
    if args.device == "cuda":
        torch.cuda.synchronize()
    best = min(best, time.perf_counter() - start)
print(f"torch {torch.__version__}, foreach, {args.threads} threads, {n / 1e6:.1f} million parameters: {1e3 * best:.1f} ms")
if args.gradus:
    lora = ["--lora", str(args.lora)] if args.lora else []
    out = subprocess.run([args.gradus, "bench", "update", "--device", args.device, "--threads", str(args.threads), *lora], capture_output=True, text=True, check=True).stdout
    print(out, end="")
    ours = float(re.search(r"^gxpo +\d+ bytes/parameter +([0-9.]+) ms", out, re.M).group(1))
    print(f"torch / gradus {1e3 * best / ours:.2f}")
