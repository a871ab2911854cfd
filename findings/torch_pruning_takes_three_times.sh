#!/bin/sh
# A layer of which PyTorch has pruned nine tenths takes three times the memory that it took.
#
# Expected: pruning makes a layer smaller, or leaves its size; and what it holds is in its parameters and buffers. What
# happens: the whole weight is kept as a parameter, beside a buffer of zeros and ones in the same type, and the product
# of both is a third tensor, a plain attribute, in neither, nor in the saved file. It is made anew at each call of the
# layer. Only `prune.remove` frees the two, and leaves a full weight with zeros in it. With torch 2.13.0.
#
# So: of three equal tensors at one layer two are pruning's; a footprint by parameters and buffers leaves one out.

. "$(dirname "$0")/evidence.sh"

install torch==2.13.0 numpy==2.4.6
evidence <<'PYTHON'
import warnings

from evidence import Evidence


import torch
from torch import nn
from torch.nn.utils import prune

warnings.simplefilter("ignore")
layer = nn.Linear(1000, 1000, bias=False)


def told() -> dict[str, int]:
    """Bytes by name, of parameters and buffers."""
    return {name: one.nbytes for name, one in [*layer.named_parameters(), *layer.named_buffers()]}


def tensors() -> int:
    """Bytes of all different tensors that the layer refers to."""
    values = [*vars(layer).values(), *layer.parameters(), *layer.buffers()]
    found = {one.data_ptr(): one.nbytes for one in values if isinstance(one, torch.Tensor)}
    return sum(found.values())


evidence = Evidence()
evidence.see("bytes before", (told(), tensors()), ({"weight": 4_000_000}, 4_000_000))
prune.l1_unstructured(layer, "weight", 0.9)
evidence.see("pruned: parameters and buffers", told(), {"weight_orig": 4_000_000, "weight_mask": 4_000_000})
evidence.see("all of its tensors", tensors(), 12_000_000)
made = layer.weight
layer(torch.zeros(1, 1000))
evidence.see("the product is another one after a call", layer.weight is made, False)
del made
prune.remove(layer, "weight")
evidence.see("removed", (told(), tensors()), ({"weight": 4_000_000}, 4_000_000))
evidence.close()
PYTHON
