"""Tensors made of tensors: sharded (FSDP), quantized (torchao), or with their scales beside them (bitsandbytes).

Their memory is that of the parts. The outer tensor of the first two lies at 0 or some small number; its storage tells
the bytes that the whole would take, and raises when asked where (PyTorch 2.13, torchao 0.18). Scales of bitsandbytes
(0.50) are in no parameter or buffer: they are attributes of its weights, of its layers, or of what vLLM has in the
place of those.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, cast

NESTING_MAX = 4
"""Tensors made of tensors are followed this deep; two levels are usual."""
LIBRARY = "bitsandbytes."
BESIDE_A_WEIGHT = ("quant_state", "SCB")
"""Attributes of the library's own weights: in 4 bits, and the scales of rows in 8 bits until the first use."""
BESIDE_A_PARAMETER = ("bnb_quant_state", "matmul_state")
"""Attributes by which vLLM keeps the same beside parameters of PyTorch, by number of the shard."""
IN_A_LAYER = "state"
"""Attribute of the library's layers in 8 bits that has the scales after the first use."""
PHANTOMS = ("FakeTensor", "FunctionalTensor", "FunctionalTensorWrapper")
"""Tensors without memory, which raise when asked for their address."""


def parts(tensor: Any, nesting: int = NESTING_MAX) -> Iterator[Any]:
    """The tensors that hold its memory: itself, or what it is made of."""
    cls = cast("type[Any]", type(tensor))
    if cls.__name__ in PHANTOMS:
        return
    if nesting and hasattr(cls, "__tensor_flatten__"):
        for name in tensor.__tensor_flatten__()[0]:
            yield from parts(getattr(tensor, name), nesting - 1)
    else:
        yield tensor
        held = tensor.__dict__
        for name in BESIDE_A_WEIGHT if cls.__module__.startswith(LIBRARY) else BESIDE_A_PARAMETER:
            if name in held:
                yield from _tensors_of(held[name], nesting)


def scales_in(layer: Any) -> Iterator[Any]:
    """The tensors that a layer of bitsandbytes has beside its parameters."""
    cls = cast("type[Any]", type(layer))
    return _tensors_of(layer.__dict__.get(IN_A_LAYER) if cls.__module__.startswith(LIBRARY) else None, NESTING_MAX)


def _tensors_of(state: Any, nesting: int) -> Iterator[Any]:
    """The scales of a quantized weight, and the scales of these where they are quantized as well (`state2`)."""
    cls = cast("type[Any]", type(state))
    if hasattr(cls, "data_ptr"):
        yield state
    elif nesting and cls in (dict, list, tuple):
        for value in list(state.values() if cls is dict else state):
            yield from _tensors_of(value, nesting - 1)
    elif nesting:
        for value in list(cast("dict[str, Any]", getattr(state, "__dict__", {})).values()):
            if hasattr(cast("type[Any]", type(value)), "data_ptr") or isinstance(value, cls):
                yield from _tensors_of(value, nesting - 1)
