"""What a source's own process answers: a sample, without the rows of processes that the answer before had.

On a machine in steady state they are most of a sample, and the same for hours; and what is made of a row is kept as
long as the row is the same object. Of rows that hold another amount, and are else the same, the amount alone is told.
"""

from collections.abc import Iterator

import msgspec
from msgspec import structs

from blackbox.model.identity import ProcessKey
from blackbox.model.listed import ListedProcesses, share_roster
from blackbox.model.parts import DeviceProcess
from blackbox.model.sample import Sample

NEW_ROW = -1


class Answer(msgspec.Struct, frozen=True):
    """A sample, whose `processes` are only those that the answer before had not."""

    sample: Sample
    rows: tuple[int, ...] | None
    """For each process its place in the answer before, or `NEW_ROW`; None where all are those of the answer before."""
    amounts: tuple[int | None, ...] | None = None
    """What each of them holds, where all are those of the answer before in all else."""


class AnswerPacker:
    """Leaves out of each sample what the one before told. Lives in the source's process."""

    def __init__(self) -> None:
        self._before: tuple[DeviceProcess, ...] | None = None
        """None: nothing that the other side has."""
        self._places: dict[ProcessKey, int] | None = None
        """Of the rows before; None where they were not looked up yet."""

    def pack(self, sample: Sample) -> Answer:
        """The next answer. Where it does not arrive, call `forget`."""
        before, now = self._before, sample.processes
        if now is before or now == before:
            return Answer(structs.replace(sample, processes=()), None)
        if before is not None and isinstance(now, ListedProcesses) and share_roster(now, before):
            self._before = now
            return Answer(structs.replace(sample, processes=()), None, tuple(now.amounts))
        rows = tuple(self._rows(now, before or ()))
        new = tuple(row for row, place in zip(now, rows, strict=True) if place == NEW_ROW)
        self._before, self._places = now, None
        return Answer(structs.replace(sample, processes=new), rows)

    def forget(self) -> None:
        """Whatever comes next is told in full."""
        self._before = self._places = None

    def _rows(self, now: tuple[DeviceProcess, ...], before: tuple[DeviceProcess, ...]) -> Iterator[int]:
        """Mostly the processes are the same, in the same order."""
        for place, row in enumerate(now):
            known = before[place] if place < len(before) else None
            if known is row:
                yield place
            elif known is not None and (known.pid, known.gpu_uuid) == (row.pid, row.gpu_uuid):
                yield place if known == row else NEW_ROW
            else:
                yield self._place(row, before)

    def _place(self, row: DeviceProcess, before: tuple[DeviceProcess, ...]) -> int:
        if self._places is None:
            self._places = {(known.gpu_uuid, known.pid): place for place, known in enumerate(before)}
        place = self._places.get((row.gpu_uuid, row.pid), NEW_ROW)
        if place == NEW_ROW:
            return NEW_ROW
        known = before[place]
        return place if known is row or known == row else NEW_ROW


class AnswerUnpacker:
    """Puts the rows back in; those of the answer before are the same objects. Lives in the server."""

    def __init__(self) -> None:
        self._before = ListedProcesses.of(())

    def unpack(self, answer: Answer) -> Sample:
        """The sample. Raises `ValueError` where the answer refers to rows that there were not."""
        if answer.rows is not None:
            self._before = self._rows(answer.rows, answer.sample.processes)
        elif answer.amounts is not None:
            self._before = self._before.with_amounts(answer.amounts)
        return structs.replace(answer.sample, processes=self._before)

    def _rows(self, places: tuple[int, ...], new: tuple[DeviceProcess, ...]) -> ListedProcesses:
        fresh = iter(new)
        try:
            rows = [next(fresh) if place == NEW_ROW else self._before[place] for place in places]
        except (IndexError, StopIteration) as error:
            raise ValueError("an answer that does not fit the one before") from error
        return ListedProcesses.of(rows)
