# Our safetensors files in the hands of safetensors itself, by NumPy and by PyTorch, and its files in ours.
#
# First its files, made here of random tensors of every dtype, through HDF5 and back: the same bytes, and load_file and
# safe_open give the same elements. Then a Paddle save directory as safetensors, tensors of another order than the
# library's, and shards. At last headers one by one, valid and not: where the library and h5ckpt judge differently, it is
# one of the differences that docs/formats.md gives a reason for, and no other.
import json
import os
import struct
import subprocess
import sys
import tempfile

import numpy as np
import safetensors.numpy
import safetensors.torch
import torch
from safetensors import safe_open

import peer

TORCH = ["bool", "uint8", "int8", "uint16", "int16", "uint32", "int32", "uint64", "int64", "float16", "bfloat16",
         "float32", "float64", "complex64", "float8_e4m3fn", "float8_e5m2"]
NUMPY = [name for name in TORCH if name not in ("bfloat16", "float8_e4m3fn", "float8_e5m2")]


def random_tensors(seed):
    """Two tensors of each dtype, of random bytes (so NaNs of all kinds too), in shapes from a scalar to five axes."""
    random = np.random.default_rng(seed)
    shapes = [(), (0,), (7,), (3, 5), (2, 0, 3), (1, 2, 3, 2, 1)]
    tensors = {}
    for i, name in enumerate(TORCH):
        for j in range(2):
            shape = shapes[(i + 3 * j) % len(shapes)]
            dtype = getattr(torch, name)
            count = int(np.prod(shape, dtype=int)) * torch.empty(0, dtype=dtype).element_size()
            data = torch.from_numpy(random.integers(0, 2 if name == "bool" else 256, count, dtype=np.uint8))
            tensor = data.view(dtype).reshape(shape) if count else torch.empty(shape, dtype=dtype)
            tensors["%s/layer.%d" % (name, j)] = tensor
    return tensors


def in_folder(folder, *names):
    return [os.path.join(folder, name) for name in names]


def raw(tensor):
    return tensor.contiguous().reshape(-1).view(torch.uint8).numpy().tobytes() if tensor.numel() else b""


def same_torch(what, found, expected):
    if set(found) != set(expected):
        peer.wrong("%s: names %r, expected %r" % (what, sorted(found), sorted(expected)))
    for name, tensor in expected.items():
        if found[name].dtype != tensor.dtype or found[name].shape != tensor.shape or raw(found[name]) != raw(tensor):
            peer.wrong("%s: %r came back different" % (what, name))


def same_numpy(what, found, expected):
    if set(found) != set(expected):
        peer.wrong("%s: names %r, expected %r" % (what, sorted(found), sorted(expected)))
    for name, array in expected.items():
        other = found[name]
        if other.dtype != array.dtype or other.shape != array.shape or other.tobytes() != array.tobytes():
            peer.wrong("%s: %r came back different" % (what, name))


def opened(path, framework):
    with safe_open(path, framework) as f:
        return {name: f.get_tensor(name) for name in f.keys()}, f.metadata()


def same_bytes(a, b):
    if peer.read(a) != peer.read(b):
        peer.wrong("%s and %s differ" % (a, b))


def there_and_back(scratch):
    for seed in range(5):
        tensors = random_tensors(seed)
        path, h5, again = in_folder(scratch, "%d.safetensors" % seed, "%d.h5" % seed, "%d.again.safetensors" % seed)
        safetensors.torch.save_file(tensors, path, metadata={"format": "pt"} if seed else None)
        peer.h5ckpt("convert", path, h5)
        peer.h5ckpt("convert", h5, again)
        same_bytes(path, again)
        same_torch(again, safetensors.torch.load_file(again), tensors)
        found, metadata = opened(again, "pt")
        same_torch(again, found, tensors)
        if metadata != ({"format": "pt"} if seed else None):
            peer.wrong("%s: metadata %r" % (again, metadata))
    peer.ok("160 tensors of 16 dtypes from PyTorch, through HDF5: the same bytes, as load_file and safe_open read them")

    arrays = {name: t.numpy() for name, t in random_tensors(9).items() if name.split("/")[0] in NUMPY}
    path, h5, again = in_folder(scratch, "numpy.safetensors", "numpy.h5", "numpy.again.safetensors")
    safetensors.numpy.save_file(arrays, path)
    peer.h5ckpt("convert", path, h5)
    peer.h5ckpt("convert", h5, again)
    same_bytes(path, again)
    same_numpy(again, safetensors.numpy.load_file(again), arrays)
    same_numpy(again, opened(again, "np")[0], arrays)
    peer.ok("%d arrays of %d dtypes from NumPy" % (len(arrays), len(NUMPY)))


