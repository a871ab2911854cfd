"""KV caches of Hugging Face's `transformers` (the module `transformers.cache_utils`)."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from types import ModuleType
from typing import Any

from blackbox.agent.probes.torch.live import LiveSet

LIVE = LiveSet()
"""Every cache made since `watch`. Global, since `torch.compile` traces what a patched function closes over, even where
that never runs, and fails there.
"""


def watch(module: ModuleType, torch: ModuleType) -> None:
    """Tracks the caches made from now on."""
    cls = module.Cache
    original = cls.__init__
    is_compiling = torch.compiler.is_compiling

    @functools.wraps(original)
    def remember(self: Any, *arguments: Any, **keywords: Any) -> None:
        original(self, *arguments, **keywords)
        if not is_compiling():
            LIVE.add(self)

    cls.__init__ = remember


def tensors() -> Iterator[Any]:
    """The key and value tensors of all live caches; None among them where a layer has none yet."""
    for cache in LIVE.list():
        for layer in list(getattr(cache, "layers", None) or ()):
            yield from (getattr(layer, "keys", None), getattr(layer, "values", None))
        for name in "key_cache", "value_cache":  # before layers were objects
            yield from list(getattr(cache, name, None) or ())
