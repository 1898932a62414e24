#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What a reward costs: runs of several settings side by side at equal steps, equal backward passes, and equal time.

    budget.py RUN_DIRECTORY [RUN_DIRECTORY ...] [--metric reward] [--smooth STEPS] [--target VALUE] [--output PICTURE.png]

Update rules make different numbers of backward passes in a step, so they are compared three ways. Runs that differ in their seed
alone are one setting. A value is the mean of the metric over the --smooth (10) steps up to a place, then the mean over seeds and,
behind ±, the standard deviation over seeds (n - 1). The places are a quarter, a half, three quarters and the whole of what every
run has: steps, backward passes (update/backward_passes), seconds (time/step, summed). The last lines tell what each setting took to
reach --target, the value that the first setting ends with unless given: the median over seeds, and how many of them reached it.

--output draws the metric against steps, passes and time: a line for each setting, the band one standard deviation over seeds.
"""
import argparse

import numpy as np

from gradus_files import group_runs
from summary import LABEL_WIDTH, print_seeds, short_names

COSTS = {"steps": "steps", "passes": "backward passes", "seconds": "seconds"}
QUARTERS = (0.25, 0.5, 0.75, 1.0)
VALUE_WIDTH = 17


def trailing_mean(values, width):
    """Mean over the `width` steps up to each, fewer at the beginning."""
    sums = np.concatenate([[0.0], np.cumsum(values)])
    ends = np.arange(1, len(values) + 1)
    begins = np.maximum(0, ends - width)
    return (sums[ends] - sums[begins]) / (ends - begins)


class Curve:
    """A run's metric, smoothed, and what it had cost after each step."""

    def __init__(self, run, metric, width):
        steps = run.steps
        self.value = trailing_mean(run.column(metric)[:steps], width)
        self.cost = {
            "steps": np.arange(1.0, steps + 1),
            "passes": run.column("update/backward_passes")[:steps],
            "seconds": np.cumsum(run.column("time/step")[:steps]),
        }

    def at(self, cost, place):
        """The value after the last step that was paid for, NaN before the first."""
        done = np.searchsorted(self.cost[cost], place * (1 + 1e-12), side="right")
        return self.value[done - 1] if done > 0 else np.nan

    def end(self, cost):
        return self.cost[cost][-1]

    def price(self, cost, target):
        """What the run had cost when the value first was at the target; infinite when it never was."""
        there = np.flatnonzero(self.value >= target)
        return self.cost[cost][there[0]] if len(there) else np.inf


def curves_of(groups, metric, width):
    return [[Curve(run, metric, width) for run in group.runs] for group in groups]


def places(curves, cost):
    whole = min(curve.end(cost) for group in curves for curve in group)
    return [np.floor(whole * part) if cost != "seconds" else whole * part for part in QUARTERS]


def spread(values):
    values = [value for value in values if np.isfinite(value)]
    if not values:
        return "-"
    return f"{np.mean(values):.3f}" + (f" ± {np.std(values, ddof=1):.3f}" if len(values) > 1 else "")


def print_row(label, cells):
    print(f"{label:{LABEL_WIDTH}s}" + "".join(f" {cell:>{VALUE_WIDTH}}" for cell in cells))


def print_costs(names, curves):
    for cost, title in COSTS.items():
        at = places(curves, cost)
        print_row(title, [f"{place:.4g}" for place in at])
        for name, seeds in zip(names, curves):
            print_row(f"  {name}", [spread([curve.at(cost, place) for curve in seeds]) for place in at])
        print()


def price_text(prices):
    """The median over seeds; infinite ones count, so that of seeds that mostly fail it is none."""
    median = float(np.median(prices))
    return (f"{median:.4g}" if np.isfinite(median) else "-") + f" ({int(np.isfinite(prices).sum())} of {len(prices)})"


def print_prices(names, curves, metric, target):
    print_row(f"to reach {metric} {target:.3f}", COSTS.values())
    for name, seeds in zip(names, curves):
        print_row(f"  {name}", [price_text([curve.price(cost, target) for curve in seeds]) for cost in COSTS])


def on_grid(seeds, cost, points=200):
    """Mean and deviation over seeds at even places, as far as every seed goes."""
    grid = np.linspace(max(curve.cost[cost][0] for curve in seeds), min(curve.end(cost) for curve in seeds), points)
    table = np.array([[curve.at(cost, place) for place in grid] for curve in seeds])
    return grid, table.mean(axis=0), table.std(axis=0, ddof=1) if len(seeds) > 1 else np.zeros(points)


def draw(groups, curves, metric, path):
    from curves import COLOURS, LEGEND_LINE, LINES, legend_names, plt, title  # matplotlib is needed for the picture alone

    names = legend_names(groups, 3)
    above = LEGEND_LINE * sum(name.count("\n") + 1 for name in names) + 0.1 if names else 0.0
    size = (10.8, 3.0 + above)
    figure, axes = plt.subplots(1, len(COSTS), figsize=size, sharey=True, constrained_layout=True)
    figure.get_layout_engine().set(rect=(0, 0, 1, 1 - above / size[1]))
    for axis, (cost, name) in zip(axes, COSTS.items()):
        for i, (group, seeds) in enumerate(zip(groups, curves)):
            grid, mean, deviation = on_grid(seeds, cost)
            style = {"color": COLOURS[i % len(COLOURS)], "linestyle": LINES[i % len(LINES)]}
            axis.fill_between(grid, mean - deviation, mean + deviation, color=style["color"], alpha=0.15, linewidth=0)
            axis.plot(grid, mean, linewidth=1.8, label=group.label, **style)
        axis.set_xlabel(name, fontsize=9)
        axis.tick_params(labelsize=8)
        axis.grid(alpha=0.25)
        axis.spines[["top", "right"]].set_visible(False)
    axes[0].set_title(title(metric), fontsize=10, loc="left")
    if names:
        figure.legend(axes[0].get_lines(), names, fontsize=8, frameon=False, loc="upper left", handlelength=4, labelspacing=0.3)
    figure.savefig(path, dpi=100)
    print(path)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="+", metavar="RUN_DIRECTORY")
    parser.add_argument("--metric", default="reward")
    parser.add_argument("--smooth", type=int, default=10, metavar="STEPS")
    parser.add_argument("--target", type=float)
    parser.add_argument("--output", metavar="PICTURE.png")
    arguments = parser.parse_args()
    if arguments.smooth < 1:
        parser.error("--smooth takes a number of steps from 1")
    groups = [group for group in group_runs(arguments.runs) if group.has(arguments.metric)]
    if not groups:
        parser.error(f"no run has values of {arguments.metric}")
    curves = curves_of(groups, arguments.metric, arguments.smooth)
    names = short_names(groups)
    print_seeds(groups, names)
    print(f"{arguments.metric}, mean over the last {arguments.smooth} steps\n")
    print_costs(names, curves)
    target = arguments.target if arguments.target is not None else float(np.mean([curve.value[-1] for curve in curves[0]]))
    print_prices(names, curves, arguments.metric, target)
    if arguments.output:
        draw(groups, curves, arguments.metric, arguments.output)


if __name__ == "__main__":
    main()
