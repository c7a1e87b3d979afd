# PyTorch's checkpoints against the real PyTorch: what torch.save writes goes to HDF5 and back, and torch.load with
# weights_only=True must find the same structure and the same tensors, to the bit; a model, its optimizer and its
# schedule that travelled train on with the losses of those that stayed; and torch reads what h5ckpt writes of states
# that never were PyTorch's.
import glob
import os
import shutil
import subprocess
import tempfile

import h5py
import numpy as np
import torch

import peer

TORCH = os.path.join(peer.FIXTURES, "torch")
REFUSED = {"sparse.pt": "sparse", "quantized.pt": "quantized", "meta.pt": "meta", "conjugate.pt": "conjugate",
           "module.pt": "torch.nn.modules.linear Linear", "torchscript.pt": "TorchScript"}


def load(path, **how):
    return torch.load(path, weights_only=True, **how)


def raw(tensor):
    return tensor.detach().contiguous().flatten().view(torch.uint8).numpy().tobytes()


def compare(where, a, b):
    """Asserts equal types, structure, and tensors to the bit."""
    if type(a) is not type(b):
        peer.wrong("%s: %s became %s" % (where, type(a).__name__, type(b).__name__))
    if isinstance(a, torch.Tensor):
        if a.dtype != b.dtype or a.shape != b.shape or a.requires_grad != b.requires_grad or raw(a) != raw(b):
            peer.wrong("%s: %r became %r" % (where, a, b))
        compare(where + ".__dict__", a.__dict__, b.__dict__)
    elif isinstance(a, (torch.UntypedStorage, torch.TypedStorage)):
        if a.tolist() != b.tolist():
            peer.wrong("%s: %r became %r" % (where, a.tolist(), b.tolist()))
    elif isinstance(a, dict):
        if list(a) != list(b):
            peer.wrong("%s: keys %r became %r" % (where, list(a), list(b)))
        for key in a:
            compare("%s[%r]" % (where, key), a[key], b[key])
        compare(where + ".__dict__", getattr(a, "__dict__", {}), getattr(b, "__dict__", {})) if type(a) is not dict else None
    elif isinstance(a, (list, tuple)):
        if len(a) != len(b):
            peer.wrong("%s: %d items became %d" % (where, len(a), len(b)))
        for i, (x, y) in enumerate(zip(a, b)):
            compare("%s[%d]" % (where, i), x, y)
    elif isinstance(a, np.ndarray):
        peer.same(where, b.tolist(), a.tolist())
    elif a != b and not (a != a and b != b):
        peer.wrong("%s: %r became %r" % (where, a, b))


def there_and_back(path, scratch):
    name = os.path.basename(path)
    h5, again = os.path.join(scratch, name + ".h5"), os.path.join(scratch, "again-" + name)
    peer.h5ckpt("convert", "--force", path, h5)
    peer.h5ckpt("convert", "--force", h5, again)
    return h5, again


def fixtures(scratch):
    multiarray = np._core.multiarray  # which NumPy 1 and h5ckpt call numpy.core.multiarray
    safe = [(f, "numpy.%s.multiarray.%s" % (core, f.__name__)) for core in ("_core", "core")
            for f in (multiarray.scalar, multiarray._reconstruct)] + [np.ndarray, np.dtype]
    safe += [type(np.dtype(t)) for t in ("float32", "float64")]
    for path in sorted(glob.glob(os.path.join(TORCH, "*.pt"))):
        name = os.path.basename(path)
        if name in REFUSED:
            run = subprocess.run([os.environ["H5CKPT"], "ls", path], capture_output=True, text=True)
            if run.returncode != 3 or REFUSED[name] not in run.stderr or run.stderr.count("\n") != 1:
                peer.wrong("%s: exit %d: %s" % (name, run.returncode, run.stderr))
            continue
        with torch.serialization.safe_globals(safe if name == "numpy.pt" else []):
            # torch reads protocol 4 only where it may execute
            expected = torch.load(path, weights_only=False) if name == "protocol4.pt" else load(path)
            _, again = there_and_back(path, scratch)
            compare(name, expected, load(again))
            compare(name + " mapped", expected, load(again, mmap=True))
            direct = os.path.join(scratch, "direct-" + name)
            peer.h5ckpt("convert", path, direct)
            compare(name + " without HDF5", expected, load(direct))
        peer.h5ckpt("verify", again)
    peer.ok("torch.load finds the same in every fixture after HDF5, and after none; what is refused is refused by name")


