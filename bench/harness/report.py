"""What bench/run prints: Markdown, a table as soon as it is known, and what was left out."""
import sys


class Report:
    def __init__(self):
        self.left = 0

    def text(self, line=""):
        print(line, flush=True)

    def heading(self, line):
        self.text("### %s\n" % line)

    def columns(self, *titles):
        self.text("| %s |" % " | ".join(titles))
        self.text("|%s" % ("---|" * len(titles)))

    def row(self, *cells):
        self.text("| %s |" % " | ".join(cells))

    def left_out(self, what, why):
        """A line in place of what could not be measured."""
        self.left += 1
        self.text("(left out: %s: %s)\n" % (what, why))

    def faults(self, reasons):
        """Ends a table with the rows that it lacks: {title: why}."""
        self.text()
        for what, why in reasons.items():
            self.left_out(what, why)

    def progress(self, line):
        print("bench/run: " + line, file=sys.stderr, flush=True)


def seconds(s):
    return "%.3f s" % s if s >= 0.1 else "%.1f ms" % (1e3 * s)


def times(median, low, high):
    return "**%.2f** (%.2f-%.2f)" % (median, low, high)


def megabytes(mb):
    return "%.0f MB" % mb
