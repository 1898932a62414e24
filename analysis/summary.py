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

ROWS = [  # metric, label, whether of the last pass
    ("reward", "reward", False),
    ("rewards/answer/mean", "answer accuracy", False),
    ("rewards/format/mean", "format", False),
    ("eur", "EUR (last pass)", True),
    ("entropy", "entropy [nats]", False),
    ("completions/mean_length", "answer length [tokens]", False),
]


def accuracy(path):
    """Share of completions whose last closed answer block is the expected one, and its standard error."""
    right = []
    for row in read_lines(path):
        for completion in row["completions"]:
            found = re.findall(r"<answer>(.*?)</answer>", completion["text"], re.S)
            right.append(bool(found) and found[-1].strip() == str(row["answer"]).strip())
    share = float(np.mean(right))
    return share, float(np.sqrt(share * (1 - share) / len(right))), len(right)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", metavar="RUN_DIRECTORY")
    parser.add_argument("--before"), parser.add_argument("--after")
    parser.add_argument("--steps", type=int, default=10)
    arguments = parser.parse_args()
    columns, n = read_steps(arguments.run), arguments.steps
    print(f"{'':34s} {'first ' + str(n):>12s} {'last ' + str(n):>12s}")
    for metric, label, of_last_pass in ROWS:
        if has_values(columns.get(metric)):
            values = last_pass(columns, metric) if of_last_pass else columns[metric]
            print(f"{label:34s} {np.nanmean(values[:n]):12.3f} {np.nanmean(values[-n:]):12.3f}")
    if arguments.before and arguments.after:
        (a, ea, count), (b, eb, _) = accuracy(arguments.before), accuracy(arguments.after)
        print(f"{'problems never trained on (' + str(count) + ')':34s} {a:12.3f} {b:12.3f}   accuracy before and after, "
              f"standard errors {ea:.3f} and {eb:.3f}")


if __name__ == "__main__":
    main()
