"""The rows of all processes in a snapshot, and what is made of all of them, kept while they stay the same."""

import threading
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cached_property
from itertools import chain
from typing import Literal, NamedTuple, TypeVar, cast

import msgspec
from msgspec import Struct

from blackbox.merge.moment_blocks import MomentBlocks
from blackbox.merge.process_memory import ProcessMemory, moved_row, name_pids, process_memory, unreported_row
from blackbox.merge.row_texts import AmountTexts, RowTexts, digits
from blackbox.merge.selection import Selection
from blackbox.model.identity import ProcessKey
from blackbox.model.listed import ListedProcesses, share_roster
from blackbox.model.parts import Allocator, DeviceProcess
from blackbox.model.snapshot import Process, Stack, Thread

LISTS_KEPT_MAX = 8
"""Lists of processes of which the rows are kept: one for all GPUs, and some for single ones."""
OF_PIDS = ("pids_by_gpu", "unreported", "_made", "_texts")
"""What is made of the rows and depends on nothing but who is on which GPU, and why no allocator reports them."""
RowsName = Literal["processes", "threads"]
AmountsName = Literal["processes", "threads", "blocks"]
AMOUNTS: dict[AmountsName, tuple[str, ...]] = {
    "processes": ("used_bytes", "reserved_bytes"),
    "threads": ("allocated_bytes",),
    "blocks": ("size",),
}
"""Part of a snapshot -> the keys of its rows that say what a process holds which no allocator reports."""
T = TypeVar("T")
_encoder = msgspec.json.Encoder()


class DeviceShare(Struct):
    """What the processes of one device hold of its memory, without those of its MIG instances."""

    used_bytes: int = 0
    reserved_bytes: int = 0
    allocated_bytes: int | None = None
    """None where no allocator reports."""
    unmeasured: list[int] = []
    """Pids of those that the driver does not say anything of."""


class BlockSums(NamedTuple):
    """The blocks of all processes."""

    blocks: int
    utilized_count: int
    utilized_bytes: int


