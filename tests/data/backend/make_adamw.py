# SPDX-License-Identifier: Apache-2.0
# Writes adamw.txt: four steps of torch.optim.AdamW on 64 parameters, fp32, gradients scaled by 0.7.
# Made with torch 2.15.0+cu132; run in this folder: python make_adamw.py
import torch

n, steps = 64, 4
generator = torch.Generator().manual_seed(11)
start = torch.randn(n, generator=generator)
gradients = [torch.randn(n, generator=generator) * 10.0 ** (i - 2) for i in range(steps)]
parameter = torch.nn.Parameter(start.clone())
optimizer = torch.optim.AdamW([parameter], lr=3e-3, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.1,
                              foreach=False)
for gradient in gradients:
    parameter.grad = gradient * 0.7
    optimizer.step()
state = optimizer.state[parameter]
with open("adamw.txt", "w") as out:
    out.write(f"{n} {steps}\n")
    for i in range(n):
        row = [start[i], *(g[i] for g in gradients), parameter[i].detach(), state["exp_avg"][i], state["exp_avg_sq"][i]]
        out.write(" ".join(f"{float(x):.9g}" for x in row) + "\n")
