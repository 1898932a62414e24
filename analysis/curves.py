#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Draw the curves of one or several runs.

    curves.py RUN_DIRECTORY [RUN_DIRECTORY ...] [--output curves.png] [--smooth STEPS] [--metrics NAME ...]

Each panel is one metric against the step. Without --metrics: reward and its parts, the effective update ratio of the last
pass over a batch (eq. 12 of the gate paper), entropy, answer lengths, KL where a run has one; of the adversarial game reward,
baseline, loss, accuracies and probability of the discriminator, right lengths; of runs without rewards the loss, entropy and
gradient norm; MAUVE where it was computed, a point for each time. NAME is a metric of diagnostics.h5, as `gradus inspect` lists
them; pass/NAME is its value in the last pass of each step.

Runs whose settings differ in seed and directory alone, or in what no number depends on (output, checkpoints, threads), are one
setting: one colour and one kind of line, named by what differs between the settings. A thick line is the mean over --smooth steps
around each (5; 1 where no run has 20 steps), fewer at the ends. Of a single run the thin line is the steps themselves; of several seeds the line is their mean and the band around it one
standard deviation over seeds (n - 1), for the steps that at least two of them have. The picture says so at its foot.
"""
import argparse

import numpy as np

from gradus_files import group_runs, is_sparse
from pictures import MARKERS, dress, foot, moving_mean, open_figure, over_seeds, save
from tables import title

SHORT = 20  # steps; below, nothing is smoothed unless asked for


def choose_panels(groups):
    """{metric: the settings that it is drawn for}: what each shows first."""
    panels = {}
    for group in groups:
        for metric in group.headline():
            panels.setdefault(metric, []).append(group)
    return panels


def draw_group(axis, metric, group, smooth, style, number):
    table = group.table(metric)
    step = np.arange(1, table.shape[1] + 1)
    mean, spread = over_seeds(np.array([moving_mean(row, smooth) for row in table]))
    points = is_sparse(mean)  # as of MAUVE every so many steps: the line goes from one to the next
    if points:
        step, mean, spread = (values[np.isfinite(mean)] for values in (step, mean, spread))
    if len(group.runs) > 1:
        axis.fill_between(step, mean - spread, mean + spread, color=style["color"], alpha=0.2, linewidth=0)
    elif smooth > 1 and not points:
        axis.plot(step, table[0], linewidth=0.7, alpha=0.45, color=style["color"])
    marker = MARKERS[number % len(MARKERS)] if points or np.isfinite(mean).sum() < 2 else None  # a line of one point would not be seen
    axis.plot(step, mean, linewidth=1.8, markersize=4, label=group.label, marker=marker, **style)


def draw_panel(axis, metric, groups, styles, smooth):
    for group in groups:
        draw_group(axis, metric, group, smooth, styles[group], list(styles).index(group))
    dress(axis, title(metric))
    axis.xaxis.get_major_locator().set_params(integer=True)


def what_lines_are(groups, panels, smooth):
    lines = f"thick: mean over {smooth} steps around each, fewer at the ends" if smooth > 1 else "single steps, not smoothed"
    if smooth > 1 and any(len(group.runs) == 1 for group in groups):
        lines += "; thin: single steps"
    if any(is_sparse(row) for metric, shown in panels.items() for group in shown for row in group.table(metric)):
        lines += "; points: values by themselves"
    if any(len(group.runs) > 1 for group in groups):
        lines += "; mean over seeds, band: ± standard deviation over seeds (n - 1)"
    return lines


def draw(groups, panels, smooth):
    width = min(3, len(panels))
    figure, axes, styles = open_figure(-(-len(panels) // width), width, groups, sharex=True)
    for axis in axes.flat[len(panels):]:
        axis.set_visible(False)
    for axis, (metric, shown) in zip(axes.flat, panels.items()):
        draw_panel(axis, metric, shown, styles, smooth)
    for axis in axes.flat[max(0, len(panels) - width):len(panels)]:
        axis.set_xlabel("step", fontsize=9)
        axis.tick_params(labelbottom=True)
    foot(figure, what_lines_are(groups, panels, smooth), width)
    return figure


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
    save(draw(groups, panels, smooth), arguments.output)


if __name__ == "__main__":
    main()
