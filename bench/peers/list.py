"""The seconds that a peer takes in-process to open a file and list its parameters, or to find and read one of them.

    python list.py h5py|safetensors FILE [PARAMETER]

prints the seconds, then the number of parameters (or of bytes that were read).
"""
import sys
import time


def by_h5py(path, wanted):
    import h5py
    start = time.perf_counter()
    with h5py.File(path, "r") as f:
        if wanted:
            return start, f["parameters"][wanted][()].nbytes
        seen = []
        f["parameters"].visititems(
            lambda name, item: seen.append((name, item.dtype, item.shape)) if isinstance(item, h5py.Dataset) else None)
    return start, len(seen)


def by_safetensors(path, wanted):
    from safetensors import safe_open
    start = time.perf_counter()
    with safe_open(path, framework="numpy") as f:
        if wanted:
            return start, f.get_tensor(wanted).nbytes
        seen = [(name, s.get_dtype(), s.get_shape()) for name, s in ((n, f.get_slice(n)) for n in f.keys())]
    return start, len(seen)


started, found = {"h5py": by_h5py, "safetensors": by_safetensors}[sys.argv[1]](sys.argv[2], (sys.argv + [None])[3])
print("%.6f %d" % (time.perf_counter() - started, found))
