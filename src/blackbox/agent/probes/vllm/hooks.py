"""Hooks that run after methods of the program."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable
from typing import Any


def after(cls: type[Any], name: str, hook: Callable[[Any], None]) -> None:
    """Calls `hook` with the object after each run of its method `name` without an error, where it has that method."""
    original = getattr(cls, name, None)
    if original is None:
        return

    @functools.wraps(original)
    def hooked(self: Any, *arguments: Any, **keywords: Any) -> Any:
        result = original(self, *arguments, **keywords)
        with contextlib.suppress(Exception):  # the program must not notice
            hook(self)
        return result

    setattr(cls, name, hooked)
