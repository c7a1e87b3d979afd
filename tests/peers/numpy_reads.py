# NumPy and h5ckpt read each other's arrays: np.savez, np.savez_compressed and np.save to h5ckpt, and back to np.load, with
# the same values, dtypes, shapes and order; random arrays of random layouts; an archive of more than 4 GiB; and
# bfloat16 and float8 as ml_dtypes has them.
import os
import random
import tempfile
import zipfile

import h5py
import ml_dtypes
import numpy as np

from peer import h5ckpt, ok, read, wrong

DTYPES = ["?", "i1", "u1", "<i2", ">i2", "<u2", ">u2", "<i4", ">i4", "<u4", ">u4", "<i8", ">i8", "<u8", ">u8", "<f2", ">f2",
          "<f4", ">f4", "<f8", ">f8", "<c8", ">c8", "<c16", ">c16"]


def native(array):
    return array.astype(array.dtype.newbyteorder("="))


def same(name, expected, found):
    expected = native(np.asarray(expected))
    if expected.dtype != found.dtype or expected.shape != found.shape or expected.tobytes() != found.tobytes():
        wrong("%s: expected %s %s, found %s %s" % (name, expected.dtype, expected.shape, found.dtype, found.shape))


def random_array(rng):
    shape = tuple(rng.choice([0, 1, 1, 2, 3, 5, 17]) for _ in range(rng.randrange(5)))
    raw = np.frombuffer(rng.randbytes(16 * int(np.prod(shape, dtype=int))), "u1")
    dtype = np.dtype(rng.choice(DTYPES))
    if dtype.kind == "b":
        raw = raw & 1
    array = raw[:int(np.prod(shape, dtype=int)) * dtype.itemsize].view(dtype).reshape(shape)
    return np.asfortranarray(array) if rng.random() < 0.4 and shape else array


def archives(scratch):
    rng, count = random.Random(5), 0
    for round in range(12):
        arrays = {"%s_%d" % (rng.choice(["a/b", "w", "größe", "x.npy", "bias:0", "."]), i): random_array(rng)
                  for i in range(rng.randrange(40))}
        source, h5, back = (os.path.join(scratch, "%s%d.%s" % (stem, round, suffix))
                            for stem, suffix in (("a", "npz"), ("a", "h5"), ("back", "npz")))
        (np.savez_compressed if round % 2 else np.savez)(source, **arrays)
        h5ckpt("convert", source, h5)
        h5ckpt("convert", h5, back)
        h5ckpt("verify", source)
        with np.load(back) as found:
            if list(found.files) != list(arrays):
                wrong("expected the arrays %s, found %s" % (list(arrays), list(found.files)))
            for name, array in arrays.items():
                same(name, array, found[name])
        if zipfile.ZipFile(back).testzip():
            wrong("%s: a member's CRC does not fit" % back)
        count += len(arrays)
    ok("np.load: %d random arrays in 12 archives, through HDF5 and back" % count)


def single(scratch):
    rng, exact = random.Random(6), 0
    for i in range(60):
        array = random_array(rng)
        source, back = os.path.join(scratch, "s.npy"), os.path.join(scratch, "t.npy")
        np.save(source, array)
        h5ckpt("convert", "--force", "-q", source, back)
        same("s.npy", array, np.load(back))
        np.save(source, native(np.asarray(array, order="C")))
        if read(source) != read(back):
            wrong("an .npy file is not what np.save writes: %r" % read(back)[:128])
        exact += 1
    ok("np.save: %d random arrays, the same bytes as NumPy writes" % exact)


def small_floats(scratch):
    source, h5, back = (os.path.join(scratch, "b." + suffix) for suffix in ("npz", "h5", "npz"))
    array = np.arange(-8, 8).astype(ml_dtypes.bfloat16)
    np.savez(source, w=array)
    h5ckpt("convert", source, h5)
    h5ckpt("convert", "--force", h5, back)
    with np.load(back) as found:
        if not np.array_equal(found["w"].view(ml_dtypes.bfloat16), array):
            wrong("bfloat16: expected %s, found %s" % (array, found["w"]))
    for dtype in (ml_dtypes.float8_e4m3fn, ml_dtypes.float8_e5m2):
        array = np.arange(-8, 8).astype(dtype)
        header = {"descr": np.dtype(dtype).name, "fortran_order": False, "shape": array.shape}
        source, h5, back = (os.path.join(scratch, "f." + suffix) for suffix in ("npy", "h5", "again.npy"))
        with open(source, "wb") as f:
            np.lib.format.write_array_header_1_0(f, header)
            f.write(array.tobytes())
        h5ckpt("convert", "--force", source, h5)
        h5ckpt("convert", "--force", "-q", h5, back)
        found = np.load(back)
        if found.dtype != array.dtype or found.tobytes() != array.tobytes():
            wrong("%s: expected %s, found %s" % (array.dtype, array, found))
    ok("np.load: bfloat16 as ml_dtypes stores it, float8_e4m3fn and float8_e5m2 by name")


def far(scratch):
    """An array behind 5 GiB of nothing: its offset takes ZIP64."""
    path, h5 = os.path.join(scratch, "far.npz"), os.path.join(scratch, "far.h5")
    arrays = {"near": np.arange(3), "far": np.arange(12, dtype="<f4").reshape(3, 4)}
    with zipfile.ZipFile(path, "w") as archive:
        for name, array in arrays.items():
            if name == "far":
                archive.start_dir = 5 << 30  # where the next member goes
            with archive.open(name + ".npy", "w", force_zip64=True) as member:
                np.lib.format.write_array(member, array)
    with open(path, "rb") as f:
        f.seek(-42, os.SEEK_END)
        if f.read(4) != b"PK\6\7":
            wrong("far.npz has no ZIP64 locator")
    h5ckpt("convert", path, h5)
    with h5py.File(h5) as f:
        for name, array in arrays.items():
            same(name, array, f["parameters"][name][()])
    os.remove(path)
    ok("zipfile: an archive of more than 4 GiB")


def main():
    with tempfile.TemporaryDirectory() as scratch:
        archives(scratch)
        single(scratch)
        small_floats(scratch)
        far(scratch)


main()
