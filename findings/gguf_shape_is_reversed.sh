#!/bin/sh
# A tensor of a GGUF file has two shapes: one backwards, one of bytes.
#
# Expected: `shape` of a tensor that the reader gives is that of its `data`, and that of what was written. What happens:
# `shape` counts elements and begins with the innermost axis, so that of a matrix of 3 rows and 64 columns is [64, 3];
# `data` has the order of NumPy, and where the tensor is quantized, bytes in the place of elements: (3, 36). Neither
# times the size of a type gives the bytes: 192 elements in 4 bits take 108 bytes, scales among them. With gguf 0.19.0.
#
# So: whoever counts the bytes of a model asks `n_bytes`, and whoever looks for rows does not take `shape[0]`.

. "$(dirname "$0")/evidence.sh"

install gguf==0.19.0 numpy==2.4.6
evidence <<'PYTHON'
import tempfile
from pathlib import Path

from evidence import Evidence


import gguf
import numpy as np

ROWS, COLUMNS = 3, 64
Q4_0 = gguf.GGMLQuantizationType.Q4_0
plain = np.ones((ROWS, COLUMNS), np.float32)
with tempfile.TemporaryDirectory() as folder:
    path = Path(folder, "model.gguf")
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_tensor("plain", plain)
    writer.add_tensor("quantized", gguf.quants.quantize(plain, Q4_0), raw_dtype=Q4_0)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    of_plain, of_quantized = gguf.GGUFReader(path).tensors
    evidence = Evidence()
    for name, tensor, data, size in (("plain", of_plain, (3, 64), 768), ("in 4 bits", of_quantized, (3, 36), 108)):
        evidence.see(f"{name}: shape", tensor.shape.tolist(), [COLUMNS, ROWS])
        evidence.see(f"{name}: shape of its data", tensor.data.shape, data)
        evidence.see(f"{name}: elements", int(tensor.n_elements), 192)
        evidence.see(f"{name}: bytes", int(tensor.n_bytes), size)
    evidence.close()
PYTHON
