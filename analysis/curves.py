#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Draw the curves of one or several runs.

    curves.py RUN_DIRECTORY [RUN_DIRECTORY ...] [--output curves.png] [--smooth STEPS] [--metrics NAME ...]

Each panel is one metric against the step. Without --metrics: reward and its parts, the effective update ratio of the last
pass over a batch (eq. 12 of the gate paper), entropy, answer lengths, KL where a run has one; of runs without rewards the
loss, entropy and gradient norm. NAME is a metric of diagnostics.h5, as `gradus inspect` lists them; pass/NAME is its value in
the last pass of each step.

Runs whose settings differ in seed and directory alone, or in what no number depends on (output, checkpoints, threads), are one
setting: one colour and one kind of line, named by what differs between the settings. A thick line is the mean over --smooth steps around each (5; 1 where no run has 20 steps), fewer at the
ends. Of a single run the thin line is the steps themselves; of several seeds the line is their mean and the band around it one
standard deviation over seeds (n - 1), for the steps that at least two of them have. The picture says so at its foot.
"""
import argparse
import textwrap
import warnings

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np

from gradus_files import group_runs

TITLES = {
    "reward": "reward",
    "pass/eur": "effective update ratio, last pass",
    "entropy": "entropy [nat]",
    "completions/mean_length": "answer length [tokens]",
    "kl": "KL to the reference [nat]",
    "loss": "loss",
    "grad_norm": "gradient norm",
}
COLOURS = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000"]  # Okabe and Ito, for all eyes
LINES = ["-", "--", "-.", ":", (0, (6, 1, 1, 1, 1, 1)), (0, (8, 3))]  # without colour too; six, so that pairs repeat late
LEGEND_LINE = 0.19  # inches
LEGEND_CHARACTERS, FOOT_CHARACTERS = 50, 65  # for the width of a panel
SHORT = 20  # steps; below, nothing is smoothed unless asked for


def moving_mean(values, width):
    """Mean over `width` steps around each, fewer at the ends; steps without a value are left out."""
    known = np.isfinite(values)
    window = np.ones(min(width, len(values)))
    sums = np.convolve(np.where(known, values, 0.0), window, "same")
    counts = np.convolve(known.astype(float), window, "same")
    return np.where(known & (counts > 0.5), sums / np.maximum(counts, 1.0), np.nan)


def over_seeds(table):
    """Mean and standard deviation (n - 1) over the rows, NaN where there are none, or fewer than two."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # steps that no run, or one run, has: NaN, not drawn
        return np.nanmean(table, axis=0), np.nanstd(table, axis=0, ddof=1)


def title(metric):
    if metric.startswith("rewards/") and metric.endswith("/mean"):
        return metric.split("/")[1] + " reward"
    return TITLES.get(metric, metric)


def choose_panels(groups):
    """{metric: the settings that it is drawn for}: what each shows first."""
    panels = {}
    for group in groups:
        for metric in group.headline():
            panels.setdefault(metric, []).append(group)
    return panels


def draw_group(axis, metric, group, smooth, style):
    table = group.table(metric)
    step = np.arange(1, table.shape[1] + 1)
    mean, spread = over_seeds(np.array([moving_mean(row, smooth) for row in table]))
    if len(group.runs) > 1:
        axis.fill_between(step, mean - spread, mean + spread, color=style["color"], alpha=0.2, linewidth=0)
    elif smooth > 1:
        axis.plot(step, table[0], linewidth=0.7, alpha=0.45, color=style["color"])
    few = np.isfinite(mean).sum() < 2  # a line of one point would not be seen
    axis.plot(step, mean, linewidth=1.8, label=group.label, marker="o" if few else None, **style)


def draw_panel(axis, metric, groups, styles, smooth):
    for group in groups:
        draw_group(axis, metric, group, smooth, styles[group])
    axis.set_title(title(metric), fontsize=10, loc="left")
    axis.tick_params(labelsize=8)
    axis.grid(alpha=0.25)
    axis.spines[["top", "right"]].set_visible(False)
    axis.xaxis.get_major_locator().set_params(integer=True)


