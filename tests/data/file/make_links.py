"""Makes links.h5: things that HDF5 can hold and that are refused. Made with h5py 3.16.0, HDF5 2.0.0, numpy 2.4.6."""
import os

import h5py
import numpy as np

os.chdir(os.path.dirname(os.path.abspath(__file__)))
with h5py.File("links.h5", "w", libver=("v110", "v110")) as f:
    f["inside"] = np.arange(3, dtype="i4")
    f["group/cube"] = np.zeros((2, 2, 2))
    f["soft"] = h5py.SoftLink("/inside")
    f["external"] = h5py.ExternalLink("other.h5", "/secret")
    f["deep"] = h5py.SoftLink("/group")
    f["half"] = np.zeros(3, dtype="f2")
    f["varying"] = np.array(["a", "bc"], dtype=h5py.string_dtype())
    f["nothing"] = h5py.Empty("i4")
    f["group"].attrs["units"] = "tokens"  # of varying length
    f["group/again"] = f["group"]  # a cycle
    f.create_dataset("elsewhere", (4,), "u1", external=[("../../check.h", 0, 4)])
    f.create_dataset("lzf", (100,), "i4", chunks=(100,), compression="lzf")
    layout = h5py.VirtualLayout((3,), "i4")
    layout[:] = h5py.VirtualSource("other.h5", "inside", (3,))
    f.create_virtual_dataset("virtual", layout)
