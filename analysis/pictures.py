# SPDX-License-Identifier: Apache-2.0
"""What the pictures of all scripts here share. They are legible without colour: each setting has a kind of line, a marker and, at the
ends of its lines, a name."""
import textwrap
import warnings

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np

from tables import short_names

COLOURS = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000"]  # Okabe and Ito, for all eyes
LINES = ["-", "--", "-.", ":", (0, (6, 1, 1, 1, 1, 1)), (0, (8, 3))]  # without colour too; six, so that pairs repeat late
MARKERS = "os^Dv"
LEGEND_LINE = 0.19  # inches
LEGEND_CHARACTERS, FOOT_CHARACTERS = 50, 65  # for the width of a panel
NAME_CHARACTERS = 14  # of a name at the end of a line
NAME_APART = 0.085  # of the height of a panel


def styles_of(groups):
    return {group: {"color": COLOURS[i % len(COLOURS)], "linestyle": LINES[i % len(LINES)]} for i, group in enumerate(groups)}


def legend_names(groups, width):
    """One legend for all panels, above them: the settings with their seeds, broken to `width` panels; none for one run."""
    if len(groups) == 1 and len(groups[0].runs) == 1:
        return []
    names = [f"{group.label} ({len(group.runs)} seeds)" if len(group.runs) > 1 else group.label for group in groups]
    return [textwrap.fill(name, LEGEND_CHARACTERS * width - 9) for name in names]


def open_figure(rows, columns, groups, panel=(3.6, 2.4), letters=False, **more):
    """A figure of so many panels under the legend of the settings; letters: as line_names has them, before each setting."""
    names = legend_names(groups, columns)
    if letters and names:
        names = [f"{short}:  {name}" if short != group.label else name for short, group, name in zip(line_names(groups), groups, names)]
    above = LEGEND_LINE * sum(name.count("\n") + 1 for name in names) + 0.1 if names else 0.0
    size = (panel[0] * columns, panel[1] * rows + 0.3 + above)
    figure, axes = plt.subplots(rows, columns, figsize=size, squeeze=False, constrained_layout=True, **more)
    figure.get_layout_engine().set(rect=(0, 0, 1, 1 - above / size[1]))
    styles = styles_of(groups)
    lines = [plt.Line2D([], [], linewidth=1.8, marker=MARKERS[i % len(MARKERS)] if letters else None, markersize=4, **styles[group])
             for i, group in enumerate(groups)]
    if names:  # lines long enough to tell their kinds apart
        figure.legend(lines, names, fontsize=8, frameon=False, loc="upper left", handlelength=4, labelspacing=0.3)
    return figure, axes, styles


def dress(axis, heading=""):
    axis.set_title(heading, fontsize=10, loc="left")
    axis.tick_params(labelsize=8)
    axis.grid(alpha=0.25)
    axis.spines[["top", "right"]].set_visible(False)


def line_names(groups):
    """Names that are short enough to stand at the end of a line."""
    return short_names(groups, NAME_CHARACTERS)


def name_lines(axis, ends):
    """ends: [(x, y, name, colour)]: each name right of the panel at the height of its line's end, moved where two would meet."""
    lowest, highest = axis.get_ylim()
    ends = sorted(((y - lowest) / (highest - lowest), x, y, name, colour) for x, y, name, colour in ends if np.isfinite(y))
    places = spread_apart([end[0] for end in ends])
    for place, (_, x, y, name, colour) in zip(places, ends):
        axis.annotate(name, (x, y), (1.03, place), textcoords="axes fraction", fontsize=7, color=colour, va="center",
                      arrowprops={"arrowstyle": "-", "color": colour, "linewidth": 0.5, "shrinkA": 1, "shrinkB": 3})


def spread_apart(heights):
    """Ascending heights with at least NAME_APART between them, about where they were, none below the panel."""
    places = list(heights)
    for _ in range(50):
        for i in range(1, len(places)):
            lacks = NAME_APART - (places[i] - places[i - 1])
            if lacks > 1e-9:
                places[i - 1], places[i] = places[i - 1] - lacks / 2, places[i] + lacks / 2
    for i in range(len(places)):
        places[i] = max(places[i], 0.0 if i == 0 else places[i - 1] + NAME_APART - 1e-3)
    return places


def foot(figure, text, columns):
    """A sentence below all panels that says what the lines are."""
    figure.supxlabel(textwrap.fill(text, FOOT_CHARACTERS * columns), fontsize=7, color="0.35", x=0.01, ha="left")


def over_seeds(table):
    """Mean and standard deviation (n - 1) over the rows, NaN where there are none, or fewer than two."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # steps that no run, or one run, has: NaN, not drawn
        return np.nanmean(table, axis=0), np.nanstd(table, axis=0, ddof=1)


def moving_mean(values, width):
    """Mean over `width` steps around each, fewer at the ends; steps without a value are left out."""
    known = np.isfinite(values)
    window = np.ones(min(width, len(values)))
    sums = np.convolve(np.where(known, values, 0.0), window, "same")
    counts = np.convolve(known.astype(float), window, "same")
    return np.where(known & (counts > 0.5), sums / np.maximum(counts, 1.0), np.nan)


def save(figure, output):
    """Into a file that ends in .png or .pdf, or under a name without such an end into both."""
    for path in [output] if output.endswith((".png", ".pdf")) else [output + ".png", output + ".pdf"]:
        figure.savefig(path, dpi=120)
        print(path)
