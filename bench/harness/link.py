"""`convert --link`: a small HDF5 file over the bytes that lie in the source's own files."""
import os

from .loading import offer
from .measure import Contestant, median, ratios
from .report import seconds

TITLE = "A view instead of a copy"
ORIGIN = {"HDF5_EXTFILE_PREFIX": "${ORIGIN}"}  # where h5py looks for the files: beside the one that names them


def linking(bench):
    made = []

    def link(*options):
        def command():
            made.append(os.path.join(bench.work, "link-%d.h5" % len(made)))  # beside the model, so that it is found
            return [bench.h5ckpt, "convert", "-q", *options, "--link", bench.model, made[-1]]
        return command

    rows = (Contestant("save directory, synced", link()), Contestant("save directory, `--no-sync`", link("--no-sync")))
    samples, faults = bench.watch.alternate(rows, bench.many_rounds(21), touch=0)
    bench.report.columns("`convert --link` of", "median", "range", "at most", "size of the file")
    for name in samples:
        took = [1e3 * s.seconds for s in samples[name]]
        bench.report.row(name, "%.1f ms" % (1e3 * median(samples[name])), "%.1f-%.1f" % (min(took), max(took)), "50 ms",
                         "%.0f KB" % (os.path.getsize(made[0]) / 1e3))
    bench.report.faults(faults)
    return made[0] if samples else None


def reading(bench, linked):
    contestants = offer(bench, (("a plain file", lambda: bench.peer("load.py", "h5py", bench.h5)),
                                ("the linking file", lambda: bench.peer("load.py", "h5py", linked))))
    for c in contestants:
        c.env = ORIGIN
    samples, faults = bench.watch.alternate(contestants, bench.rounds)
    if len(samples) == 2:
        plain, ours = samples["a plain file"], samples["the linking file"]
        bench.report.columns("h5py reads", "median", "to the plain file's time")
        bench.report.row("a plain file", seconds(median(plain)), "")
        bench.report.row("the linking file", seconds(median(ours)), "**%.2f** (%.2f-%.2f)" % ratios(ours, plain))
    bench.report.faults(faults)


def table(bench):
    linked = linking(bench)
    if linked:
        reading(bench, linked)
