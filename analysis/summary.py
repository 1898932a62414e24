#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Print the first ten steps of a run against its last ten, and accuracies before and after where answers are given.

    summary.py RUN_DIRECTORY [--before ANSWERS.jsonl --after ANSWERS.jsonl] [--steps 10]

ANSWERS.jsonl is what `gradus generate` wrote for lines with a field "answer"; an answer counts as right when the last
<answer> block of a completion equals it.
"""
import argparse
import re

import numpy as np

from gradus_files import has_values, last_pass, read_lines, read_steps

ROWS = [  # label, metric; pass/... is its value in the last pass over each batch
    ("reward (sum of its parts)", "reward"),
    ("  answer accuracy", "rewards/answer/mean"),
    ("  format", "rewards/format/mean"),
    ("effective update ratio, last pass", "pass/eur"),
    ("entropy [nat]", "entropy"),
    ("answer length [tokens]", "completions/mean_length"),
]


def accuracy(path):
    """Share of completions whose last closed answer block is the expected one, its standard error, and their number."""
    right = []
    for row in read_lines(path):
        for completion in row["completions"]:
            found = re.findall(r"<answer>(.*?)</answer>", completion["text"], re.S)
            right.append(bool(found) and found[-1].strip() == str(row["answer"]).strip())
    share = float(np.mean(right))
    return share, float(np.sqrt(share * (1 - share) / len(right))), len(right)


def print_row(label, first, last, remark=""):
    print(f"{label:36s} {first:>14} {last:>14}{remark}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", metavar="RUN_DIRECTORY")
    parser.add_argument("--before")
    parser.add_argument("--after")
    parser.add_argument("--steps", type=int, default=10)
    arguments = parser.parse_args()
    if (arguments.before is None) != (arguments.after is None):
        parser.error("--before and --after go together")
    columns, n = read_steps(arguments.run), arguments.steps
    print_row("mean over", f"first {n} steps", f"last {n} steps")
    for label, metric in ROWS:
        values = last_pass(columns, metric[len("pass/"):]) if metric.startswith("pass/") else columns.get(metric)
        if has_values(values):
            print_row(label, f"{np.nanmean(values[:n]):.3f}", f"{np.nanmean(values[-n:]):.3f}")
    if arguments.before:
        (a, a_error, count), (b, b_error, _) = accuracy(arguments.before), accuracy(arguments.after)
        print()
        print_row("problems never trained on", "before", "after")
        print_row("  answer accuracy", f"{a:.3f}", f"{b:.3f}",
                  f"   {count} answers; standard errors {a_error:.3f} and {b_error:.3f}")


if __name__ == "__main__":
    main()
