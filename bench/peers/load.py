"""The seconds that a peer takes in-process to load every parameter of a file, every page touched.

    python load.py h5py|safetensors|npz FILE

prints the seconds, then the number of parameters and a sum that keeps the touching honest.
"""
import sys
import time


def by_h5py(path):
    import h5py
    start = time.perf_counter()
    parameters = {}
    with h5py.File(path, "r") as f:
        f["parameters"].visititems(
            lambda name, item: parameters.__setitem__(name, item[()]) if isinstance(item, h5py.Dataset) else None)
    return start, parameters


def by_safetensors(path):
    from safetensors.numpy import load_file
    start = time.perf_counter()
    return start, load_file(path)


def by_npz(path):
    import numpy
    start = time.perf_counter()
    with numpy.load(path) as f:
        return start, {name: f[name] for name in f.files}


started, arrays = {"h5py": by_h5py, "safetensors": by_safetensors, "npz": by_npz}[sys.argv[1]](sys.argv[2])
total = sum(int(a.reshape(-1).view("u1")[::4096].sum()) for a in arrays.values() if a.size)
print("%.6f %d %d" % (time.perf_counter() - started, len(arrays), total))
