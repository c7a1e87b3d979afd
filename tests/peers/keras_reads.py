# Keras 3 itself reads what h5ckpt wrote, and h5ckpt what Keras wrote: weights files, its legacy (Keras 2) files with their
# optimizer, models from Keras to Paddle and back by name rules. Outputs must agree.
import os
import sys
import tempfile

os.environ.setdefault("KERAS_BACKEND", "torch")

import warnings

warnings.filterwarnings("ignore")
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"

import h5py
import keras
import numpy as np
import paddle

import peer

layers = keras.layers
TOLERANCE = 1e-5
scratch = tempfile.mkdtemp(prefix="h5ckpt-keras-")


def path(name):
    return os.path.join(scratch, name)


def numpy(variable):
    return keras.ops.convert_to_numpy(variable)


def close(what, found, expected):
    far = float(np.abs(np.asarray(found, "float64") - np.asarray(expected, "float64")).max())
    if not far <= TOLERANCE:
        peer.wrong("%s: outputs are %g apart" % (what, far))
    peer.ok("%s: outputs are %g apart" % (what, far))


def same(what, found, expected):
    if len(found) != len(expected) or not all(np.array_equal(a, b) for a, b in zip(found, expected)):
        peer.wrong("%s: values differ" % what)
    peer.ok("%s: %d equal values" % (what, len(found)))


def scramble(model, seed):
    random = np.random.default_rng(seed)
    for variable in model.weights:
        if "float" in variable.dtype:  # not a random generator's state
            variable.assign(random.uniform(0.05, 0.3, variable.shape).astype("float32"))


# --- a model with everything that a file can hold --------------------------------------------------------------------


class Block(layers.Layer):
    """Has a weight of its own, a layer, and a list of layers."""

    def __init__(self, **given):
        super().__init__(**given)
        self.first = layers.Dense(3)
        self.more = [layers.Dense(3), layers.Dense(3)]

    def build(self, shape):
        self.own = self.add_weight(shape=(3,), name="own")
        self.first.build(shape)
        for layer in self.more:
            layer.build((None, 3))

    def call(self, x):
        x = self.first(x) * self.own
        return self.more[1](self.more[0](x))


def big(custom):
    image, words = keras.Input((8, 8, 3), name="image"), keras.Input((5,), dtype="int32", name="words")
    x = layers.BatchNormalization()(layers.Conv2D(4, 3, name="conv")(image))
    x = layers.Dropout(0.5, seed=3)(layers.Flatten()(x))
    x = keras.Sequential([layers.Dense(4, activation="relu"), layers.Dense(3)], name="inner")(x)
    if custom:
        x = Block(name="block")(x)
    y = layers.Bidirectional(layers.LSTM(4))(layers.Embedding(7, 6)(words))
    for _ in range(11):  # so that names of layers sort otherwise than their numbers
        y = layers.Dense(8)(y)
    model = keras.Model([image, words], layers.Dense(2, name="out")(layers.Concatenate()([x, y])))
    schedule = keras.optimizers.schedules.ExponentialDecay(0.1, 10, 0.5)
    model.compile(keras.optimizers.Adam(schedule), keras.losses.MeanSquaredError())
    return model


random = np.random.default_rng(1)
inputs = [random.random((4, 8, 8, 3), "float32"), random.integers(0, 7, (4, 5)).astype("int32")]


def trained(custom):
    model = big(custom)
    scramble(model, 2)
    model.fit(inputs, random.random((4, 2)), epochs=2, verbose=0)
    return model


def through(source, schema, suffix):
    """Through h5ckpt's own form and back into a file of Keras."""
    own, back = path("own.h5"), path("back" + suffix)
    peer.h5ckpt("convert", "-q", "--force", source, own, "--schema", schema, "--to-schema", "paddle")
    peer.h5ckpt("convert", "-q", "--force", own, back, "--schema", schema)
    peer.h5ckpt("verify", back)
    return back


def attributes(file):
    """Every attribute of every group and dataset, but ours."""
    found = {}

    def visit(name, item):
        for key, value in item.attrs.items():
            if not key.startswith("h5ckpt_"):
                found[name, key] = value.tolist() if hasattr(value, "tolist") else value

    with h5py.File(file) as f:
        visit("", f)
        f.visititems(visit)
    return found


def weights_file():
    model = trained(True)
    model.save_weights(path("model.weights.h5"))
    back = through(path("model.weights.h5"), "keras", ".weights.h5")
    other = big(True)
    other.optimizer.build(other.trainable_variables)
    other.load_weights(back)
    close(".weights.h5", other.predict(inputs, verbose=0), model.predict(inputs, verbose=0))
    same(".weights.h5", [numpy(v) for v in other.weights], [numpy(v) for v in model.weights])
    same(".weights.h5, optimizer", [numpy(v) for v in other.optimizer.variables],
         [numpy(v) for v in model.optimizer.variables])
    if attributes(path("model.weights.h5")) != attributes(back):
        peer.wrong(".weights.h5: attributes differ")


def from_nothing():
    """A file that no Keras had a part in: only names and numbers."""
    model, other = trained(True), big(True)
    model.save_weights(path("plain.weights.h5"))
    folder = path("folder")
    peer.h5ckpt("convert", "-q", path("plain.weights.h5"), folder + "/", "--schema", "keras", "--from", "hdf5",
                "--include", "layers/*")
    peer.h5ckpt("convert", "-q", folder, path("made.weights.h5"), "--schema", "keras")
    other.optimizer = None
    other.load_weights(path("made.weights.h5"))
    same("a save directory as .weights.h5", [numpy(v) for v in other.weights], [numpy(v) for v in model.weights])


