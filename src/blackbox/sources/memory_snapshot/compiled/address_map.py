"""Whole numbers by whole numbers, held by compiled code: what Python puts there it finds, and the other way round."""

import ctypes
from array import array
from collections.abc import Iterator, Mapping, MutableMapping, Sequence
from typing import cast

from blackbox.sources.memory_snapshot.compiled.library import Library


class AddressMap(MutableMapping[int, int]):
    """Keys from 0 on, and values, of 64 bits each. Raises `MemoryError`."""

    def __init__(self, library: Library, held: Mapping[int, int]) -> None:
        self._library = library
        self._value = ctypes.c_int64()
        self.map: int | None = library.map_new()
        """For the functions of the library."""
        if self.map is None:
            raise MemoryError
        self.update(held)

    def __del__(self) -> None:
        held, self.map = getattr(self, "map", None), None
        if held is not None:
            self._library.map_free(held)

    def __getitem__(self, key: int) -> int:
        if not self._library.map_get(self.map, key, ctypes.byref(self._value)):
            raise KeyError(key)
        return self._value.value

    def __contains__(self, key: object) -> bool:
        return bool(self._library.map_get(self.map, key, ctypes.byref(self._value)))

    def __setitem__(self, key: int, value: int) -> None:
        if not self._library.map_put(self.map, key, value):
            raise MemoryError

    def __delitem__(self, key: int) -> None:
        if not self._library.map_remove(self.map, key):
            raise KeyError(key)

    def __len__(self) -> int:
        return self._library.map_count(self.map)

    def __iter__(self) -> Iterator[int]:
        return iter(self.plain())

    def clear(self) -> None:
        self._library.map_clear(self.map)

    def plain(self) -> dict[int, int]:
        """All of it, as it is now."""
        keys, values = (array("q", [0]) * len(self) for _ in range(2))
        self._library.map_items(self.map, address_of(keys), address_of(values))
        return dict(zip(keys, values, strict=True))


def address_of(column: Sequence[int]) -> int:
    """Where the items of an array lie, as long as it lives and does not grow."""
    return cast("array[int]", column).buffer_info()[0]
