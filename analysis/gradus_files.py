# SPDX-License-Identifier: Apache-2.0
"""The files of a run, read once for all scripts here: diagnostics.h5 and the lines of `gradus generate`.

    steps = read_steps("runs/sapo")           # {"reward": array (steps), "pass/eur": array (steps, passes), ...}
"""
import json
import os
import sys

import h5py
import numpy as np


def read_steps(directory):
    """Every metric of a run as {name: values}, cut to the steps that are in; metrics per pass have names "pass/...".

    Takes the run's folder or its diagnostics.h5, of a run that is over or still going on.
    """
    path = os.path.join(directory, "diagnostics.h5") if os.path.isdir(directory) else directory
    columns = {}
    try:
        file = h5py.File(path, "r")
    except OSError as error:
        sys.exit(f"{path} cannot be read as the diagnostics of a run: {error}")
    with file:
        valid = int(np.asarray(file["step/valid"])[()])

        def take(prefix):
            return lambda name, item: columns.update({prefix + name: item[:valid]}) if is_column(item) else None

        file["step"].visititems(take(""))
        file["pass"].visititems(take("pass/"))
    return columns


def is_column(item):
    return isinstance(item, h5py.Dataset) and item.ndim > 0


def has_values(values):
    return values is not None and bool(np.isfinite(values).any())


def last_pass(columns, name):
    """A metric in each step's last pass over its batch, where the ratio has moved; None when the run has none."""
    values = columns.get("pass/" + name)
    return None if values is None else values[:, -1]


def read_lines(path):
    """The objects of a JSON lines file."""
    with open(path, encoding="utf-8") as file:
        return [json.loads(line) for line in file if line.strip()]
