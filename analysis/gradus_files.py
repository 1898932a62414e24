# SPDX-License-Identifier: Apache-2.0
"""The files of runs, read once for all scripts here: diagnostics.h5 and the lines of `gradus generate`.

    steps = read_steps("runs/sapo")           # {"reward": array (steps), "pass/eur": array (steps, passes), ...}

    for group in group_runs(["runs/a-0", "runs/a-1", "runs/b-0"]):    # runs of the same settings but for their seed
        print(group.label, group.seeds(), group.table("reward").mean(axis=0))

"""
import json
import os
import re
import sys

import h5py
import numpy as np

# In these, runs of one group may differ: seed and directory, and what no number depends on.
APART_FROM = r"run\.(directory|seed|wall_time_s|wall_margin_s)|(output|checkpoint|sweep)\..*|parallel\.threads|update\.diagnose_every|rollout\.answers_in_flight"
GAME = [f"adversarial/{name}" for name in ("baseline", "d_loss", "accuracy_real", "accuracy_written", "probability_written", "length_right")]
LABEL_VALUE_MAX = 32  # characters of a value in a label


class Run:
    """One run: where it is, its settings as {"group.name": text}, which of them were given, its metrics as read_steps gives them,
    and its evaluations as {set: {"step", "pass_at_1", "error", "backward_passes", "tokens", "seconds": values}}."""

    def __init__(self, path):
        with open_diagnostics(path) as file:
            self.settings, self.given = parse_settings(text_of(file, "provenance/settings"))
            self.columns = columns_of(file)
            self.evaluations = evaluations_of(file)
        self.path = os.path.normpath(path)
        self.steps = len(next(iter(self.columns.values()), ()))

    @property
    def seed(self):
        return self.settings.get("run.seed", "?")

    def column(self, metric):
        """A metric against the step, or None when the run has none of it; pass/NAME is that of each step's last pass."""
        if metric.startswith("pass/"):
            return last_pass(self.columns, metric[len("pass/"):])
        return self.columns.get(metric)


class Group:
    """Runs whose settings are the same but for those of APART_FROM."""

    def __init__(self, runs):
        self.runs = runs
        self.label = ""

    def seeds(self):
        return [run.seed for run in self.runs]

    def has(self, metric):
        return any(has_values(run.column(metric)) for run in self.runs)

    def table(self, metric):
        """Array (runs, steps of the longest) of a metric; NaN where a run has no value, or has not come that far."""
        table = np.full((len(self.runs), max(run.steps for run in self.runs)), np.nan)
        for row, run in zip(table, self.runs):
            values = run.column(metric)
            if values is not None:
                row[:len(values)] = values
        return table

    def headline(self):
        """What one wants to see first: of the game what both sides do; with rewards these, by the run's own parts, and what the gate
        does; else the loss. Where a run continues texts, how far it is from the real ones."""
        if self.has("adversarial/d_loss"):
            metrics = ["reward", *GAME, "kl", "entropy", "completions/mean_length"]
        elif self.has("reward"):
            parts = [name for name in self.runs[0].columns if re.fullmatch("rewards/.+/mean", name)]
            metrics = ["reward", *parts, "pass/eur", "entropy", "completions/mean_length", "kl"]
        else:
            metrics = ["loss", "entropy", "grad_norm"]
        return [metric for metric in [*metrics, "mauve/mauve"] if self.has(metric)]

    def common_steps(self):
        """Steps that all of its runs have finished."""
        return min(run.steps for run in self.runs)


def group_runs(paths):
    """Groups of runs, in the order in which they are first named, each with what sets it apart from the others as its label."""
    groups = {}
    for run in map(Run, dict.fromkeys(map(os.path.normpath, paths))):
        groups.setdefault(tuple(sorted(compared(run).items())), []).append(run)
    groups = [Group(drop_repetitions(runs)) for runs in groups.values()]
    given = set().union(*(group.runs[0].given for group in groups))
    for group, label in zip(groups, labels([compared(group.runs[0]) for group in groups], given)):
        group.label = label or os.path.basename(group.runs[0].path)
    return groups


def compared(run):
    return {name: value for name, value in run.settings.items() if not re.fullmatch(APART_FROM, name)}


def drop_repetitions(runs):
    """Runs of the same settings and seed have the same bits: they count once, as the one that came furthest."""
    best = {}
    for run in runs:
        other = best.setdefault(run.seed, run)
        if other is not run:
            best[run.seed], dropped = (run, other) if run.steps > other.steps else (other, run)
            print(f"{dropped.path} repeats {best[run.seed].path}, with the same seed: it is left out", file=sys.stderr)
    return list(best.values())


