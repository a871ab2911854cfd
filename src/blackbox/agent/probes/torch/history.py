"""The history that PyTorch's allocator records, for the program or for us: whether it may be listed at no great cost.

PyTorch does not tell how a history is recorded, so its switch is watched. Stacks of Python are put into words in two
microseconds each; those of C++ take as long as looking up every address in every library: nobody's program may stand
still for that.
"""

from __future__ import annotations

import functools
import inspect
from types import ModuleType
from typing import Any

SWITCH = "_record_memory_history"
STEPS_LISTED_MAX = 50_000
"""A program out of memory waits while its history is listed: half a second for so many steps."""


class History:
    """What is known of the allocator's history."""

    def __init__(self, torch: ModuleType) -> None:
        self._torch = torch
        self._of_python = False
        """It was switched on for stacks of Python alone, after `watch`."""
        self._steps_max = 0
        """How many steps PyTorch keeps."""

    def watch(self) -> None:
        """Learns how the history is recorded from now on."""
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
        """Whether the allocator remembers its steps, for whomever."""
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
