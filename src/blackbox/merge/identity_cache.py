"""What was made of a report, kept until there is a newer one: reports are rarer than snapshots, and far longer."""

import threading
from collections.abc import Callable, Sized
from typing import Generic, TypeVar

V = TypeVar("V", bound=Sized)
Identity = tuple[object, ...]


class Remembered(Generic[V]):
    """Results of a pure function of immutable objects, found again by the identity of those. Forgets the least used."""

    def __init__(self, items_max: int) -> None:
        """`items_max` bounds the sum of the results' lengths; the last result is kept however long it is."""
        self._items_max = items_max
        self._items = 0
        self._results: dict[tuple[object, ...], tuple[Identity, V]] = {}
        """Least used first. Holds the objects, so that their identity stays theirs."""
        self._lock = threading.Lock()

    def get(self, values: tuple[object, ...], objects: Identity, make: Callable[[], V]) -> V:
        """The result for these values (compared) and these objects (the very same), made where it is not known."""
        key = (*values, *map(id, objects))
        with self._lock:
            if (known := self._results.pop(key, None)) is not None:
                self._results[key] = known
                return known[1]
        result = make()
        with self._lock:
            self._put(key, objects, result)
        return result

    def _put(self, key: tuple[object, ...], objects: Identity, result: V) -> None:
        if key not in self._results:
            self._results[key] = objects, result
            self._items += len(result)
        while self._items > self._items_max and len(self._results) > 1:
            _, forgotten = self._results.pop(next(iter(self._results)))
            self._items -= len(forgotten)
