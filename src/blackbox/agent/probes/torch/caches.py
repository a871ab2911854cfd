"""Caches of Hugging Face's `transformers`: those of `transformers.cache_utils`, that of continuous batching, and those
that models bring of their own, which are no kind of the first (jamba, qwen3_next, xlstm).

They hold keys and values, quantized or not, and states of convolution and recurrence.
"""

from __future__ import annotations

import functools
import itertools
import re
from collections.abc import Iterator
from types import ModuleType
from typing import Any, cast

from blackbox.agent.probes.torch.live import LiveSet

LIVE = LiveSet()
"""Every cache made since `watch`. Global, since `torch.compile` traces what a patched function closes over, even where
that never runs, and fails there.
"""


COMMON = "transformers.cache_utils"
CLASSES = ("Cache", "MambaCache")
"""Of that module. The second stood beside the first until 4.5x."""
OF_A_MODEL = re.compile(r"(?:Dynamic|Paged\w*|Hybrid\w*|Mamba\w*|xLSTM|Recurrent)Cache$")
"""How names of caches elsewhere end; others of that name hold words, pictures or paddings."""
NESTING_MAX = 4
"""Of lists and dictionaries in a layer: quantized keys are a pair of a tensor and a dictionary of such."""
TENSORS_MAX = 100_000
"""Of one cache; a model has some hundred layers, each with a few."""


def watch(module: ModuleType, torch: ModuleType) -> None:
    """Tracks the caches made from now on."""
    is_common = module.__name__ == COMMON
    for cls in [getattr(module, name, None) for name in CLASSES] if is_common else _of_its_own(module):
        if cls is not None:
            _track(cls, torch.compiler.is_compiling)


def _of_its_own(module: ModuleType) -> Iterator[Any]:
    """The classes of caches that a module defines. They may be kinds of one that is tracked, and then are tracked
    twice, which makes no difference."""
    for name, cls in list(vars(module).items()):
        if OF_A_MODEL.search(name) and isinstance(cls, type) and cls.__module__ == module.__name__:
            yield cls


def _track(cls: Any, is_compiling: Any) -> None:
    original = cls.__init__

    @functools.wraps(original)
    def remember(self: Any, *arguments: Any, **keywords: Any) -> None:
        original(self, *arguments, **keywords)
        if not is_compiling():
            LIVE.add(self)

    cls.__init__ = remember


def tensors() -> Iterator[Any]:
    """Every tensor that a live cache or one of its layers holds, whatever the version calls it."""
    for cache in LIVE.list():
        yield from itertools.islice(_tensors_of(cache), TENSORS_MAX)


def _tensors_of(cache: Any) -> Iterator[Any]:
    for part in (cache, *_values(getattr(cache, "layers", None))):
        yield from _held(dict(getattr(part, "__dict__", None) or {}), NESTING_MAX)


def _held(thing: Any, nesting: int) -> Iterator[Any]:
    """The tensors among the values of lists and dictionaries. Other objects are not looked into: they are not the
    cache's own, and to ask them for an attribute may run the program's code.
    """
    if hasattr(cast("type[Any]", type(thing)), "data_ptr"):
        yield thing
    elif nesting:
        for value in _values(thing):
            yield from _held(value, nesting - 1)


def _values(thing: Any) -> list[Any]:
    """Of a list or a dictionary, of no class of the program's own; none of anything else."""
    cls = cast("type[Any]", type(thing))
    if cls is dict:
        return list(cast("dict[Any, Any]", thing).values())
    return list(cast("list[Any]", thing)) if cls in (list, tuple) else []
