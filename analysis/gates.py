#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Draw the gates as they are compiled, figure 1 of the gate paper: the function f of the ratio, and its derivative.

    gates.py [--gradus build/gradus] [--gates clip erf ...] [--output gates] [group.name=value ...]

The numbers are those of `gradus params --gates`; settings as objective.tau_pos=1.0 go there. The upper row is for a positive
advantage (tau_pos, the upper bound of the clip), the lower one for a negative one (tau_neg, the lower bound). Without an end .png
or .pdf the output is both.
"""
import argparse
import json
import os
import subprocess
import sys

from pictures import COLOURS, LINES, MARKERS, dress, name_lines, open_figure, save

BUILT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "build", "gradus")
SHOWN = (0.5, 1.5)  # the ratios of a picture


def read_gates(program, settings):
    """[{"gate", "advantage", "ratio", "value", "slope"}] in the order of the program."""
    try:
        told = subprocess.run([program, "params", "--gates", *settings], capture_output=True, text=True, check=False)
    except OSError as error:
        sys.exit(f"gates.py: {program} cannot be run: {error.strerror}; --gradus names it")
    if told.returncode != 0:
        sys.exit(f"gates.py: {told.stderr.strip()}")
    return [json.loads(line) for line in told.stdout.splitlines()]


def draw_panel(axis, curves, names, what):
    ends = []
    for curve in curves:
        i = names.index(curve["gate"])
        shown = [(ratio, y) for ratio, y in zip(curve["ratio"], curve[what]) if SHOWN[0] <= ratio <= SHOWN[1]]
        x, y = zip(*shown)
        axis.plot(x, y, color=COLOURS[i % len(COLOURS)], linestyle=LINES[i % len(LINES)], linewidth=1.6,
                  marker=MARKERS[i % len(MARKERS)], markersize=4, markevery=(2 * i, 12))
        ends.append((x[-1], y[-1], curve["gate"], COLOURS[i % len(COLOURS)]))
    axis.set_xlabel("ratio", fontsize=9)
    name_lines(axis, ends)


def draw(curves, names):
    figure, axes, _ = open_figure(2, 2, [], panel=(4.4, 2.9))
    for row, (advantage, words) in zip(axes, ((1, "positive"), (-1, "negative"))):
        chosen = [curve for curve in curves if curve["advantage"] == advantage and curve["gate"] in names]
        for axis, what, heading in zip(row, ("value", "slope"), ("gate f(r)", "derivative f'(r)")):
            dress(axis, f"{heading}, {words} advantage")
            draw_panel(axis, chosen, names, what)
    return figure


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("settings", nargs="*", metavar="group.name=value")
    parser.add_argument("--gradus", default=BUILT, metavar="PROGRAM")
    parser.add_argument("--gates", nargs="+", metavar="NAME", help="these of them [all]")
    parser.add_argument("--output", default="gates", metavar="NAME")
    arguments = parser.parse_args()
    curves = read_gates(arguments.gradus, arguments.settings)
    names = list(dict.fromkeys(curve["gate"] for curve in curves))
    for name in arguments.gates or ():
        if name not in names:
            parser.error(f"there is no gate {name}: " + ", ".join(names))
    save(draw(curves, arguments.gates or names), arguments.output)


if __name__ == "__main__":
    main()
