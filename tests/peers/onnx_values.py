# Models of the Python package onnx: what h5ckpt reads of their initializers is what onnx reads, however it stored them:
# as raw bytes, as numbers, in another file.
import os
import tempfile

import h5py
import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from peer import FIXTURES, h5ckpt, ok, wrong

TYPES = """FLOAT UINT8 INT8 UINT16 INT16 INT32 INT64 BOOL FLOAT16 DOUBLE UINT32 UINT64 COMPLEX64 COMPLEX128 BFLOAT16
FLOAT8E4M3FN FLOAT8E5M2""".split()
NARROW = ("BFLOAT16", "FLOAT8E4M3FN", "FLOAT8E5M2")


def random_tensor(rng, name, kind):
    shape = rng.randint(0, 5, rng.randint(0, 4)).tolist()
    code = TensorProto.DataType.Value(kind)
    dtype = helper.tensor_dtype_to_np_dtype(code)
    raw = rng.bytes(int(np.prod(shape)) * np.dtype(dtype).itemsize)
    values = np.frombuffer(raw, dtype).reshape(shape)
    if kind == "BOOL":
        values = values.view("u1") % 2 == 1
    if rng.randint(2):
        return helper.make_tensor(name, code, shape, values.tobytes(), raw=True)
    t = TensorProto(name=name, data_type=code, dims=shape)
    if kind in ("FLOAT", "COMPLEX64"):
        t.float_data.extend(values.reshape(-1).view("f4").tolist())
    elif kind in ("DOUBLE", "COMPLEX128"):
        t.double_data.extend(values.reshape(-1).view("f8").tolist())
    elif kind == "INT64":
        t.int64_data.extend(values.ravel().tolist())
    elif kind in ("UINT32", "UINT64"):
        t.uint64_data.extend(values.ravel().tolist())
    elif np.dtype(dtype).kind in "iub":
        t.int32_data.extend(values.ravel().astype("i4").tolist())
    else:
        t.int32_data.extend(values.reshape(-1).view("u%d" % values.itemsize).tolist())
    return t


def model_of(tensors):
    graph = helper.make_graph([], "g", [], [], initializer=tensors)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)


def compare(path, h5, what):
    model = onnx.load(path)
    with h5py.File(h5) as f:
        if sorted(f["parameters"]) != sorted(t.name for t in model.graph.initializer):
            wrong("%s: other names" % what)
        for t in model.graph.initializer:
            theirs, ours = numpy_helper.to_array(t), f["parameters"][t.name]
            if tuple(theirs.shape) != tuple(ours.shape):
                wrong("%s: %s has another shape" % (what, t.name))
            kind = TensorProto.DataType.Name(t.data_type)
            if kind in NARROW:  # HDF5 widens them for h5py; so does ml_dtypes
                found, expected = ours.astype("f4")[...], theirs.astype("f4")
            else:
                found, expected = ours[...], theirs
            if not np.array_equal(np.asarray(found).astype(expected.dtype), expected, equal_nan=expected.dtype.kind in "fc"):
                wrong("%s: %s (%s) has other values" % (what, t.name, kind))


def check_random(scratch):
    for seed in range(25):
        rng = np.random.RandomState(seed)
        path, h5 = os.path.join(scratch, "%d.onnx" % seed), os.path.join(scratch, "%d.h5" % seed)
        kinds = [k for k in TYPES if k not in NARROW]
        onnx.save(model_of([random_tensor(rng, "%s_%d" % (k, i), k) for i, k in enumerate(kinds * 2)]), path)
        h5ckpt("convert", "--no-sync", path, h5)
        compare(path, h5, "random model %d" % seed)
    ok("25 random models: onnx and h5py find the same values")


def check_external(scratch):
    rng = np.random.RandomState(5)
    tensors = [numpy_helper.from_array(rng.standard_normal((50, 40)).astype("f4"), "w%d" % i) for i in range(4)]
    path, h5 = os.path.join(scratch, "big.onnx"), os.path.join(scratch, "big.h5")
    onnx.save_model(model_of(tensors), path, save_as_external_data=True, location="big.data", size_threshold=0)
    h5ckpt("convert", "--allow-external", path, h5)
    compare(path, h5, "external data")
    ok("external data, as onnx writes it")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as scratch:
        for name in ("raw", "typed", "external"):
            h5 = os.path.join(scratch, name + ".h5")
            h5ckpt("convert", "--allow-external", os.path.join(FIXTURES, "onnx", name + ".onnx"), h5)
            compare(os.path.join(FIXTURES, "onnx", name + ".onnx"), h5, name)
        ok("every element type: onnx and h5py find the same values")
        check_random(scratch)
        check_external(scratch)
