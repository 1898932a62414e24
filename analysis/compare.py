#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Which setting is better, and what it costs: the tables and pictures by which papers compare methods.

    compare.py RUN_DIRECTORY [RUN_DIRECTORY ...] [--metric eval/gsm8k] [--baseline NAME] [--area STEPS] [--output NAME]

Runs that differ in their seed alone are one setting, named by what differs between the settings. What is compared is the accuracy
of the evaluations during the runs, of each set or (eval) the mean over all sets; without evaluations the reward, as the mean over
the --smooth (10) steps up to each. --metric takes eval/SET, or any metric of diagnostics.h5. The tables:

Peak            the best value of each seed and the step where it was; the value at the end of what all runs have.
To reach        what a setting had cost when the mean over its seeds first was at the peak of the baseline's mean (at --target):
                steps, backward passes, hours of training, tokens drawn (of sft none), token positions in training passes. In
                brackets how many times cheaper that is than the baseline; then how many seeds ever were there by themselves.
                The baseline is the first setting, or the one whose label holds --baseline.
At equal cost   values at a quarter, a half, three quarters and the whole of what every run has: the last that had been paid for.
Stability       share of ratios beyond their bound in the last pass of each step, KL to the reference: mean and maximum over steps.
Area            with --area: under each seed's values against steps, in trapezoids, over so many steps up to the end of what all runs
                have, by the values themselves, without the mean over steps
Format learned  the step from which the reward of the format, smoothed as above, stays at --level (0.9) or above to the end, as median
                over seeds; in brackets how many times sooner than the baseline, then how many seeds came there.

Numbers behind ± are standard deviations over seeds (n - 1). --output draws all of it against steps, backward passes, hours and
tokens, and the effective update ratio and the entropy over time: NAME.png and NAME.pdf, or the one of them that NAME ends in.
"""
import argparse
import sys

import numpy as np

from gradus_files import GAME, group_runs, has_values, is_sparse
from tables import over_seeds, print_seeds, print_table, short_names, title

COSTS = {"steps": "steps", "passes": "backward passes", "hours": "hours", "drawn": "tokens drawn", "trained": "positions trained"}
EQUAL = ("steps", "passes", "hours", "drawn")
QUARTERS = (0.25, 0.5, 0.75, 1.0)
STABILITY = {"beyond the bound": "pass/clip_ratio/region_mean", "KL": "kl"}
FORMAT = "rewards/format/mean"


def trailing_mean(values, width):
    """Mean over the `width` steps up to each, fewer at the beginning, of those that have a value; NaN where none has."""
    known = np.isfinite(values)
    sums, counts = (np.concatenate([[0.0], np.cumsum(column)]) for column in (np.where(known, values, 0.0), known))
    ends = np.arange(1, len(values) + 1)
    begins = np.maximum(0, ends - width)
    return np.divide(sums[ends] - sums[begins], counts[ends] - counts[begins],
                     out=np.full(len(values), np.nan), where=counts[ends] > counts[begins])


# --- curves ---

class Curve:
    """Values of a metric in order, and what there had been paid of each of COSTS by then: of a run, or a mean over runs.
    `spread` is the standard error of a run's evaluations, or the deviation over seeds; NaN where there is none."""

    def __init__(self, value, cost, spread=None):
        known = np.isfinite(value)
        spread = np.full(len(value), np.nan) if spread is None else spread
        self.value, self.spread = value[known], spread[known]
        self.cost = {name: values[known] for name, values in cost.items()}

    def at(self, cost, place):
        """The last value that was paid for, NaN before the first."""
        done = np.searchsorted(self.cost[cost], place * (1 + 1e-12), side="right")
        return self.value[done - 1] if done > 0 else np.nan

    def best(self):
        """The place of the first of the largest values."""
        return int(np.argmax(self.value))

    def first(self, target):
        """The place of the first value at the target, None when there is none."""
        there = np.flatnonzero(self.value >= target)
        return int(there[0]) if len(there) else None


def column_or_nothing(run, metric):
    values = run.column(metric)
    return np.full(run.steps, np.nan) if values is None else values[:run.steps]


