# Views instead of copies: what `convert --link` writes, in h5py's hands, and h5py's own external datasets in ours.
#
# A linked file is read from another working folder, by relative names (HDF5_EXTFILE_PREFIX='${ORIGIN}'; also through a
# folder that is a symbolic link, and after everything was moved together) and by absolute ones (no variable at all).
# Every value, name and LoD is held against the save directory's own files, which h5py_reads.py parses by itself.
import json
import os
import pickle
import shutil
import subprocess
import sys
import tempfile

import h5py
import numpy as np

import peer
from h5py_reads import by_true_name, tensors


def read(path):
    """True name -> dtype, shape, bytes, whether they lie in another file, LoD."""
    with h5py.File(path, "r") as f:
        return {name: (dataset.dtype.str, dataset.shape, dataset[()].tobytes(), bool(dataset.external),
                       [dataset.attrs[lod].tolist() for lod in sorted(dataset.attrs) if lod.startswith("lod_")])
                for name, dataset in by_true_name(f["parameters"], h5py.Dataset).items()}


def seen(what, path, origin):
    """HDF5 looks at its variable once, when it starts: so another Python reads, from a folder with nothing in it."""
    environment = dict(os.environ, HDF5_EXTFILE_PREFIX="${ORIGIN}")
    if not origin:
        del environment["HDF5_EXTFILE_PREFIX"]
    run = subprocess.run([sys.executable, "-W", "ignore", os.path.abspath(__file__), path], env=environment,
                         stdout=subprocess.PIPE)
    if run.returncode:
        peer.wrong("%s: h5py cannot read %s" % (what, path))
    return pickle.loads(run.stdout)


def check(what, path, expected, origin=False, external=True):
    found = seen(what, path, origin)
    if sorted(found) != sorted(expected):
        peer.wrong("%s: h5py sees %r, expected %r" % (what, sorted(found), sorted(expected)))
    for name, (array, lod) in expected.items():
        there = (array.dtype.str, array.shape, array.tobytes(), external and array.size > 0, [o.tolist() for o in lod])
        if found[name] != there:
            peer.wrong("%s: %s: h5py reads %.300r, expected %.300r" % (what, name, found[name], there))
    return len(expected)


def check_directory(name, scratch):
    models = os.path.join(scratch, name + "-models")
    folder, view = os.path.join(models, name), os.path.join(models, "view.h5")
    shutil.copytree(os.path.join(peer.FIXTURES, name), folder)
    expected = tensors(folder)
    peer.h5ckpt("convert", "--link", folder, view)
    size, held = os.path.getsize(view), sum(array.nbytes for array, _ in expected.values())
    count = check(name + ", relative", view, expected, origin=True)
    os.symlink(models, models + "-link")
    check(name + ", through a linked folder", os.path.join(models + "-link", "view.h5"), expected, origin=True)
    os.rename(models, models + "-moved")
    view = os.path.join(models + "-moved", "view.h5")
    check(name + ", moved with its source", view, expected, origin=True)
    whole = os.path.join(scratch, name + "-whole.h5")
    peer.h5ckpt("convert", "--allow-external", view, whole)
    check(name + ", converted to a whole file", whole, expected, external=False)
    absolute = os.path.join(scratch, name + "-absolute.h5")
    peer.h5ckpt("convert", "--link=absolute", models + "-moved/" + name, absolute)
    check(name + ", absolute", absolute, expected)
    peer.ok("%s: h5py reads %d linked tensors (%d bytes in %d) by relative and absolute names" % (name, count, held, size))


def check_hdf5(scratch):
    """A view of an HDF5 file, one dataset of which is compressed and therefore copied."""
    source, view = os.path.join(scratch, "mixed.h5"), os.path.join(scratch, "mixed-view.h5")
    data = np.arange(3000, dtype="float32").reshape(30, 100)
    with h5py.File(source, "w") as f:
        f["plain"] = data
        f.create_dataset("packed", data=data, compression="gzip")
    peer.h5ckpt("convert", "-q", "--link", source, view)
    found = seen("a view of an HDF5 file", view, origin=True)
    told = {name: (external, content == data.tobytes()) for name, (_, _, content, external, _) in found.items()}
    peer.same("a view of an HDF5 file", sorted(told.items()), [("packed", (False, True)), ("plain", (True, True))])
    peer.ok("h5py reads a view of an HDF5 file, and what was copied into it")


def check_strangers(scratch):
    """Datasets that h5py itself stores in another file."""
    box = os.path.join(scratch, "box")
    os.mkdir(box)
    data = np.arange(24, dtype="<f8").reshape(4, 6)
    with open(os.path.join(box, "raw.bin"), "wb") as f:
        f.write(b"head" + data.tobytes())
    path = os.path.join(box, "stranger.h5")
    with h5py.File(path, "w") as f:
        f.create_dataset("exact", data.shape, data.dtype, external=[("raw.bin", 4, data.nbytes)])
        f.create_dataset("rest", data.shape, data.dtype, external=[("raw.bin", 4, h5py.h5f.UNLIMITED)])
        f.create_dataset("absolute", data.shape, data.dtype, external=[(os.path.join(box, "raw.bin"), 4, data.nbytes)])
    listing = json.loads(peer.h5ckpt("ls", "--allow-external", "--json", path))["parameters"]
    peer.same("a stranger's external datasets", sorted(row["name"] for row in listing), ["absolute", "exact", "rest"])
    whole = os.path.join(scratch, "stranger-whole.h5")
    peer.h5ckpt("convert", "--allow-external", path, whole)
    with h5py.File(whole, "r") as f:
        for name, dataset in f["parameters"].items():
            if not np.array_equal(dataset[()], data):
                peer.wrong("a stranger's external dataset %s came out as %r" % (name, dataset[()]))
    peer.ok("h5py's own external datasets are read")


def main():
    with tempfile.TemporaryDirectory() as scratch:
        scratch = os.path.realpath(scratch)
        elsewhere = os.path.join(scratch, "elsewhere")
        os.mkdir(elsewhere)
        os.chdir(elsewhere)
        for name in ("seed_mlp", "dtypes"):
            check_directory(name, scratch)
        check_hdf5(scratch)
        check_strangers(scratch)
        os.chdir("/")


if __name__ == "__main__":
    if len(sys.argv) == 2:
        sys.stdout.buffer.write(pickle.dumps(read(sys.argv[1])))
    else:
        main()
