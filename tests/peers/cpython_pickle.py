# The pickle writer against CPython's own. Some hundred random states of Paddle's decay classes, pickled by CPython with
# protocol 2, go to HDF5 and come back, and must be the same bytes, memo and all; so must a PiecewiseDecay of 20,000
# boundaries, past what HDF5 holds in a plain attribute. Classes of users with any fields whatever, and numpy's scalars
# and arrays, must come back with equal values of equal types; how many are the same bytes as well is printed.
#
# Needs no Paddle: a pickle names a class by module and name only, so empty classes of the same names serve.
import os
import pickle
import pickletools
import random
import string
import sys
import tempfile
import types

import numpy as np

import peer

MODULE = "paddle.fluid.dygraph.learning_rate_scheduler"
CLASSES = {  # the fields of each, in the order in which Paddle sets them, after step_num, step_size, dtype
    "PiecewiseDecay": ["boundaries", "values", "vars"],
    "NaturalExpDecay": ["learning_rate", "decay_steps", "decay_rate", "staircase"],
    "ExponentialDecay": ["learning_rate", "decay_steps", "decay_rate", "staircase"],
    "InverseTimeDecay": ["learning_rate", "decay_steps", "decay_rate", "staircase"],
    "PolynomialDecay": ["learning_rate", "decay_steps", "end_learning_rate", "power", "cycle"],
    "CosineDecay": ["learning_rate", "step_each_epoch", "epochs"],
    "NoamDecay": ["learning_rate", "d_model", "warmup_steps"],
    "LinearLrWarmup": ["learning_rate", "warmup_steps", "lr_ratio_before_warmup"],
}
OTHERS = [("my_schedules", "StepThenHold"), ("project.train.schedules", "Cosine_2"), ("__main__", "Mine")]
NUMPY = "bool int8 uint8 int16 uint16 int32 uint32 int64 uint64 float16 float32 float64 complex64 complex128".split()
MANY = 500


def stand_in(module, name):
    """Makes the class importable under that name, as pickle demands."""
    parts = module.split(".")
    for i in range(1, len(parts) + 1):
        path = ".".join(parts[:i])
        if path not in sys.modules:
            sys.modules[path] = types.ModuleType(path)
            if i > 1:
                setattr(sys.modules[".".join(parts[:i - 1])], parts[i - 1], sys.modules[path])
    cls = type(name, (), {"__module__": module})
    setattr(sys.modules[module], name, cls)
    return cls


def made(cls, fields):
    decay = cls()
    for name, value in fields:
        setattr(decay, name, value)  # as an __init__ does: Python interns the name
    return decay


class Values:
    """Random plain values, sometimes the same object again: the memo's business."""

    def __init__(self, r):
        self.r, self.seen = r, ["float32"]

    def number(self):
        r = self.r
        corner = r.choice([0, 1, 255, 256, 65535, 65536, 2**31, 2**32, 2**63, 2**64, 2**2040, -2**31, -2**63, -2**2047])
        return r.choice([r.randrange(300), -r.randrange(300), corner, corner + r.choice([-1, 0, 1]),
                         r.getrandbits(r.randrange(1, 80)), -r.getrandbits(r.randrange(1, 80)), r.getrandbits(3000),
                         r.random(), r.uniform(-1e9, 1e9), -0.0, 5e-324, float("inf"), float("-inf"), float("nan")])

    def text(self):
        r = self.r
        letters = r.choice([string.ascii_letters, string.printable, "äöß重み\U0001f40e", "\x7f\n\\\"'/%."])
        return "".join(r.choice(letters) for _ in range(r.choice([0, 1, 1, 5, 20, 255, 256, 300])))

    def any(self, depth=3):
        r = self.r
        if r.random() < 0.1:
            return r.choice(self.seen)
        kind = r.randrange(12 if depth else 7)
        if kind < 3:
            value = self.number()
        elif kind == 3:
            value = r.choice([None, True, False])
        elif kind < 6:
            value = self.text()
        elif kind == 6:
            value = bytes(r.getrandbits(8) for _ in range(r.choice([0, 1, 10, 300])))
        elif kind < 9:
            value = [self.any(depth - 1) for _ in range(r.choice([0, 1, 2, 5]))]
            if r.random() < 0.05:  # CPython writes 1,000 elements at a time
                value = [r.randrange(10)] * r.choice([999, 1000, 1001, 2000, 2001])
        elif kind < 11:
            value = tuple(self.any(depth - 1) for _ in range(r.choice([0, 1, 2, 3, 4, 9])))
        else:
            count = r.choice([0, 1, 6])
            keys = [r.choice([self.text(), r.randrange(99), None, True, 0.5, (1, "a")]) for _ in range(count)]
            value = {key: self.any(depth - 1) for key in keys}
            if r.random() < 0.05:
                value = {str(i): i for i in range(r.choice([999, 1000, 1001, 2001]))}
        self.seen.append(value)
        return value

    def mine(self, classes):
        """A class of the user's own, with any fields, some named like what HDF5 must keep too."""
        r = self.r
        names = ["name", "class", "module", "lod_0", "digest", "a/b", "größe", "x.y", "."]
        names += ["field_%d" % i for i in range(400)]
        fields = [("step_num", r.randrange(10**6)), ("step_size", 1), ("dtype", "float32")]  # the base class sets these
        return made(r.choice(classes), fields + [(name, self.any()) for name in r.sample(names, r.choice([0, 1, 5, 300]))])

    def paddles(self, classes, depth=3):
        """One of Paddle's classes, with its own fields, of the types that users give them."""
        r, name = self.r, self.r.choice(sorted(classes))
        fields = [("step_num", r.randrange(10**r.randrange(1, 11))), ("step_size", r.choice([1, 1, 5, 1000])),
                  ("dtype", r.choice(["float32", "float32", "float64"]))]
        for field in CLASSES[name]:
            if field in ("staircase", "cycle"):
                value = r.random() < 0.5
            elif field == "vars":
                value = list(fields[-1][1])
            elif name == "PiecewiseDecay":
                count = r.choice([0, 1, 2, 5, 998, 999, 1000, 1001, 2000, 2001]) if field == "boundaries" else count + 1
                value = [self.number() for _ in range(count)]
                value = tuple(value) if r.random() < 0.2 else value
            elif name == "LinearLrWarmup" and field == "learning_rate" and depth and r.random() < 0.8:
                value = self.paddles(classes, depth - 1)
            else:
                value = self.number()
            fields.append((field, value))
        if name == "NoamDecay" and r.random() < 0.5:
            fields = [field for field in fields if field[0] != "learning_rate"]  # as 1.5 has it
        return made(classes[name], fields)


