"""Conversions of a model that does not change: beside `cp`, which does no more than move the same bytes."""
from .measure import Contestant, median, peak, ratios
from .report import megabytes, seconds, times

TITLE = "Conversions"


def table(bench):
    def convert(source, suffix, *options):
        return lambda: [bench.h5ckpt, "convert", "-q", *options, source, bench.targets.next(suffix)]

    def copy(source, then=""):
        if not then:
            return lambda: ["cp", "-r", source, bench.targets.next()]
        return lambda: ["sh", "-c", 'cp -r "$0" "$1"; sync -f "$1"', source, bench.targets.next()]

    model, h5, free = bench.model, bench.h5, "--no-sync"
    cp, cp_file, cp_sync = copy(model), copy(h5), copy(model, "sync")
    rows = (
        ("save directory to HDF5", convert(model, ".h5", free), "`cp -r`", cp, "0.70"),
        ("HDF5 to save directory", convert(h5, "/", free), "`cp -r`", cp, "0.80"),
        ("save directory to save directory", convert(model, "/", free), "`cp -r`", cp, "0.80"),
        ("HDF5 to HDF5", convert(h5, ".h5", free), "`cp` of the file", cp_file, "0.80"),
        ("save directory to HDF5, synced", convert(model, ".h5"), "`cp -r; sync -f`", cp_sync, "0.75"),
        ("HDF5 to save directory, synced", convert(h5, "/"), "`cp -r; sync -f`", cp_sync, "0.75"),
        ("save directory to HDF5, `--jobs 1`", convert(model, ".h5", free, "--jobs=1"), "`cp -r`", cp, ""),
        ("save directory to HDF5, `--jobs 2`", convert(model, ".h5", free, "--jobs=2"), "`cp -r`", cp, ""),
        ("HDF5 to save directory, `--jobs 1`", convert(h5, "/", free, "--jobs=1"), "`cp -r`", cp, ""),
        ("HDF5 to save directory, `--jobs 2`", convert(h5, "/", free, "--jobs=2"), "`cp -r`", cp, ""),
        ("save directory to HDF5, no digests", convert(model, ".h5", free, "--digest=none"), "`cp -r`", cp, ""))
    bench.report.columns("conversion", "h5ckpt", "baseline", "", "ratio, median (range)", "at most",
                         "peak memory (at most 32)")
    faults = {}
    for title, ours, name, theirs, target in rows:
        pair = [Contestant("baseline", theirs), Contestant("h5ckpt", ours)]
        samples, failed = bench.watch.alternate(pair, bench.rounds, after=bench.targets.forget)
        faults.update({title: why for why in failed.values()})
        if not failed:
            ours, theirs = samples["h5ckpt"], samples["baseline"]
            bench.report.row(title, seconds(median(ours)), seconds(median(theirs)), name, times(*ratios(ours, theirs)),
                             target, megabytes(peak(ours)))
    bench.report.faults(faults)
