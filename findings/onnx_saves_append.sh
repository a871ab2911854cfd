#!/bin/sh
# A model of ONNX that is saved again beside its weights grows by all of them; whether it may is looked up in the wrong
# folder.
#
# Expected: saving a model with external data a second time replaces the file of weights, or raises the FileExistsError
# that the documentation has. What happens: the weights are appended to the file that is there; the model points at the
# last of them, and the older ones stay for ever. FileExistsError does come, but for a file of that name in the working
# folder, not in the model's. Where no name is given, each save leaves one more file behind. And the threshold from which
# a tensor is put outside counts the Python object, not the tensor: 33 bytes more. With onnx 1.23.2.
#
# So: a model's weights are the sum of `length` over its tensors, not the size of the file beside it; who saves again
# removes that file first.

. "$(dirname "$0")/evidence.sh"

install onnx==1.23.2 numpy==2.4.6
evidence <<'PYTHON'
import os
import tempfile
from pathlib import Path

from evidence import Evidence, outcome


import numpy as np
import onnx
from onnx import helper, numpy_helper

WEIGHTS = 4_000_000


def model(elements: int = WEIGHTS // 4) -> onnx.ModelProto:
    weights = numpy_helper.from_array(np.zeros(elements, np.float32), "weights")
    return helper.make_model(helper.make_graph([], "graph", [], [], [weights]))


def save(path: str, elements: int = WEIGHTS // 4, **options: object) -> None:
    onnx.save_model(model(elements), path, save_as_external_data=True, **options)


def told(path: str) -> int:
    """Bytes of its weights that the model points at."""
    (weights,) = onnx.load(path, load_external_data=False).graph.initializer
    return int({one.key: one.value for one in weights.external_data}["length"])


evidence = Evidence()
with tempfile.TemporaryDirectory() as folder:
    os.chdir(folder)
    for name in ("named", "unnamed", "small"):
        Path(name).mkdir()
    sizes = []
    for _ in range(3):
        save("named/model.onnx", location="weights.bin")
        sizes.append(Path("named/weights.bin").stat().st_size)
        save("unnamed/model.onnx")
    evidence.see("bytes of the file after saving once, twice, thrice", sizes, [WEIGHTS, 2 * WEIGHTS, 3 * WEIGHTS])
    evidence.see("of them the model's", told("named/model.onnx"), WEIGHTS)
    evidence.see("files without a name, after three saves", len(list(Path("unnamed").glob("*.data"))), 3)
    Path("weights.bin").touch()
    again = outcome(lambda: save("small/model.onnx", location="weights.bin"))
    evidence.see("a file of that name in the working folder alone", again, "FileExistsError")
    put_outside = []
    for elements in (247, 248):
        save(f"small/{elements}.onnx", elements, location=f"{elements}.bin", size_threshold=1024)
        put_outside.append(Path(f"small/{elements}.bin").exists())
    evidence.see("988 and 992 bytes, at a threshold of 1024, are put outside", put_outside, [False, True])
    os.chdir("/")
evidence.close()
PYTHON
