# SPDX-License-Identifier: Apache-2.0
"""compare_runs.py FOLDER: diagnostics.h5 of runs that never were, with numbers from which compare.sh works out by hand what
analysis/compare.py must print: two seeds of the gate clip and two of erf, eight steps each, evaluated on the set s after every
second one; a run of the gate none; a run of sft; one with two sets; and two seeds of the adversarial game."""
import os
import sys

import h5py
import numpy as np

STEPS = 8


def write(folder, name, settings, passes, seconds, columns, per_pass, sets):
    """A step makes `passes` backward passes and takes `seconds`, 100 tokens and 500 positions a pass; its file has more rows."""
    os.makedirs(f"{folder}/{name}")
    step = np.arange(1.0, STEPS + 1)
    columns = {"update/backward_passes": passes * step, "time/step": np.full(STEPS, seconds), "num_tokens": 100 * step,
               "positions": np.full(STEPS, 500.0 * passes), **columns}
    with h5py.File(f"{folder}/{name}/diagnostics.h5", "w") as file:
        groups = {}
        for key, value in settings.items():
            groups.setdefault(key.split(".")[0], []).append(f"    {key.split('.')[1]} = {value};  # x.cfg:1; a sentence\n")
        file["provenance/settings"] = "".join(f"{group} : {{  # s\n{''.join(lines)}}};\n" for group, lines in groups.items())
        file["step/valid"] = STEPS
        for metric, values in columns.items():
            file["step/" + metric] = np.concatenate([values, [np.nan, np.nan]])
        for metric, values in per_pass.items():
            file["pass/" + metric] = np.concatenate([values, np.full((2, np.shape(values)[1]), np.nan)])
        file.require_group("pass")
        for name, accuracy in sets.items():
            done = np.arange(0.0, STEPS + 1, 2)[:len(accuracy)]
            table = {"step": done, "pass_at_1": accuracy, "error": np.full(len(done), 0.03), "backward_passes": passes * done,
                     "tokens": 100 * done, "seconds": seconds * done}
            for column, values in table.items():
                file[f"eval/{name}/{column}"] = np.concatenate([values, [np.nan if column == "step" else 1.0]])  # one in the making


def learns_at(step):
    """A format whose reward is 0.95 from that step on, and once before where there is room."""
    return np.where((np.arange(1, STEPS + 1) >= step) | (np.arange(1, STEPS + 1) == step - 2), 0.95, 0.5)


def rl(folder, gate, seed, passes, seconds, learned, beyond, accuracy):
    """beyond: per step, of the last pass that was made. Of erf every second step makes one pass less."""
    share = np.zeros((STEPS, 3))
    share[:, 2] = np.nan
    share[np.arange(STEPS), 1 + (np.arange(STEPS) % 2 if gate == "erf" else 0)] = beyond
    step = np.arange(1.0, STEPS + 1)
    columns = {"reward": step / 8 + seed / 4, "rewards/format/mean": learns_at(learned), "entropy": 1 / step}
    if gate == "clip":
        columns["kl"] = 0.01 * seed * step
    write(folder, f"{gate}-{seed}", {"run.method": '"rl"', "run.seed": seed, "objective.gate": f'"{gate}"'}, passes, seconds, columns,
          {"clip_ratio/region_mean": share, "eur": 1 - share}, {"s": accuracy})


def game(folder, seed, mauve):
    """Generator against discriminator; MAUVE after every second step."""
    step = np.arange(1.0, STEPS + 1)
    columns = {"reward": step / 8 + seed / 4, "mauve/mauve": np.where(step % 2 == 0, np.repeat(mauve, 2), np.nan)}
    columns |= {f"adversarial/{name}": 0.5 + seed * step / 32 for name in
                ("baseline", "d_loss", "accuracy_real", "accuracy_written", "probability_written", "length_right")}
    write(folder, f"game-{seed}", {"run.method": '"adversarial"', "run.seed": seed}, 1, 60.0, columns, {}, {})


def main(folder):
    rl(folder, "clip", 1, 2, 1800.0, 4, [0, 0, 0.2, 0.2, 0, 0, 0.4, 0], [0.125, 0.25, 0.5, 0.375, 0.375])
    rl(folder, "clip", 2, 2, 1800.0, 6, [0, 0.6, 0.2, 0.2, 0.2, 0, 0.4, 0], [0.125, 0.25, 0.75, 0.625, 0.5])
    rl(folder, "erf", 1, 3, 3600.0, 2, np.full(STEPS, 0.1), [0.125, 0.625, 0.625, 0.875, 0.75])
    rl(folder, "erf", 2, 3, 3600.0, 3, np.full(STEPS, 0.1), [0.125, 0.625, 0.75, 0.625, 1.0])
    rl(folder, "none", 1, 1, 1800.0, 9, np.zeros(STEPS), [0.125, 0.125, 0.25, 0.25, 0.25])
    game(folder, 1, [0.1, 0.2, 0.3, 0.4])
    game(folder, 2, [0.1, 0.2, 0.5, 0.6])
    loss = {"loss": 1 / np.arange(1.0, STEPS + 1)}
    write(folder, "sft", {"run.method": '"sft"', "run.seed": 1, "objective.gate": '"clip"'}, 1, 60.0, loss, {}, {"s": [0.25, 0.375, 0.75]})
    write(folder, "both", {"run.method": '"rl"', "run.seed": 1}, 1, 60.0, {"reward": np.ones(STEPS)}, {},
          {"s": [0.25, 0.5, 0.75], "t": [0.0, 0.25, 0.25]})


if __name__ == "__main__":
    main(sys.argv[1])
