"""Loading in-process, every page touched; opening and listing; one parameter of a large file."""
from .measure import Cannot, Contestant, median, peak, ratios
from .report import megabytes, seconds

TITLE = "Loading"
LARGE, LARGE_NAME = 387, "000200"


def offer(bench, entries):
    """Contestants of those entries (name, function that makes the command) whose files and programs are there."""
    found = []
    for name, command in entries:
        try:
            found.append(Contestant(name, command(), inside=True))
        except Cannot as why:
            bench.report.left_out(name, why)
    return found


def tensors(bench):
    return bench.make("model.safetensors", *bench.peer("make.py", "safetensors", bench.h5))


def whole_model(bench):
    def load(*arguments):
        return lambda: [bench.program("bench/load"), *(a() if callable(a) else a for a in arguments)]

    def peer(kind, path):
        return lambda: bench.peer("load.py", kind, path())

    model, h5 = lambda: bench.model, lambda: bench.h5
    npz = lambda: bench.make("model.npz", *bench.peer("make.py", "npz", bench.h5))
    entries = (
        ("h5ckpt, HDF5, mapped", load(h5), 10),
        ("h5ckpt, save directory, mapped", load(model), 10),
        ("h5ckpt, HDF5, copied", load("--copy", h5), 3),
        ("h5ckpt, save directory, copied", load("--copy", model), 3),
        ("libhdf5 in C: H5Dread", lambda: [bench.program("bench/raw_read"), bench.h5], None),
        ("h5py", peer("h5py", h5), None),
        ("safetensors.numpy.load_file", peer("safetensors", lambda: tensors(bench)), None),
        ("numpy.load of an .npz", peer("npz", npz), None))
    samples, faults = bench.watch.alternate(offer(bench, [e[:2] for e in entries]), bench.rounds)
    bench.report.columns("both dictionaries, every page touched", "median", "peak memory", "safetensors takes",
                         "h5py takes", "at least")
    for name, _, target in entries:
        if name not in samples:
            continue
        peers = ["%.1f x" % ratios(samples[p], samples[name])[0] if p in samples else ""
                 for p in ("safetensors.numpy.load_file", "h5py")]
        bench.report.row(name, seconds(median(samples[name])), megabytes(peak(samples[name])), *peers,
                         "%d x" % target if target else "")
    bench.report.faults(faults)


def short(bench, title, entries, target):
    """A table of milliseconds: in more rounds, and without warming memory that is not used."""
    samples, faults = bench.watch.alternate(offer(bench, entries), bench.many_rounds(21), touch=0)
    bench.report.columns(title, "median", "range", "at most")
    for name, _ in entries:
        if name in samples:
            took = [1e3 * s.seconds for s in samples[name]]
            bench.report.row(name, "%.2f ms" % (1e3 * median(samples[name])), "%.2f-%.2f" % (min(took), max(took)),
                             target if name.startswith("h5ckpt") else "")
    bench.report.faults(faults)


def table(bench):
    whole_model(bench)
    lists = bench.program("bench/load"), "--open"
    short(bench, "387 parameters opened and listed", (
        ("h5ckpt, HDF5", lambda: [*lists, bench.h5]),
        ("h5ckpt, save directory", lambda: [*lists, bench.model]),
        ("libhdf5 in C", lambda: [bench.program("bench/raw_hdf5"), "open", bench.h5]),
        ("h5py", lambda: bench.peer("list.py", "h5py", bench.h5)),
        ("safetensors.safe_open", lambda: bench.peer("list.py", "safetensors", tensors(bench)))), "8 ms")
    large = lambda: bench.make("large.h5", *bench.peer("make.py", "sparse", str(LARGE)))
    short(bench, "4 MiB out of 10 GB, in a file of 387 parameters", (
        ("h5ckpt", lambda: [*lists, large(), LARGE_NAME]),
        ("h5py", lambda: bench.peer("list.py", "h5py", large(), LARGE_NAME))), "")
