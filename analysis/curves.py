#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Draw the curves of one or several runs side by side.

    curves.py RUN_DIRECTORY [RUN_DIRECTORY ...] [--output curves.png] [--smooth 5] [--metrics NAME ...]

Each panel is one metric against the step. Without --metrics: reward and its parts, the effective update ratio of the last
pass over a batch (eq. 12 of the gate paper), entropy, answer lengths, KL where a run has one; of a run without rewards the
loss, entropy and gradient norm. NAME is a metric of diagnostics.h5, as `gradus inspect` lists them; pass/NAME is its value in
the last pass of each step. Thin lines are single steps, thick ones means over --smooth steps around each.
"""
import argparse
import os

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np

from gradus_files import has_values, last_pass, read_steps

TITLES = {
    "reward": "reward",
    "rewards/answer/mean": "answer reward",
    "rewards/format/mean": "format reward",
    "pass/eur": "effective update ratio, last pass",
    "entropy": "entropy [nat]",
    "completions/mean_length": "answer length [tokens]",
    "kl": "KL to the reference [nat]",
    "loss": "loss",
    "grad_norm": "gradient norm",
}
WITH_REWARDS = list(TITLES)[:-2]
WITHOUT_REWARDS = ["loss", "entropy", "grad_norm"]


def moving_mean(values, width):
    """Mean over `width` steps around each, fewer at the ends; steps without a value are left out."""
    known = np.isfinite(values)
    window = np.ones(min(width, len(values)))
    sums = np.convolve(np.where(known, values, 0.0), window, "same")
    counts = np.convolve(known.astype(float), window, "same")
    return np.where(counts > 0.5, sums / np.maximum(counts, 1.0), np.nan)


def column(columns, metric):
    """A metric of a run, or None when the run has none of it."""
    return last_pass(columns, metric[len("pass/"):]) if metric.startswith("pass/") else columns.get(metric)


def choose_panels(runs):
    rewarded = any(has_values(column(columns, "reward")) for columns in runs.values())
    metrics = WITH_REWARDS if rewarded else WITHOUT_REWARDS
    return [m for m in metrics if any(has_values(column(columns, m)) for columns in runs.values())]


def draw_panel(axis, metric, runs, smooth):
    for colour, (name, columns) in zip(plt.cm.tab10.colors * len(runs), runs.items()):
        values = column(columns, metric)
        if has_values(values):
            step = np.arange(1, len(values) + 1)
            axis.plot(step, values, linewidth=0.7, alpha=0.45, color=colour)
            axis.plot(step, moving_mean(values, smooth), linewidth=2, color=colour, label=name)
    axis.set_title(TITLES.get(metric, metric), fontsize=10, loc="left")
    axis.tick_params(labelsize=8)
    axis.grid(alpha=0.25)
    axis.spines[["top", "right"]].set_visible(False)
    axis.xaxis.get_major_locator().set_params(integer=True)


def draw(runs, metrics, smooth):
    width = min(3, len(metrics))
    height = -(-len(metrics) // width)
    figure, axes = plt.subplots(height, width, figsize=(3.6 * width, 2.4 * height + 0.3), squeeze=False, sharex=True,
                                constrained_layout=True)
    for axis in axes.flat[len(metrics):]:
        axis.set_visible(False)
    for axis, metric in zip(axes.flat, metrics):
        draw_panel(axis, metric, runs, smooth)
    for axis in axes.flat[max(0, len(metrics) - width):len(metrics)]:
        axis.set_xlabel("step", fontsize=9)
        axis.tick_params(labelbottom=True)
    if len(runs) > 1:
        max(axes.flat, key=lambda axis: len(axis.get_lines())).legend(fontsize=8, frameon=False)
    return figure


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="+", metavar="RUN_DIRECTORY")
    parser.add_argument("--output", default="curves.png")
    parser.add_argument("--smooth", type=int, default=5, help="steps of the moving mean")
    parser.add_argument("--metrics", nargs="+", metavar="NAME", help="what to draw")
    arguments = parser.parse_args()
    if arguments.smooth < 1:
        parser.error("--smooth takes a number of steps from 1")
    runs = {os.path.normpath(path): read_steps(path) for path in arguments.runs}
    for metric in arguments.metrics or ():
        if not any(has_values(column(columns, metric)) for columns in runs.values()):
            parser.error(f"no run has values of {metric}; `gradus inspect RUN_DIRECTORY/diagnostics.h5` lists what there is")
    metrics = arguments.metrics or choose_panels(runs)
    if not metrics:
        parser.error("no step of these runs is finished yet")
    draw(runs, metrics, arguments.smooth).savefig(arguments.output, dpi=100)
    print(arguments.output)


if __name__ == "__main__":
    main()
