#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Print the first steps of runs against their last ones, and accuracies before and after where answers are given.

    summary.py RUN_DIRECTORY [RUN_DIRECTORY ...] [--steps 10] [--before ANSWERS.jsonl --after ANSWERS.jsonl [--show N]]

Runs whose settings differ in seed and directory alone, or in what no number depends on (output, checkpoints, threads), are one
setting with several seeds: the table gives the mean over seeds and, behind ±, the standard deviation over seeds (n - 1).
Several settings stand under each other, named by what differs between them. A window is --steps steps long, or half of the steps
that all seeds have where they have fewer than twice as many; the table says which steps it holds.

ANSWERS.jsonl is what `gradus generate` wrote for lines with a field "answer"; an answer counts as right when the last
<answer> block of a completion equals it. --show prints N of these problems, evenly spaced in the file, with their answers.
"""
import argparse
import re
import warnings

import numpy as np

from gradus_files import group_runs, read_lines
from tables import LABEL_WIDTH, over_seeds, print_seeds, short_names, title

VALUE_WIDTH = 18


def windows(steps, width):
    """The first and the last steps as slices, which never overlap; a single step is one window."""
    width = max(1, min(width, steps // 2))
    return [slice(0, width), slice(steps - width, steps)] if steps > 1 else [slice(0, steps)]


def window_name(window):
    return f"step {window.stop}" if window.stop - window.start == 1 else f"steps {window.start + 1} to {window.stop}"


def mean_and_spread(table, window):
    """Over the seeds, of each seed's mean in the window: "0.891 ± 0.012"; without ± for one seed, "-" for no value."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # a mean of no value is NaN, which is left out
        means = np.nanmean(table[:, window], axis=1)
    return over_seeds(means, "{:.3f}")


def print_row(label, cells, remark=""):
    print(f"{label:{LABEL_WIDTH}s}" + "".join(f" {cell:>{VALUE_WIDTH}}" for cell in cells) + remark)


def cut_windows(group, width):
    return windows(group.common_steps(), width) if group.common_steps() else []


def print_group(group, width):
    cut = cut_windows(group, width)
    print_row("mean over", [window_name(window) for window in cut] or ["no step yet"])
    for metric in group.headline():
        print_row(("  " if metric.startswith("rewards/") else "") + title(metric), [mean_and_spread(group.table(metric), window) for window in cut])


def print_comparison(groups, names, width):
    """Each metric with a line for each setting, and below, which steps the windows of each hold."""
    for metric in dict.fromkeys(metric for group in groups for metric in group.headline()):
        print(title(metric))
        for group, name in zip(groups, names):
            if metric in group.headline():
                cells = [mean_and_spread(group.table(metric), window) for window in cut_windows(group, width)]
                print_row(f"  {name}", cells)
    print("\nmean over")
    for group, name in zip(groups, names):
        print_row(f"  {name}", [window_name(window) for window in cut_windows(group, width)] or ["no step yet"])


def accuracy(path):
    """Share of completions whose last closed answer block is the expected one, its standard error, and their number."""
    right = []
    for row in read_lines(path):
        for completion in row["completions"]:
            found = re.findall(r"<answer>(.*?)</answer>", completion["text"], re.S)
            right.append(bool(found) and found[-1].strip() == str(row["answer"]).strip())
    share = float(np.mean(right))
    return share, float(np.sqrt(share * (1 - share) / len(right))), len(right)


def print_accuracies(before, after):
    (a, a_error, count), (b, b_error, _) = accuracy(before), accuracy(after)
    print()
    print_row("problems never trained on", ["before", "after"])
    print_row("  answer accuracy", [f"{a:.3f}", f"{b:.3f}"],
              f"   {count} answers; standard errors {a_error:.3f} and {b_error:.3f}")


def print_answers(before, after, count):
    """The first completion to `count` problems, evenly spaced; control characters escaped."""
    rows = list(zip(read_lines(before), read_lines(after)))
    for old, new in (rows[(2 * i + 1) * len(rows) // (2 * count)] for i in range(min(count, len(rows)))):
        question = next((old[name] for name in ("prompt", "question", "problem") if name in old), "")
        print(f"\n{ascii(question)[1:-1]}  expected: {old['answer']}")
        print(f"  before  {ascii(old['completions'][0]['text'])[1:-1]}")
        print(f"  after   {ascii(new['completions'][0]['text'])[1:-1]}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="+", metavar="RUN_DIRECTORY")
    parser.add_argument("--before")
    parser.add_argument("--after")
    parser.add_argument("--show", type=int, default=0, metavar="N", help="problems to print, with both answers")
    parser.add_argument("--steps", type=int, default=10, help="steps of a window, where there are twice as many")
    arguments = parser.parse_args()
    if (arguments.before is None) != (arguments.after is None):
        parser.error("--before and --after go together")
    if arguments.steps < 1:
        parser.error("--steps takes a number of steps from 1")
    groups = group_runs(arguments.runs)
    names = short_names(groups)
    if len(groups) > 1 or len(groups[0].runs) > 1:
        print_seeds(groups, names)
    if len(groups) > 1:
        print_comparison(groups, names, arguments.steps)
    else:
        print_group(groups[0], arguments.steps)
    if arguments.before:
        print_accuracies(arguments.before, arguments.after)
        print_answers(arguments.before, arguments.after, arguments.show)


if __name__ == "__main__":
    main()
