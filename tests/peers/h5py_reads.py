# Our HDF5 files in h5py's hands, and h5py's in ours.
#
# First, what h5ckpt writes is read with h5py alone, as docs/format.md promises: every dataset equals its tensor file,
# every attribute is what a Python user would expect of the field, the same input gives the same bytes, the digest is
# right. Then files that h5py made in its own ways, which know nothing of h5ckpt, are listed and converted, and must
# come out with equal values. Needs no Paddle: a tensor file is parsed below, in a few lines of its own, so that two
# readers must agree.
import hashlib
import json
import os
import shutil
import struct
import subprocess
import sys
import tempfile

import h5py
import numpy as np

import peer
import values

DTYPES = {0: "bool", 1: "int16", 2: "int32", 3: "int64", 4: "float16", 5: "float32", 6: "float64", 20: "uint8",
          21: "int8", 23: "complex64", 24: "complex128", 36: "uint16", 37: "uint32", 38: "uint64"}


# --- a tensor file, read by hand -------------------------------------------------------------------------------------


def varint(data, at):
    value = shift = 0
    while True:
        byte = data[at]
        value, shift, at = value | (byte & 127) << shift, shift + 7, at + 1
        if byte < 128:
            return value, at


def tensor(path):
    """(array, [LoD offsets a level]) of a Paddle tensor file."""
    data = peer.read(path)
    version, levels = struct.unpack_from("<IQ", data)
    at, lod = 12, []
    for _ in range(levels):
        size, = struct.unpack_from("<Q", data, at)
        lod.append(np.frombuffer(data, "<u8", size // 8, at + 8).astype("int64"))
        at += 8 + size
    version2, size = struct.unpack_from("<Ii", data, at)
    assert version == version2 == 0
    at, end, shape, kind = at + 8, at + 8 + size, [], None
    while at < end:
        key, at = varint(data, at)
        value, at = varint(data, at)
        if key == 0x08:
            kind = value
        elif key == 0x10:
            shape.append(value)
        elif key == 0x12:  # packed: the value was a length
            stop = at + value
            while at < stop:
                dim, at = varint(data, at)
                shape.append(dim)
    return np.frombuffer(data, np.dtype(DTYPES[kind]).newbyteorder("<"), offset=end).reshape(shape), lod


def tensors(folder):
    return {path: tensor(os.path.join(folder, path)) for path in peer.paths(folder) if not peer.is_decay(path)}


# --- what we write, read by h5py -------------------------------------------------------------------------------------


def by_true_name(group, kind):
    """Everything of one kind below a group: its `name` attribute, or else its path -> it."""
    found = {}

    def visit(path, item):
        if isinstance(item, kind):
            found[item.attrs.get("name", path)] = item
    group.visititems(visit)
    return found


def check_dataset(what, dataset, array, lod):
    if dataset.dtype != array.dtype or dataset.shape != array.shape or dataset[()].tobytes() != array.tobytes():
        peer.wrong("%s: h5py reads %r %r" % (what, dataset.dtype, dataset.shape))
    plist = dataset.id.get_create_plist()
    facts = {
        "contiguous": plist.get_layout() == h5py.h5d.CONTIGUOUS,
        "little-endian": dataset.dtype == dataset.dtype.newbyteorder("<"),
        "64-byte aligned": array.size == 0 or dataset.id.get_offset() % 64 == 0,
        "without fill": plist.get_fill_time() == h5py.h5d.FILL_TIME_NEVER,
        "without times": not plist.get_obj_track_times(),
    }
    for fact, holds in facts.items():
        if not holds:
            peer.wrong("%s is not %s" % (what, fact))
    levels = sorted(name for name in dataset.attrs if name.startswith("lod_"))
    if levels != ["lod_%d" % i for i in range(len(lod))]:
        peer.wrong("%s has LoD attributes %r, not %d levels" % (what, levels, len(lod)))
    for name, offsets in zip(levels, lod):
        if dataset.attrs[name].dtype != "<i8" or not np.array_equal(dataset.attrs[name], offsets):
            peer.wrong("%s: %s is %r, was %r" % (what, name, dataset.attrs[name], offsets))


def check_digest(what, dataset, kind):
    given, data = dataset.attrs.get("digest"), dataset[()].tobytes()
    if kind == "sha256":
        expected = "sha256:" + hashlib.sha256(data).hexdigest()
    else:
        import xxhash
        expected = "xxh3-128:" + xxhash.xxh3_128_hexdigest(data)
    if given != expected:
        peer.wrong("%s: digest is %r, should be %r" % (what, given, expected))


def is_int64(value):
    return type(value) is int and -2**63 <= value < 2**63


def as_attribute(value):
    """What h5py should show for a field; None for the forms that docs/format.md marks."""
    if value is None:
        return h5py.Empty("f8")
    if type(value) is bool:
        return np.bool_(value)
    if is_int64(value):
        return np.int64(value)
    if type(value) is float:
        return np.float64(value)
    if type(value) is str and "\0" not in value:
        return value
    if type(value) in (list, tuple) and value:
        if all(map(is_int64, value)):
            return np.array(value, "int64")
        if all(type(number) is float for number in value):
            return np.array(value, "float64")
    return None


def check_fields(what, group, fields):
    """A decay's or a dict's fields against the group's attributes; subgroups for those that have fields themselves."""
    for name, value in fields.items():
        inner = vars(value) if hasattr(value, "__dict__") and not isinstance(value, values.Call) else value
        if isinstance(inner, dict) and all(type(key) is str for key in inner):
            if not isinstance(group.get(name), h5py.Group):
                peer.wrong("%s: the nested field %s is no subgroup" % (what, name))
            check_fields(what + "/" + name, group[name], inner)
            continue
        if name not in group.attrs and name not in group:
            peer.wrong("%s: no attribute %r; there are %r" % (what, name, list(group.attrs)))
        expected = as_attribute(value)
        if expected is None:
            continue
        found = group.attrs[name]
        if isinstance(expected, h5py.Empty):
            alike = isinstance(found, h5py.Empty)
        elif isinstance(expected, str):
            alike = found == expected and type(found) is str
        else:
            alike = values.difference(found, expected) is None
        if not alike:
            peer.wrong("%s: %s is %r in h5py, should be %r" % (what, name, found, expected))


def check_decays(name, folder, f):
    there = f["optimizers"] if "optimizers" in f else {}
    groups = {item.attrs.get("name", key): item for key, item in there.items()}
    expected = sorted(path.split(os.sep)[1] for path in peer.paths(folder) if peer.is_decay(path))
    if sorted(groups) != expected:
        peer.wrong("%s: h5py sees the optimizers %r, expected %r" % (name, sorted(groups), expected))
    for optimizer, group in groups.items():
        decay = values.load(os.path.join(folder, "optimizers", optimizer))
        what = "%s/optimizers/%s" % (name, optimizer)
        found = {"class": group.attrs.get("class"), "module": group.attrs.get("module")}
        peer.same(what, found, {"class": type(decay).__name__, "module": type(decay).__module__})
        check_fields(what, group, vars(decay))
    return len(groups)


def check_ours(name, scratch):
    folder = os.path.join(peer.FIXTURES, name)
    first, second, sha = (os.path.join(scratch, "%s-%d.h5" % (name, i)) for i in range(3))
    peer.h5ckpt("convert", folder, first)
    later = os.path.join(scratch, name)
    shutil.copytree(folder, later, copy_function=shutil.copyfile)  # other times, other inodes
    peer.h5ckpt("convert", later, second)
    peer.h5ckpt("convert", folder, sha, "--digest", "sha256")
    if peer.read(first) != peer.read(second):
        peer.wrong("%s: the same input gave other bytes the second time" % name)
    for path, kind in ((first, "xxh3"), (sha, "sha256")):
        with h5py.File(path, "r") as f:
            version, schema = f.attrs["h5ckpt_version"], f.attrs["h5ckpt_schema"]
            if version != 1 or not isinstance(schema, str):
                peer.wrong("%s: h5ckpt_version %r, h5ckpt_schema %r" % (name, version, schema))
            datasets, expected = by_true_name(f["parameters"], h5py.Dataset), tensors(folder)
            if sorted(datasets) != sorted(expected):
                peer.wrong("%s: h5py sees %r, expected %r" % (name, sorted(datasets), sorted(expected)))
            for parameter, (array, lod) in expected.items():
                check_dataset("%s/%s" % (name, parameter), datasets[parameter], array, lod)
                check_digest("%s/%s" % (name, parameter), datasets[parameter], kind)
            # A str of Python 2 is bytes, and its long is an int here: values.py checks those.
            decays = check_decays(name, folder, f) if name != "python2" else 0
    listings = [json.loads(peer.h5ckpt("ls", path, "--json")) for path in (folder, first)]
    for part in ("parameters", "learning_rates"):
        peer.same("%s: ls of the HDF5 file, %s," % (name, part), listings[1][part], listings[0][part])
    if shutil.which("h5dump") and subprocess.run(["h5dump", first], stdout=subprocess.DEVNULL).returncode:
        peer.wrong("%s: h5dump fails" % name)
    peer.ok("%s: h5py reads %d tensors and %d decays; deterministic; digests right" % (name, len(expected), decays))


# --- what h5py writes, read by us ------------------------------------------------------------------------------------


def strangers():
    """name -> (array, how h5py is to store it). `a` beside `b/...`: groups as h5py's users nest them."""
    r = np.random.RandomState(4)
    square = r.standard_normal((37, 53)).astype("float32")
    yield "contiguous", square, {}
    yield "chunked", square, dict(chunks=(10, 10))
    yield "gzip", square, dict(chunks=(16, 16), compression="gzip")
    yield "gzip_shuffle", square, dict(chunks=(37, 7), compression="gzip", compression_opts=9, shuffle=True)
    yield "fletcher32", square, dict(chunks=(8, 53), fletcher32=True)
    yield "growing", square, dict(maxshape=(None, None))
    yield "layers/0/kernel", r.standard_normal((3, 3, 2, 4)), {}
    yield "layers/0/bias:0", r.standard_normal(4), {}
    yield "layers/größe 100%", r.standard_normal(2), {}
    for kind in ">f4 >f8 >i2 >i4 >i8 >u2 >u8".split():
        yield "big_endian/" + kind[1:], r.randint(0, 100, (3, 5)).astype(kind), {}
    yield "big_endian/chunked", r.standard_normal((20, 20)).astype(">f4"), dict(chunks=(7, 7), compression="gzip")
    for kind in DTYPES.values():
        yield "types/" + kind, r.randint(0, 100, (4, 3)).astype(kind), {}
        yield "chunked_types/" + kind, r.randint(0, 100, (4, 3)).astype(kind), dict(chunks=(3, 2))
    yield "scalar/float", np.float64(2.5), {}
    yield "scalar/int", np.int32(-7), {}
    yield "scalar/bool", np.bool_(True), {}
    yield "empty", np.zeros((0, 3), "float32"), {}
    yield "empty_chunked", np.zeros((0, 3), "float32"), dict(chunks=(4, 3), maxshape=(None, 3))


def compact(f, name, array):
    """A dataset inside its own object header, which h5py offers only in its lower half."""
    plist = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    plist.set_layout(h5py.h5d.COMPACT)
    space = h5py.h5s.create_simple(array.shape)
    dataset = h5py.h5d.create(f.id, name.encode(), h5py.h5t.py_create(array.dtype), space, plist)
    dataset.write(h5py.h5s.ALL, h5py.h5s.ALL, array)


def check_strangers(scratch, libver):
    path, folder = os.path.join(scratch, "stranger-%s.h5" % libver), os.path.join(scratch, "stranger-%s" % libver)
    expected = {}
    with h5py.File(path, "w", libver=libver) as f:
        for name, array, how in strangers():
            f.create_dataset(name, data=array, **how)
            expected[name] = np.asarray(array)
        expected["compact"] = np.arange(12, dtype="int16").reshape(3, 4)
        compact(f, "compact", expected["compact"])
        f.create_dataset("never_written", (3, 4), "float32", fillvalue=1.5)
        f.create_dataset("partly_written", (100, 4), "int32", chunks=(10, 4), fillvalue=7)[20:35] = 1
        for name in ("never_written", "partly_written"):
            expected[name] = f[name][()]
        f["layers"].attrs["note"] = "none of this is ours"
    listing = {row["name"]: row for row in json.loads(peer.h5ckpt("ls", path, "--json"))["parameters"]}
    if sorted(listing) != sorted(expected):
        peer.wrong("a stranger's file: ls names %r, expected %r" % (sorted(listing), sorted(expected)))
    peer.h5ckpt("convert", path, folder + "/")
    for name, array in expected.items():
        told = (listing[name]["dtype"], tuple(listing[name]["shape"]), listing[name]["nbytes"])
        if told != (array.dtype.newbyteorder("=").name, array.shape, array.nbytes):
            peer.wrong("a stranger's %s: ls says %r" % (name, told))
        found, _ = tensor(os.path.join(folder, name))
        little = array.astype(array.dtype.newbyteorder("<"))
        if found.dtype != little.dtype or found.shape != little.shape or found.tobytes() != little.tobytes():
            peer.wrong("a stranger's %s came out as %r %r: %.200r" % (name, found.dtype, found.shape, found))
    again = os.path.join(scratch, "stranger-again-%s.h5" % libver)
    peer.h5ckpt("convert", folder, again)
    with h5py.File(again, "r") as f:
        for name, dataset in by_true_name(f["parameters"], h5py.Dataset).items():
            check_dataset("a stranger's %s, in our HDF5," % name, dataset,
                          expected[name].astype(expected[name].dtype.newbyteorder("<")), [])
    peer.ok("%d datasets of a stranger (libver %s): listed, converted, and back in HDF5" % (len(expected), libver))


def main():
    with tempfile.TemporaryDirectory() as scratch:
        for name in ("seed_mlp", "dtypes", "decays", "inference", "python2"):
            check_ours(name, scratch)
        for libver in ("earliest", "v110"):  # old structures and new, as far as a system's HDF5 knows them
            check_strangers(scratch, libver)
    peer.ok("h5py %s, HDF5 %s, numpy %s, Python %d.%d"
            % ((h5py.__version__, h5py.version.hdf5_version, np.__version__) + sys.version_info[:2]))


if __name__ == "__main__":
    main()
