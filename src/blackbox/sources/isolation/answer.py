"""What a source's own process answers: a sample, without the rows of processes that the answer before had.

On a machine in steady state they are most of a sample, and the same for hours; and what is made of a row is kept as
long as the row is the same object.
"""

import msgspec
from msgspec import structs

from blackbox.model.identity import ProcessKey
from blackbox.model.parts import DeviceProcess
from blackbox.model.sample import Sample

NEW_ROW = -1


class Answer(msgspec.Struct, frozen=True):
    """A sample, whose `processes` are only those that the answer before had not."""

    sample: Sample
    rows: tuple[int, ...] | None
    """For each process its place in the answer before, or `NEW_ROW`; None where all are those of the answer before."""


class AnswerPacker:
    """Leaves out of each sample what the one before told. Lives in the source's process."""

    def __init__(self) -> None:
        self._before: tuple[DeviceProcess, ...] | None = None
        """None: nothing that the other side has."""
        self._places: dict[ProcessKey, int] = {}

    def pack(self, sample: Sample) -> Answer:
        """The next answer. Where it does not arrive, call `forget`."""
        before, now = self._before, sample.processes
        if now is before or now == before:
            return Answer(structs.replace(sample, processes=()), None)
        rows = tuple(self._place(row, before or ()) for row in now)
        new = tuple(row for row, place in zip(now, rows, strict=True) if place == NEW_ROW)
        self._before = now
        self._places = {(row.gpu_uuid, row.pid): place for place, row in enumerate(now)}
        return Answer(structs.replace(sample, processes=new), rows)

    def forget(self) -> None:
        """Whatever comes next is told in full."""
        self._before = None
        self._places = {}

    def _place(self, row: DeviceProcess, before: tuple[DeviceProcess, ...]) -> int:
        place = self._places.get((row.gpu_uuid, row.pid), NEW_ROW)
        if place == NEW_ROW:
            return NEW_ROW
        known = before[place]
        return place if known is row or known == row else NEW_ROW


class AnswerUnpacker:
    """Puts the rows back in; those of the answer before are the same objects. Lives in the server."""

    def __init__(self) -> None:
        self._before: tuple[DeviceProcess, ...] = ()

    def unpack(self, answer: Answer) -> Sample:
        """The sample. Raises `ValueError` where the answer refers to rows that there were not."""
        if answer.rows is not None:
            self._before = self._rows(answer.rows, answer.sample.processes)
        return structs.replace(answer.sample, processes=self._before)

    def _rows(self, places: tuple[int, ...], new: tuple[DeviceProcess, ...]) -> tuple[DeviceProcess, ...]:
        fresh = iter(new)
        try:
            rows = tuple(next(fresh) if place == NEW_ROW else self._before[place] for place in places)
        except (IndexError, RuntimeError) as error:  # a StopIteration inside of a generator becomes the latter
            raise ValueError("an answer that does not fit the one before") from error
        return rows
