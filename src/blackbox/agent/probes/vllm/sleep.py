"""vLLM's sleep mode: the KV cache keeps its address, and loses its memory."""

from __future__ import annotations

import sys
from typing import Any

from blackbox.agent.probes.torch.sleep import ALLOCATOR_MODULE


def sleeping() -> list[tuple[int, int]]:
    """(address, size) of what is unmapped at present."""
    allocator: Any = getattr(getattr(sys.modules.get(ALLOCATOR_MODULE), "CuMemAllocator", None), "instance", None)
    pieces: dict[int, Any] = getattr(allocator, "pointer_to_data", None) or {}
    return [(start, piece.handle[1]) for start, piece in list(pieces.items()) if getattr(piece, "is_asleep", False)]
