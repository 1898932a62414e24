#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What GXPO did in one or several runs: the tables of its paper (arXiv 2605.06755), and a picture.

    gxpo.py RUN_DIRECTORY [RUN_DIRECTORY ...] [--output gxpo.png]

Table 5, the budget: steps in which the rule was active, the step of its shut-off, backward passes, and what the count of active
steps makes of them (3 in an active step, 1 in another). SFPO's runs stand there too.
Table 6, how far what was foretold is from what K explicit steps reach: medians over the coordinates of |error| at the foretold end
of the K steps and at the reposition, the whole error relative to the true displacement, and 1 - cosine of both displacements. For
runs with update.diagnose_every; each number is the median over the steps that were diagnosed.
Table 7, means over active steps: gradient norms before clipping, cosine of the first and the last gradient, retention ratio with its
standard deviation over coordinates, length of the foretold displacement relative to that of two steps, scale, inactive share.

Runs that differ in seed alone are one setting: ± is the standard deviation over seeds (n - 1).
"""
import argparse
import os

import h5py
import numpy as np

from gradus_files import group_runs
from tables import over_seeds, print_seeds, print_table, short_names

TABLE_6 = {
    "at theta_K": "gxpo/error_median",
    "at reposition": "gxpo/error_repositioned",
    "relative": "gxpo/error_relative",
    "1 - cosine": "gxpo/error_cosine",
}
TABLE_7 = {
    "|g0|": "gxpo/norm_g0",
    "|g1|": "gxpo/norm_g1",
    "|g_slow|": "gxpo/norm_gslow",
    "cos(g0, g_slow)": "gxpo/cos_g0_gslow",
    "ratio": "gxpo/retention_mean",
    "its std": "gxpo/retention_std",
    "|D_K| / |D_2|": "gxpo/displacement_ratio",
    "scale": "gxpo/scale_mean",
    "inactive": "gxpo/inactive_fraction",
}


def setting(run, name, otherwise=0.0):
    return float(run.settings.get(name, otherwise))


def rule_of(run):
    return run.settings.get("update.rule", "single").strip('"')


def active(run):
    """Which steps the rule looked ahead in, and did not fall back to an ordinary step; a run of another rule has none."""
    column, fallback = run.column(rule_of(run) + "/active"), run.column("update/fallback")
    return np.zeros(run.steps, bool) if column is None else (np.nan_to_num(column) > 0.5) & (np.nan_to_num(fallback) < 0.5)


def shutoff(run):
    """The first step after the last active one, NaN where the rule was active to the end."""
    steps = np.flatnonzero(active(run))
    return steps[-1] + 2.0 if len(steps) and steps[-1] + 1 < run.steps else np.nan


def expected_passes(run):
    extra = {"gxpo": 2.0, "sfpo": setting(run, "update.virtual_steps")}.get(rule_of(run), 0.0)
    return (run.steps + extra * active(run).sum()) * setting(run, "update.mini_batches", 1) * setting(run, "update.iterations", 1)


def mean_of(run, metric, how=np.mean):
    """Over the steps that have the metric; those of an inactive rule have none."""
    column = run.column(metric)
    known = column[np.isfinite(column)] if column is not None else []
    return float(how(known)) if len(known) else np.nan


def print_numbers(heading, named, columns):
    """named: {label: group}; columns: {head: function of a run}."""
    print_table(heading, list(columns), {label: [over_seeds([number(run) for run in group.runs]) for number in columns.values()]
                                         for label, group in named.items()})


def print_tables(groups):
    names = short_names(groups)
    named = dict(zip(names, groups))
    print_seeds(groups, names)
    print_numbers("Table 5: budget", named, {
        "steps": lambda run: float(run.steps),
        "active": lambda run: float(active(run).sum()),
        "shut off at step": shutoff,
        "backward passes": lambda run: run.column("update/backward_passes")[-1],
        "by active steps": expected_passes,
    })
    gxpo = {name: group for name, group in named.items() if rule_of(group.runs[0]) == "gxpo"}
    diagnosed = {name: group for name, group in gxpo.items() if group.has(TABLE_6["at theta_K"])}
    if diagnosed:
        print_numbers("Table 6: error of what was foretold, medians over diagnosed steps", diagnosed, {
            head: lambda run, metric=metric: mean_of(run, metric, np.median) for head, metric in TABLE_6.items()})
    if gxpo:
        print_numbers("Table 7: means over active steps", gxpo, {
            head: lambda run, metric=metric: mean_of(run, metric) for head, metric in TABLE_7.items()})


# --- the picture ---

def histogram(run, quantity):
    """(edges, share of coordinates) of the last diagnosis of a run, over all tensors; None where it has none."""
    path = os.path.join(run.path, "diagnostics.h5") if os.path.isdir(run.path) else run.path
    with h5py.File(path, "r") as file:
        if f"tensor/{quantity}_histogram" not in file:
            return None
        edges, counts = file[f"tensor/{quantity}_edges"][()], file[f"tensor/{quantity}_histogram"][()]
    counts = counts[np.isfinite(counts).all(axis=1)]
    if not len(counts):
        return None
    total = counts[-1].reshape(-1, len(edges) - 1).sum(axis=0)
    return edges, total / max(total.sum(), 1.0)


def draw_lines(axis, groups, styles, metric, label, marks=""):
    """marks: a kind of point for each group, where few steps have the metric."""
    for i, group in enumerate(groups):
        if group.has(metric):
            mean = mean_over_runs(group.table(metric))
            known = np.flatnonzero(np.isfinite(mean))
            axis.plot(known + 1, mean[known], linewidth=1.6, marker=marks[i % len(marks)] if marks else None, markersize=4, **styles[group])
    axis.set_title(label, fontsize=10, loc="left")
    axis.set_xlabel("step", fontsize=9)


def mean_over_runs(table):
    known = np.isfinite(table)
    return np.where(known.any(axis=0), np.where(known, table, 0.0).sum(axis=0) / np.maximum(known.sum(axis=0), 1), np.nan)


def draw_retention(axis, groups, styles):
    """Mean over coordinates, and around it one standard deviation over them."""
    draw_lines(axis, groups, styles, "gxpo/retention_mean", "retention ratio; band: ± its std over coordinates")
    for group in groups:
        if group.has("gxpo/retention_std"):
            mean, std = (mean_over_runs(group.table("gxpo/retention_" + part)) for part in ("mean", "std"))
            step = np.arange(1, len(mean) + 1)
            axis.fill_between(step, mean - std, mean + std, color=styles[group]["color"], alpha=0.1, linewidth=0)
            for edge in (mean - std, mean + std):  # seen without colour too
                axis.plot(step, edge, linewidth=0.8, **styles[group])


def draw_histograms(axis, groups, styles, quantity, label):
    for group in groups:
        found = histogram(group.runs[0], quantity)
        if found is not None:
            edges, share = found
            axis.stairs(share, edges, linewidth=1.6, color=styles[group]["color"], linestyle=styles[group]["linestyle"])
    axis.set_title(label, fontsize=10, loc="left")
    axis.set_yscale("log")


def mark_shutoffs(axes, groups, styles):
    for group in groups:
        for step in (shutoff(run) for run in group.runs):
            if np.isfinite(step):
                for axis in axes:
                    axis.axvline(step, linewidth=0.8, **styles[group])


def draw(groups, path):
    from pictures import dress, open_figure, save  # matplotlib is needed for the picture alone

    diagnosed = any(histogram(group.runs[0], "ratio") is not None for group in groups)
    figure, axes, styles = open_figure(3 if diagnosed else 2, 3, groups)
    lines = {"gxpo/norm_gslow": "corrective gradient norm", "gxpo/cos_g0_gslow": "cos(g0, g_slow)", "gxpo/scale_mean": "mean scale",
             "gxpo/displacement_ratio": "|D_K| / |D_2|", "gxpo/z": "z-score; vertical lines: shut-off"}
    for axis, (metric, label) in zip(axes.flat[1:], lines.items()):
        draw_lines(axis, groups, styles, metric, label)
    draw_retention(axes.flat[0], groups, styles)
    mark_shutoffs(axes.flat[:6], groups, styles)
    if diagnosed:
        draw_histograms(axes[2, 0], groups, styles, "ratio", "ratios, last diagnosis [share]")
        draw_histograms(axes[2, 1], groups, styles, "scale", "scales, last diagnosis [share]")
        draw_lines(axes[2, 2], groups, styles, "gxpo/error_relative", "error relative to K true steps", "os^Dv")
    for axis in axes.flat:
        dress(axis, axis.get_title(loc="left"))
    save(figure, path)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="+", metavar="RUN_DIRECTORY")
    parser.add_argument("--output", metavar="PICTURE.png")
    arguments = parser.parse_args()
    groups = [group for group in group_runs(arguments.runs) if group.common_steps()]
    if not groups:
        parser.error("no step of these runs is finished yet")
    print_tables(groups)
    gxpo = [group for group in groups if rule_of(group.runs[0]) == "gxpo"]
    if arguments.output:
        if not gxpo:
            parser.error("none of these runs has update.rule = \"gxpo\": there is nothing to draw")
        draw(gxpo, arguments.output)


if __name__ == "__main__":
    main()
