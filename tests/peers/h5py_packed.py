# Compressed HDF5 files: ours in h5py's hands, h5py's in ours.
#
# What h5ckpt compresses by gzip h5py must read as it is; by Zstandard, with hdf5plugin, which is imported only after the
# gzip files were read. Then chunks that h5py made, in every shape and by every filter that h5ckpt reads, are converted
# to plain datasets, and must come out with equal values.
import os
import tempfile

import h5py
import numpy as np

import peer


def models():
    """name -> array: each kind of element, chunks with and without an end that is padded, one and several of them."""
    r = np.random.RandomState(6)
    yield "small", r.standard_normal(100).astype("f4")
    yield "even", r.standard_normal((1024, 512)).astype("f4")
    yield "odd", r.standard_normal((1003, 517)).astype("f4")
    yield "deep", r.standard_normal((3, 5, 64, 1000)).astype("f8")
    yield "long_rows", r.standard_normal((2, 300000)).astype("f4")
    yield "half", r.standard_normal((300, 200)).astype("f2")
    yield "complex", (r.standard_normal(9000) + 1j).astype("c16")
    yield "mask", r.randint(0, 2, (400, 500)).astype("bool")
    yield "noise", r.randint(0, 256, 70001).astype("u1")
    yield "counting", np.arange(500000, dtype="i8").reshape(-1, 5)
    yield "zeros", np.zeros((2000, 1000), "f4")


def same_values(what, found, expected):
    little = expected.astype(expected.dtype.newbyteorder("<"))
    if found.dtype != little.dtype or found.shape != little.shape or found.tobytes() != little.tobytes():
        peer.wrong("%s: %r %r came out as %r %r" % (what, expected.dtype, expected.shape, found.dtype, found.shape))


def check_ours(scratch, plain, how, filters):
    packed = os.path.join(scratch, "packed.h5")
    peer.h5ckpt("convert", plain, packed, "--force", "--compress", how)
    chunked = 0
    with h5py.File(packed, "r") as f:
        for name, array in models():
            dataset = f["parameters"][name]
            same_values("%s, %s" % (how, name), dataset[()], array)
            if dataset.chunks:
                chunked += 1
                plist = dataset.id.get_create_plist()
                found = [plist.get_filter(i)[0] for i in range(plist.get_nfilters())][-1]
                if found != filters:
                    peer.wrong("%s, %s: the filter is %d, expected %d" % (how, name, found, filters))
    if chunked != len(list(models())) - 1:
        peer.wrong("%s: %d datasets are chunked" % (how, chunked))
    if os.path.getsize(packed) > 0.9 * os.path.getsize(plain):
        peer.wrong("%s: %d bytes are not small" % (how, os.path.getsize(packed)))
    peer.ok("%s: h5py reads %d compressed datasets" % (how, chunked))


def theirs(zstd):
    """name -> (array, how h5py is to store it)"""
    r = np.random.RandomState(7)
    table = r.standard_normal((437, 353)).astype("f4")
    packings = dict(gzip=dict(compression="gzip", compression_opts=6), zstd=dict(zstd(3)), none={})
    for packing, how in packings.items():
        for shuffle in (False, True):
            for checksum in (False, True):
                for chunks in ((437, 353), (100, 100), (1, 353), (7, 353), (437, 1), (64, 400)):
                    name = "%s/%d%d/%dx%d" % ((packing, shuffle, checksum) + chunks)
                    yield name, table, dict(how, chunks=chunks, shuffle=shuffle, fletcher32=checksum,
                                            maxshape=(None, None))
        for dtype in "u1 i2 f2 f8 c8 >f4 >i8 >c16 ?".split():
            yield "%s/%s" % (packing, dtype.replace(">", "big_")), r.randint(0, 9, (50, 60, 7)).astype(dtype), dict(
                how, chunks=(16, 60, 5), shuffle=True)


def check_theirs(scratch, zstd, libver):
    path, plain = os.path.join(scratch, "theirs.h5"), os.path.join(scratch, "plain.h5")
    with h5py.File(path, "w", libver=libver) as f:
        for name, array, how in theirs(zstd):
            f.create_dataset(name, data=array, **how)
        for name, how in (("gzip", dict(compression="gzip")), ("zstd", dict(zstd(1)))):
            f.create_dataset("sparse/" + name, (1000, 300), "i4", chunks=(90, 70), fillvalue=7, **how)[150:400, 50:100] = 1
        sparse = f["sparse/gzip"][()]
    peer.h5ckpt("convert", path, plain, "--force")
    expected = {name: array for name, array, _ in theirs(zstd)}
    expected.update({"sparse/gzip": sparse, "sparse/zstd": sparse})
    with h5py.File(plain, "r") as f:
        for name, array in expected.items():
            same_values("h5py's " + name, f["parameters"][name][()], array)
    peer.ok("%d chunked datasets of h5py (libver %s) come out right" % (len(expected), libver))


def main():
    with tempfile.TemporaryDirectory() as scratch:
        plain = os.path.join(scratch, "models.h5")
        with h5py.File(plain, "w") as f:
            for name, array in models():
                f[name] = array
        check_ours(scratch, plain, "gzip", 1)
        check_ours(scratch, plain, "gzip:9", 1)
        import hdf5plugin
        check_ours(scratch, plain, "zstd", 32015)
        check_ours(scratch, plain, "zstd:19", 32015)
        for libver in ("earliest", "v110"):
            check_theirs(scratch, lambda level: hdf5plugin.Zstd(clevel=level), libver)


if __name__ == "__main__":
    main()
