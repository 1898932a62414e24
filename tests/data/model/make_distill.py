#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Expected losses of distillation, with gradients, for tests/unit/model/test_distill_head.c, by PyTorch's autograd in double precision.

    make_distill.py [OUT_DIR]         (default: distill/ in the folder of this script)

Written with torch 2.15.0, safetensors 0.8.0. The losses are written here from the definitions in the papers and in siyan-zhao/OPSD,
over full logits; nothing of gradus takes part. distill.safetensors holds hidden states and heads of student and teacher, the target
tokens and the weights of the tokens, and for each case the loss and divergence of each token, the clipped entries, and the gradient of
sum(weight * loss) with respect to the student's hidden states and head.
"""
import os, sys
import torch
from safetensors.torch import save_file

R, C, V = 5, 6, 40
CASES = {  # divergence, beta, clip, clip_at, top_k, T
    "forward_kl": ("forward_kl", 0, 0, "entry", 0, 1.0),
    "reverse_kl": ("reverse_kl", 0, 0, "entry", 0, 1.0),
    "jsd": ("jsd", 0.5, 0, "entry", 0, 1.0),
    "forward_kl_hot": ("forward_kl", 0, 0, "entry", 0, 1.2),
    "jsd_cold": ("jsd", 0.3, 0, "entry", 0, 0.7),
    "forward_kl_entries": ("forward_kl", 0, 0.05, "entry", 0, 1.1),
    "reverse_kl_entries": ("reverse_kl", 0, 0.02, "entry", 0, 1.1),
    "jsd_entries": ("jsd", 0.5, 0.004, "entry", 0, 1.1),
    "jsd_tokens": ("jsd", 0.5, 0.1, "token", 0, 1.1),
    "forward_kl_top": ("forward_kl", 0, 0, "entry", 7, 1.2),
    "reverse_kl_top": ("reverse_kl", 0, 0, "entry", 7, 1.2),
    "jsd_top_entries": ("jsd", 0.5, 0.01, "entry", 12, 1.2),
    "sampled": ("sampled", 0, 0, "entry", 0, 1.2),
}


def token_losses(student, teacher, targets, case):
    """loss, divergence and clipped entries of each row of logits"""
    kind, beta, clip, clip_at, top_k, T = case
    if top_k:
        indices = torch.topk(teacher, top_k, dim=-1).indices
        student, teacher = student.gather(-1, indices), teacher.gather(-1, indices)
    s, t = torch.log_softmax(student / T, -1), torch.log_softmax(teacher / T, -1)
    if kind == "sampled":
        s, t = s.gather(-1, targets[:, None])[:, 0], t.gather(-1, targets[:, None])[:, 0]
        return -(t - s).detach() * s, s - t, torch.zeros_like(s)
    if kind == "forward_kl":
        h = torch.nn.functional.kl_div(s, t, log_target=True, reduction="none")
    elif kind == "reverse_kl":
        h = torch.nn.functional.kl_div(t, s, log_target=True, reduction="none")
    else:
        b = torch.tensor(float(beta))
        m = torch.logsumexp(torch.stack([t + torch.log(b), s + torch.log1p(-b)]), 0)
        kl_div = torch.nn.functional.kl_div
        h = b * kl_div(m, t, log_target=True, reduction="none") + (1 - b) * kl_div(m, s, log_target=True, reduction="none")
    divergence = h.sum(-1)
    if not clip:
        return divergence, divergence, torch.zeros_like(divergence)
    if clip_at == "token":
        return divergence.clamp(max=clip), divergence, (divergence >= clip).double()
    return h.clamp(max=clip).sum(-1), divergence, (h >= clip).double().sum(-1)


def main(out):
    torch.manual_seed(12)
    base = torch.randn(R, C).float()
    head = (torch.randn(V, C) * 1.2).float()
    given = {"student": base, "teacher": (base + 0.4 * torch.randn(R, C)).float(), "student_head": head,
             "teacher_head": (head + 0.3 * torch.randn(V, C)).float(), "weight": torch.rand(R).float() + 0.1}
    targets = torch.randint(V, (R,))
    tensors = dict(given, targets=targets.int())
    for name, case in CASES.items():
        x, w = given["student"].double().requires_grad_(), given["student_head"].double().requires_grad_()
        teacher = given["teacher"].double() @ given["teacher_head"].double().T
        loss, divergence, clipped = token_losses(x @ w.T, teacher, targets, case)
        (loss * given["weight"].double()).sum().backward()
        for key, value in {"loss": loss, "divergence": divergence, "clipped": clipped, "dx": x.grad, "dw": w.grad}.items():
            tensors[f"{name}.{key}"] = value.detach().float().contiguous()
        print(f"{name:20} loss {loss.sum():.6f} clipped {clipped.sum():.0f}")
    os.makedirs(out, exist_ok=True)
    save_file(tensors, os.path.join(out, "distill.safetensors"))


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else os.path.join(os.path.dirname(os.path.abspath(__file__)), "distill"))
