# What the peer checks share: running h5ckpt, comparing folders file for file, and comparing values as strictly as a
# pickle does (True is not 1, 1 is not 1.0, a tuple is not a list, -0.0 is not 0.0, and a NaN equals itself).
# Runs under Python 3.7 and later; `values.py` has what must run under Python 2 too.
import os
import pickletools
import subprocess
import sys

from values import difference

HERE = os.path.dirname(os.path.abspath(__file__))
FIXTURES = os.path.join(os.path.dirname(HERE), "fixtures")
NOT_TENSORS = ("__model__",)  # left out by h5ckpt, with a note


def ok(text):
    print("ok    " + text, flush=True)


def wrong(text):
    print("WRONG " + text, flush=True)
    sys.exit(1)


def h5ckpt(*arguments):
    """What the command prints. Its failure is the check's failure."""
    run = subprocess.run([os.environ["H5CKPT"]] + list(arguments), stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    if run.returncode:
        said = run.stderr.decode(errors="replace").strip()
        wrong("h5ckpt %s: exit %d: %s" % (" ".join(arguments), run.returncode, said))
    return run.stdout.decode("utf-8")


def download(package, folder, *options):
    """A package's archive from PyPI, as pip gets it, with nothing that it depends on."""
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", folder]
    subprocess.run(pip + list(options) + [package], check=True)


def there_and_back(folder, scratch):
    """The folder through HDF5 into a second folder, whose path is returned."""
    name = os.path.basename(os.path.normpath(folder))
    h5, again = os.path.join(scratch, name + ".h5"), os.path.join(scratch, name + ".again")
    h5ckpt("convert", folder, h5)
    h5ckpt("convert", h5, again + "/")
    return again


def paths(folder):
    """Every file below the folder, by its path in it."""
    found = (os.path.join(parent, name) for parent, _, names in os.walk(folder) for name in names)
    return sorted(set(os.path.relpath(path, folder) for path in found) - set(NOT_TENSORS))


def is_decay(path):
    return path.startswith("optimizers" + os.sep)


def read(*parts):
    with open(os.path.join(*parts), "rb") as f:
        return f.read()


def same_paths(a, b):
    missing, extra = sorted(set(paths(a)) - set(paths(b))), sorted(set(paths(b)) - set(paths(a)))
    if missing or extra:
        wrong("%s came back without %r and with %r" % (a, missing, extra))


def same_bytes(a, b, path):
    first, second = read(a, path), read(b, path)
    if first != second:
        at = next((i for i, (x, y) in enumerate(zip(first, second)) if x != y), min(len(first), len(second)))
        wrong("%s came back different at byte %d of %d: %r, was %r"
              % (os.path.join(a, path), at, len(first), second[at:at + 40], first[at:at + 40]))


def same_files(a, b):
    """Asserts that two folders hold the same files with the same bytes; returns how many."""
    same_paths(a, b)
    for path in paths(a):
        same_bytes(a, b, path)
    return len(paths(a))


def only_paddle(pickled):
    """Whether a pickle of Python 3 names nothing but Paddle's own decay classes. Such a one comes back byte for byte;
    one with a class of the user's or a numpy value, with equal values of equal types."""
    return all(op.name != "GLOBAL" or arg.startswith("paddle.") for op, arg, _ in pickletools.genops(pickled))


def same(what, found, expected):
    """Asserts that two values are the same, in type and to the last bit, all the way down."""
    problem = difference(found, expected)
    if problem:
        wrong("%s: %s" % (what, problem))
