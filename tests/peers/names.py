#!/usr/bin/env python3
# One model in two frameworks: what the built-in name rules make of Paddle's parameters, PyTorch loads with strict=True and
# computes the same from; and back, set_state_dict finds nothing missing and nothing left over.
#
# The model has Linear (with a bias and without), Conv2D and its transpose, BatchNorm, LayerNorm, GroupNorm, InstanceNorm,
# PReLU, Embedding, LSTM (two layers, both directions), GRU and attention. Paddle and PyTorch run in processes of their own.
# The files between them are what each framework itself saves where h5ckpt reads and writes that (.pdparams, .pt), and
# otherwise HDF5 by h5py.
import os
import subprocess
import sys
import tempfile

import h5py
import numpy as np

from peer import h5ckpt, ok, wrong

TOLERANCE = 1e-5


def inputs():
    random = np.random.RandomState(7)
    return {"words": random.randint(0, 11, (3, 5)), "image": random.rand(3, 3, 8, 8).astype("float32")}


# ---- Paddle ----------------------------------------------------------------------------------------------------------


def paddle_model():
    import paddle
    from paddle import nn

    class Model(nn.Layer):
        def __init__(self):
            super().__init__()
            self.embedding = nn.Embedding(11, 8)
            self.lstm = nn.LSTM(8, 4, num_layers=2, direction="bidirect")
            self.attention = nn.MultiHeadAttention(8, 2)
            self.norm = nn.LayerNorm(8)
            self.gru = nn.GRU(8, 6)
            self.conv = nn.Conv2D(3, 4, 3)
            self.bn = nn.BatchNorm2D(4)
            self.act = nn.PReLU(4)
            self.inorm = nn.InstanceNorm2D(4)
            self.up = nn.Conv2DTranspose(4, 6, 2)
            self.group = nn.GroupNorm(2, 6)
            self.hidden = nn.Linear(12, 10)
            self.head = nn.Linear(10, 5, bias_attr=False)

        def forward(self, words, image):
            text = self.lstm(self.embedding(words))[0]
            text = self.norm(self.attention(text, text, text))
            text = self.gru(text)[0][:, -1]
            image = self.inorm(self.act(self.bn(self.conv(image))))
            image = self.group(self.up(image)).mean([2, 3])
            return self.head(paddle.tanh(self.hidden(paddle.concat([text, image], 1))))

    paddle.seed(1)
    return Model()


def paddle_output(model):
    import paddle

    model.eval()
    with paddle.no_grad():
        return model(*[paddle.to_tensor(v) for v in inputs().values()]).numpy()


def paddle_save(path):
    """A model after some steps of training, so that no parameter is as another model would be born with."""
    import paddle

    model = paddle_model()
    adam = paddle.optimizer.Adam(0.05, parameters=model.parameters())
    for _ in range(5):
        loss = (model(*[paddle.to_tensor(v) for v in inputs().values()]) - 1).square().mean()
        loss.backward()
        adam.step()
        adam.clear_grad()
    if path.endswith(".pdparams"):
        paddle.save(model.state_dict(), path)
    else:
        save_h5(path, {name: value.numpy() for name, value in model.state_dict().items()})
    return paddle_output(model)


def paddle_load(path):
    import paddle

    model = paddle_model()
    state = paddle.load(path) if path.endswith(".pdparams") else load_h5(path)
    missing, unexpected = model.set_state_dict({k: paddle.to_tensor(v) for k, v in state.items() if "@@" not in k})
    if missing or unexpected:
        wrong("set_state_dict of %s: missing %r, unexpected %r" % (path, missing, unexpected))
    return paddle_output(model)


# ---- PyTorch ---------------------------------------------------------------------------------------------------------


def torch_model(whole_attention):
    import torch
    from torch import nn

    class Parts(nn.Module):
        """Attention as many models have it: three projections."""

        def __init__(self, size, heads):
            super().__init__()
            self.q_proj, self.k_proj = nn.Linear(size, size), nn.Linear(size, size)
            self.v_proj, self.out_proj = nn.Linear(size, size), nn.Linear(size, size)
            self.heads = heads

        def forward(self, query, key, value):
            q, k, v = [p(x).unflatten(2, (self.heads, -1)).transpose(1, 2)
                       for p, x in ((self.q_proj, query), (self.k_proj, key), (self.v_proj, value))]
            return (self.out_proj(nn.functional.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)),)

    class Model(nn.Module):
        def __init__(self):
            super().__init__()
            self.embedding = nn.Embedding(11, 8)
            self.lstm = nn.LSTM(8, 4, num_layers=2, bidirectional=True, batch_first=True)
            self.attention = nn.MultiheadAttention(8, 2, batch_first=True) if whole_attention else Parts(8, 2)
            self.norm = nn.LayerNorm(8)
            self.gru = nn.GRU(8, 6, batch_first=True)
            self.conv = nn.Conv2d(3, 4, 3)
            self.bn = nn.BatchNorm2d(4)
            self.act = nn.PReLU(4)
            self.inorm = nn.InstanceNorm2d(4, affine=True)
            self.up = nn.ConvTranspose2d(4, 6, 2)
            self.group = nn.GroupNorm(2, 6)
            self.hidden = nn.Linear(12, 10)
            self.head = nn.Linear(10, 5, bias=False)

        def forward(self, words, image):
            text = self.lstm(self.embedding(words))[0]
            text = self.norm(self.attention(text, text, text)[0])
            text = self.gru(text)[0][:, -1]
            image = self.inorm(self.act(self.bn(self.conv(image))))
            image = self.group(self.up(image)).mean([2, 3])
            return self.head(torch.tanh(self.hidden(torch.cat([text, image], 1))))

    torch.manual_seed(2)
    return Model()


