"""What the tables share: the programs, the model and its files (made when first asked for), the stop-watch, the report."""
import os
import platform
import subprocess
import time

from .measure import Cannot, StopWatch, Targets, room
from .peers import Peers
from .report import Report

SOURCE = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


class Bench:
    def __init__(self, build, work, peers, rounds, hidden, counts):
        self.build, self.work, self.rounds, self.hidden, self.counts = build, work, rounds, hidden, counts
        self.report = Report()
        self.peers = Peers(peers, self.report)
        os.environ["LD_LIBRARY_PATH"] = os.path.join(os.path.abspath(build), ".libs")
        self.h5ckpt = self.program("h5ckpt")
        # Free memory for a copy of the model and the page cache's share, twice over.
        touch = min(12288, 64 + 8 * self.parameters_size() // (1 << 20))
        self.watch = StopWatch(self.program("bench/timed"), work, touch)
        self.targets = Targets(os.path.join(work, "targets"))
        self.made = {}

    def program(self, name):
        """The program itself: where libtool put a script in its place, the program behind it."""
        path = os.path.abspath(os.path.join(self.build, name))
        if not os.path.exists(path):
            raise Cannot("%s is not built (make benchmarks)" % name)
        with open(path, "rb") as f:
            if f.read(2) != b"#!":
                return path
        return os.path.join(os.path.dirname(path), ".libs", os.path.basename(path))

    def peer(self, script, *arguments):
        """The command that runs a script of bench/peers."""
        return [self.peers.python, "-B", os.path.join(SOURCE, "bench", "peers", script), *arguments]

    def do(self, command):
        """What only prepares."""
        done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
                              text=True)
        if done.returncode:
            raise Cannot("`%s` failed: %s" % (os.path.basename(command[0]), (done.stderr.strip().split("\n") or ["?"])[-1]))

    def make(self, name, *command):
        """A file in the work folder, made once: `command` gets its path at the end. A failure is remembered."""
        path = os.path.join(self.work, name)
        if name not in self.made:
            try:
                self.report.progress("making %s" % name)
                self.do([*command, path])
                self.made[name] = None
            except Cannot as why:
                self.made[name] = why
        if self.made[name]:
            raise self.made[name]
        return path

    def parameters_size(self):
        """Bytes of the model that bench/make_bert makes, to a percent."""
        return 4 * self.hidden * (31036 + 24 * (12 * self.hidden + 13))

    @property
    def model(self):
        path = os.path.join(self.work, "model")
        if "model" not in self.made:
            room(self.work, 5000, 10 * self.parameters_size())
            self.do([self.program("bench/make_bert"), path, str(self.hidden)])
            self.made["model"] = None
        return path

    @property
    def h5(self):
        return self.make("model.h5", self.h5ckpt, "convert", "-q", self.model)

    @property
    def small(self):
        """The save directory of two small parameters that the tests have."""
        return os.path.join(SOURCE, "tests", "fixtures", "seed_mlp")

    def many_rounds(self, count):
        """For what takes milliseconds: at least `count`, but where --rounds 1 says that it only shall run."""
        return max(self.rounds, count) if self.rounds > 1 else 1

    def describe(self):
        """The machine, and what is measured with, in a few lines of Markdown."""
        with open("/proc/cpuinfo") as f:
            cpu = next((line.split(":")[1].strip() for line in f if line.startswith("model name")), platform.machine())
        memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
        disk = output(["df", "--output=fstype", self.work]).split()[-1:]
        commit = output(["git", "-C", SOURCE, "describe", "--always", "--dirty"])
        lines = ["%s: %d cores of %s, %.0f GB, Linux %s; load when it began: %.1f." % (
                     time.strftime("%Y-%m-%d"), os.cpu_count(), cpu, memory / 1e9,
                     ", ".join([platform.release()] + disk), os.getloadavg()[0]),
                 "%s%s; %d rounds; 387 float32 parameters, %.2f GB." % (
                     output([self.h5ckpt, "--version"]), " (%s)" % commit if commit else "", self.rounds,
                     self.parameters_size() / 1e9)]
        try:
            lines.append("Peers: %s." % self.peers.versions())
        except Cannot as why:
            self.report.left_out("the peers in Python", why)
        self.report.text("\n".join(lines) + "\n")


def output(command):
    try:
        return subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True).stdout.strip()
    except OSError:
        return ""
