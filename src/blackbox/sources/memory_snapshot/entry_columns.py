"""The entries of one device's trace as PyTorch wrote them, column by column: a million take forty megabytes."""

from array import array
from collections.abc import Mapping, Sequence
from typing import Any

from blackbox.analysis.trace.entries import ACTIONS, DEFAULT_POOL, OOM, OTHER, Pool
from blackbox.analysis.trace.passes import PLAIN, Passes
from blackbox.sources.memory_snapshot.pickle_stream import UnexpectedError

NO_FRAMES = -1
ANNOTATE = 255
"""The code of an action that changes nothing: a note on an allocation that lives."""

OPTIONAL_KEYS = ("time_us", "pool_id", "category")
"""All entries of a trace have them, or none."""

RecordedFrames = Sequence[Mapping[str, Any]]
"""Innermost first."""


class EntryColumns:
    """Grows entry by entry. All columns are as long as `action`; those that may be None are so where the first entry
    has no such key."""

    def __init__(self, passes: Passes = PLAIN) -> None:
        self.passes = passes
        """By which they are gone through."""
        self.action = bytearray()
        """Codes of `ACTIONS`, and `ANNOTATE`."""
        self.address, self.size, self.stream = array("q"), array("q"), array("q")
        self.frames = array("i")
        """Index into `lists`; `NO_FRAMES` where none were recorded."""
        self.lists: list[RecordedFrames] = []
        self.time_us: array[int] | None = None
        self.tag = array("i")
        """Index into `tags`."""
        self.tags: list[str] = []
        """Notes of the program."""
        self.pool: list[Pool] | None = None
        self.category: list[str] | None = None
        self.device_free: dict[int, int] = {}
        """By the position of an `oom`."""
        self.list_numbers: dict[int, int] = {}
        """By the identity of a list."""
        self._tag_numbers: dict[str, int] = {}

    def __len__(self) -> int:
        return len(self.action)

    def add(self, entry: Mapping[str, Any]) -> None:
        """Appends an entry. Raises `KeyError`, `TypeError` or the like where it is none."""
        if not self.action:
            self.begin(entry)
        code = code_of(entry["action"])
        if code == OOM:
            free = entry.get("device_free", entry.get("addr"))
            if type(free) is int:
                self.device_free[len(self.action)] = free
        self.address.append(_whole(entry.get("addr", 0)))
        self.size.append(0 if code == ANNOTATE else _whole(entry["size"]))
        self.stream.append(_whole(entry.get("stream", 0)))
        self.frames.append(self.list_number(entry.get("frames")))
        if self.time_us is not None:
            self.time_us.append(_whole(entry["time_us"]))
        self.tag.append(self.tag_number(entry.get("user_metadata")))
        if self.pool is not None:
            self.pool.append(pool_of(entry.get("pool_id", DEFAULT_POOL)))
        if self.category is not None:
            self.category.append(str(entry.get("category", "")))
        self.action.append(code)

    def list_number(self, frames: RecordedFrames | None) -> int:
        """The number of a list of frames, which is kept."""
        if not frames:
            return NO_FRAMES
        number = self.list_numbers.get(id(frames))
        if number is None:
            number = self.list_numbers[id(frames)] = len(self.lists)
            self.lists.append(frames)
        return number

    def tag_number(self, tag: object) -> int:
        """The number of a note; what is no text counts as none."""
        note = tag if isinstance(tag, str) else ""
        number = self._tag_numbers.setdefault(note, len(self.tags))
        if number == len(self.tags):
            self.tags.append(note)
        return number

    def has_negative(self) -> bool:
        """Whether some number is none that a device can have."""
        return any(map(self.passes.has_negative, (self.address, self.size, self.stream, self.time_us or ())))

    def require(self, keys: Sequence[str]) -> None:
        """Raises `UnexpectedError` where entries with these keys have other columns than those before them."""
        if not self.action:
            self.begin(dict.fromkeys(keys))
        has = [column is not None for column in (self.time_us, self.pool, self.category)]
        if has != [key in keys for key in OPTIONAL_KEYS]:
            raise UnexpectedError

    def begin(self, first: Mapping[str, Any]) -> None:
        """Decides by the keys of the first entry which columns there are."""
        time, pool, category = (key in first for key in OPTIONAL_KEYS)
        self.time_us = array("q") if time else None
        self.pool = [] if pool else None
        self.category = [] if category else None


def columns_of(entries: "Sequence[Mapping[str, Any]] | EntryColumns") -> EntryColumns:
    """The columns of entries that are objects each. Raises as `EntryColumns.add`."""
    if isinstance(entries, EntryColumns):
        return entries
    found = EntryColumns()
    for entry in entries:
        found.add(entry)
    return found


def code_of(action: Any) -> int:
    """The code of an action."""
    return ANNOTATE if action == "annotate" else ACTIONS.get(action, OTHER)


def pool_of(told: Any) -> Pool:
    """As PyTorch numbers them."""
    first, second = told
    return int(first), int(second)


def _whole(number: object) -> int:
    """Raises `ValueError` where it is none that a device can have."""
    if type(number) is not int or not 0 <= number < 1 << 63:
        raise ValueError("a step holds something that is no whole number")
    return number
