# Inference models of the real Paddle 3.3.1, in its own form (a JSON program) and in Paddle 2's (a ProgramDesc): their one
# file of parameters goes through HDF5, unchanged and with new weights, and Paddle runs what comes back.
import os
import shutil
import subprocess
import sys
import tempfile

from peer import h5ckpt, ok, read, wrong


def make_net(paddle):
    class Net(paddle.nn.Layer):
        def __init__(self):
            super().__init__()
            self.emb = paddle.nn.Embedding(11, 8)
            self.conv = paddle.nn.Conv1D(8, 6, 3)
            self.bn = paddle.nn.BatchNorm1D(6)
            self.fc = paddle.nn.Linear(6, 3)

        def forward(self, ids):
            x = self.bn(self.conv(self.emb(ids).transpose([0, 2, 1])))
            return self.fc(paddle.nn.functional.relu(x).mean(2))

    return Net()


def predict(paddle, folder, program, ids):
    """What paddle.inference computes of the model in the folder."""
    config = paddle.inference.Config(os.path.join(folder, program), os.path.join(folder, "m.pdiparams"))
    config.disable_gpu()
    predictor = paddle.inference.create_predictor(config)
    predictor.get_input_handle(predictor.get_input_names()[0]).copy_from_cpu(ids)
    predictor.run()
    return predictor.get_output_handle(predictor.get_output_names()[0]).copy_to_cpu()


def beside(scratch, name, program, h5):
    """A folder with the program, and the parameters from HDF5."""
    folder = os.path.join(scratch, name)
    os.mkdir(folder)
    shutil.copy(os.path.join(scratch, "theirs", program), folder)
    h5ckpt("convert", h5, os.path.join(folder, "m.pdiparams"))
    return folder


def check_form(program):
    import h5py
    import numpy as np
    import paddle

    paddle.seed(7)
    net = make_net(paddle)
    net.eval()
    ids = np.random.RandomState(1).randint(0, 11, (4, 9)).astype("int64")
    expected = net(paddle.to_tensor(ids)).numpy()
    with tempfile.TemporaryDirectory() as scratch:
        theirs = os.path.join(scratch, "theirs")
        paddle.jit.save(net, os.path.join(theirs, "m"), input_spec=[paddle.static.InputSpec([None, 9], "int64", "ids")])
        if not os.path.exists(os.path.join(theirs, program)):
            wrong("Paddle wrote no %s, but %r" % (program, sorted(os.listdir(theirs))))
        h5 = os.path.join(scratch, "m.h5")
        h5ckpt("convert", "--digest", "none", os.path.join(theirs, "m.pdiparams"), h5)

        ours = beside(scratch, "ours", program, h5)
        if read(ours, "m.pdiparams") != read(theirs, "m.pdiparams"):
            wrong("%s: the parameters came back with other bytes" % program)
        with h5py.File(h5, "r") as f:
            for name, p in net.state_dict().items():
                if p.name in f["parameters"] and not np.array_equal(f["parameters"][p.name][...], p.numpy()):
                    wrong("%s: %s has other values in HDF5" % (program, name))
        loaded = paddle.jit.load(os.path.join(ours, "m"))
        loaded.eval()
        found = loaded(paddle.to_tensor(ids)).numpy()
        if not np.array_equal(found, predict(paddle, theirs, program, ids)) and not np.allclose(found, expected, 1e-6, 1e-6):
            wrong("%s: jit.load gives other outputs" % program)
        if not np.array_equal(predict(paddle, ours, program, ids), predict(paddle, theirs, program, ids)):
            wrong("%s: inference gives other outputs" % program)
        ok("%s: jit.load and inference of what came back give the same outputs" % program)

        with h5py.File(h5, "r+") as f:
            f["parameters"][net.fc.bias.name][...] = np.array([1, 2, 3], "f4")
        new = predict(paddle, beside(scratch, "new", program, h5), program, ids)
        if not np.allclose(new, expected - net.fc.bias.numpy() + [1, 2, 3], 1e-5, 1e-5):
            wrong("%s: new weights do not give the outputs they should" % program)
        ok("%s: new weights from HDF5 run in the old program" % program)

        with h5py.File(h5, "r+") as f:
            del f["parameters"][net.fc.bias.name]
        folder = os.path.join(scratch, "ours")
        run = subprocess.run([os.environ["H5CKPT"], "convert", "--force", h5, os.path.join(folder, "m.pdiparams")],
                             stderr=subprocess.PIPE, text=True)
        if run.returncode != 3 or net.fc.bias.name not in run.stderr:
            wrong("%s: a missing tensor: exit %d, %s" % (program, run.returncode, run.stderr.strip()))
        ok("%s: weights that lack one of the program's are refused by its name" % program)


if __name__ == "__main__":
    if len(sys.argv) > 1:
        check_form(sys.argv[1])
    else:  # which form it writes, Paddle learns when it starts
        for pir, program in (("0", "m.pdmodel"), ("1", "m.json")):
            run = subprocess.run([sys.executable, "-W", "ignore", os.path.abspath(__file__), program],
                                 env=dict(os.environ, FLAGS_enable_pir_api=pir, GLOG_minloglevel="3"), stderr=subprocess.PIPE)
            if run.returncode:
                wrong("%s: exit %d: %s" % (program, run.returncode, run.stderr.decode()[-2000:]))
