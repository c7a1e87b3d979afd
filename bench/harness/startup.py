"""Start-up: what a command costs before and beside its work."""
from .measure import Contestant, median

TITLE = "Start-up"


def table(bench):
    ls = [bench.h5ckpt, "ls"]
    contestants = [Contestant("`h5ckpt --version`", [bench.h5ckpt, "--version"]),
                   Contestant("`h5ckpt ls` of a save directory of 2 parameters", ls + [bench.small]),
                   Contestant("`h5ckpt ls` of the model's HDF5 file", ls + [bench.h5]),
                   Contestant("`h5ckpt ls` of the model's save directory", ls + [bench.model]),
                   Contestant("`true`, for comparison", ["true"])]
    samples, faults = bench.watch.alternate(contestants, bench.many_rounds(50), touch=0)
    bench.report.columns("command, median of %d" % bench.many_rounds(50), "user + system", "by the clock", "at most")
    for c in contestants:
        if c.name in samples:
            bench.report.row(c.name, "%.2f ms" % (1e3 * median(samples[c.name], "cpu")),
                             "%.2f ms" % (1e3 * median(samples[c.name])), "5 ms" if "of 2" in c.name else "")
    bench.report.faults(faults)
