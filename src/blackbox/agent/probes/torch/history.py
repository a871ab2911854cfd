"""The history that PyTorch's allocator records: whether listing it is cheap enough.

PyTorch does not tell how a history is recorded, so the function that switches it on is watched. A stack of Python is
formatted in two microseconds; one of C++ takes a look-up of every address in every library, during which the program
would stand still.
"""

from __future__ import annotations

import functools
import inspect
from types import ModuleType
from typing import Any

SWITCH = "_record_memory_history"
STEPS_LISTED_MAX = 50_000
"""A program out of memory waits while its history is listed: half a second for so many steps."""


class AllocatorHistory:
    """What is known of the allocator's history."""

    def __init__(self, torch: ModuleType) -> None:
        self._torch = torch
        self._of_python = False
        """It was switched on after `watch`, for stacks of Python alone."""
        self._steps_max = 0
        """How many steps PyTorch keeps."""

    def watch(self) -> None:
        """Notices from now on how the history is recorded."""
        memory = self._torch.cuda.memory
        switch = getattr(memory, SWITCH, None)
        if switch is None:
            return

        @functools.wraps(switch)
        def noticed(*arguments: Any, **keywords: Any) -> Any:
            done = switch(*arguments, **keywords)
            try:
                self._switched(switch, arguments, keywords)
            except Exception:
                self._of_python = False
            return done

        setattr(memory, SWITCH, noticed)

    @property
    def is_on(self) -> bool:
        """Whether the allocator records its steps, whoever switched that on."""
        ask = getattr(self._torch._C, "_cuda_isHistoryEnabled", None)
        return ask is not None and bool(ask())

    @property
    def has_cheap_stacks(self) -> bool:
        """Whether the stacks of live blocks may be listed."""
        return self.is_on and self._of_python

    @property
    def has_cheap_steps(self) -> bool:
        """Whether the steps may be listed while the program waits."""
        return self.has_cheap_stacks and self._steps_max <= STEPS_LISTED_MAX

    def _switched(self, switch: Any, arguments: tuple[Any, ...], keywords: dict[str, Any]) -> None:
        bound = inspect.signature(switch).bind(*arguments, **keywords)
        bound.apply_defaults()
        told = bound.arguments
        self._of_python = told.get("stacks") == "python" and isinstance(told.get("enabled"), str)
        self._steps_max = int(told.get("max_entries", 0))
