#!/bin/sh
# Accelerate counts narrow types as no bytes at all, and a bool as a bit.
#
# Expected: a size by dtype is `element_size()`, or an error for a type that it does not know. What happens:
# `dtype_byte_size` takes the number at the end of the type's name for its bits and divides by 8, rounding down: `int4`,
# `uint2` and their like take 0 bytes, and so does the packed `float4_e2m1fn_x2` (the 2 is read as bits), which is how
# MXFP4 and NVFP4 weights are held. A `bool` takes an eighth of a byte; PyTorch takes a whole one. So
# `compute_module_sizes` says that a model in 4 bits takes nothing, `infer_auto_device_map` puts any number of such
# layers on one GPU, and masks count an eighth. No warning. With accelerate 1.15.0 and torch 2.13.0.
#
# So: sizes are asked of tensors (`nbytes`), which a tensor on the meta device tells as well.

. "$(dirname "$0")/evidence.sh"

install accelerate==1.15.0 torch==2.13.0
evidence <<'PYTHON'
from evidence import Evidence


import torch
from accelerate import infer_auto_device_map
from accelerate.utils import compute_module_sizes, dtype_byte_size
from torch import nn

MIB = 1 << 20


def layer(dtype: torch.dtype) -> nn.Module:
    made = nn.Module()
    made.register_buffer("weight", torch.empty(4 * MIB, dtype=dtype, device="meta"))
    return made


def told(dtype: torch.dtype) -> tuple[float, float]:
    """MiB of the tensor, and of the module by Accelerate."""
    made = layer(dtype)
    return made.weight.nbytes / MIB, compute_module_sizes(made)[""] / MIB


evidence = Evidence()
evidence.see("MiB of 4 Mi elements of float32: held, told", told(torch.float32), (16.0, 16.0))
evidence.see("of bool", told(torch.bool), (4.0, 0.5))
evidence.see("of pairs of 4-bit floats", told(torch.float4_e2m1fn_x2), (4.0, 0.0))
narrow = (torch.int4, torch.uint4, torch.uint2, torch.int1)
evidence.see("bytes of an int4, uint4, uint2, int1", [dtype_byte_size(one) for one in narrow], [0, 0, 0, 0])
model = nn.Sequential(*(layer(torch.float4_e2m1fn_x2) for _ in range(8)))
places = infer_auto_device_map(model, max_memory={0: MIB, "cpu": 64 * MIB})
evidence.see("eight layers of 4 MiB, and a GPU with 1 MiB", dict(places), {"": 0})
evidence.close()
PYTHON
