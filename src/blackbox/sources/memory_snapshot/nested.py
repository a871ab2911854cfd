"""Snapshots inside what a program put them in: `{"rank": 0, "snapshot": ...}`, a list with one of each rank, a pickle
in a pickle."""

import io
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple, cast

from blackbox.model.text import printable
from blackbox.sources.memory_snapshot.pickle_stream import PROTO

DEPTH_MAX = 4
"""Containers around a snapshot: people use one or two."""
ITEMS_MAX = 1024
"""Looked at of each container: as many as the largest jobs have ranks."""
NAME_CHARS_MAX = 64
"""Of a key in the name of a snapshot: whoever wrote the file chose it."""


class Nested(NamedTuple):
    """A snapshot in a file."""

    place: str
    """The keys that lead to it; empty where it is the whole file."""
    snapshot: Any
    """A dict with `segments`, or the bare list of these that PyTorch wrote up to 1.13; anything else where the file
    holds no snapshot at all."""


def snapshots_in(data: Any, unpickled: Callable[[io.BytesIO], Any]) -> list[Nested]:
    """All of them, the file itself where it holds none; `unpickled` reads the pickles among the values."""
    return list(_search(data, "", DEPTH_MAX, unpickled, {})) or [Nested("", data)]


def _search(
    data: Any, place: str, depth: int, unpickled: Callable[[io.BytesIO], Any], seen: dict[int, Any]
) -> Iterator[Nested]:
    """`seen`: what a file refers to again and again is looked at once. By its identity, and kept: else the next pickle
    could get the identity of one that is gone."""
    if id(data) in seen:
        return
    seen[id(data)] = data
    if is_snapshot(data):
        yield Nested(place, data)
    elif depth and isinstance(data, bytes) and data[:1] == bytes([PROTO]):
        yield from _search(unpickled(io.BytesIO(data)), place, depth - 1, unpickled, seen)
    elif depth:
        for name, value in _items(data):
            yield from _search(value, f"{place}.{name}" if place else name, depth - 1, unpickled, seen)


def is_snapshot(data: Any) -> bool:
    """Whether it is one, or a list of segments."""
    if isinstance(data, dict):
        return isinstance(cast(dict[Any, Any], data).get("segments"), list)
    first = cast(list[Any], data)[:1] if isinstance(data, list) else ()
    return any(isinstance(one, dict) and "blocks" in one for one in first)


def _items(data: Any) -> Iterator[tuple[str, Any]]:
    """What may hold a snapshot, by name."""
    if isinstance(data, dict):
        pairs = list(cast(dict[Any, Any], data).items())[:ITEMS_MAX]
    elif isinstance(data, list | tuple):
        pairs = list(enumerate(cast(list[Any], data)[:ITEMS_MAX]))
    else:
        return
    for name, value in pairs:
        if isinstance(value, dict | list | tuple | bytes):
            yield printable(str(name)[:NAME_CHARS_MAX]), value