def legacy_file():
    model = trained(False)
    model.save(path("model.h5"))
    back = through(path("model.h5"), "keras2", ".h5")
    other = keras.saving.load_model(back)
    close("legacy .h5", other.predict(inputs, verbose=0), model.predict(inputs, verbose=0))
    same("legacy .h5", [numpy(v) for v in other.weights], [numpy(v) for v in model.weights])
    with h5py.File(back) as f:  # Keras itself does not restore it into a functional model
        group = f["optimizer_weights"]
        same("legacy .h5, optimizer", [group[name][()] for name in group.attrs["weight_names"]],
             [numpy(v) for v in model.optimizer.variables])
    before, after = attributes(path("model.h5")), attributes(back)
    listed = before.pop(("model_weights", "layer_names")), after.pop(("model_weights", "layer_names"))
    if before != after or [x for x in listed[0] if x in listed[1]] != listed[1]:
        peer.wrong("legacy .h5: attributes differ")
    weights = path("weights.h5")
    with h5py.File(path("model.h5")) as whole, h5py.File(weights, "w") as alone:
        for name in whole["model_weights"]:
            whole.copy("model_weights/" + name, alone)
        for name, value in whole["model_weights"].attrs.items():
            alone.attrs[name] = value
    scramble(other, 5)
    other.load_weights(through(weights, "keras2-weights", "-weights.h5"))
    same("legacy weights alone", [numpy(v) for v in other.weights], [numpy(v) for v in model.weights])


# --- Keras to Paddle, and back ---------------------------------------------------------------------------------------


def keras_net():
    image, words = keras.Input((8, 8, 3)), keras.Input((5,), dtype="int32")
    x = layers.Conv2D(4, 3, name="conv")(image)
    x = layers.BatchNormalization(name="norm", epsilon=1e-5)(x)
    x = layers.Conv2DTranspose(3, 2, name="up")(x)
    x = layers.Dense(6, name="fc")(layers.GlobalAveragePooling2D()(x))
    y = layers.Embedding(7, 6, name="emb")(words)
    y = layers.LSTM(5, return_sequences=True, name="lstm")(y)
    y = layers.Bidirectional(layers.LSTM(4), name="both")(y)
    y = layers.LayerNormalization(name="last", epsilon=1e-5)(y)
    return keras.Model([image, words], layers.Dense(2, name="out")(layers.Concatenate()([x, y])), name="net")


class PaddleNet(paddle.nn.Layer):
    def __init__(self):
        super().__init__()
        nn = paddle.nn
        self.conv, self.norm, self.up = nn.Conv2D(3, 4, 3), nn.BatchNorm2D(4), nn.Conv2DTranspose(4, 3, 2)
        self.emb, self.lstm = nn.Embedding(7, 6), nn.LSTM(6, 5)
        self.both = nn.LSTM(5, 4, direction="bidirect")
        self.fc, self.last, self.out = nn.Linear(3, 6), nn.LayerNorm(8), nn.Linear(14, 2)

    def forward(self, image, words):
        x = self.up(self.norm(self.conv(image))).mean([2, 3])
        y, _ = self.lstm(self.emb(words))
        _, (ends, _) = self.both(y)
        y = self.last(paddle.concat([ends[0], ends[1]], -1))
        return self.out(paddle.concat([self.fc(x), y], -1))


def in_paddle(net):
    net.eval()
    image = paddle.to_tensor(np.ascontiguousarray(inputs[0].transpose(0, 3, 1, 2)))
    return net(image, paddle.to_tensor(inputs[1].astype("int64"))).numpy()


def arrays(file):
    """The parameters of an HDF5 file of h5ckpt's own form."""
    found = {}
    with h5py.File(file) as f:
        f["parameters"].visititems(lambda name, item: found.update({item.attrs.get("name", name): item[()]})
                                   if isinstance(item, h5py.Dataset) else None)
    return found


def keras_to_paddle():
    model = keras_net()
    scramble(model, 7)
    model.save(path("net.h5"))
    peer.h5ckpt("convert", "-q", path("net.h5"), path("for_paddle.h5"), "--schema", "keras2", "--to-schema", "paddle",
                "--names", "keras-to-paddle")
    net = PaddleNet()
    given = {name: paddle.to_tensor(value) for name, value in arrays(path("for_paddle.h5")).items()}
    missing, unexpected = net.set_state_dict(given)
    if unexpected or not all("bias_hh" in name for name in missing):
        peer.wrong("keras-to-paddle: missing %r, left over %r" % (missing, unexpected))
    for name in missing:  # Keras has no second bias
        net.state_dict()[name].set_value(paddle.zeros_like(net.state_dict()[name]))
    close("keras-to-paddle", in_paddle(net), model.predict(inputs, verbose=0))
    return net


def paddle_to_keras(net):
    order = [layer.name for layer in keras_net().layers]
    state = net.state_dict()
    names = sorted(state, key=lambda name: order.index(name.split(".")[0]))  # the order of Keras's layers; stable
    with h5py.File(path("paddle.h5"), "w", track_order=True) as f:
        for name in names:
            f.create_dataset(name, data=state[name].numpy())
    peer.h5ckpt("convert", "-q", path("paddle.h5"), path("for_keras.h5"), "--to-schema", "keras2", "--names",
                "paddle-to-keras", "--exclude", "*/bias_hh_*")
    model = keras_net()
    model.load_weights(path("for_keras.h5"))
    close("paddle-to-keras", model.predict(inputs, verbose=0), in_paddle(net))


weights_file()
from_nothing()
legacy_file()
paddle_to_keras(keras_to_paddle())
