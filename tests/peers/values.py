# Compares unpickled values strictly, under Python 2.7 and 3, without Paddle and without numpy.
#
# As a script it compares two folders of pickles: `python2.7 values.py ORIGINALS COPIES`. It is how the pickles of
# Python 2 are checked: only a Python 2 tells int from long, and str from unicode. Classes are stood in for by name,
# so that nothing need be installed; what numpy writes is compared as the call it is.
from __future__ import print_function

import io
import os
import pickle
import struct
import sys

try:
    Unpickler = pickle._Unpickler  # the one written in Python, whose find_class can be replaced
except AttributeError:
    Unpickler = pickle.Unpickler

stand_ins = {}


class Call(object):
    """What a pickle asks to be called, and with what."""

    def __new__(cls, *arguments):
        call = object.__new__(cls)
        # numpy before 1.17 wrote a dtype's two flags as 0 and 1, later ones as False and True. It is the same dtype.
        call.arguments = tuple(int(argument) if isinstance(argument, bool) else argument for argument in arguments)
        return call

    def __setstate__(self, state):
        self.state = state


class Loader(Unpickler):
    def find_class(self, module, name):
        # Two globals make plain values and one makes the objects of protocols 0 and 1; everything else is stood in for.
        if module in ("_codecs", "copy_reg", "copyreg", "__builtin__", "builtins"):
            return Unpickler.find_class(self, module, name)
        base = Call if module.split(".")[0] == "numpy" else object
        return stand_ins.setdefault((module, name), type(str(name), (base,), {"__module__": module}))


def load(path, **options):
    with io.open(path, "rb") as f:
        return Loader(f, **options).load()


def difference(found, expected, where="it"):
    """A sentence, if two values differ in type or in any bit; else None."""
    if type(found) is not type(expected):
        kinds = type(found).__name__, type(expected).__name__
        return "%s is %s %.200r, was %s %.200r" % (where, kinds[0], found, kinds[1], expected)
    if isinstance(expected, float) and not hasattr(expected, "dtype"):
        alike = struct.pack("<d", found) == struct.pack("<d", expected) or (found != found and expected != expected)
        return None if alike else "%s is %r, was %r" % (where, found, expected)
    if hasattr(expected, "dtype") and hasattr(expected, "tobytes"):  # numpy's scalars and arrays
        alike = (found.dtype, found.shape, found.tobytes()) == (expected.dtype, expected.shape, expected.tobytes())
        return None if alike else "%s is %r, was %r" % (where, found, expected)
    if isinstance(expected, (list, tuple)):
        if len(found) != len(expected):
            return "%s has %d elements, had %d" % (where, len(found), len(expected))
        return first(difference(x, y, "%s[%d]" % (where, i)) for i, (x, y) in enumerate(zip(found, expected)))
    if isinstance(expected, dict):
        # Python 3's dicts keep their order, which Paddle shows; the order of Python 2's is the hash's.
        mine, theirs = list(found), list(expected)
        if sys.version_info < (3,):
            mine, theirs = sorted(mine, key=repr), sorted(theirs, key=repr)
        return (difference(mine, theirs, "the keys of " + where) or
                first(difference(found[x], expected[y], "%s[%r]" % (where, y)) for x, y in zip(mine, theirs)))
    if hasattr(expected, "__dict__") and not isinstance(expected, type):
        return difference(vars(found), vars(expected), where + ".__dict__")
    return None if found == expected else "%s is %.200r, was %.200r" % (where, found, expected)


def first(problems):
    return next((problem for problem in problems if problem), None)


def main(originals, copies):
    # Where there is no Python 2, str at least stays apart from unicode as bytes; int and long then look the same.
    options = {} if sys.version_info < (3,) else {"encoding": "bytes"}
    names = sorted(os.listdir(originals))
    for name in names:
        copy, original = (load(os.path.join(folder, name), **options) for folder in (copies, originals))
        problem = difference(copy, original)
        if problem:
            print("WRONG %s: %s" % (name, problem))
            return 1
    print("ok    Python %d.%d: %d pickles hold equal values of equal types" % (sys.version_info[:2] + (len(names),)))
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
