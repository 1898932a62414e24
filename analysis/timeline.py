#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Show where the hours of a run went, over all jobs that worked on it.

    timeline.py RUN_DIRECTORY [--output timeline.png]

The hours of each attempt, by log.txt and metrics.jsonl:

    start        from the start of the program to its first step: model, data, and where it goes on from a checkpoint
    rollout      drawing answers and their rewards
    training     forward, backward, optimizer, and log-probabilities that cost a pass
    reduction    sums of gradients over ranks, waiting for the slowest included
    checkpoints  writing them
    lost         steps that a later attempt computed again, because the job ended before their checkpoint
    rest         other files, the step that was given up, the end

and between attempts `queue`: from the last line of one to the start of the next. An attempt that was killed ends with its
last line. Without --output only the table is printed; the picture needs matplotlib.
"""
import argparse
import calendar
import json
import os
import re
import sys
import time

PARTS = ["start", "rollout", "training", "reduction", "checkpoints", "lost", "rest"]
METRICS = {  # of metrics.jsonl: what belongs to a part
    "rollout": ["time/rollout", "time/reward"],
    "training": ["time/gradient", "time/optimizer", "time/old_logprob", "time/reference"],
    "reduction": ["time/reduce"],
}
COLOURS = dict(zip(PARTS + ["queue"],  # Okabe and Ito, for all eyes; grey where nothing is computed
                   ["#f0e442", "#56b4e9", "#0072b2", "#009e73", "#e69f00", "#d55e00", "#999999", "#dddddd"]))
LINE = re.compile(r"\[0\] (\d+\.\d+) (\w+): (.*)")


class Attempt:
    """One job's work on a run; times in s, those of its lines since its start."""

    def __init__(self, begin, job):
        self.begin, self.job = begin, job  # s since 1970
        self.last = 0.0
        self.steps = {}  # step -> (elapsed at its line, s that it took)
        self.checkpoints = 0.0

    @property
    def end(self):
        return self.begin + self.last

    def take(self, elapsed, module, text):
        self.last = max(self.last, elapsed)
        step = re.match(r"step = (\d+)/.* step_s = ([0-9.]+)", text)
        if module == "run" and step:
            self.steps[int(step.group(1))] = (elapsed, float(step.group(2)))
        if module == "checkpoint":
            seconds = re.search(r"\bseconds = ([0-9.]+)", text)
            self.checkpoints += float(seconds.group(1)) if seconds else 0.0

    def seconds_before_steps(self):
        if not self.steps:
            return self.last
        elapsed, took = self.steps[min(self.steps)]
        return max(0.0, elapsed - took)


def read_attempts(path):
    """From log.txt, in order. Lines before the one that names the attempt are of it as well."""
    attempts = []
    with open(path, encoding="utf-8", errors="replace") as file:
        for line in file:
            found = LINE.match(line)
            if not found:
                continue
            elapsed, module, text = float(found.group(1)), found.group(2), found.group(3)
            opened = re.match(r"directory = .*, attempt = \d+, time = (\S+), job = (.*)", text)
            if module == "run" and opened:
                now = calendar.timegm(time.strptime(opened.group(1), "%Y-%m-%dT%H:%M:%SZ"))
                attempts.append(Attempt(now - elapsed, opened.group(2)))
            if attempts:
                attempts[-1].take(elapsed, module, text)
    return attempts


def read_metrics(path):
    """Step -> its metrics; of a line that a kill tore nothing."""
    rows = {}
    try:
        with open(path, encoding="utf-8") as file:
            for line in file:
                try:
                    row = json.loads(line)
                    rows[row["step"]] = row
                except (ValueError, KeyError):
                    continue
    except FileNotFoundError:
        pass  # no step yet
    return rows


