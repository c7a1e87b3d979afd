# Paddle 1.8.5 reads what h5ckpt writes as .pdparams and .pdopt: its own state, through HDF5 and back, and one of Paddle
# 3.3.1. load_dygraph must give equal objects, name table and scheduler too, and training must go on with the same losses
# as from Paddle's own files.
import os
import tempfile

import numpy as np
import paddle.fluid as fluid
from paddle.fluid.dygraph import BatchNorm, Linear, guard, load_dygraph, save_dygraph, to_variable

import peer


class Net(fluid.dygraph.Layer):
    def __init__(self):
        super(Net, self).__init__()
        self.a, self.bn, self.b = Linear(3, 16), BatchNorm(16), Linear(16, 1)

    def forward(self, x):
        return self.b(self.bn(self.a(x)))


def build():
    net = Net()
    return net, fluid.optimizer.Adam(fluid.dygraph.NaturalExpDecay(0.1, 2, 0.5), parameter_list=net.parameters())


def train(net, adam, steps):
    x = np.linspace(-1, 1, 36, dtype="float32").reshape(12, 3)
    losses = []
    for _ in range(steps):
        loss = fluid.layers.mean(fluid.layers.square(net(to_variable(x)) - to_variable(x[:, :1] ** 2)))
        loss.backward()
        adam.minimize(loss)
        net.clear_gradients()
        losses.append(loss.numpy().tolist())
    return losses


def there_and_back(prefix, again):
    peer.h5ckpt("convert", prefix + ".pdparams", again + ".h5")
    peer.h5ckpt("convert", again + ".h5", again + ".pdparams")


def compare(name, prefix, again):
    found, expected = load_dygraph(again, keep_name_table=True), load_dygraph(prefix, keep_name_table=True)
    for what, one, other in zip(("parameters", "optimizer"), found, expected):
        peer.same("%s: %s: keys" % (name, what), sorted(one), sorted(other))
        for key in other:
            peer.same("%s: %s" % (name, key), one[key], other[key])
    peer.ok("%s: load_dygraph gives equal objects, %d and %d entries" % (name, len(found[0]), len(found[1])))


def resume(prefix):
    net, adam = build()
    model, optimizer = load_dygraph(prefix)
    net.set_dict(model)
    adam.set_dict(optimizer)
    return train(net, adam, 5)


def main():
    with tempfile.TemporaryDirectory() as scratch, guard():
        prefix, again = os.path.join(scratch, "paddle"), os.path.join(scratch, "again")
        with fluid.unique_name.guard():
            net, adam = build()
            train(net, adam, 5)
            save_dygraph(net.state_dict(), prefix)
            save_dygraph(adam.state_dict(), prefix)
        there_and_back(prefix, again)
        compare("Paddle's own", prefix, again)
        with fluid.unique_name.guard():
            expected = resume(prefix)
        with fluid.unique_name.guard():
            found = resume(again)
        peer.same("losses", found, expected)
        peer.ok("training goes on with the same losses: %.6f ... %.6f" % (found[0][0], found[-1][0]))
        fixture, copy = os.path.join(peer.FIXTURES, "pdparams", "v1"), os.path.join(scratch, "v1")
        there_and_back(fixture, copy)
        compare("v1", fixture, copy)
        copy = os.path.join(scratch, "v3")  # Paddle 3's own file says numpy._core, which Python 3.7's NumPy has not
        there_and_back(os.path.join(peer.FIXTURES, "pdparams", "v3"), copy)
        model, optimizer = load_dygraph(copy)
        peer.ok("reads Paddle 3's state: %d parameters, %d of the optimizer" % (len(model), len(optimizer)))


if __name__ == "__main__":
    main()
