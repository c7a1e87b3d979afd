"""Compression: beside libhdf5 with the same filters, one chunk after the other."""
import os
import subprocess

from .measure import Contestant, empty, median, ratios

TITLE = "Compression"
KINDS = (("gzip:1", "4"), ("gzip:6", "4"), ("zstd:1", "2"), ("zstd:3", "2"))  # and how many times H5Dwrite it shall be


class Packed:
    """Files of one kind: each run's target is known, for the last one is looked at and read."""

    def __init__(self, bench, kind):
        self.bench, self.kind, self.last = bench, kind, None

    def target(self):
        if self.last:
            empty(self.last)
        self.last = self.bench.targets.next(".h5")
        return self.last

    def ours(self):
        return [self.bench.h5ckpt, "convert", "-q", "--no-sync", "--compress", self.kind, self.bench.model, self.target()]


def speed(bench, samples):
    return "%.0f MB/s" % (bench.parameters_size() / 1e6 / median(samples))


def gain(ours, theirs):
    """How many times as fast as theirs: median and range."""
    return "**%.1f x** (%.1f-%.1f)" % ratios(theirs, ours)


def compared(bench, samples, libhdf5, target):
    """Cells: our speed, libhdf5's, how many times as fast, and how many times it shall be."""
    ours, theirs = samples.get("h5ckpt"), samples.get(libhdf5)
    return (speed(bench, ours) if ours else "", speed(bench, theirs) if theirs else "",
            gain(ours, theirs) if ours and theirs else "", target + " x")


def one_kind(bench, kind, target, plugins):
    """A row: writes (ours and libhdf5's alternately), then reads the last file that we wrote."""
    rounds, packed = min(bench.rounds, 3), Packed(bench, kind)
    raw, plain, env = bench.program("bench/raw_packed"), bench.h5, {"HDF5_PLUGIN_PATH": plugins}
    writing = (Contestant("h5ckpt", packed.ours),
               Contestant("H5Dwrite", lambda: [raw, "write", kind, plain, bench.targets.next(".h5")], inside=True, env=env))
    wrote, faults = bench.watch.alternate(writing, rounds)
    if "h5ckpt" in faults:
        return None, faults
    threads = str(min(8, os.cpu_count()))
    reading = (Contestant("h5ckpt", [bench.program("bench/unpack"), packed.last, threads], inside=True),
               Contestant("H5Dread", [raw, "read", packed.last], inside=True, env=env))
    read, more = bench.watch.alternate(reading, rounds)
    saves = "%.1f %%" % (100 * (1 - os.path.getsize(packed.last) / os.path.getsize(plain)))
    bench.targets.forget()
    faults.update(("reading by " + who, why) for who, why in more.items())
    return ("`%s`" % kind, saves, *compared(bench, wrote, "H5Dwrite", target),
            *compared(bench, read, "H5Dread", "1.7")), faults


def table(bench):
    python = bench.peers.python  # whose hdf5plugin has libhdf5's plugin for Zstandard
    plugins = subprocess.run([python, "-c", "import hdf5plugin; print(hdf5plugin.PLUGINS_PATH)"], stdout=subprocess.PIPE,
                             text=True, check=True).stdout.strip()
    bench.report.columns("`--compress`", "saves", "h5ckpt writes", "H5Dwrite", "faster", "at least",
                         "h5ckpt reads", "H5Dread", "faster", "at least")
    faults = {}
    for kind, target in KINDS:
        row, failed = one_kind(bench, kind, target, plugins)
        faults.update({kind + ", " + who: why for who, why in failed.items()})
        if row:
            bench.report.row(*row)
    bench.report.faults(faults)
