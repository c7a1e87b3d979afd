# Learning rates: `h5ckpt lr` against the real Paddle 1.8.5, for the decays of the fixtures, for the listed rates, and
# for some hundred random decays.
#
# Paddle works in float32 tensors, a rounding at each operation, so "the same rate" is the same float32. The tolerance
# is 2 units in the last place: room for another libm's expf, powf and cosf, and for nothing else. A formula worked
# out in double and rounded once is further away than that wherever terms cancel (a cosine near its end, a polynomial
# near its). Where Paddle says nan, nan it is (or null, for JSON's sake): a PolynomialDecay of dtype float64 takes a
# fractional power of 1 - s * float32(1/d), and that is a little below 0 at its end when 1/d was rounded up.
import json
import os
import random
import shutil
import sys
import tempfile

import numpy as np
import paddle.fluid as fluid
from paddle.fluid.dygraph import learning_rate_scheduler as lrs

import peer

sys.path.insert(0, peer.FIXTURES)
from make_fixtures import decays, has_formula, rates, save_decay  # noqa: E402

ULPS, STEPS, RANDOM = 2, 40, 500


def ulps(a, b):
    """How many steps of float32 lie between two numbers; none between two that are not."""
    a, b = (np.float32("nan" if x is None else x) for x in (a, b))
    if np.isnan(a) and np.isnan(b):
        return 0

    def place(x):
        bits = int(x.view("int32"))
        return bits if bits >= 0 else -(bits & 0x7FFFFFFF)
    return abs(place(a) - place(b))


def check(what, found, expected):
    """Compares two dictionaries of rates; returns the largest distance seen."""
    largest = 0
    for name in sorted(expected):
        ours, theirs = found.get(name), expected[name]
        if ours is None or len(ours) != len(theirs):
            peer.wrong("%s: h5ckpt lr has no %d rates of %s: %r" % (what, len(theirs), name, ours))
        for step, (a, b) in enumerate(zip(ours, theirs)):
            if ulps(a, b) > ULPS:
                peer.wrong("%s: %s, step %d: %s, Paddle says %.9g, %d ulp" % (what, name, step, a, b, ulps(a, b)))
            largest = max(largest, ulps(a, b))
    peer.ok("%s: %d decays, %d rates each: at most %d ulp apart" % (what, len(expected), STEPS, largest))


def lr(folder):
    return json.loads(peer.h5ckpt("lr", folder, "--json", "--steps", str(STEPS)))


def listed(path):
    with open(os.path.join(peer.FIXTURES, path), encoding="utf-8") as f:
        rows = (line.rstrip("\n").split("\t") for line in f)
        return {name: [float(rate) for rate in row.split()] for name, row in rows}


def random_decay(r, nested=True):
    lr0, step = r.choice([r.uniform(1e-6, 2), 0.1, 1, 2]), r.choice([1, 1, 2, 7, 100])
    begin = r.choice([0, 1, r.randrange(50), r.randrange(10**5)])
    every = r.choice([1, 3, 10, r.randrange(1, 100), r.randrange(1, 10**5), float(r.randrange(1, 100))])
    rate, dtype = r.choice([0.5, 0.9, r.uniform(0.01, 1.5), 2, 1]), r.choice(["float32"] * 5 + ["float64"])
    kind = r.randrange(8 if nested else 7)
    if kind < 3:
        kinds = [lrs.NaturalExpDecay, lrs.ExponentialDecay, lrs.InverseTimeDecay]
        return kinds[kind](lr0, every, rate, r.random() < 0.5, begin, step, dtype)
    if kind == 3:
        count = r.randrange(6)
        boundaries = sorted(r.sample(range(begin, begin + 40 * step + 10), count))
        values = [r.choice([r.random(), 1, 2]) for _ in range(count + 1)]
        return lrs.PiecewiseDecay(boundaries, values, begin, step, dtype)
    if kind == 4:
        return lrs.PolynomialDecay(lr0, every, r.uniform(0, lr0), r.choice([1.0, 2.0, 0.5, 1, 2, r.uniform(0.1, 4)]),
                                   r.random() < 0.5, begin, step, dtype)
    if kind == 5:
        return lrs.CosineDecay(lr0, r.randrange(1, 50), r.randrange(1, 200), begin, step, dtype)
    if kind == 6:
        size = r.choice([64, 512, r.randrange(1, 4000)])
        return lrs.NoamDecay(size, r.randrange(1, 8000), max(begin, 1), step, dtype, lr0)
    low, high = sorted([r.random(), r.random()])
    return lrs.LinearLrWarmup(r.choice([lr0, random_decay(r), random_decay(r, False)]), r.randrange(1, 100), low, high,
                              begin % 100, step, dtype)


def main():
    folder = os.path.join(peer.FIXTURES, "decays")
    found = lr(folder)
    check("rates.txt", found, listed("rates.txt"))
    check("seed_rates.txt", lr(os.path.join(peer.FIXTURES, "seed_mlp")), listed("seed_rates.txt"))
    without = sorted(name for name, decay, _ in decays() if not has_formula(decay) and "numpy" not in name)
    given = [name for name in without if found.get(name)]
    if given:
        peer.wrong("h5ckpt lr tells rates of classes that only their authors know: %r" % given)
    peer.ok("no rates for %s" % ", ".join(without))

    r = random.Random(20)
    with fluid.dygraph.guard(fluid.CPUPlace()), tempfile.TemporaryDirectory() as scratch:
        many = os.path.join(scratch, "many")
        os.mkdir(many)
        shutil.copy(os.path.join(folder, "w"), many)
        expected = {}
        for i in range(RANDOM):
            decay = random_decay(r)
            name = "%03d-%s" % (i, type(decay).__name__)
            save_decay(many, name, decay)
            expected[name] = rates(decay, STEPS)
        check("random decays", lr(many), expected)
        check("random decays, through HDF5", lr(peer.there_and_back(many, scratch)), expected)


if __name__ == "__main__":
    main()
