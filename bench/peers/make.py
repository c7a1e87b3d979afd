"""Makes a peer's file.

    python make.py safetensors|npz MODEL.h5 FILE     the same parameters, as the peer itself saves them
    python make.py sparse COUNT FILE                 HDF5 by h5py: COUNT parameters of which the disk holds nothing
"""
import sys

import h5py
import numpy


def parameters(path):
    found = {}
    with h5py.File(path, "r") as f:
        f["parameters"].visititems(
            lambda name, item: found.__setitem__(name, item[()]) if isinstance(item, h5py.Dataset) else None)
    return found


def sparse(path, count):
    """In h5ckpt's form; 26 MiB each, but for number 200, which has 4."""
    plist = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    plist.set_alloc_time(h5py.h5d.ALLOC_TIME_EARLY)
    plist.set_fill_time(h5py.h5d.FILL_TIME_NEVER)
    with h5py.File(path, "w", track_order=True) as f:
        f.attrs["h5ckpt_version"], f.attrs["h5ckpt_schema"] = numpy.int64(1), "paddle"
        group = f.create_group("parameters", track_order=True).id
        for i in range(count):
            space = h5py.h5s.create_simple((1024 if i == 200 else 6656, 1024))
            h5py.h5d.create(group, b"%06d" % i, h5py.h5t.IEEE_F32LE, space, plist)


kind, source, target = sys.argv[1:]
if kind == "sparse":
    sparse(target, int(source))
elif kind == "safetensors":
    from safetensors.numpy import save_file
    save_file(parameters(source), target)
else:
    numpy.savez(target, **parameters(source))
