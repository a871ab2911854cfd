#!/bin/sh
# pytorch_memlab multiplies the bytes of a tensor by the size of its elements once more.
#
# Expected: `MemReporter` tells how much memory tensors take; that is what it is for. What happens: it takes the length
# of a storage for a number of elements, but an untyped storage counts bytes. So float32 shows as four times what it
# takes, bfloat16 as twice and float64 as eight times; only types of one byte are right. The figures of a model in
# several types cannot even be compared with each other. With pytorch_memlab 0.3.2 (its newest) and torch 2.13.0.
#
# So: its table is read for which tensors there are, and their bytes are taken from `untyped_storage().nbytes()`.

. "$(dirname "$0")/evidence.sh"

install pytorch_memlab==0.3.2 torch==2.13.0
evidence <<'PYTHON'
import contextlib
import io
import re
import warnings

from evidence import Evidence


import torch

warnings.simplefilter("ignore")
from pytorch_memlab import MemReporter

KIB = 1024


def told(dtype: torch.dtype) -> tuple[float, str]:
    """KiB of a parameter, and what the table says."""
    model = torch.nn.Module()
    model.weight = torch.nn.Parameter(torch.zeros(256, 1024, dtype=dtype), requires_grad=False)
    table = io.StringIO()
    with contextlib.redirect_stdout(table):
        MemReporter(model).report()
    return model.weight.untyped_storage().nbytes() / KIB, re.search(r"^weight .* (\S+)$", table.getvalue(), re.M)[1]


evidence = Evidence()
evidence.see("float32: KiB held, told", told(torch.float32), (1024.0, "4.00M"))
evidence.see("bfloat16", told(torch.bfloat16), (512.0, "1.00M"))
evidence.see("float64", told(torch.float64), (2048.0, "16.00M"))
evidence.see("int8", told(torch.int8), (256.0, "256.00K"))
evidence.close()
PYTHON
