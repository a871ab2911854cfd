"""Tensors made of tensors: sharded (FSDP), quantized (torchao), or with their scales beside them (bitsandbytes).

Their memory is that of the parts. The outer tensor of the first two lies at 0 or some small number; its storage tells
the bytes that the whole would take, and raises when asked where (PyTorch 2.13, torchao 0.18). Scales of bitsandbytes
(0.50) are in no parameter or buffer.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, cast

NESTING_MAX = 4
"""Tensors made of tensors are followed this deep; two levels are usual."""
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
        if cls.__module__.startswith("bitsandbytes."):
            yield from _tensors_of(tensor.__dict__.get("quant_state"), nesting)


def _tensors_of(state: Any, nesting: int) -> Iterator[Any]:
    """The scales of a quantized weight, and the scales of these where they are quantized as well (`state2`)."""
    held = cast("dict[str, Any]", getattr(state, "__dict__", {})) if nesting else {}
    for value in list(held.values()):
        if hasattr(cast("type[Any]", type(value)), "data_ptr"):
            yield value
        elif isinstance(value, type(state)):
            yield from _tensors_of(value, nesting - 1)
