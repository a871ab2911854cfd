"""What the values of an entry stand for that are no numbers: written out there, or referred to."""

from collections.abc import Callable, Sequence
from typing import Any

from blackbox.sources.memory_snapshot.entry_shape import index_of, number_of, references
from blackbox.sources.memory_snapshot.pickle_stream import UnexpectedError

CACHED_MAX = 1 << 16
"""Values whose bytes are remembered."""
IGNORED = object()
"""Stands for an entry among what was remembered: nothing refers to one."""
HELD_ELSEWHERE = object()
"""Stands for what the reader of entries remembers itself: entries, and the values that they write out."""
STAND_INS = frozenset((id(IGNORED), id(HELD_ELSEWHERE)))
"""By their identities."""
BINGET = 0x68
REFERRING = (BINGET, 0x6A)
EMPTY_LIST, SHORT_TEXT = 0x5D, 0x8C
CONSTANTS = {0x4E: None, 0x88: True, 0x89: False}
NUMBER_BYTES = {0x4B: 2, 0x4D: 3, 0x4A: 5}
LIST_BYTES, POOL_END_BYTES = 2, 2
"""Of the opcodes that begin a list, and that end a tuple of two."""


class EntryValues:
    """Of one file. Raises `UnexpectedError` where something is referred to that nothing may refer to."""

    def __init__(self) -> None:
        self.memo: list[Any] = []
        """What the pickle told to remember."""
        self.written: dict[bytes, Any] = {}
        """What values stand for that are written out: entries with the same stack share one list."""
        self.elsewhere: Callable[[int], Any] = self.memo.__getitem__
        """What the reader of entries remembers at a place."""

    def value(self, value: bytes) -> Any:
        """Any value of an entry that is written out, or referred to."""
        kind = value[0]
        if kind in REFERRING:
            return self.referred(value)
        found = self.written.get(value)
        if found is not None:
            return found
        return CONSTANTS[kind] if kind in CONSTANTS else number_of(value)

    def write(self, value: bytes) -> Any:
        """Frames, a text or a pool that are written out, made once."""
        if value[0] == EMPTY_LIST:
            made: Any = self.all_referred(references(value[LIST_BYTES:]))
        elif value[0] == SHORT_TEXT:
            made = str(value[2:-1], "utf-8", "surrogatepass")
        else:
            first = value[: NUMBER_BYTES[value[0]]]
            made = number_of(first), number_of(value[len(first) : -POOL_END_BYTES])
        if value[0] == EMPTY_LIST or len(self.written) < CACHED_MAX:
            self.written[value] = made
        return made

    def referred(self, reference: bytes) -> Any:
        """What a reference is to."""
        return self.remembered(index_of(reference))

    def all_referred(self, references: Sequence[bytes]) -> list[Any]:
        """The same of many, which stacks are made of."""
        memo = self.memo
        found = [memo[one[1] if one[0] == BINGET else int.from_bytes(one[1:5], "little")] for one in references]
        return found if STAND_INS.isdisjoint(map(id, found)) else list(map(self.referred, references))

    def remembered(self, place: int) -> Any:
        """By its number."""
        found = self.memo[place]
        if found is HELD_ELSEWHERE:
            found = self.elsewhere(place)
        if found is IGNORED:
            raise UnexpectedError
        return found


class MadeOf(dict[Any, Any]):
    """What is made of values, each once: by their bytes, or their numbers."""

    def __init__(self, make: Callable[[Any], Any]) -> None:
        super().__init__()
        self._make = make

    def __missing__(self, key: Any) -> Any:
        made = self[key] = self._make(key)
        return made


def typed(value: Any, kind: type) -> Any:
    """The value. Raises `UnexpectedError` where it is of another type."""
    if type(value) is not kind:
        raise UnexpectedError
    return value