def foot(groups, smooth):
    """What the lines are, in a sentence."""
    lines = f"thick: mean over {smooth} steps around each, fewer at the ends" if smooth > 1 else "single steps, not smoothed"
    if smooth > 1 and any(len(group.runs) == 1 for group in groups):
        lines += "; thin: single steps"
    if any(len(group.runs) > 1 for group in groups):
        lines += "; mean over seeds, band: ± standard deviation over seeds (n - 1)"
    return lines


def draw(groups, panels, smooth):
    width = min(3, len(panels))
    height = -(-len(panels) // width)
    names = legend_names(groups, width)
    above = LEGEND_LINE * sum(name.count("\n") + 1 for name in names) + 0.1 if names else 0.0
    size = (3.6 * width, 2.4 * height + 0.3 + above)
    figure, axes = plt.subplots(height, width, figsize=size, squeeze=False, sharex=True, constrained_layout=True)
    figure.get_layout_engine().set(rect=(0, 0, 1, 1 - above / size[1]))
    styles = {group: {"color": COLOURS[i % len(COLOURS)], "linestyle": LINES[i % len(LINES)]} for i, group in enumerate(groups)}
    for axis in axes.flat[len(panels):]:
        axis.set_visible(False)
    for axis, (metric, shown) in zip(axes.flat, panels.items()):
        draw_panel(axis, metric, shown, styles, smooth)
    for axis in axes.flat[max(0, len(panels) - width):len(panels)]:
        axis.set_xlabel("step", fontsize=9)
        axis.tick_params(labelbottom=True)
    lines = [plt.Line2D([], [], linewidth=1.8, **styles[group]) for group in groups]
    if names:  # lines long enough to tell their kinds apart
        figure.legend(lines, names, fontsize=8, frameon=False, loc="upper left", handlelength=4, labelspacing=0.3)
    figure.supxlabel(textwrap.fill(foot(groups, smooth), FOOT_CHARACTERS * width), fontsize=7, color="0.35", x=0.01, ha="left")
    return figure


def legend_names(groups, width):
    """One legend for all panels, above them: the settings with their seeds, broken to `width` panels; none for one run."""
    if len(groups) == 1 and len(groups[0].runs) == 1:
        return []
    names = [f"{group.label} ({len(group.runs)} seeds)" if len(group.runs) > 1 else group.label for group in groups]
    return [textwrap.fill(name, LEGEND_CHARACTERS * width - 9) for name in names]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="+", metavar="RUN_DIRECTORY")
    parser.add_argument("--output", default="curves.png")
    parser.add_argument("--smooth", type=int, metavar="STEPS", help=f"of the moving mean [5; 1 below {SHORT} steps]")
    parser.add_argument("--metrics", nargs="+", metavar="NAME", help="what to draw")
    arguments = parser.parse_args()
    if arguments.smooth is not None and arguments.smooth < 1:
        parser.error("--smooth takes a number of steps from 1")
    groups = group_runs(arguments.runs)
    for metric in arguments.metrics or ():
        if not any(group.has(metric) for group in groups):
            parser.error(f"no run has values of {metric}; `gradus inspect RUN_DIRECTORY/diagnostics.h5` lists what there is")
    panels = choose_panels(groups)
    if arguments.metrics:
        panels = {metric: [group for group in groups if group.has(metric)] for metric in arguments.metrics}
    if not panels:
        parser.error("no step of these runs is finished yet")
    longest = max(run.steps for group in groups for run in group.runs)
    smooth = arguments.smooth or (5 if longest >= SHORT else 1)
    draw(groups, panels, smooth).savefig(arguments.output, dpi=100)
    print(arguments.output)


if __name__ == "__main__":
    main()
