# The example that the project began with, end to end: an MLP is trained in the real Paddle under natural_exp_decay,
# saved as Paddle 1.5 saves, taken to HDF5 and back by h5ckpt, and loaded into a fresh model and optimizer. Both
# models then train on, on the same data. Every loss of the one that travelled must be the loss of the one that
# stayed, to the bit.
import os
import pickle
import sys
import tempfile

import numpy as np
import paddle.fluid as fluid

import peer

sys.path.insert(0, peer.FIXTURES)
from make_fixtures import MLP, save_dygraph_1_5  # noqa: E402


def batches(seed, count):
    rng = np.random.RandomState(seed)
    for _ in range(count):
        yield rng.uniform(0, 1, (32, 784)).astype("float32"), rng.randint(0, 10, (32, 1)).astype("int64")


def train(mlp, sgd, data):
    losses = []
    for images, labels in data:
        probabilities = mlp(fluid.dygraph.to_variable(images))
        loss = fluid.layers.mean(fluid.layers.cross_entropy(probabilities, fluid.dygraph.to_variable(labels)))
        loss.backward()
        sgd.minimize(loss)
        mlp.clear_gradients()
        losses.append(loss.numpy()[0])
    return losses


def load_dygraph_1_5(parameters, folder):
    """Paddle 1.5's load_persistables: fills the parameters, and returns optimizer name -> decay."""
    block = fluid.default_main_program().global_block()
    for parameter in parameters:
        block.append_op(type="load", inputs={}, outputs={"Out": [parameter]},
                        attrs={"file_path": os.path.join(folder, os.path.normpath(parameter.name))})
    names = os.listdir(os.path.join(folder, "optimizers"))
    return {name: pickle.loads(peer.read(folder, "optimizers", name)) for name in names}


def main():
    with fluid.dygraph.guard(fluid.CPUPlace()), tempfile.TemporaryDirectory() as scratch:
        fluid.default_startup_program().random_seed = fluid.default_main_program().random_seed = 1
        stayed = MLP()
        decay = fluid.layers.natural_exp_decay(learning_rate=0.1, decay_steps=30, decay_rate=0.5, staircase=True)
        sgd = fluid.optimizer.SGD(learning_rate=decay, parameter_list=stayed.parameters())
        train(stayed, sgd, batches(1, 50))
        folder = os.path.join(scratch, "save_dir")
        save_dygraph_1_5(stayed.parameters(), sgd, folder)
        peer.ok("Paddle trained 50 steps and saved %s" % ", ".join(peer.paths(folder)))

        again = peer.there_and_back(folder, scratch)
        peer.same_files(folder, again)
        peer.ok("there and back, byte for byte")

        with fluid.unique_name.guard():  # the same parameter names once more, as in a process of its own
            travelled = MLP()
        before = travelled.fc.weight.numpy().copy()
        decays = load_dygraph_1_5(travelled.parameters(), again)
        if np.array_equal(before, travelled.fc.weight.numpy()):
            peer.wrong("Paddle's load operator changed nothing")
        other = fluid.optimizer.SGD(learning_rate=decays["None"], parameter_list=travelled.parameters())
        expected, found = train(stayed, sgd, batches(2, 50)), train(travelled, other, batches(2, 50))
        peer.same("the losses of 50 further steps", found, expected)
        peer.same("the decay after them", decays["None"], decay)
        peer.ok("both trained on for 50 steps: losses equal, %.6f to %.6f" % (expected[0], expected[-1]))


if __name__ == "__main__":
    main()