def draws(run):
    """Whether it draws answers; what a run of sft counts are the tokens of its examples."""
    return run.settings.get("run.method", "").strip('"') != "sft"


def costs_of_steps(run):
    """Of each of COSTS what a run had cost after step 0, 1, 2 …"""
    after = {
        "steps": np.arange(1.0, run.steps + 1),
        "passes": column_or_nothing(run, "update/backward_passes"),
        "hours": np.cumsum(column_or_nothing(run, "time/step")) / 3600,
        "drawn": column_or_nothing(run, "num_tokens") * draws(run),
        "trained": np.cumsum(column_or_nothing(run, "positions")),
    }
    return {name: np.concatenate([[0.0], values]) for name, values in after.items()}


def curve_of_set(run, name):
    """Of evaluations on one set; these say themselves what had been paid, but for the positions."""
    found = run.evaluations[name]
    done = found["step"].astype(int)
    trained = costs_of_steps(run)["trained"]
    return Curve(found["pass_at_1"], {
        "steps": found["step"],
        "passes": found["backward_passes"],
        "hours": found["seconds"] / 3600,
        "drawn": found["tokens"] * draws(run),
        "trained": np.where(done <= run.steps, trained[np.minimum(done, run.steps)], np.nan),
    }, found.get("error"))


def curve_of_sets(run):
    """The mean over all sets, where each has been evaluated, and its standard error: problems of different sets are independent."""
    curves = [curve_of_set(run, name) for name in run.evaluations]
    return combine(curves, lambda errors: np.sqrt((errors**2).sum(axis=0)) / len(errors), lambda curve: curve.spread)


def combine(curves, spread_of, what):
    """The mean of values and costs at the steps that all curves have."""
    steps = sorted(set.intersection(*(set(curve.cost["steps"]) for curve in curves)))
    rows = [np.searchsorted(curve.cost["steps"], steps) for curve in curves]
    values = np.array([curve.value[row] for curve, row in zip(curves, rows)])
    cost = {name: np.mean([curve.cost[name][row] for curve, row in zip(curves, rows)], axis=0) for name in COSTS}
    return Curve(values.mean(axis=0), cost, spread_of(np.array([what(curve)[row] for curve, row in zip(curves, rows)])))


def curve_of(run, metric, width):
    """None when the run has no value of the metric."""
    if metric == "eval":
        return curve_of_sets(run) if run.evaluations else None
    if metric.startswith("eval/"):
        return curve_of_set(run, metric[len("eval/"):]) if metric[len("eval/"):] in run.evaluations else None
    if not has_values(run.column(metric)):
        return None
    width = 1 if is_sparse(run.column(metric)[:run.steps]) else width
    return Curve(trailing_mean(run.column(metric)[:run.steps], width), {name: values[1:] for name, values in costs_of_steps(run).items()})


def mean_over_seeds(curves):
    if len(curves) == 1:
        return curves[0]
    return combine(curves, lambda values: values.std(axis=0, ddof=1), lambda curve: curve.value)


class Setting:
    """A group of runs with its name and the curves of its seeds."""

    def __init__(self, group, name, curves):
        self.group, self.name, self.curves = group, name, curves
        self.mean = mean_over_seeds(curves)


def settings_of(groups, metric, width):
    """Of the groups that have the metric. Runs without it are left out of their group."""
    found = []
    for group in groups:
        pairs = [(run, curve_of(run, metric, width)) for run in group.runs]
        for run, curve in pairs:
            if curve is None:
                print(f"{run.path} has no values of {metric}: it is left out", file=sys.stderr)
        pairs = [(run, curve) for run, curve in pairs if curve is not None]
        if pairs:
            group.runs = [run for run, _ in pairs]
            found.append((group, [curve for _, curve in pairs]))
    names = short_names([group for group, _ in found])
    return [Setting(group, name, curves) for (group, curves), name in zip(found, names)]


# --- tables ---

def amount(cost):
    return f"{cost:.4g}" if cost < 1000 else f"{cost:.0f}"


