"""Many parameters: does the cost of one stay the same from a thousand to a million?

The floor under it is what libhdf5 alone takes to create or open as many datasets, and the file system to open, read and
close (or create, write and close) as many files: bench/raw_hdf5.
"""
import os
import statistics

from .measure import Cannot, Contestant, empty, median, peak, room
from .report import megabytes

TITLE = "Many parameters"
LAYOUTS = (("one group", 0), ("100 a group", 100))
PER_FILE = 4096 + 256 + 700  # bytes of disk: a block, an inode, the dataset in the HDF5 file
WHAT = ("to HDF5", "to a directory", "opening HDF5", "opening a directory")


class Unit:
    """One number of parameters in one layout."""

    def __init__(self, bench, per_group, count):
        self.bench, self.per_group, self.count = bench, per_group, count
        self.folder, self.h5 = (os.path.join(bench.work, "many-%d-%d%s" % (per_group, count, x)) for x in ("", ".h5"))
        self.rounds = min(bench.rounds, 5 if count <= 10000 else 3 if count <= 100000 else 1)
        self.touch = min(12288, 64 + count * 16384 // (1 << 20))

    def make(self):
        files = (1 + 2 * self.rounds) * (self.count + (self.count // self.per_group if self.per_group else 1))
        room(self.bench.work, files + 1000, 4 * self.count * PER_FILE)
        self.bench.do([self.bench.program("bench/make_many"), self.folder, str(self.count), str(self.per_group)])
        self.bench.do([self.bench.h5ckpt, "convert", "-q", "--no-sync", self.folder, self.h5])

    def alternate(self, *contestants):
        samples, faults = self.bench.watch.alternate(contestants, self.rounds, self.touch, self.bench.targets.forget)
        if faults:
            raise Cannot("%d parameters: %s" % (self.count, "; ".join(faults.values())))
        return [samples[c.name] for c in contestants]

    def raw(self, mode, target):
        """A mode of bench/raw_hdf5 that creates, on a fresh target."""
        program, shape = self.bench.program("bench/raw_hdf5"), [str(self.count), str(self.per_group)]
        return Contestant(mode, lambda: [program, mode, self.bench.targets.next(target), *shape], inside=True)

    def measure(self):
        """The samples: for each of WHAT, ours and a list of those that add up to its floor."""
        bench, raw, new = self.bench, self.bench.program("bench/raw_hdf5"), self.bench.targets.next
        opening = [bench.program("bench/load"), "--open"]
        floor_open = Contestant("open", [raw, "open", self.h5], inside=True)
        floor_read = Contestant("read-files", [raw, "read-files", self.folder], inside=True)
        convert = [bench.h5ckpt, "convert", "-q", "--no-sync"]
        there = self.alternate(Contestant("h5ckpt", lambda: convert + [self.folder, new(".h5")]), floor_read,
                               self.raw("create", ".h5"))
        back = self.alternate(Contestant("h5ckpt", lambda: convert + [self.h5, new("/")]), floor_open,
                              self.raw("write-files", ""))
        h5, folder, libhdf5, files = self.alternate(Contestant("HDF5", opening + [self.h5], inside=True),
                                                    Contestant("directory", opening + [self.folder], inside=True),
                                                    floor_open, floor_read)
        return dict(zip(WHAT, ((there[0], there[1:]), (back[0], back[1:]), (h5, [libhdf5]), (folder, [files]))))

    def clear(self):
        empty(self.folder)
        empty(self.h5)


def floor(samples):
    """The sum of the floor's parts, round by round."""
    return [sum(s.seconds for s in one_round) for one_round in zip(*samples)]


def times_row(layout, count, found):
    cells = [layout, "%d" % count]
    for what in WHAT:
        ours, parts = found[what]
        below = floor(parts)
        cells += ["%.1f" % (1e6 * median(ours) / count), "%.1f" % (1e6 * statistics.median(below) / count),
                  "%.2f" % statistics.median([o.seconds / b for o, b in zip(ours, below)])]
    return cells


def memory_row(layout, count, found, base):
    cells = [layout, "%d" % count]
    for what in WHAT:
        mb = peak(found[what][0])
        cells += [megabytes(mb), "%.0f B" % (max(0, mb - base[what]) * (1 << 20) / count)]
    return cells


def measured(bench):
    """Rows (layout, count, samples), and what the peak memory is with a single parameter."""
    found, base = [], None
    for layout, per_group in LAYOUTS:
        for count in [1] + bench.counts if base is None else bench.counts:
            bench.report.progress("%d parameters, %s" % (count, layout))
            unit = Unit(bench, per_group, count)
            try:
                unit.make()
                samples = unit.measure()
            except Cannot as why:
                bench.report.left_out("%d parameters, %s" % (count, layout), why)
                continue
            finally:
                unit.clear()
            if count == 1:
                base = {what: peak(samples[what][0]) for what in WHAT}
            else:
                found.append((layout, count, samples))
    return found, base or dict.fromkeys(WHAT, 0)


def table(bench):
    bench.program("bench/make_many"), bench.program("bench/raw_hdf5")  # else it cannot run
    found, base = measured(bench)
    bench.report.text("Microseconds a parameter; below, the peak memory, and what of it grew with each parameter.\n")
    bench.report.columns("layout", "parameters", "to HDF5", "its floor", "ratio (at most 1.3)", "to a directory",
                         "its floor", "ratio (at most 1.3)", "opening HDF5", "its floor", "ratio (at most 1.2)", "opening a directory",
                         "its floor", "ratio")
    for row in found:
        bench.report.row(*times_row(*row))
    bench.report.text()
    bench.report.columns("layout", "parameters", *(x for what in WHAT for x in (what, "each")))
    for row in found:
        bench.report.row(*memory_row(*row, base))
    bench.report.text()
