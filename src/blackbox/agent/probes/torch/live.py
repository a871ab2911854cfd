"""Objects of the program, by weak references: the agent never keeps them alive."""

from __future__ import annotations

import weakref
from typing import Any


class LiveSet:
    """Like `weakref.WeakSet`, but by identity, and safe to list in one thread while another adds."""

    def __init__(self) -> None:
        self._references: dict[int, weakref.ref[Any]] = {}
        """By `id`; an entry is removed when its object is."""

    def __len__(self) -> int:
        return len(self._references)

    def add(self, thing: object) -> bool:
        """Whether it is new. Raises `TypeError` for what cannot be referred to weakly."""
        key = id(thing)
        if key in self._references:
            return False
        references = self._references
        references[key] = weakref.ref(thing, lambda _: references.pop(key, None))
        return True

    def list(self) -> list[Any]:
        """The objects that still exist."""
        return [thing for reference in list(self._references.values()) if (thing := reference()) is not None]
