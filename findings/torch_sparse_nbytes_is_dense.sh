#!/bin/sh
# Of sparse tensors in PyTorch `nbytes` is an error in one layout, and the size of the dense tensor in the others.
#
# Expected: `nbytes` of a sparse tensor is what its indices and values take, or it raises, as a tensor without a storage
# has to. What happens: in the layout COO it raises; in CSR, CSC, BSR and BSC it is the number of all elements, zeros
# too, times their size. An identity of 4096 rows in CSR, which holds 80 KiB, tells 64 MiB. So a model's footprint grows
# by being made sparse, or cannot be told at all: gradients of an embedding with `sparse=True` are COO.
# `untyped_storage()` raises for all. With torch 2.13.0.
#
# So: the parts are asked: `_indices()` and `_values()`, or `crow_indices()`, `col_indices()` and `values()`.

. "$(dirname "$0")/evidence.sh"

install torch==2.13.0 numpy==2.4.6
evidence <<'PYTHON'
import warnings

from evidence import Evidence, outcome


import torch
from torch import nn

warnings.simplefilter("ignore")
KIB = 1024
dense = torch.eye(4096)
rows = dense.to_sparse_csr()

evidence = Evidence()
evidence.see("KiB of the dense tensor", dense.nbytes / KIB, 65_536.0)
evidence.see("COO", outcome(lambda: dense.to_sparse_coo().nbytes), "RuntimeError")
evidence.see("KiB of CSR, CSC", (rows.nbytes / KIB, dense.to_sparse_csc().nbytes / KIB), (65_536.0, 65_536.0))
blocks = [dense.to_sparse_bsr((64, 64)).nbytes / KIB, dense.to_sparse_bsc((64, 64)).nbytes / KIB]
evidence.see("of BSR, BSC", blocks, [65_536.0, 65_536.0])
parts = (rows.crow_indices(), rows.col_indices(), rows.values())
evidence.see("what CSR holds, KiB", round(sum(part.nbytes for part in parts) / KIB), 80)
evidence.see("a storage of CSR", outcome(rows.untyped_storage), "NotImplementedError")
embedding = nn.Embedding(1000, 8, sparse=True)
embedding(torch.tensor([1, 2])).sum().backward()
evidence.see("a gradient of an embedding", outcome(lambda: embedding.weight.grad.nbytes), "RuntimeError")
evidence.close()
PYTHON
