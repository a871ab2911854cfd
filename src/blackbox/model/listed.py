"""The processes of one reading, and what they have in common with those of the reading before."""

from collections.abc import Iterable, Sequence
from functools import cached_property

from msgspec import structs

from blackbox.model.parts import DeviceProcess


class ListedProcesses(tuple[DeviceProcess, ...]):
    """Processes as a source lists them. Two lists with the same `roster` have the same processes in the same order, and
    these differ in `used_bytes` at most; where they do, it is above 0 in both."""

    roster: object
    """Compared by identity."""

    @classmethod
    def of(cls, rows: Iterable[DeviceProcess], roster: object = None) -> "ListedProcesses":
        """The rows, with a roster of an earlier list that fits them, or else one of their own."""
        made = cls(rows)
        made.roster = object() if roster is None else roster
        return made

    @cached_property
    def amounts(self) -> list[int | None]:
        """What each of them holds."""
        return [row.used_bytes for row in self]

    def with_amounts(self, amounts: Sequence[int | None]) -> "ListedProcesses":
        """The list with the same roster; rows whose amount stays are the same objects. Raises `ValueError` where no
        list with this roster holds these amounts."""
        if len(amounts) != len(self):
            raise ValueError(f"{len(amounts)} amounts of {len(self)} processes")
        changed = [place for place, (row, used) in enumerate(zip(self, amounts, strict=True)) if row.used_bytes != used]
        rows = list(self)
        for place in changed:
            row, used = rows[place], amounts[place]
            if not is_moved(row.used_bytes, used):
                raise ValueError(f"{used} bytes instead of {row.used_bytes} make another list")
            rows[place] = structs.replace(row, used_bytes=used)
        return ListedProcesses.of(rows, self.roster)


def is_moved(before: int | None, now: int | None) -> bool:
    """Whether all that is said of a process stays as it is, but for the amount itself."""
    return bool(before) and bool(now)


def share_roster(one: object, other: object) -> bool:
    """Whether two lists are known to differ in amounts at most."""
    return isinstance(one, ListedProcesses) and isinstance(other, ListedProcesses) and one.roster is other.roster