def times(ratio):
    return f" (x{ratio:.3g})" if np.isfinite(ratio) else ""


def print_peaks(settings):
    rows = {}
    for setting in settings:
        places = [curve.best() for curve in setting.curves]
        rows[setting.name] = [
            over_seeds([curve.value[place] for curve, place in zip(setting.curves, places)], "{:.3f}"),
            over_seeds([curve.cost["steps"][place] for curve, place in zip(setting.curves, places)], "{:.4g}"),
            over_seeds([curve.at("steps", whole(settings, "steps")) for curve in setting.curves], "{:.3f}"),
        ]
    print_table("Peak", ["best value", "at step", f"at step {whole(settings, 'steps'):.0f}"], rows)


def price(setting, target):
    """What of each of COSTS the mean over seeds had cost at the target; NaN when it never was there."""
    place = setting.mean.first(target)
    return {name: np.nan if place is None else values[place] for name, values in setting.mean.cost.items()}


def cheaper(before, now):
    """How many times cheaper; NaN where one of both is not known or costs nothing."""
    return before / now if now > 0 and before > 0 else np.nan


def print_prices(settings, baseline, target):
    heading = f"To reach {target:.3f}" if target is not None else f"To reach {baseline.mean.value.max():.3f}, the peak of {baseline.name}"
    target = baseline.mean.value.max() if target is None else target
    paid = price(baseline, target)
    rows = {}
    for setting in settings:
        costs = price(setting, target)
        cells = [amount(costs[name]) + (times(cheaper(paid[name], costs[name])) if setting is not baseline else "")
                 if np.isfinite(costs[name]) else "-" for name in COSTS]
        reached = sum(curve.first(target) is not None for curve in setting.curves)
        rows[setting.name] = [*cells, f"{reached} of {len(setting.curves)}"]
    print_table(heading, [*COSTS.values(), "seeds"], rows)


def whole(settings, cost):
    """What every run has of a cost."""
    return min(curve.cost[cost][-1] for setting in settings for curve in setting.curves)


def print_equal(settings):
    for cost in EQUAL:
        most = whole(settings, cost)
        if not most > 0:
            continue
        places = [most * part if cost == "hours" else np.floor(most * part) for part in QUARTERS]
        print_table(f"At equal {COSTS[cost]}", [amount(place) for place in places],
                    {setting.name: [over_seeds([curve.at(cost, place) for curve in setting.curves], "{:.3f}") for place in places]
                     for setting in settings})


def area_of(run, metric, begin, end):
    """In trapezoids between the values at steps above `begin` up to `end`, which may be evaluations; NaN below two of them."""
    curve = curve_of(run, metric, 1)
    inside = (curve.cost["steps"] > begin) & (curve.cost["steps"] <= end)
    steps, values = curve.cost["steps"][inside], curve.value[inside]
    return float((np.diff(steps) * (values[1:] + values[:-1]) / 2).sum()) if inside.sum() > 1 else np.nan


def print_areas(settings, metric, steps):
    if steps is None:
        return
    end = whole(settings, "steps")
    print_table(f"Area over steps {max(1, end - steps + 1):.0f} to {end:.0f}", ["area"], {
        setting.name: [over_seeds([area_of(run, metric, end - steps, end) for run in setting.group.runs], "{:.4g}")] for setting in settings})


def over_steps(run, metric, how):
    values = run.column(metric)
    return float(how(values[np.isfinite(values)])) if has_values(values) else np.nan


def print_stability(settings):
    known = {name: metric for name, metric in STABILITY.items() if any(setting.group.has(metric) for setting in settings)}
    if known:
        heads = [head for name in known for head in (name + ", mean", "maximum")]
        print_table("Stability", heads, {
            setting.name: [over_seeds([over_steps(run, metric, how) for run in setting.group.runs])
                           for metric in known.values() for how in (np.mean, np.max)] for setting in settings})


def learned(run, level, width):
    """The step from which the format stays at the level, infinite when it does not at the end; NaN without such a reward."""
    if not has_values(run.column(FORMAT)):
        return np.nan
    below = np.flatnonzero(~(trailing_mean(run.column(FORMAT)[:run.steps], width) >= level))
    step = below[-1] + 2.0 if len(below) else 1.0
    return step if step <= run.steps else np.inf


