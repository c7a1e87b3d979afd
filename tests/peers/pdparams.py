# Paddle 3.3.1 reads what h5ckpt writes as .pdparams and .pdopt: paddle.load gives equal objects, and a model with Adam and
# a scheduler trains on with the same losses as from Paddle's own files. A file that holds a whole run comes back, and
# so do bfloat16, tuples, pieces of a split array, and all fixtures.
import os
import tempfile

import numpy as np
import paddle

import peer


class Net(paddle.nn.Layer):
    def __init__(self):
        super().__init__()
        self.a, self.bn, self.b = paddle.nn.Linear(3, 16), paddle.nn.BatchNorm1D(16), paddle.nn.Linear(16, 1)

    def forward(self, x):
        return self.b(self.bn(self.a(x)))


def build():
    paddle.utils.unique_name.switch()  # a program that is started again names its layers as before
    net = Net()
    rate = paddle.optimizer.lr.LinearWarmup(paddle.optimizer.lr.NaturalExpDecay(0.1, 0.1), 4, 0.01, 0.1)
    return net, paddle.optimizer.Adam(rate, parameters=net.parameters()), rate


def train(net, adam, rate, steps):
    x = paddle.to_tensor(np.linspace(-1, 1, 36, dtype="float32").reshape(12, 3))
    losses = []
    for _ in range(steps):
        loss = ((net(x) - x[:, :1] ** 2) ** 2).mean()
        loss.backward()
        adam.step()
        adam.clear_grad()
        rate.step()
        losses.append((float(loss), rate.last_epoch, rate.last_lr))
    return losses


def resume(model, optimizer):
    net, adam, rate = build()
    net.set_state_dict(model)
    adam.set_state_dict(optimizer)
    return train(net, adam, rate, 6)


def plain(value):
    """Tensors as what can be compared: dtype, shape, bytes."""
    if isinstance(value, paddle.Tensor):
        return ("tensor", str(value.dtype), list(value.shape), value.numpy().tobytes())
    if isinstance(value, paddle.base.core.DenseTensor):
        return ("tensor", np.array(value))
    if isinstance(value, np.ndarray):
        return ("array", value.dtype.name, list(value.shape), value.astype(value.dtype.newbyteorder("=")).tobytes())
    if isinstance(value, dict):
        return (type(value).__name__, sorted(((repr(k), plain(v)) for k, v in value.items()), key=lambda kv: kv[0]))
    if isinstance(value, (list, tuple)):
        return type(value)(plain(item) for item in value)
    return value


def there_and_back(path, scratch):
    folder = tempfile.mkdtemp(dir=scratch)
    h5, again = os.path.join(folder, "state.h5"), os.path.join(folder, os.path.basename(path))
    peer.h5ckpt("convert", "--from", "pdparams", path, h5)
    peer.h5ckpt("convert", h5, again)
    return again


def compare(path, again, **how):
    peer.same(path, plain(paddle.load(again, **how)), plain(paddle.load(path, **how)))


def main():
    with tempfile.TemporaryDirectory() as scratch:
        prefix, whole = os.path.join(scratch, "run"), os.path.join(scratch, "whole.pdparams")
        net, adam, rate = build()
        train(net, adam, rate, 6)
        paddle.save(net.state_dict(), prefix + ".pdparams")
        paddle.save(adam.state_dict(), prefix + ".pdopt")
        paddle.save({"model": net.state_dict(), "opt": adam.state_dict(), "epoch": 6}, whole)
        again = there_and_back(prefix + ".pdparams", scratch)
        compare(prefix + ".pdparams", again, keep_name_table=True)
        compare(prefix + ".pdopt", again.replace(".pdparams", ".pdopt"), keep_name_table=True)
        expected = resume(paddle.load(prefix + ".pdparams"), paddle.load(prefix + ".pdopt"))
        found = resume(paddle.load(again), paddle.load(again.replace(".pdparams", ".pdopt")))
        peer.same("losses and rates", found, expected)
        peer.ok("training goes on with the same losses and rates: %r ... %r" % (found[0], found[-1]))
        again = there_and_back(whole, scratch)
        compare(whole, again)
        run = paddle.load(again)
        peer.same("losses of a whole run", resume(run["model"], run["opt"]), expected)
        peer.ok("a file that holds a whole run: equal objects, same losses")
        folder, count = os.path.join(peer.FIXTURES, "pdparams"), 0
        for name in sorted(os.listdir(folder)):
            if name.endswith((".pdparams", ".pdopt")):
                path = os.path.join(folder, name)
                again = there_and_back(path, scratch)
                compare(path, again, return_numpy=True)
                if not name.startswith(("rare", "text")):  # Paddle makes no tensors of big-endian arrays
                    compare(path, again)
                count += 1
        peer.ok("%d fixtures: paddle.load gives equal objects" % count)


if __name__ == "__main__":
    main()