def save(folder, name, value):
    os.makedirs(os.path.join(folder, "optimizers"), exist_ok=True)
    with open(os.path.join(folder, "optimizers", name), "wb") as f:
        f.write(pickle.dumps(value, 2))


def with_a_parameter(folder):
    os.makedirs(folder)
    with open(os.path.join(folder, "w"), "wb") as f:
        f.write(peer.read(peer.FIXTURES, "decays", "w"))
    return folder


def check_bytes(what, folder, scratch):
    again = peer.there_and_back(folder, scratch)
    peer.same_paths(folder, again)
    for path in filter(peer.is_decay, peer.paths(folder)):
        first, second = peer.read(folder, path), peer.read(again, path)
        if first != second:
            peer.same("%s: %s" % (what, path), pickle.loads(second), pickle.loads(first))
            for (op, arg, at), (op2, arg2, _) in zip(pickletools.genops(first), pickletools.genops(second)):
                if op is not op2 or repr(arg) != repr(arg2):
                    peer.wrong("%s: %s has equal values but other bytes: at %d CPython writes %s %.99r, h5ckpt %s %.99r"
                               % (what, path, at, op.name, arg, op2.name, arg2))
            peer.same_bytes(folder, again, path)
    peer.ok("%s: %d pickles byte for byte" % (what, len(peer.paths(folder)) - 1))


def check_values(what, folder, scratch):
    again, alike = peer.there_and_back(folder, scratch), 0
    peer.same_paths(folder, again)
    decays = list(filter(peer.is_decay, peer.paths(folder)))
    for path in decays:
        first, second = peer.read(folder, path), peer.read(again, path)
        peer.same("%s: %s" % (what, path), pickle.loads(second), pickle.loads(first))
        alike += first == second
    peer.ok("%s: %d pickles with equal values of equal types, %d of them byte for byte" % (what, len(decays), alike))


def main():
    classes = {name: stand_in(MODULE, name) for name in CLASSES}
    others = [stand_in(module, name) for module, name in OTHERS]
    r = random.Random(2)
    with tempfile.TemporaryDirectory() as scratch:
        folder = with_a_parameter(os.path.join(scratch, "paddles"))
        for i in range(MANY):
            save(folder, "%03d" % i, Values(r).paddles(classes))
        check_bytes("Paddle's classes", folder, scratch)

        folder = with_a_parameter(os.path.join(scratch, "large"))
        values = [1.0 / (i + 1) for i in range(20001)]
        save(folder, "None", made(classes["PiecewiseDecay"], [
            ("step_num", 0), ("step_size", 1), ("dtype", "float32"), ("boundaries", list(range(0, 2000000, 100))),
            ("values", values), ("vars", list(values))]))
        check_bytes("a PiecewiseDecay of 20,000 boundaries", folder, scratch)

        folder = with_a_parameter(os.path.join(scratch, "mine"))
        for i in range(MANY):
            save(folder, "%03d" % i, Values(r).mine(others + [classes["CosineDecay"]]))
        check_values("users' classes and any fields", folder, scratch)

        folder = with_a_parameter(os.path.join(scratch, "numpy"))
        for kind in NUMPY:
            numbers = np.arange(6).astype(kind)
            save(folder, kind, made(classes["PiecewiseDecay"], [
                ("step_num", numbers[1]), ("step_size", 1), ("dtype", "float32"), ("boundaries", numbers.reshape(2, 3)),
                ("values", list(numbers)), ("vars", np.asfortranarray(numbers.reshape(2, 3)))]))
        check_values("numpy %s" % np.__version__, folder, scratch)

        # C's strings end at a zero byte; Python's do not.
        folder = with_a_parameter(os.path.join(scratch, "zero"))
        save(folder, "None", made(others[0], [("step_num", 1), ("step_size", 1), ("dtype", "float32"),
                                              ("note", "a\0b"), ("table", {"\0": ["", "\0\0"]})]))
        check_values("strings with zero bytes", folder, scratch)

        # The user's dtype, read from a file, is an object of its own: equal to Paddle's default, but not the same.
        folder = with_a_parameter(os.path.join(scratch, "identity"))
        inner = made(classes["CosineDecay"], [("step_num", 1), ("step_size", 1), ("dtype", "".join(["float", "32"]))])
        save(folder, "None", made(classes["LinearLrWarmup"], [("step_num", 1), ("step_size", 1), ("dtype", "float32"),
                                                              ("learning_rate", inner)]))
        check_bytes("two equal strings that are two objects", folder, scratch)


if __name__ == "__main__":
    main()