def labels(settings, given):
    """For each of these, what differs from the others and somebody gave: "gate=erf, tau_pos=5.0", in the order of settings.cfg."""
    names = dict.fromkeys(name for one in settings for name in one)
    columns = {name: [one.get(name, "absent").strip('"') for one in settings] for name in names}
    columns = {name: shorten(values) for name, values in columns.items() if len(set(values)) > 1 and name in given}
    ends = [name.split(".")[-1] for name in columns]
    shown = [end if ends.count(end) == 1 else name for name, end in zip(columns, ends)]
    return [", ".join(f"{name}={values[i]}" for name, values in zip(shown, columns.values())) for i in range(len(settings))]


def shorten(values):
    """Long values from shortly before the place where they begin to differ."""
    if max(map(len, values)) <= LABEL_VALUE_MAX:
        return values
    start = max(0, len(os.path.commonprefix(values)) - 8)
    cut = [value[start:start + LABEL_VALUE_MAX] for value in values]
    return ["…" * (start > 0) + part + "…" * (start + LABEL_VALUE_MAX < len(value)) for part, value in zip(cut, values)]


def parse_settings(text):
    """{"group.name": value as it is written} of a settings.cfg, which has one parameter a line; and the names whose value is no
    default and does not follow from another."""
    settings, given, group = {}, set(), ""
    for line in text.splitlines():
        begins = re.match(r"(\w+) : \{", line)
        found = re.match(r' {4}(\w+) = ((?:"(?:\\.|[^"\\])*"|[^"])*?);  # (default|derived from)?', line)
        if begins:
            group = begins.group(1)
        elif found:
            settings[f"{group}.{found.group(1)}"] = found.group(2)
            if not found.group(3):
                given.add(f"{group}.{found.group(1)}")
    return settings, given


def read_steps(directory):
    """Every metric of a run as {name: values}, cut to the steps that are in; metrics per pass have names "pass/...".

    Takes the run's folder or its diagnostics.h5, of a run that is over or still going on.
    """
    with open_diagnostics(directory) as file:
        return columns_of(file)


def open_diagnostics(directory):
    path = os.path.join(directory, "diagnostics.h5") if os.path.isdir(directory) else directory
    try:
        file = h5py.File(path, "r")
    except OSError as error:
        sys.exit(f"{path} cannot be read as the diagnostics of a run: {error}")
    if "step/valid" not in file:
        sys.exit(f"{path} is not the diagnostics of a run: it has no /step/valid")
    return file


def columns_of(file):
    valid = int(np.asarray(file["step/valid"])[()])
    columns = {}

    def take(prefix):
        return lambda name, item: columns.update({prefix + name: item[:valid]}) if is_column(item) else None

    file["step"].visititems(take(""))
    file["pass"].visititems(take("pass/"))
    return columns


def evaluations_of(file):
    """Those that are over, of each set: the step of a row is written last."""
    found = {}
    for name, group in file.get("eval", {}).items():
        columns = {column: group[column][()].astype(float) for column in group if is_column(group[column])}
        over = np.isfinite(columns["step"]) & np.isfinite(columns["pass_at_1"])
        found[name] = {column: values[:len(over)][over] for column, values in columns.items()}
    return {name: columns for name, columns in found.items() if len(columns["step"])}


def text_of(file, name):
    value = file[name][()] if name in file else b""
    return value.decode() if isinstance(value, bytes) else str(value)


def is_column(item):
    return isinstance(item, h5py.Dataset) and item.ndim > 0


def has_values(values):
    return values is not None and bool(np.isfinite(values).any())


def is_sparse(values):
    """Whether at most half of the steps have a value: each is a point by itself, which nothing smooths."""
    return bool(np.isfinite(values).sum() <= len(values) / 2)


def last_pass(columns, name):
    """A metric in the last pass that each step made over its batch, where the ratio has moved; None when the run has none."""
    values = columns.get("pass/" + name)
    if values is None:
        return None
    made = values.shape[1] - 1 - np.isfinite(values)[:, ::-1].argmax(axis=1)  # the last column where a step has no value at all
    return values[np.arange(len(values)), made]


def read_lines(path):
    """The objects of a JSON lines file."""
    with open(path, encoding="utf-8") as file:
        return [json.loads(line) for line in file if line.strip()]