class ProcessRows:
    """The rows, in order. What is made of them is made once for each object, rows being immutable: the same object
    stands for the same rows (`process_rows`)."""

    def __init__(self, rows: Iterable[ProcessMemory]) -> None:
        self.all = tuple(rows)

    def __iter__(self) -> Iterator[ProcessMemory]:
        return iter(self.all)

    def __len__(self) -> int:
        return len(self.all)

    @classmethod
    def after(cls, before: "ProcessRows", rows: Iterable[ProcessMemory], places: Iterable[int]) -> "ProcessRows":
        """The rows of the same processes in the same order, none of them reported by an allocator, for the same
        reasons: what does not depend on their figures is handed on, and JSON of the rows at all but these places, at
        which alone there are other objects."""
        made = cls(rows)
        known, others = vars(before), frozenset(places)
        vars(made).update({name: known[name] for name in OF_PIDS if name in known})
        earlier = before._earlier | {name: (texts, frozenset[int]()) for name, texts in before._row_texts.items()}
        made._earlier = {name: (texts, stale | others) for name, (texts, stale) in earlier.items()}
        return made

    @property
    def base(self) -> "ProcessRows":
        """What later rows are made of that differ in amounts alone."""
        return self

    def amount_texts(self, name: AmountsName) -> AmountTexts:
        """JSON of a part, of processes that no allocator reports, but for the amounts; made once for each name."""
        made = self._amounts.get(name)
        if made is None:
            places = [place for place, row in enumerate(self) if name != "blocks" or row.opaque is not None]
            rows = {"processes": self.processes, "threads": self.threads, "blocks": self.blocks.rows()}[name]
            made = self._amounts[name] = AmountTexts(rows, AMOUNTS[name], places)
        return made

    @cached_property
    def spans(self) -> dict[str, tuple[int, int]]:
        """UUID of the device -> where the rows of its processes begin and end, which follow each other."""
        found: dict[str, tuple[int, int]] = {}
        for place, row in enumerate(self):
            first, _ = found.get(row.process.gpu_uuid, (place, place))
            found[row.process.gpu_uuid] = first, place + 1
        return found

    @cached_property
    def processes(self) -> tuple[Process, ...]:
        return tuple(row.process for row in self)

    @cached_property
    def threads(self) -> tuple[Thread, ...]:
        return tuple(chain.from_iterable(row.threads for row in self))

    @cached_property
    def stacks(self) -> tuple[Stack, ...] | None:
        return tuple(chain.from_iterable(row.stacks for row in self)) or None

    @cached_property
    def allocators(self) -> tuple[Allocator, ...]:
        return tuple(chain.from_iterable(row.allocators for row in self))

    @cached_property
    def blocks(self) -> MomentBlocks:
        """Neither rows nor JSON of them are made before they are asked for."""
        return MomentBlocks(self)

    @cached_property
    def block_sums(self) -> BlockSums:
        return BlockSums(len(self.blocks), self.blocks.utilized_count, self.blocks.utilized_bytes)

    @cached_property
    def reserved_bytes(self) -> int:
        return sum([process.reserved_bytes for process in self.processes])

    @cached_property
    def unmeasured(self) -> list[int]:
        """Pids of the processes of which the driver does not report what they use."""
        return [row.process.pid for row in self if row.unmeasured]

    @cached_property
    def unreported(self) -> str | None:
        """The processes whose blocks no allocator reports, grouped by reason; None when every process is reported."""
        pids: defaultdict[str, list[int]] = defaultdict(list)
        for row in self:
            if row.unreported_reason:
                pids[row.unreported_reason].append(row.process.pid)
        return "; ".join(f"{why} ({name_pids(unreported)})" for why, unreported in pids.items()) or None

    @cached_property
    def held(self) -> dict[str, DeviceShare]:
        """By UUID of the device."""
        found: defaultdict[str, DeviceShare] = defaultdict(DeviceShare)
        for row in self:
            process = row.process
            held = found[process.gpu_uuid]
            held.used_bytes += process.used_bytes
            held.reserved_bytes += process.reserved_bytes
            if process.allocated_bytes is not None:
                held.allocated_bytes = (held.allocated_bytes or 0) + process.allocated_bytes
            if row.unmeasured:
                held.unmeasured.append(process.pid)
        return dict(found)

    @cached_property
    def pids_by_gpu(self) -> dict[int, dict[int, None]]:
        """The pids on each GPU, in row order (dict used as an ordered set); MIG instances count as their GPU."""
        gpus: defaultdict[int, dict[int, None]] = defaultdict(dict)
        for process in self.processes:
            gpus[process.gpu][process.pid] = None
        return dict(gpus)

    def once(self, key: object, make: Callable[[], T]) -> T:
        """What `make` made for this key, made once. It must depend on the key alone, and on what `after` says to be the
        same."""
        made = self._made.get(key)
        if made is None:
            made = self._made[key] = make()
        return cast(T, made)

    def text(self, name: str, value: object) -> bytes:
        """JSON of a part of the snapshot, made once for each object."""
        known = self._texts.get(name)
        if known is None or known[0] is not value:
            known = self._texts[name] = value, _encoder.encode(value)
        return known[1]

    def rows_text(self, name: RowsName) -> bytes:
        """JSON of the processes, or of the threads."""
        return self._rows_text(name, lambda: self.processes if name == "processes" else self.threads)

    def _rows_text(self, name: str, make: Callable[[], Sequence[object]]) -> bytes:
        """JSON of a part that has a row for each of these rows, or is made of all: made once for each name."""
        made = self._row_texts.get(name)
        if made is None:
            rows = make()
            earlier, others = self._earlier.get(name, (None, frozenset[int]()))
            is_by_place = earlier is not None and len(earlier) == len(rows) == len(self)
            made = earlier.changed(rows, others) if earlier is not None and is_by_place else RowTexts(rows)
            self._row_texts[name] = made
        return made.whole

    def blocks_texts(self, rows_max: int) -> list[bytes]:
        """JSON of the first blocks, in pieces. Those of reports are kept with the reports."""
        if self.allocators:
            return self.blocks.json(rows_max)
        return [self._rows_text(f"blocks, {rows_max} at most", lambda: self.blocks.rows()[:rows_max])]

    @cached_property
    def _row_texts(self) -> dict[str, RowTexts]:
        return {}

    @cached_property
    def _earlier(self) -> dict[str, tuple[RowTexts, frozenset[int]]]:
        """Texts of earlier rows, each with the places at which these rows are others."""
        return {}

    @cached_property
    def _amounts(self) -> dict[AmountsName, AmountTexts]:
        return {}

    @cached_property
    def _made(self) -> dict[object, object]:
        return {}

    @cached_property
    def _texts(self) -> dict[str, tuple[object, bytes]]:
        return {}


