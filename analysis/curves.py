#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Draw the curves of one or several runs side by side.

    curves.py RUN_DIRECTORY [RUN_DIRECTORY ...] [--output curves.png] [--smooth 5]

Each panel is one metric against the step: reward and its parts, the effective update ratio of the last pass (eq. 12), entropy,
answer lengths, gradient norm, KL where the run has one. Thin lines are single steps, thick ones a moving mean.
"""
import argparse
import os

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np

from gradus_files import has_values, last_pass, read_steps

PANELS = [  # metric, title, whether the last pass is shown
    ("reward", "reward", False),
    ("rewards/answer/mean", "answer reward", False),
    ("rewards/format/mean", "format reward", False),
    ("eur", "effective update ratio (last pass)", True),
    ("entropy", "entropy [nats]", False),
    ("completions/mean_length", "answer length [tokens]", False),
    ("loss", "loss", False),
    ("grad_norm", "gradient norm", False),
    ("kl", "KL to the reference", False),
]


def moving_mean(values, width):
    """Mean over the last `width` steps (fewer at the start); steps without a value are left out."""
    known = np.isfinite(values)
    sums = np.cumsum(np.where(known, values, 0.0))
    counts = np.cumsum(known)
    sums[width:] = sums[width:] - sums[:-width]
    counts[width:] = counts[width:] - counts[:-width]
    return np.where(counts > 0, sums / np.maximum(counts, 1), np.nan)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="+", metavar="RUN_DIRECTORY")
    parser.add_argument("--output", default="curves.png")
    parser.add_argument("--smooth", type=int, default=5, help="steps of the moving mean")
    arguments = parser.parse_args()
    runs = {os.path.basename(os.path.normpath(r)): read_steps(r) for r in arguments.runs}
    panels = [p for p in PANELS if any(has_values(c.get(p[0])) for c in runs.values())]
    rows = (len(panels) + 2) // 3
    figure, axes = plt.subplots(rows, 3, figsize=(12, 3 * rows), squeeze=False, constrained_layout=True)
    for axis in axes.flat[len(panels):]:
        axis.set_visible(False)
    for axis, (metric, title, of_last_pass) in zip(axes.flat, panels):
        for name, columns in runs.items():
            if not has_values(columns.get(metric)):
                continue
            values = last_pass(columns, metric) if of_last_pass else columns[metric]
            step = np.arange(1, len(values) + 1)
            line, = axis.plot(step, moving_mean(values, arguments.smooth), linewidth=2, label=name)
            axis.plot(step, values, linewidth=0.7, alpha=0.4, color=line.get_color())
        axis.set_title(title, fontsize=10)
        axis.set_xlabel("step", fontsize=8)
        axis.grid(alpha=0.3)
    axes.flat[0].legend(fontsize=8)
    figure.savefig(arguments.output, dpi=110)
    print(arguments.output)


if __name__ == "__main__":
    main()
