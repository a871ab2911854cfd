"""Hooks behind methods of the program."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable
from typing import Any


def after(cls: type[Any], name: str, tell: Callable[[Any], None]) -> None:
    """Calls `tell` with the object each time that its method `name` has run without an error, if it has that."""
    original = getattr(cls, name, None)
    if original is None:
        return

    @functools.wraps(original)
    def hooked(self: Any, *arguments: Any, **keywords: Any) -> Any:
        result = original(self, *arguments, **keywords)
        with contextlib.suppress(Exception):  # the program must not notice
            tell(self)
        return result

    setattr(cls, name, hooked)
