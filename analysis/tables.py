# SPDX-License-Identifier: Apache-2.0
"""What the tables of all scripts here share: names of metrics and settings, numbers with their spread over seeds, columns."""
import re

import numpy as np

TITLES = {  # pass/... is the value in the last pass over each batch
    "reward": "reward (sum of its parts)",
    "rewards/answer/mean": "answer accuracy",
    "pass/eur": "effective update ratio, last pass",
    "entropy": "entropy [nat]",
    "completions/mean_length": "answer length [tokens]",
    "kl": "KL to the reference [nat]",
    "loss": "loss",
    "grad_norm": "gradient norm",
    "eval": "accuracy, mean over the sets",
    "advantage/baseline": "baseline of the rewards",
    "adversarial/baseline": "baseline of the rewards",
    "adversarial/d_loss": "loss of the discriminator",
    "adversarial/accuracy_real": "real texts told as real",
    "adversarial/accuracy_written": "written texts told as written",
    "adversarial/probability_written": "P(real) of written texts",
    "adversarial/length_right": "texts of the right length",
    "mauve/mauve": "MAUVE of the newest texts",
    "mauve/mauve_star": "MAUVE*, smoothed",
    "mauve/frontier_integral": "frontier integral",
    "mauve/frontier_integral_star": "frontier integral*, smoothed",
}
LABEL_WIDTH = 36


def title(metric):
    if metric not in TITLES and re.fullmatch("rewards/(.+)/mean", metric):
        return metric.split("/")[1] + " reward"
    if metric.startswith("eval/"):
        return "accuracy on " + metric[len("eval/"):]
    return TITLES.get(metric, metric)


def letters(count):
    return [chr(ord("A") + i) if i < 26 else str(i + 1) for i in range(count)]


def short_names(groups, width=LABEL_WIDTH - 2):
    """The labels, or letters for them where one is too long."""
    if all(len(group.label) <= width for group in groups):
        return [group.label for group in groups]
    return letters(len(groups))


def print_seeds(groups, names):
    for group, name in zip(groups, names):
        label = name if name == group.label else f"{name}: {group.label}"
        print(f"{label}: {len(group.runs)} seed{'s' * (len(group.runs) > 1)} ({', '.join(group.seeds())})")
    if any(len(group.runs) > 1 for group in groups):
        print("mean over seeds ± standard deviation over seeds (n - 1)")
    print()


def over_seeds(values, form="{:.3g}"):
    """ "0.891 ± 0.012": mean and standard deviation (n - 1) of the values that there are; of one the value, of none "-"."""
    values = [value for value in values if np.isfinite(value)]
    if not values:
        return "-"
    return form.format(np.mean(values)) + (" ± " + form.format(np.std(values, ddof=1)) if len(values) > 1 else "")


def print_table(heading, heads, rows):
    """rows: {label: cells}, as many cells as heads; a line is empty behind it."""
    labels, widths = max(map(len, ["", *rows])), [max(map(len, column)) for column in zip(heads, *rows.values())]
    print(heading)
    for label, cells in [("", heads), *rows.items()]:
        print(f"  {label:{labels}s}" + "".join(f"  {cell:>{width}}" for cell, width in zip(cells, widths)))
    print()
