#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The loss of self-distillation over full logits in PyTorch, beside `gradus bench distill`.

    python3 tests/peer/torch_distill.py [GRADUS_BIN] [--device cpu|cuda] [--shape smollm2-135m|qwen2.5-0.5b] [--tokens N] [--head]
                                        [--precision fp32|bf16] [--threads N] [--rounds N]

From hidden states of student and teacher to the gradient with respect to the student's, and with --head to that of the head too: logits
of both, log-softmax at T = 1.2, JSD with beta 0.5 as generalized_jsd_loss of TRL and of siyan-zhao/OPSD have it (logsumexp of the
mixture, two kl_div), sum over the vocabulary, mean over tokens, backward. Best of several rounds. With GRADUS_BIN the same is run by it,
and both times and the peak of PyTorch's memory beside ours are printed.
"""
import argparse, re, resource, subprocess, time
import torch
import torch.nn.functional as F

parser = argparse.ArgumentParser()
parser.add_argument("gradus", nargs="?")
parser.add_argument("--device", default="cpu")
parser.add_argument("--shape", default="smollm2-135m")
parser.add_argument("--tokens", type=int, default=256)
parser.add_argument("--head", action="store_true")
parser.add_argument("--precision", default="fp32")
parser.add_argument("--threads", type=int, default=1)
parser.add_argument("--rounds", type=int, default=5)
args = parser.parse_args()
torch.set_num_threads(args.threads)

C, V = {"smollm2-135m": (576, 49152), "qwen2.5-0.5b": (896, 151936), "qwen2.5-1.5b": (1536, 151936)}[args.shape]
R, T, BETA = args.tokens, 1.2, 0.5
dtype = torch.bfloat16 if args.precision == "bf16" else torch.float32
head = ((torch.rand(V, C, device=args.device) - 0.5) * 0.1).to(dtype).requires_grad_(args.head)
rows = ((torch.rand(R + 1, C, device=args.device) - 0.5) * 16).to(dtype)
student, teacher = rows[:R].clone().requires_grad_(), rows[1:].clone()


def loss():
    s = F.log_softmax((student @ head.T).float() / T, dim=-1)
    with torch.no_grad():
        t = F.log_softmax((teacher @ head.T).float() / T, dim=-1)
    beta = torch.tensor(BETA, device=args.device)
    m = torch.logsumexp(torch.stack([s + torch.log1p(-beta), t + torch.log(beta)]), dim=0)
    jsd = beta * F.kl_div(m, t, reduction="none", log_target=True) + (1 - beta) * F.kl_div(m, s, reduction="none", log_target=True)
    return jsd.sum(-1).mean()


def step():
    student.grad = head.grad = None
    loss().backward()
    if args.device == "cuda":
        torch.cuda.synchronize()


def resident_mib():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


before = resident_mib()
best = float("inf")
step()
for _ in range(args.rounds):
    start = time.perf_counter()
    step()
    best = min(best, time.perf_counter() - start)
peak = torch.cuda.max_memory_allocated() / 2**20 if args.device == "cuda" else resident_mib() - before
what = "head as well" if args.head else "hidden states"
print(f"torch {torch.__version__}, {args.threads} threads: jsd, {what}, {R} tokens: {1e3 * best:.1f} ms, {peak:.0f} MiB more than before")
if args.gradus:
    command = [args.gradus, "bench", "distill", "--device", args.device, "--shape", args.shape, "--precision", args.precision]
    command += ["--tokens", str(R), "--threads", str(args.threads), "--seconds", str(max(0.5, args.rounds * best / 2))]
    out = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    line = re.search(rf"^jsd, {what} .*tokens +([0-9.]+) ms.*$", out, re.M)
    print(re.search(r"^memory of the loss.*$", out, re.M).group(0), line.group(0), sep="\n")
    print(f"torch / gradus {1e3 * best / float(line.group(1)):.2f}")
