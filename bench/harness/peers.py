"""The peers' Python: a virtual environment with h5py, safetensors, NumPy and hdf5plugin from PyPI, made when it is missing.

The harness itself takes nothing but Python's standard library.
"""
import os
import shutil
import subprocess
import sys

from .measure import Cannot

PACKAGES = ("numpy", "h5py", "hdf5plugin", "safetensors")


class Peers:
    def __init__(self, folder, report):
        self.folder, self.report, self.fault = os.path.join(os.path.abspath(folder), "bench"), report, None

    @property
    def python(self):
        """The environment's python. A half-made environment is made again: the mark comes last."""
        mark = os.path.join(self.folder, "made")
        if not os.path.exists(mark) and not self.fault:
            self.report.progress("making the peers' environment in %s" % self.folder)
            self.fault = self._make()
            if not self.fault:
                open(mark, "w").close()
        if self.fault:
            raise Cannot(self.fault)
        return os.path.join(self.folder, "bin", "python")

    def _make(self):
        shutil.rmtree(self.folder, ignore_errors=True)
        pip = [os.path.join(self.folder, "bin", "python"), "-m", "pip", "-q", "--disable-pip-version-check", "install"]
        for command in ([sys.executable, "-m", "venv", self.folder], pip + list(PACKAGES)):
            try:
                done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                      text=True)
            except OSError as e:
                return "no environment for the peers: %s" % e
            if done.returncode:
                return "no environment for the peers: %s" % (done.stdout.strip().split("\n") or ["?"])[-1]
        return None

    def versions(self):
        """"h5py 3.16.0 (HDF5 2.0.0), ...", for the machine's description."""
        code = "import importlib.metadata as m, h5py; print(', '.join('%%s %%s' %% (p, m.version(p)) for p in %r) + " \
               "', h5py with HDF5 ' + h5py.version.hdf5_version)" % (PACKAGES,)
        return subprocess.run([self.python, "-c", code], check=True, stdout=subprocess.PIPE, text=True).stdout.strip()