def from_paddle(scratch):
    """A save directory is in safetensors' own order: with the decay's string left out, its own bytes. And what the file
    carries besides does not disturb the library."""
    source = os.path.join(peer.FIXTURES, "seed_mlp")
    path, plain, own = in_folder(scratch, "seed.safetensors", "plain.safetensors", "own.safetensors")
    peer.h5ckpt("convert", source, path)
    peer.h5ckpt("convert", source, plain, "--exclude", "None")
    arrays = safetensors.numpy.load_file(path)
    if {name: a.shape for name, a in arrays.items()} != {"mlp/MLP_0/FC_0.b_0": (10,), "mlp/MLP_0/FC_0.w_0": (784, 10)}:
        peer.wrong("%s: %r" % (path, arrays))
    if peer.read(source, "mlp", "MLP_0", "FC_0.w_0")[-31360:] != arrays["mlp/MLP_0/FC_0.w_0"].tobytes():
        peer.wrong("%s: other elements than in the save directory" % path)
    safetensors.numpy.save_file(arrays, own)
    same_bytes(plain, own)
    decays = json.loads(opened(path, "np")[1]["h5ckpt.decays"])
    if decays["None"]["$object"][1] != "NaturalExpDecay":
        peer.wrong("%s: decays %r" % (path, decays))
    peer.h5ckpt("convert", path, os.path.join(scratch, "seed_again") + "/")
    peer.same_files(source, os.path.join(scratch, "seed_again"))
    peer.ok("a Paddle save directory: its tensors as safetensors itself writes them, its decay in the metadata and back")