def print_learned(settings, baseline, level, width):
    if not any(setting.group.has(FORMAT) for setting in settings):
        return
    steps = {setting.name: np.array([learned(run, level, width) for run in setting.group.runs]) for setting in settings}
    first = np.median(steps[baseline.name])
    rows = {}
    for name, values in steps.items():
        median = np.median(values)  # infinite ones count: of seeds that mostly fail it is none
        text = f"{median:.4g}" + (times(first / median) if name != baseline.name else "") if np.isfinite(median) else "-"
        rows[name] = [text, f"{np.isfinite(values).sum()} of {len(values)}"]
    print_table(f"Format learned: its reward stays at {level:g} or above", ["from step", "seeds"], rows)


def print_all(settings, baseline, arguments):
    print_seeds([setting.group for setting in settings], [setting.name for setting in settings])
    print(title(arguments.metric) + ("" if stands_alone(settings, arguments.metric) else f", mean over the last {arguments.smooth} steps") + "\n")
    print_peaks(settings)
    print_prices(settings, baseline, arguments.target)
    print_equal(settings)
    print_areas(settings, arguments.metric, arguments.area)
    print_stability(settings)
    print_learned(settings, baseline, arguments.level, arguments.smooth)


# --- the picture ---

def draw_costs(axis, cost, settings, styles, marked):
    """The mean over seeds against its mean cost, the deviation over seeds, or the error of a single run's evaluations, around it."""
    from pictures import MARKERS, line_names, name_lines

    ends = []
    for i, (setting, name) in enumerate(zip(settings, line_names([setting.group for setting in settings]))):
        x, y, spread = setting.mean.cost[cost], setting.mean.value, np.nan_to_num(setting.mean.spread)
        style = styles[setting.group]
        axis.fill_between(x, y - spread, y + spread, color=style["color"], alpha=0.15, linewidth=0)
        for edge in (y - spread, y + spread) if spread.any() else ():  # seen without colour too
            axis.plot(x, edge, linewidth=0.5, **style)
        axis.plot(x, y, linewidth=1.6, marker=MARKERS[i % len(MARKERS)], markersize=4, markevery=1 if marked else max(1, len(x) // 8), **style)
        ends.append((x[-1], y[-1], name, style["color"]))
    axis.set_xlabel(COSTS[cost], fontsize=9)
    axis.xaxis.get_major_formatter().set_powerlimits((-3, 5))  # of tokens, whose numbers would meet
    name_lines(axis, ends)


def draw_steps(axis, metric, settings, styles, width):
    from pictures import line_names, moving_mean, name_lines, over_seeds as mean_and_deviation

    ends = []
    for setting, name in zip(settings, line_names([setting.group for setting in settings])):
        if setting.group.has(metric):
            mean, deviation = mean_and_deviation(np.array([moving_mean(row, width) for row in setting.group.table(metric)]))
            step, style = np.arange(1, len(mean) + 1), styles[setting.group]
            points = is_sparse(mean)
            if points:
                step, mean, deviation = (values[np.isfinite(mean)] for values in (step, mean, deviation))
            axis.fill_between(step, mean - deviation, mean + deviation, color=style["color"], alpha=0.15, linewidth=0)
            axis.plot(step, mean, linewidth=1.6, marker="o" if points else None, markersize=3, **style)
            last = np.flatnonzero(np.isfinite(mean))[-1]
            ends.append((step[last], mean[last], name, style["color"]))
    axis.set_xlabel("steps", fontsize=9)
    name_lines(axis, ends)


def draw(settings, arguments):
    from pictures import dress, foot, open_figure, save  # matplotlib is needed for the picture alone

    costs = [cost for cost in COSTS if whole(settings, cost) > 0]
    metrics = [metric for metric in ("pass/eur", "entropy", FORMAT, "kl", *GAME, "mauve/mauve")
               if metric != arguments.metric and any(setting.group.has(metric) for setting in settings)]
    rows = -(-(len(costs) + len(metrics)) // 3)
    figure, axes, styles = open_figure(rows, 3, [setting.group for setting in settings], letters=True)
    panels = list(axes.flat)
    for axis, cost in zip(panels, costs):
        dress(axis, title(arguments.metric))
        draw_costs(axis, cost, settings, styles, stands_alone(settings, arguments.metric))
    for axis, metric in zip(panels[len(costs):], metrics):
        dress(axis, title(metric))
        draw_steps(axis, metric, settings, styles, arguments.smooth)
    for axis in panels[len(costs) + len(metrics):]:
        axis.set_visible(False)
    lines = "mean over seeds, band: ± standard deviation over seeds (n - 1), of a single run's evaluations their standard error"
    if not stands_alone(settings, arguments.metric):
        lines += f"; {title(arguments.metric)}: mean over the {arguments.smooth} steps up to each"
    if arguments.smooth > 1 and metrics:
        lines += f"; {', '.join(map(title, metrics))}: mean over {arguments.smooth} steps around each, fewer at the ends"
    foot(figure, lines, 3)
    save(figure, arguments.output)


# --- the command ---

def is_eval(metric):
    return metric == "eval" or metric.startswith("eval/")


def stands_alone(settings, metric):
    """Whether each value is a point by itself, which is not smoothed."""
    return is_eval(metric) or all(is_sparse(run.column(metric)[:run.steps]) for setting in settings for run in setting.group.runs)


def common_sets(groups):
    """The sets that every run has been evaluated on, and whether no run has another one."""
    sets = [set(run.evaluations) for group in groups for run in group.runs]
    return sorted(set.intersection(*sets)), set.intersection(*sets) == set.union(*sets)


def choose_metric(groups, wanted, parser):
    """The accuracy where all have been evaluated, else the reward. A mean over sets is one over the same sets."""
    common, alike = common_sets(groups)
    if wanted == "eval" and not alike:
        parser.error("--metric eval is the mean over the sets, and these runs have been evaluated on different ones; name one of "
                     + (", ".join("eval/" + name for name in common) or "each run's"))
    if wanted is None and common:
        return "eval" if alike and len(common) > 1 else "eval/" + common[0]
    return wanted or "reward"


def choose_baseline(settings, words, parser):
    if words is None:
        return settings[0]
    found = [setting for setting in settings if words in setting.group.label]
    if len(found) != 1:
        parser.error(f"--baseline {words} fits {len(found)} of the settings: " + "; ".join(setting.group.label for setting in settings))
    return found[0]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="+", metavar="RUN_DIRECTORY")
    parser.add_argument("--metric", metavar="NAME", help="what is compared [the evaluations, else reward]")
    parser.add_argument("--smooth", type=int, default=10, metavar="STEPS")
    parser.add_argument("--baseline", metavar="WORDS", help="of its label [the first setting]")
    parser.add_argument("--target", type=float, metavar="VALUE", help="to reach [the peak of the baseline]")
    parser.add_argument("--level", type=float, default=0.9, help="of the format's reward [0.9]")
    parser.add_argument("--area", type=int, metavar="STEPS", help="under the metric over the last steps")
    parser.add_argument("--output", metavar="NAME", help="draw NAME.png and NAME.pdf")
    arguments = parser.parse_args()
    if arguments.smooth < 1:
        parser.error("--smooth takes a number of steps from 1")
    if arguments.area is not None and arguments.area < 2:
        parser.error("--area takes a number of steps from 2")
    groups = group_runs(arguments.runs)
    arguments.metric = choose_metric(groups, arguments.metric, parser)
    settings = settings_of(groups, arguments.metric, arguments.smooth)
    if not settings:
        parser.error(f"no run has values of {arguments.metric}; `gradus inspect RUN_DIRECTORY/diagnostics.h5` lists what there is")
    print_all(settings, choose_baseline(settings, arguments.baseline, parser), arguments)
    if arguments.output:
        draw(settings, arguments)


if __name__ == "__main__":
    main()
