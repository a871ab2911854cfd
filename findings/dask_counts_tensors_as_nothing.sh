#!/bin/sh
# To Dask, a PyTorch tensor of any size takes 80 bytes; and a worker's limit of 2 is two bytes, one of 1 the whole
# machine.
#
# Expected: Dask, which moves results to disk when a worker's memory fills, knows the size of what it holds; for arrays
# of NumPy, CuPy and RMM it does. What happens: nothing tells it about PyTorch, so it asks `sys.getsizeof`, and that is
# the Python object: 80 bytes for 40 MB, fewer still for a whole module. Such results are never worth moving, and the
# managed memory on the dashboard stays near 0 while the unmanaged grows. Numbers for the limit are shares up to 1 and
# bytes above: 1.5 is one byte. With dask and distributed 2026.8.0 and torch 2.13.0.
#
# So: `dask.sizeof.sizeof.register(torch.Tensor)` is written by the program, and a limit is text with a unit.

. "$(dirname "$0")/evidence.sh"

install dask==2026.8.0 distributed==2026.8.0 torch==2.13.0 numpy==2.4.6
evidence <<'PYTHON'
import logging

from evidence import Evidence


import numpy as np
import torch
from dask.sizeof import sizeof
from distributed.worker_memory import parse_memory_limit

COUNT = 10_000_000


def limit(value: object) -> int | None:
    return parse_memory_limit(value, 1, 1, logger=logging.getLogger())


evidence = Evidence()
evidence.see("an array of 40 MB", sizeof(np.zeros(COUNT, np.float32)), 40_000_000)
evidence.see("a tensor of 40 MB", sizeof(torch.zeros(COUNT)), 80)
evidence.see("a list of four such, less than 1000", sizeof([torch.zeros(COUNT) for _ in range(4)]) < 1000, True)
evidence.see("a layer with 40 MB, less than 1000", sizeof(torch.nn.Linear(1000, 10_000, bias=False)) < 1000, True)
evidence.see("limits of 1 and of '1' are the machine's memory", limit(1) == limit("1") > 1 << 26, True)
evidence.see("limits of 1.5 and of 2", (limit(1.5), limit(2)), (1, 2))
evidence.see("a limit of 0", limit(0), None)
evidence.close()
PYTHON
