# The Python package gguf reads what h5ckpt writes, and the other way round: tensors, and metadata of every type, among
# them the vocabulary of a tokenizer; and both agree about random files.
import os
import tempfile

import gguf
import h5py
import numpy as np

from peer import FIXTURES, h5ckpt, ok, read, wrong

TYPES = ["f4", "f2", "f8", "i1", "i2", "i4", "i8"]


def fields(path):
    reader = gguf.GGUFReader(path)
    return {name: (f.types, f.contents()) for name, f in reader.fields.items() if not name.startswith("GGUF.")}


def tensors(path):
    reader = gguf.GGUFReader(path)
    return {t.name: (t.tensor_type, t.data.copy()) for t in reader.tensors}


def same(a, b):
    return a.keys() == b.keys() and all(x == b[n][0] and x is not None and np.array_equal(v, b[n][1], equal_nan=True)
                                        for n, (x, v) in a.items())


def write_random(path, seed):
    rng = np.random.RandomState(seed)
    w = gguf.GGUFWriter(path, "llama")
    if seed % 2:
        w.add_custom_alignment(int(2 ** rng.randint(3, 9)))
    w.add_array("tokenizer.ggml.tokens", ["t%d\u2581" % i for i in range(rng.randint(1, 100))])
    w.add_array("tokenizer.ggml.scores", [float(x) for x in rng.standard_normal(5).astype("f4")])
    w.add_uint32("llama.block_count", int(rng.randint(100)))
    w.add_float32("llama.rope.freq_base", float(np.float32(rng.standard_normal())))
    for i in range(rng.randint(1, 12)):
        shape = rng.randint(1, 6, rng.randint(1, 5))
        w.add_tensor("blk.%d.w" % i, (rng.standard_normal(shape) * 50).astype("<" + TYPES[rng.randint(7)]))
    w.write_header_to_file()
    w.write_kv_data_to_file()
    w.write_tensors_to_file()
    w.close()


def check_random(scratch):
    for seed in range(40):
        theirs, h5, ours = (os.path.join(scratch, "%d%s" % (seed, end)) for end in (".gguf", ".h5", ".again.gguf"))
        write_random(theirs, seed)
        h5ckpt("convert", "--no-sync", theirs, h5)
        h5ckpt("convert", "--no-sync", h5, ours)
        if read(theirs) != read(ours):
            wrong("random file %d comes back with other bytes" % seed)
        with h5py.File(h5) as f:
            for name, (_, values) in tensors(theirs).items():
                if not np.array_equal(f["parameters"][name][...], values):
                    wrong("random file %d: %s has other values in HDF5" % (seed, name))
    ok("40 random files of gguf come back byte for byte, with its values in HDF5")


def check_vocabulary(scratch):
    theirs, h5, ours = (os.path.join(scratch, "vocabulary" + end) for end in (".gguf", ".h5", ".again.gguf"))
    w = gguf.GGUFWriter(theirs, "llama")
    w.add_array("tokenizer.ggml.tokens", ["token%d" % i for i in range(200000)])
    w.add_tensor("w", np.zeros(8, "f4"))
    w.write_header_to_file()
    w.write_kv_data_to_file()
    w.write_tensors_to_file()
    w.close()
    h5ckpt("convert", theirs, h5)
    h5ckpt("convert", h5, ours)
    if read(theirs) != read(ours):
        wrong("a vocabulary of 200,000 words comes back with other bytes")
    ok("a vocabulary of 200,000 words comes back")


def check_ours(scratch):
    """A save directory of Paddle's as GGUF, read by the package."""
    folder = os.path.join(FIXTURES, "seed_mlp")
    path, h5 = os.path.join(scratch, "seed.gguf"), os.path.join(scratch, "seed.h5")
    h5ckpt("convert", folder, path)
    h5ckpt("convert", path, h5)
    found = tensors(path)
    with h5py.File(h5) as f:
        for name, (kind, values) in found.items():
            if kind != gguf.GGMLQuantizationType.F32 or not np.array_equal(f["parameters"][name][...], values):
                wrong("%s is read with other values" % name)
        rate = f["optimizers/None"].attrs["learning_rate"]
    if len(found) != 2 or "h5ckpt.decays" not in fields(path):
        wrong("found %r" % sorted(found))
    back = os.path.join(scratch, "back")
    h5ckpt("convert", path, back + "/")
    if h5ckpt("lr", "--json", back) != h5ckpt("lr", "--json", folder):
        wrong("the decay came back with other rates")
    ok("gguf reads what h5ckpt writes; the decay (rate %g) comes back from its metadata" % rate)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as scratch:
        fixture = os.path.join(FIXTURES, "gguf", "all.gguf")
        h5ckpt("convert", fixture, os.path.join(scratch, "all.h5"))
        h5ckpt("convert", os.path.join(scratch, "all.h5"), os.path.join(scratch, "all.gguf"))
        if not same(tensors(fixture), tensors(os.path.join(scratch, "all.gguf"))):
            wrong("tensors of all types: gguf reads other values")
        if not all(repr(v) == repr(fields(os.path.join(scratch, "all.gguf"))[k]) for k, v in fields(fixture).items()):
            wrong("metadata of all types: gguf reads other values")
        ok("tensors and metadata of all types: gguf reads the same")
        check_random(scratch)
        check_vocabulary(scratch)
        check_ours(scratch)
