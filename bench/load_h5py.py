"""The seconds that h5py takes in-process to read every parameter of an HDF5 checkpoint: python3 load_h5py.py FILE."""
import sys
import time

import h5py

start = time.perf_counter()
parameters = {}
with h5py.File(sys.argv[1], "r") as f:
    f["parameters"].visititems(
        lambda name, item: parameters.__setitem__(name, item[()]) if isinstance(item, h5py.Dataset) else None)
total = sum(int(a.reshape(-1).view("u1")[::4096].sum()) for a in parameters.values() if a.size)
print("%.6f %d %d" % (time.perf_counter() - start, len(parameters), total))