def another_order(scratch):
    """A dictionary in another order than the library's has its header in that order, and the same elements."""
    tensors = random_tensors(7)
    names = sorted(tensors, key=lambda name: name[::-1])
    path, h5, own, out = in_folder(scratch, "a.safetensors", "a.h5", "own.safetensors", "b.safetensors")
    safetensors.torch.save_file(tensors, own)
    data = peer.read(own)
    length, = struct.unpack_from("<Q", data)
    header = json.loads(data[8:8 + length])
    text = json.dumps({name: header[name] for name in names}, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as f:
        f.write(struct.pack("<Q", len(text)) + text + data[8 + length:])
    peer.h5ckpt("convert", path, h5)
    peer.h5ckpt("convert", h5, out)
    same_bytes(path, out)
    listed = [p["name"] for p in json.loads(peer.h5ckpt("ls", "--json", h5))["parameters"]]
    if listed != names:
        peer.wrong("%s: the order %r, expected %r" % (h5, listed, names))
    same_torch(out, safetensors.torch.load_file(out), tensors)
    peer.ok("another order of the dictionary: kept in the header, read by the library")


def shards(scratch):
    tensors = random_tensors(8)
    whole, index = in_folder(scratch, "whole.safetensors", "s.safetensors.index.json")
    safetensors.torch.save_file(tensors, whole, metadata={"format": "pt"})
    peer.h5ckpt("convert", whole, index)
    with open(index, encoding="utf-8") as f:
        found = json.load(f)
    if found["metadata"] != {"total_size": sum(t.nbytes for t in tensors.values())}:
        peer.wrong("%s: metadata %r" % (index, found["metadata"]))
    loaded = {}
    for name in sorted(set(found["weight_map"].values())):
        part, metadata = opened(os.path.join(scratch, name), "pt")
        if metadata != {"format": "pt"} or any(found["weight_map"][tensor] != name for tensor in part):
            peer.wrong("%s: not as the index says" % name)
        loaded.update(part)
    same_torch(index, loaded, tensors)

    # The library's own shards, as Hugging Face's libraries write them.
    names = list(tensors)
    weight_map = {}
    for i in range(3):
        name = "model-%05d-of-00003.safetensors" % (i + 1)
        safetensors.torch.save_file({n: tensors[n] for n in names[i::3]}, os.path.join(scratch, name), {"format": "pt"})
        weight_map.update({n: name for n in names[i::3]})
    index = os.path.join(scratch, "model.safetensors.index.json")
    with open(index, "w", encoding="utf-8") as f:
        json.dump({"metadata": {"total_size": 1}, "weight_map": weight_map}, f, indent=2, sort_keys=True)
    again = os.path.join(scratch, "joined.safetensors")
    peer.h5ckpt("convert", index, again)
    same_torch(again, safetensors.torch.load_file(again), tensors)
    peer.ok("shards, ours and theirs")


T = '{"dtype":"I8","shape":[1],"data_offsets":[0,1]}'
T2 = '{"dtype":"I8","shape":[1],"data_offsets":[1,2]}'


def entry(dtype="I8", shape="[1]", offsets="[0,1]"):
    return '{"a":{"dtype":"%s","shape":%s,"data_offsets":%s}}' % (dtype, shape, offsets)


# header, bytes of data behind it, where the two judge differently: why
HEADERS = [
    ("", 0, None),
    ("{}", 0, None),
    ("{}", 1, None),
    ("{} \r\n\t", 0, None),
    ("[]", 0, None),
    ("null", 0, None),
    ("{", 0, None),
    (b'{"\xff":1}', 0, None),
    ('{"a":%s}' % T, 1, None),
    ('{"a":%s}' % T, 0, None),
    ('{"a":%s}' % T, 2, None),
    ('{"b":%s,"a":%s}' % (T2, T), 2, None),
    ('{"a":%s,"b":%s}' % (T, T), 1, None),
    ('{"a":%s,"b":%s}' % (T, T), 2, None),
    ('{"\\u0061":%s}' % T, 1, None),
    ('{"a":null}', 0, None),
    ('{"__metadata__":null}', 0, None),
    ('{"__metadata__":{"a":"1"}}', 0, None),
    ('{"__metadata__":{"a":1}}', 0, None),
    ('{"__metadata__":[]}', 0, None),
    ('{"__metadata__":{},"__metadata__":{}}', 0, None),
    ('{"a":%s,"__metadata__":{"a":"1"}}' % T, 1, None),
    ('{"__metadata__":{"":"1"}}', 0, None),
    ('{"a":{"dtype":"I8","new":{"x":[1]},"shape":[1],"data_offsets":[0,1]}}', 1, None),
    ('{"a":{"dtype":"I8","dtype":"I8","shape":[1],"data_offsets":[0,1]}}', 1, None),
    ('{"a":{"dtype":"I8","data_offsets":[0,1]}}', 1, None),
    ('{"a":{"shape":[1],"data_offsets":[0,1]}}', 1, None),
    ('{"a":{"dtype":"I8","shape":[1]}}', 1, None),
    (entry(offsets="[0,1,1]"), 1, None),
    (entry(offsets="[1,0]"), 1, None),
    (entry(offsets="[1,2]"), 2, None),
    (entry(shape="[]"), 1, None),
    (entry(shape="[-1]"), 1, None),
    (entry(shape="[1.0]"), 1, None),
    (entry(shape="[18446744073709551616]"), 1, None),
    (entry(dtype="I9"), 1, None),
    (entry(dtype="i8"), 1, None),
    (entry("I32", "[2,2]", "[0,4]"), 4, None),
    (entry("I32", "[2,0]", "[0,0]"), 0, None),
    (entry("I32", "[2,18446744073709551614]", "[0,16]"), 16, None),
    (entry("I32", "[2,9223372036854775807]", "[0,16]"), 16, None),
    (entry("I8", "[0,9223372036854775807,2]", "[0,0]"), 0, None),
    (entry("I8", "[9223372036854775807,3,0]", "[0,0]"), 0, None),
    (entry("F4", "[1]", "[0,1]"), 1, None),
    (entry("C64", "[1]", "[0,8]"), 8, None),
    (entry("BOOL"), 1, None),
    ('{"a":{"dtype":"I16","shape":[1],"data_offsets":[1,3]},"b":%s}' % T, 3, None),
    (" {}", 0, "a header begins with '{'"),
    ('{"a":%s,"a":%s}' % (T, T), 1, "each name once"),
    ('{"__metadata__":{"a":"1","a":"2"}}', 0, "each key once"),
    ('{"a":["I8",[1],[0,1]]}', 1, "a tensor is an object"),
    (entry("F4", "[2]", "[0,1]"), 1, "whole bytes"),
    (entry("F6_E2M3", "[4]", "[0,3]"), 3, "whole bytes"),
    (entry("F8_E8M0"), 1, "no such dtype in HDF5"),
    (entry("F8_E4M3FNUZ"), 1, "no such dtype in HDF5"),
    ('{"":%s}' % T, 1, "a name is not empty"),
    ('{"a\\u0000":%s}' % T, 1, "a name has no zero bytes"),
    (entry("I8", "[0,18446744073709551615]", "[0,0]"), 0, "a dimension fits 63 bits"),
    (entry("I8", "[" + ",".join(["1"] * 33) + "]"), 1, "at most 32 axes"),
]


def verdicts(scratch):
    path = os.path.join(scratch, "verdict.safetensors")
    agreed = stricter = 0
    for header, data, why in HEADERS:
        text = header.encode() if isinstance(header, str) else header
        with open(path, "wb") as f:
            f.write(struct.pack("<Q", len(text)) + text + bytes(data))
        try:
            with safe_open(path, "np") as f:
                names = sorted(f.keys())
        except Exception as refusal:  # the library has several kinds
            names = refusal
        run = subprocess.run([os.environ["H5CKPT"], "ls", "--json", "--from", "safetensors", path],
                             stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        if run.returncode not in (0, 3):
            peer.wrong("%r: exit %d: %s" % (header, run.returncode, run.stderr))
        ours = sorted(p["name"] for p in json.loads(run.stdout)["parameters"]) if run.returncode == 0 else None
        theirs = None if isinstance(names, Exception) else names
        if why is None and ours != theirs:
            peer.wrong("%r: the library says %r, h5ckpt %r %s" % (header, names, ours, run.stderr))
        if why is not None and (theirs is None or ours is not None):
            peer.wrong("%r: only h5ckpt should refuse it (%s); the library says %r" % (header, why, names))
        agreed += why is None
        stricter += why is not None
    peer.ok("%d headers, valid and not, judged as the library does; %d that only h5ckpt refuses" % (agreed, stricter))


def main():
    with tempfile.TemporaryDirectory() as scratch:
        there_and_back(scratch)
        from_paddle(scratch)
        another_order(scratch)
        shards(scratch)
        verdicts(scratch)


if __name__ == "__main__":
    sys.exit(main())