def sharing(scratch):
    for path in (os.path.join(scratch, "again-views.pt"), os.path.join(scratch, "direct-views.pt")):
        found = load(path)
        if found["embed.weight"].data_ptr() != found["head.weight"].data_ptr():
            peer.wrong("%s: tied weights came back in two storages" % path)
    peer.ok("tied weights share a storage again")


def elements(scratch):
    """What h5py finds in the HDF5 file is what torch has, views and all."""
    for name in ("views.pt", "dtypes.pt", "state_dict_legacy.pt"):
        value = load(os.path.join(TORCH, name))
        with h5py.File(os.path.join(scratch, name + ".h5"), "r") as f:
            for key, t in value.items():
                data = f["parameters"][key][()]
                if t.dtype in (torch.bfloat16, torch.float8_e4m3fn, torch.float8_e5m2):
                    t = t.to(getattr(torch, str(data.dtype)))  # h5py gives them as the next larger float
                if np.asarray(data).tobytes() != raw(t) or tuple(np.shape(data)) != tuple(t.shape):
                    peer.wrong("%s: %s is %r, h5py found %r" % (name, key, t, data))
    peer.ok("h5py finds torch's elements: strides, expanded and tied tensors, every dtype")


def model():
    torch.manual_seed(3)
    return torch.nn.Sequential(torch.nn.Linear(6, 8), torch.nn.BatchNorm1d(8), torch.nn.ReLU(), torch.nn.Linear(8, 1))


LR = torch.optim.lr_scheduler
SCHEDULES = {"StepLR": lambda o: LR.StepLR(o, 3, 0.5), "OneCycleLR": lambda o: LR.OneCycleLR(o, 0.2, total_steps=40),
             "ReduceLROnPlateau": lambda o: LR.ReduceLROnPlateau(o, patience=1),
             "CosineAnnealingWarmRestarts": lambda o: LR.CosineAnnealingWarmRestarts(o, 4),
             "SequentialLR": lambda o: LR.SequentialLR(o, [LR.LinearLR(o), LR.ExponentialLR(o, 0.9)], [5])}
OPTIMIZERS = {"Adam": lambda p: torch.optim.Adam(p, lr=0.05, amsgrad=True),
              "AdamW": lambda p: torch.optim.AdamW(p, lr=0.05), "RMSprop": lambda p: torch.optim.RMSprop(p, lr=0.01),
              "SGD": lambda p: torch.optim.SGD(p, lr=0.05, momentum=0.9, nesterov=True)}


def steps(net, optimizer, schedule, seed, count):
    random, losses = torch.Generator().manual_seed(seed), []
    for _ in range(count):
        optimizer.zero_grad()
        x = torch.rand(16, 6, generator=random)
        loss = torch.nn.functional.mse_loss(net(x), x.sum(1, keepdim=True))
        loss.backward()
        optimizer.step()
        schedule.step(loss.item()) if isinstance(schedule, LR.ReduceLROnPlateau) else schedule.step()
        losses.append(loss.item())
    return losses


def training(scratch):
    cases = [("Adam", name) for name in SCHEDULES] + [(name, "StepLR") for name in OPTIMIZERS]
    for optimizer_name, schedule_name in cases:
        net = model()
        optimizer = OPTIMIZERS[optimizer_name](net.parameters())
        schedule = SCHEDULES[schedule_name](optimizer)
        steps(net, optimizer, schedule, 1, 7)
        path = os.path.join(scratch, "train.pt")
        torch.save({"model": net.state_dict(), "optim": optimizer.state_dict(), "sched": schedule.state_dict(), "step": 7}, path)
        found = load(there_and_back(path, scratch)[1])
        other = model()
        second = OPTIMIZERS[optimizer_name](other.parameters())
        third = SCHEDULES[schedule_name](second)
        other.load_state_dict(found["model"])
        second.load_state_dict(found["optim"])
        third.load_state_dict(found["sched"])
        peer.same("%s, %s: the losses of 20 further steps" % (optimizer_name, schedule_name),
                  steps(other, second, third, 2, 20), steps(net, optimizer, schedule, 2, 20))
    peer.ok("%d pairs of optimizer and schedule trained on for 20 steps with equal losses" % len(cases))


