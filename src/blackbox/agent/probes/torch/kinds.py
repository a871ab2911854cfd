"""What a block is for, and how that is known: the codes of the `label` column, and the type that goes with each."""

from __future__ import annotations

from blackbox.wire.report import TYPES

_OTHER, _WEIGHT, _ACTIVATION, _KV_CACHE = map(TYPES.index, ("other", "weight", "activation", "kv_cache"))

FREE, PENDING, UNTOLD, RESIDUAL, POOL, GRADIENT, OPTIMIZER, WEIGHT, KV_CACHE = range(9)
"""Where several tensors share a block, the greatest names it."""

LABELS = (
    (None, None),
    (None, "none"),
    (None, "none"),
    (None, "residual"),
    ("graph_pool", "framework"),
    ("gradient", "residual"),
    ("optimizer", "tensor"),
    (None, "tensor"),
    (None, "tensor"),
)
"""(subtype, type_source) by code."""

TYPE_OF = (_OTHER, _OTHER, _OTHER, _ACTIVATION, _OTHER, _OTHER, _OTHER, _WEIGHT, _KV_CACHE)
"""Index into `TYPES` by code."""
