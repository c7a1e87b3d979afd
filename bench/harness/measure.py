"""How things are measured: contestants alternately in one loop, medians, and the median of the pairs' ratios.

A machine's speed drifts within minutes, so two medians taken one after the other compare the minutes. What one contestant
took is divided by what the other took right beside it, and the median of those ratios is the figure to quote. Which of the
contestants begins changes from round to round. bench/timed does one run, and sees to it before that what the run reads is in
the page cache and that free memory is there.

ext4 passes over inodes that were deleted in the last minutes, which makes whoever creates files look slow: nothing is
deleted between runs. Targets get fresh names; when a run is over they are cut to length 0, which frees disk and page cache
and leaves the inodes.
"""
import collections
import concurrent.futures
import os
import shutil
import statistics
import subprocess


class Cannot(Exception):
    """A contestant or a table that cannot run, and why, in a line."""


# Of one run: wall-clock seconds (or what the program says it took in-process), seconds of user and system time, peak
# resident MB.
Sample = collections.namedtuple("Sample", "seconds cpu mb")


class Contestant:
    """`command` is a list, or a function that makes one (for a fresh target each time). With `inside` it prints its own
    seconds, as the first word of its output."""

    def __init__(self, name, command, inside=False, env=None):
        self.name, self.inside, self.env = name, inside, env
        self.command = command if callable(command) else lambda: command


class StopWatch:
    """Runs things by bench/timed, which warms `touch` MiB before each."""

    def __init__(self, timed, work, touch):
        self.timed, self.touch = timed, touch
        self.result, self.out, self.err = (os.path.join(work, "run." + x) for x in ("result", "out", "err"))

    def run(self, contestant, touch=None):
        command = [self.timed, self.result, str(self.touch if touch is None else touch), *contestant.command()]
        with open(self.out, "wb") as out, open(self.err, "wb") as err:
            subprocess.run(command, stdin=subprocess.DEVNULL, stdout=out, stderr=err,
                           env=dict(os.environ, **contestant.env or {}))
        with open(self.result) as f:
            seconds, cpu, kib, status = f.read().split()
        if status != "0":
            raise Cannot("`%s` failed: %s" % (os.path.basename(command[3]), self.last_line() or "status " + status))
        if contestant.inside:
            with open(self.out) as f:
                seconds = f.read().split()[0]
        return Sample(float(seconds), float(cpu), float(kib) / 1024)

    def last_line(self):
        with open(self.err, errors="replace") as f:
            lines = f.read().split("\n")
        return next((line.strip() for line in reversed(lines) if line.strip()), "")

    def alternate(self, contestants, rounds, touch=None, after=None):
        """Runs them in turn, `rounds` times. Who fails drops out. Returns the samples of those who did not, by name, and
        the reasons of those who did. `after` is called after each run."""
        samples, faults, running = {c.name: [] for c in contestants}, {}, list(contestants)
        for i in range(rounds):
            first = i % len(running) if running else 0
            for c in running[first:] + running[:first]:
                try:
                    samples[c.name].append(self.run(c, touch))
                except Cannot as why:
                    faults[c.name] = str(why)
                    del samples[c.name]
                if after:
                    after()
            running = [c for c in running if c.name not in faults]
        return samples, faults


class Targets:
    """Fresh names in a folder of their own, which must not be there."""

    def __init__(self, folder):
        self.folder, self.n, self.since = folder, 0, []
        os.mkdir(folder)

    def next(self, suffix=""):
        self.n += 1
        self.since.append(os.path.join(self.folder, "%d%s" % (self.n, suffix)))
        return self.since[-1]

    def forget(self):
        """Cuts all files made since the last time to length 0."""
        for target in self.since:
            empty(target)
        self.since = []


def empty(path):
    """Cuts a file, or all files of a folder, to length 0. By many threads: where the file system tells the disk what is
    free each file takes a millisecond of waiting."""
    files = [path] if os.path.isfile(path) else [os.path.join(d, name) for d, _, names in os.walk(path) for name in names]
    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        for _ in pool.map(lambda some: [os.truncate(f, 0) for f in some], (files[i::64] for i in range(64))):
            pass


def median(samples, what="seconds"):
    return statistics.median(getattr(s, what) for s in samples)


def peak(samples):
    return max(s.mb for s in samples)


def ratios(ours, theirs):
    """The median of the pairs' ratios, the smallest and the largest."""
    all_of_them = sorted(o.seconds / t.seconds for o, t in zip(ours, theirs))
    return statistics.median(all_of_them), all_of_them[0], all_of_them[-1]


def room(path, files, size):
    """Says Cannot where the file system has no room for so many files and bytes."""
    v = os.statvfs(path)
    if v.f_files and v.f_favail < files:
        raise Cannot("%d free inodes are needed, there are %d" % (files, v.f_favail))
    if shutil.disk_usage(path).free < size:
        raise Cannot("%.0f GB of free disk are needed, there are %.0f" % (size / 1e9, shutil.disk_usage(path).free / 1e9))