def foreign(scratch):
    """A save directory of Paddle's, which has decays and no structure of torch."""
    target = os.path.join(scratch, "seed.pt")
    peer.h5ckpt("convert", "-q", os.path.join(peer.FIXTURES, "seed_mlp"), target)
    found = load(target)
    if list(found) != ["model_state_dict", "lr_schedulers"] or list(found["lr_schedulers"]) != ["None"]:
        peer.wrong("a save directory became %r" % found)
    peer.h5ckpt("convert", "-q", os.path.join(peer.FIXTURES, "dtypes") + "/", os.path.join(scratch, "d.pt"))
    plain = load(os.path.join(scratch, "d.pt"))
    if type(plain).__name__ != "OrderedDict" or not all(isinstance(t, torch.Tensor) for t in plain.values()):
        peer.wrong("tensors alone became %r" % plain)
    ours = load(os.path.join(TORCH, "written.pt"))
    if ours["w"].tolist() != [[1, 2], [3, 4]] or ours["n"].tolist() != [7, 8] or ours["n"].dtype != torch.uint16:
        peer.wrong("written.pt, the bytes that tests/test_torch.c wants, holds %r" % ours)
    peer.ok("torch.load reads a save directory of Paddle's: tensors alone as a state_dict, with decays as a checkpoint")


def chosen(scratch):
    """--include leaves a checkpoint that torch still reads."""
    target = os.path.join(scratch, "chosen.pt")
    peer.h5ckpt("convert", "-q", "--include", "0.*", os.path.join(TORCH, "checkpoint.pt"), target)
    found = load(target)
    if list(found["state_dict"]) != ["0.weight", "0.bias"] or found["epoch"] != 3 or "lr_scheduler" in found:
        peer.wrong("--include '0.*' gave %r" % found)
    peer.ok("what --include leaves out is left out of the structure")


def deflated(scratch):
    """An archive that was packed anew, with compression, is read; and a flipped bit is found."""
    import zipfile
    source, target = os.path.join(TORCH, "checkpoint.pt"), os.path.join(scratch, "packed.pt")
    with zipfile.ZipFile(source) as a, zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as b:
        for name in reversed(a.namelist()):
            b.writestr(name, a.read(name))
    _, again = there_and_back(target, scratch)
    compare("deflated", load(source), load(again))
    damaged = os.path.join(scratch, "damaged.pt")
    shutil.copy(source, damaged)
    with zipfile.ZipFile(source) as a:
        at = next(i for i in a.infolist() if i.filename.endswith("data/0"))
    with open(damaged, "r+b") as f:
        f.seek(at.header_offset + 26)
        n, extra = f.read(4)[0], 0
        f.seek(at.header_offset + 28)
        extra = int.from_bytes(f.read(2), "little")
        f.seek(at.header_offset + 30 + n + extra)
        byte = f.read(1)[0]
        f.seek(-1, 1)
        f.write(bytes([byte ^ 1]))
    run = subprocess.run([os.environ["H5CKPT"], "verify", damaged], capture_output=True, text=True)
    if run.returncode != 1 or "0.weight" not in run.stdout:
        peer.wrong("verify of a flipped bit: exit %d: %s%s" % (run.returncode, run.stdout, run.stderr))
    peer.ok("a deflated archive is read; verify finds a flipped bit by the archive's CRC-32")


def main():
    with tempfile.TemporaryDirectory() as scratch:
        fixtures(scratch)
        sharing(scratch)
        elements(scratch)
        training(scratch)
        foreign(scratch)
        chosen(scratch)
        deflated(scratch)


if __name__ == "__main__":
    main()
