# Real data: the Chinese word segmenter that the PyPI package jieba 0.42.1 carries as a Paddle save directory (20
# tensors, 12.8 MB, LoD level and all as a training run left them) through HDF5 and back, byte for byte.
import os
import sys
import tarfile
import tempfile

import peer

SDIST = "jieba-0.42.1"


def main(cache):
    archive = os.path.join(cache, SDIST + ".tar.gz")
    if not os.path.exists(archive):
        peer.download(SDIST.replace("-", "=="), cache, "--no-binary", ":all:")
    with tempfile.TemporaryDirectory() as scratch:
        inside = SDIST + "/jieba/lac_small/model_baseline/"
        with tarfile.open(archive) as sdist:
            folder = os.path.join(scratch, "model_baseline")
            os.mkdir(folder)
            for member in sdist.getmembers():
                if member.name.startswith(inside) and member.isfile():
                    with open(os.path.join(folder, member.name[len(inside):]), "wb") as f:
                        f.write(sdist.extractfile(member).read())
        count = peer.same_files(folder, peer.there_and_back(folder, scratch))
        peer.ok("jieba's model_baseline: %d tensors, %d bytes, byte for byte"
                % (count, sum(os.path.getsize(os.path.join(folder, path)) for path in peer.paths(folder))))


if __name__ == "__main__":
    main(sys.argv[1])