def torch_output(model):
    import torch

    model.eval()
    with torch.no_grad():
        return model(*[torch.from_numpy(v) for v in inputs().values()]).numpy()


def torch_save(path):
    import torch

    model = torch_model(True)
    adam = torch.optim.Adam(model.parameters(), 0.05)
    for _ in range(5):
        loss = (model(*[torch.from_numpy(v) for v in inputs().values()]) - 1).square().mean()
        adam.zero_grad()
        loss.backward()
        adam.step()
    if path.endswith(".pt"):
        torch.save(model.state_dict(), path)
    else:
        save_h5(path, {name: value.numpy() for name, value in model.state_dict().items()})
    return torch_output(model)


def torch_load(path):
    import torch

    model = torch_model("attention" in os.path.basename(path))
    state = torch.load(path, weights_only=True) if path.endswith(".pt") else {
        name: torch.from_numpy(value) for name, value in load_h5(path).items()}
    model.load_state_dict(state, strict=True)
    return torch_output(model)


# ---- Between ---------------------------------------------------------------------------------------------------------


def save_h5(path, arrays):
    with h5py.File(path, "w", track_order=True) as f:
        for name, value in arrays.items():
            f[name] = value


def load_h5(path):
    with h5py.File(path) as f:
        return {name: np.asarray(value) for name, value in f["parameters"].items()}


def output_of(step, path):
    """Runs one of the four functions above in a process of its own."""
    run = subprocess.run([sys.executable, "-W", "ignore", __file__, step, path], stdout=subprocess.PIPE,
                         stderr=subprocess.PIPE, env=dict(os.environ, GLOG_minloglevel="3"))
    if run.returncode:
        said = (run.stdout + run.stderr).decode(errors="replace").strip().splitlines()
        wrong("%s: %s" % (step, "\n".join(said[-5:])))
    return np.load(path + ".npy")


def expect_same(what, found, expected):
    difference = float(np.abs(found - expected).max())
    if not difference <= TOLERANCE or float(np.abs(expected).max()) < 10 * TOLERANCE:
        wrong("%s: outputs differ by %g" % (what, difference))
    ok("%s: %d outputs agree to %.1g" % (what, expected.size, difference))


OWN = r"""names: own
extends: torch-to-paddle
rules:
  - {match: '^act[.]weight$', rename: act._weight, reason: PReLU}
  - {match: '^inorm[.]weight$', rename: inorm.scale, reason: InstanceNorm}
"""


def main():
    formats = [line.split()[0] for line in h5ckpt("formats").splitlines() if line.strip()]
    pd, pt = ("pdparams", "pt") if "pdparams" in formats and "torch" in formats else ("h5", "h5")
    with tempfile.TemporaryDirectory() as folder:
        def at(name):
            return os.path.join(folder, name)
        before = output_of("paddle_save", at("paddle." + pd))
        for names, target in (("paddle-to-torch", "parts." + pt), ("paddle-to-torch-attention", "attention." + pt)):
            h5ckpt("convert", "-q", "--names", names, at("paddle." + pd), at(target))
            expect_same("%s, .%s to .%s" % (names, pd, pt), output_of("torch_load", at(target)), before)
        with open(at("own.yaml"), "w") as f:
            f.write(OWN)
        h5ckpt("convert", "-q", "--names", at("own.yaml"), at("attention." + pt), at("again." + pd))
        expect_same("and back, .%s to .%s" % (pt, pd), output_of("paddle_load", at("again." + pd)), before)
        before = output_of("torch_save", at("torch." + pt))
        h5ckpt("convert", "-q", "--names", at("own.yaml"), at("torch." + pt), at("torch2." + pd))
        expect_same("torch-to-paddle, .%s to .%s" % (pt, pd), output_of("paddle_load", at("torch2." + pd)), before)
        h5ckpt("convert", "-q", "--names", "paddle-to-torch-attention", at("torch2." + pd), at("attention2." + pt))
        expect_same("and back, .%s to .%s" % (pd, pt), output_of("torch_load", at("attention2." + pt)), before)
        # through HDF5, which keeps what a .pt says of its modules' versions: strict=True then wants num_batches_tracked
        h5ckpt("convert", "-q", "--names", at("own.yaml"), at("torch." + pt), at("between.h5"))
        h5ckpt("convert", "-q", "--names", "paddle-to-torch-attention", at("between.h5"), at("attention3." + pt))
        expect_same("there and back by way of HDF5", output_of("torch_load", at("attention3." + pt)), before)


if __name__ == "__main__":
    if len(sys.argv) == 3:
        steps = {"paddle_save": paddle_save, "paddle_load": paddle_load, "torch_save": torch_save, "torch_load": torch_load}
        np.save(sys.argv[2] + ".npy", steps[sys.argv[1]](sys.argv[2]))
    else:
        main()
