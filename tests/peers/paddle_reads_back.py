# Converts each fixture to HDF5 and back, and lets the real Paddle 1.8.5 read what came back: every tensor by its
# `load` operator, every decay by unpickling it, both compared with the originals. Before that, the files are compared
# byte for byte; but pickles of Python 2 (a Python 2 is asked), of users' classes and with numpy's numbers in them
# only have to hold equal values of equal types.
import json
import os
import pickle
import subprocess
import sys
import tempfile

import numpy as np
import paddle.fluid as fluid
from paddle.fluid import core

import peer

sys.path.insert(0, peer.FIXTURES)
from make_fixtures import describe  # noqa: E402


def paddle_loads(path):
    """A tensor file as Paddle reads it: the array and its LoD."""
    program, scope = fluid.Program(), core.Scope()
    block = program.global_block()
    x = block.create_var(name="x", persistable=True)
    block.append_op(type="load", inputs={}, outputs={"Out": [x]}, attrs={"file_path": path})
    fluid.Executor(fluid.CPUPlace()).run(program, scope=scope)
    tensor = scope.find_var("x").get_tensor()
    return np.array(tensor), tensor.lod()


def check_tensors(name, folder, again):
    tensors = [path for path in peer.paths(folder) if not peer.is_decay(path)]
    for path in tensors:
        peer.same_bytes(folder, again, path)
        found, expected = paddle_loads(os.path.join(again, path)), paddle_loads(os.path.join(folder, path))
        peer.same("%s/%s, read by Paddle," % (name, path), found, expected)
    peer.ok("%s: Paddle loads %d tensors: files, values and LoD equal" % (name, len(tensors)))


def check_decays(name, folder, again, listing):
    decays, alike = [path for path in peer.paths(folder) if peer.is_decay(path)], 0
    for path in decays:
        original, copy = peer.read(folder, path), peer.read(again, path)
        if peer.only_paddle(original):
            peer.same_bytes(folder, again, path)
        alike += original == copy
        found = pickle.loads(copy)
        peer.same("%s/%s, unpickled by Paddle," % (name, path), found, pickle.loads(original))
        if listing:
            peer.same("%s/%s, as listed," % (name, path), describe(found), listing[os.path.basename(path)])
    peer.ok("%s: Paddle unpickles %d decays: values equal, and %d byte for byte" % (name, len(decays), alike))


def check_python2(folder, again):
    python = os.environ.get("PYTHON2") or sys.executable
    script = os.path.join(peer.HERE, "values.py")
    run = subprocess.run([python, "-B", script, os.path.join(folder, "optimizers"), os.path.join(again, "optimizers")])
    if run.returncode:
        sys.exit(1)


def main():
    with open(os.path.join(peer.FIXTURES, "decays_values.json"), encoding="utf-8") as f:
        listing = json.load(f)
    with tempfile.TemporaryDirectory() as scratch:
        for name in ("seed_mlp", "dtypes", "decays", "inference", "python2"):
            folder = os.path.join(peer.FIXTURES, name)
            again = peer.there_and_back(folder, scratch)
            peer.same_paths(folder, again)
            check_tensors(name, folder, again)
            if name == "python2":
                check_python2(folder, again)
            elif name in ("seed_mlp", "decays"):
                check_decays(name, folder, again, listing if name == "decays" else None)


if __name__ == "__main__":
    main()
