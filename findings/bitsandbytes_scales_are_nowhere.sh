#!/bin/sh
# An eighth of a weight in 4 bits is in no parameter and no buffer of the model: the scales of bitsandbytes.
#
# Expected: the sum over `parameters()` and `buffers()` is what a model takes, and `get_memory_footprint()` of
# transformers, which is that sum, says so. What happens: a `Linear4bit` keeps the scales of its weight, a float32 for
# each 64 values, and their table in an object on the parameter (`quant_state`). Nothing that walks over a module's
# tensors meets them - but its `state_dict()` has them, so the file is larger than the model. 12.5 % of the weights;
# with scales that are quantized as well (`compress_statistics`, the default of a layer) 3.2 %. With bitsandbytes 0.50.2
# and torch 2.13.0.
#
# So: a count of weights adds the tensors of `quant_state`, or asks the allocator.

. "$(dirname "$0")/evidence.sh"

install bitsandbytes==0.50.2 torch==2.13.0 numpy==2.4.6
evidence <<'PYTHON'
from evidence import Evidence


import torch
from bitsandbytes.nn import Linear4bit, Params4bit

KIB = 1024


def layer(compress: bool) -> Linear4bit:
    made = Linear4bit(1024, 1024, bias=False, compress_statistics=compress)
    options = {"requires_grad": False, "quant_type": "nf4", "compress_statistics": compress}
    made.weight = Params4bit(torch.ones(1024, 1024, dtype=torch.bfloat16), **options)
    return made.to("cpu")  # quantizes


def walked(made: Linear4bit) -> float:
    return sum(one.nbytes for one in [*made.parameters(), *made.buffers()]) / KIB


def scales(made: Linear4bit) -> float:
    states = [made.weight.quant_state, made.weight.quant_state.state2]
    return sum(state.absmax.nbytes for state in states if state is not None) / KIB


plain, compressed = layer(False), layer(True)
evidence = Evidence()
evidence.see("KiB of parameters and buffers", (walked(plain), walked(compressed)), (512.0, 512.0))
evidence.see("KiB of scales beside them", (scales(plain), scales(compressed)), (64.0, 16.25))
saved = sum(one.nbytes for one in plain.state_dict().values()) / KIB
evidence.see("a state_dict has an eighth more", round(saved / walked(plain), 3), 1.125)
evidence.close()
PYTHON