def parts_of(attempts, rows):
    """For each attempt the seconds of each part; they sum to what it took."""
    last_of = {step: i for i, attempt in enumerate(attempts) for step in attempt.steps}
    tables = []
    for i, attempt in enumerate(attempts):
        table = dict.fromkeys(PARTS, 0.0)
        table["start"] = attempt.seconds_before_steps()
        table["checkpoints"] = attempt.checkpoints
        for step, (_, took) in attempt.steps.items():
            if last_of[step] != i or step not in rows:
                table["lost"] += took
                continue
            for part, metrics in METRICS.items():
                table[part] += sum(rows[step].get(metric) or 0.0 for metric in metrics)
        table["rest"] = max(0.0, attempt.last - sum(table.values()))
        tables.append(table)
    return tables


def amount(seconds):
    return f"{seconds / 3600:.2f} h" if seconds >= 3600 else f"{seconds:.1f} s"


def print_row(label, cells):
    print(f"{label:<10s}" + "".join(f"{cell:>12s}" for cell in cells))


def print_table(attempts, tables):
    whole = attempts[-1].end - attempts[0].begin
    queue = queues(attempts)
    print_row("attempt", [*PARTS, "whole", "queue"])
    for i, (attempt, table) in enumerate(zip(attempts, tables)):
        print_row(str(i + 1), [*(amount(table[part]) for part in PARTS), amount(attempt.last), amount(queue[i])])
    sums = [sum(table[part] for table in tables) for part in PARTS]
    print_row("all", [*map(amount, sums), amount(sum(a.last for a in attempts)), amount(sum(queue))])
    if whole > 0:
        print_row("share", [f"{100 * part / whole:.1f} %" for part in [*sums, sum(a.last for a in attempts), sum(queue)]])
    print(f"\nfrom the first start to the last line {amount(whole)}; queue is the time before an attempt")


def queues(attempts):
    """Seconds before each attempt since the end of the one before; clocks of two nodes may differ a little."""
    ends = [attempts[0].begin] + [attempt.end for attempt in attempts[:-1]]
    return [max(0.0, attempt.begin - end) for attempt, end in zip(attempts, ends)]


def label_of(index, attempt):
    return f"attempt {index + 1}" + ("" if attempt.job == "none" else f"\n{attempt.job}")


def draw(attempts, tables, name, output):
    try:
        import matplotlib
    except ImportError:
        sys.exit("timeline.py: the picture needs matplotlib, which this Python lacks; without --output there is the table")
    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(9, 1.6 + 0.35 * len(attempts)))
    scale, unit = (3600.0, "h") if attempts[-1].end - attempts[0].begin >= 3600 else (1.0, "s")
    known = set()
    for i, (attempt, table, queue) in enumerate(zip(attempts, tables, queues(attempts))):
        left = (attempt.begin - queue - attempts[0].begin) / scale
        for part, seconds in [("queue", queue), *table.items()]:
            axes.barh(i, seconds / scale, left=left, color=COLOURS[part], label=None if part in known else part)
            known.add(part)
            left += seconds / scale
    axes.set_yticks(range(len(attempts)), [label_of(i, attempt) for i, attempt in enumerate(attempts)])
    axes.invert_yaxis()
    axes.set_xlabel(f"time since the first start [{unit}]; the parts of an attempt are sums, not moments")
    axes.set_title(f"where the time of the run \u201c{name}\u201d went")
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.55 / figure.get_figheight() - 0.1), ncol=len(PARTS) + 1,
                fontsize="small", frameon=False)
    figure.savefig(output, dpi=120, bbox_inches="tight")
    print(output)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", metavar="RUN_DIRECTORY")
    parser.add_argument("--output", help="draw a picture into this file")
    arguments = parser.parse_args()
    try:
        attempts = read_attempts(os.path.join(arguments.run, "log.txt"))
    except OSError as error:
        sys.exit(f"timeline.py: {error.filename}: {error.strerror}")
    if not attempts:
        sys.exit(f"timeline.py: {arguments.run}/log.txt tells of no attempt")
    tables = parts_of(attempts, read_metrics(os.path.join(arguments.run, "metrics.jsonl")))
    print_table(attempts, tables)
    if arguments.output:
        draw(attempts, tables, os.path.basename(os.path.normpath(arguments.run)), arguments.output)


if __name__ == "__main__":
    main()
