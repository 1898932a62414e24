# SPDX-License-Identifier: Apache-2.0
"""The files of a run, read once for all scripts here: diagnostics.h5 and the lines of `gradus generate`.

    steps = read_steps("runs/sapo")           # {"reward": array (steps), "eur": ..., "pass/eur": array (steps, passes)}
"""
import json
import os

import h5py
import numpy as np


def read_steps(directory):
    """Every metric of a run as {name: values}, cut to the steps that are in; metrics per pass have names "pass/...". """
    path = directory if directory.endswith(".h5") else os.path.join(directory, "diagnostics.h5")
    columns = {}
    with h5py.File(path, "r") as file:
        valid = int(np.asarray(file["step/valid"])[()])
        for group, prefix in (("step", ""), ("pass", "pass/")):
            if group in file:
                file[group].visititems(
                    lambda name, item: columns.update({prefix + name: item[:valid]})
                    if isinstance(item, h5py.Dataset) and item.ndim > 0 else None)
    return columns


def has_values(values):
    return values is not None and np.isfinite(values).any()


def last_pass(columns, name):
    """A metric of each step's last pass, where the ratio has moved; the step's own value when no passes are stored."""
    values = columns.get("pass/" + name)
    return values[:, -1] if values is not None else columns[name]


def read_lines(path):
    with open(path, encoding="utf-8") as file:
        return [json.loads(line) for line in file if line.strip()]