class MovedRows(ProcessRows):
    """The rows of processes of which some hold another amount than in `base`, and all else is the same: none is
    reported by an allocator. They are sums and JSON before they are rows, which are made where somebody asks."""

    def __init__(self, base: ProcessRows, listed: ListedProcesses) -> None:
        """`listed`: the processes, in the order of `base`."""
        self._base = base
        self._listed = listed
        self._used = [used or 0 for used in listed.amounts]
        vars(self).update({name: getattr(base, name) for name in OF_PIDS})

    def __len__(self) -> int:
        return len(self._base)

    @property
    def base(self) -> ProcessRows:
        return self._base

    @cached_property
    def all(self) -> tuple[ProcessMemory, ...]:
        return tuple(map(moved_row, self._base.all, self._listed))

    @cached_property
    def reserved_bytes(self) -> int:
        return sum(self._used)

    @cached_property
    def unmeasured(self) -> list[int]:
        return self._base.unmeasured

    @cached_property
    def stacks(self) -> tuple[Stack, ...] | None:
        return None

    @cached_property
    def allocators(self) -> tuple[Allocator, ...]:
        return ()

    @cached_property
    def block_sums(self) -> BlockSums:
        return self._base.block_sums._replace(utilized_bytes=self.reserved_bytes)

    @cached_property
    def held(self) -> dict[str, DeviceShare]:
        found: dict[str, DeviceShare] = {}
        for uuid, (first, end) in self._base.spans.items():
            used = sum(self._used[first:end])
            found[uuid] = DeviceShare(used, used, None, self._base.held[uuid].unmeasured)
        return found

    def rows_text(self, name: RowsName) -> bytes:
        return self._amount_text(name)

    def blocks_texts(self, rows_max: int) -> list[bytes]:
        if self.block_sums.blocks > rows_max:
            return super().blocks_texts(rows_max)
        return [self._amount_text("blocks")]

    def _amount_text(self, name: AmountsName) -> bytes:
        known = self._amount_texts.get(name)
        if known is None:
            known = self._amount_texts[name] = self._base.amount_texts(name).whole(self._digits)
        return known

    @cached_property
    def _digits(self) -> list[bytes]:
        return digits(self._used)

    @cached_property
    def _amount_texts(self) -> dict[str, bytes]:
        return {}


class _KnownRows(NamedTuple):
    """The rows of a list of processes."""

    processes: tuple[DeviceProcess, ...]
    rows: ProcessRows
    are_in_order: bool
    """Whether there is a row for each process, in its place."""

    def places_changed(self, processes: tuple[DeviceProcess, ...]) -> list[int] | None:
        """Where a newer list has another object for the same process; None where it is not one of the same processes
        in the same order."""
        if len(processes) != len(self.processes):
            return None
        pairs = zip(self.processes, processes, strict=True)
        places = [place for place, (before, now) in enumerate(pairs) if before is not now]
        are_same = all(
            self.processes[place].pid == processes[place].pid
            and self.processes[place].gpu_uuid == processes[place].gpu_uuid
            for place in places
        )
        return places if are_same else None


_Key = tuple[tuple[tuple[str, int], ...], frozenset[ProcessKey]]
"""UUID and index of the selected devices, in order; the processes whose reports are withheld."""


class ListedRows:
    """The rows of the last list of processes of each selection of devices, kept while the list is the same object: the
    sources hand on the list of before where nothing in it is different. Of a newer list with the same roster the rows
    are made when somebody asks for them (`MovedRows`). Of another one of the same processes in the same order, those
    rows are made anew whose process is another object. Only for moments without allocators' reports.
    Safe to use from several threads."""

    def __init__(self, lists_max: int = LISTS_KEPT_MAX) -> None:
        self._lists_max = lists_max
        self._known: dict[_Key, _KnownRows] = {}
        """Least recently used first."""
        self._lock = threading.Lock()

    def of(self, selection: Selection) -> ProcessRows:
        """The rows of a selection in which no allocator reports."""
        key = tuple((device.uuid, device.index) for device in selection.devices), selection.withheld
        with self._lock:
            known = self._known.pop(key, None)
            if known is not None and known.processes is selection.processes:
                self._known[key] = known
                return known.rows
        made = _made_rows(selection, known)
        with self._lock:
            self._known[key] = made
            while len(self._known) > self._lists_max:
                del self._known[next(iter(self._known))]
        return made.rows


def _made_rows(selection: Selection, known: _KnownRows | None) -> _KnownRows:
    """The rows of a list that is not known; `known`: the one before, of the same devices."""
    listed = selection.processes
    if known is not None and known.are_in_order and share_roster(listed, known.processes):
        return known._replace(processes=listed, rows=MovedRows(known.rows.base, cast(ListedProcesses, listed)))
    places = known.places_changed(selection.processes) if known is not None and known.are_in_order else None
    if known is None or places is None:
        made = ProcessRows(process_memory(selection))
        keys = [(row.process.gpu_uuid, row.process.pid) for row in made]
        are_in_order = keys == [(listed.gpu_uuid, listed.pid) for listed in selection.processes]
        return _KnownRows(selection.processes, made, are_in_order)
    rows = list(known.rows)
    for place in places:
        rows[place] = unreported_row(selection, selection.processes[place], rows[place].process.gpu)
    return _KnownRows(selection.processes, ProcessRows.after(known.rows, rows, places), are_in_order=True)


_listed_rows = ListedRows()


def process_rows(selection: Selection) -> ProcessRows:
    """The rows of every process on every selected GPU; the same object while nothing in them can be different."""
    return ProcessRows(process_memory(selection)) if selection.allocators else _listed_rows.of(selection)
