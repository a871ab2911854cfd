#!/bin/sh
# A weight that torchao has quantized says in every way PyTorch has that it takes as much as before, at address 0.
#
# Expected: after `quantize_` to 8 bits, `nbytes`, or at the latest `untyped_storage().nbytes()`, is half of what it was
# in bfloat16. What happens: the weight is a shell around other tensors that keeps shape and dtype of the old one, and
# all of these tell the old size, the storage too. So the footprint of the model seems not to shrink. The shells lie at
# address 0, so that a sum which counts tied weights once takes those of all layers for one. With torchao 0.18.0 and
# torch 2.13.0.
#
# So: memory of such tensors is that of their parts (`__tensor_flatten__`), and a tensor at 0 is none.

. "$(dirname "$0")/evidence.sh"

install torchao==0.18.0 torch==2.13.0 numpy==2.4.6
evidence <<'PYTHON'
import logging

from evidence import Evidence


import torch
from torch import nn

logging.disable(logging.ERROR)
from torchao.quantization import Int8WeightOnlyConfig, quantize_

KIB, LAYERS = 1024, 3


def by_tensor(model: nn.Module) -> float:
    return sum(weight.nbytes for weight in model.parameters()) / KIB


def by_storage(model: nn.Module) -> float:
    return sum({one.data_ptr(): one.untyped_storage().nbytes() for one in model.parameters()}.values()) / KIB


def parts(tensor: torch.Tensor) -> list[torch.Tensor]:
    return [getattr(tensor, name) for name in tensor.__tensor_flatten__()[0]]


model = nn.Sequential(*(nn.Linear(1024, 1024, bias=False, dtype=torch.bfloat16) for _ in range(LAYERS)))
evidence = Evidence()
evidence.see("KiB in bfloat16: by tensor, by storage", (by_tensor(model), by_storage(model)), (6144.0, 6144.0))
quantize_(model, Int8WeightOnlyConfig())
evidence.see("in int8", (by_tensor(model), by_storage(model)), (6144.0, 2048.0))
evidence.see("addresses", {weight.data_ptr() for weight in model.parameters()}, {0})
evidence.see("dtype", {weight.dtype for weight in model.parameters()}, {torch.bfloat16})
held = sum(part.nbytes for weight in model.parameters() for part in parts(weight))
evidence.see("KiB held, by their parts", held / KIB, 3 * (1024 + 4 + 1.0))
evidence.close()
PYTHON
