"""A cache for rows computed from a report, used until a newer report arrives: reports are rarer than snapshots, and far
longer."""

import threading
from collections.abc import Callable, Sized
from typing import Generic, TypeVar

V = TypeVar("V", bound=Sized)
Objects = tuple[object, ...]


class IdentityCache(Generic[V]):
    """Results of a pure function of immutable objects, looked up by the identity of the objects. Evicts the least
    recently used. Safe to use from several threads."""

    def __init__(self, items_max: int) -> None:
        """`items_max` bounds the sum of the results' lengths; the newest result is kept whatever its length."""
        self._items_max = items_max
        self._items = 0
        self._results: dict[tuple[object, ...], tuple[Objects, V]] = {}
        """Least recently used first. Keeps the objects alive, so that no other object can get the same id."""
        self._lock = threading.Lock()

    def get(self, values: tuple[object, ...], objects: Objects, make: Callable[[], V]) -> V:
        """The result for equal `values` and identical `objects`; calls `make` when it is not cached."""
        key = (*values, *map(id, objects))
        with self._lock:
            if (known := self._results.pop(key, None)) is not None:
                self._results[key] = known
                return known[1]
        result = make()
        with self._lock:
            self._put(key, objects, result)
        return result

    def _put(self, key: tuple[object, ...], objects: Objects, result: V) -> None:
        if key not in self._results:
            self._results[key] = objects, result
            self._items += len(result)
        while self._items > self._items_max and len(self._results) > 1:
            _, evicted = self._results.pop(next(iter(self._results)))
            self._items -= len(evicted)
