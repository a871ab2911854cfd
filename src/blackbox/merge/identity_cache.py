"""A cache for rows computed from a report, used until a newer report arrives: reports are rarer than snapshots, and far
longer."""

import math
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable, Sequence, Sized
from typing import Generic, TypeVar

V = TypeVar("V", bound=Sized)
Objects = tuple[object, ...]
UNUSED_SECONDS_MAX = 5.0
"""A report that no snapshot has had for as long has a newer one, or its process has gone: without this an old report
stays, with all its blocks, until the bound is reached. Where samples are further apart, nothing is found again."""
FORGETS_EACH_SECONDS = 0.5
"""Which those are is looked up this often, and whenever a result comes in: a report has hundreds of chunks."""


class _Kept(Generic[V]):
    """A result, and what it was made from: kept alive, so that no other object can get the same id."""

    __slots__ = ("items", "objects", "result", "used_at")

    def __init__(self, objects: Objects, result: V, now: float) -> None:
        self.objects = objects
        self.result = result
        self.used_at = now
        self.items = max(len(result), sum(len(one) for one in objects if isinstance(one, Sized)))
        """How long the result is, or what it keeps alive, where that is longer."""


class IdentityCache(Generic[V]):
    """Results of a pure function of immutable objects, looked up by the identity of the objects. Forgets the least
    recently used, and what was not used lately. Safe to use from several threads."""

    def __init__(
        self,
        items_max: int,
        clock: Callable[[], float] = time.monotonic,
        unused_seconds_max: float = UNUSED_SECONDS_MAX,
    ) -> None:
        """`items_max` bounds the sum of the lengths of what is kept; the newest result is kept whatever its length."""
        self._items_max = items_max
        self._clock = clock
        self._unused_seconds_max = unused_seconds_max
        self._items = 0
        self._forgot_at = -math.inf
        self._results: OrderedDict[tuple[object, ...], _Kept[V]] = OrderedDict()
        """Least recently used first; a plain dict takes long to find that behind many that were forgotten."""
        self._lock = threading.Lock()

    def get(self, values: tuple[object, ...], objects: Objects, make: Callable[[], V]) -> V:
        """The result for equal `values` and identical `objects`; calls `make` when it is not cached."""
        key, now = (*values, *map(id, objects)), self._clock()
        with self._lock:
            known = self._results.get(key)
            if known is not None:
                known.used_at = now
                self._results.move_to_end(key)
            if known is None or now - self._forgot_at >= FORGETS_EACH_SECONDS:
                self._forget(now)
        if known is not None:
            return known.result
        made = _Kept(objects, make(), now)
        with self._lock:
            self._put(key, made)
        return made.result

    def get_all(self, values: Sequence[Hashable], make: Callable[[list[int]], Sequence[V]]) -> list[V]:
        """The result for each of some values, as `get` has it for one and no objects. `make` is called once, with the
        places of those that are not cached, and gives their results in that order."""
        keys: list[tuple[object, ...]] = [(value,) for value in values]
        now = self._clock()
        with self._lock:
            found = [self._results.get(key) for key in keys]
            for key, known in zip(keys, found, strict=True):
                if known is not None:
                    known.used_at = now
                    self._results.move_to_end(key)
            self._forget(now)
        missing = [place for place, known in enumerate(found) if known is None]
        made = [_Kept((), result, now) for result in make(missing)] if missing else []
        with self._lock:
            for place, kept in zip(missing, made, strict=True):
                self._put(keys[place], kept)
                found[place] = kept
        return [kept.result for kept in found if kept is not None]

    def _put(self, key: tuple[object, ...], made: _Kept[V]) -> None:
        if key not in self._results:
            self._results[key] = made
            self._items += made.items
        self._forget(made.used_at)

    def _forget(self, now: float) -> None:
        """All but the newest, as far as they are too many or too long unused."""
        self._forgot_at = now
        while len(self._results) > 1:
            oldest = next(iter(self._results))
            kept = self._results[oldest]
            if self._items <= self._items_max and now - kept.used_at <= self._unused_seconds_max:
                return
            del self._results[oldest]
            self._items -= kept.items
