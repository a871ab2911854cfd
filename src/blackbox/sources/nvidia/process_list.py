"""The processes on a device, out of the driver's three lists."""

from collections.abc import Sequence
from ctypes import Array, byref, c_char, c_uint, create_string_buffer
from operator import is_
from struct import Struct
from typing import Literal, NamedTuple

import msgspec

from blackbox.model.parts import ProcessKind
from blackbox.sources.nvidia.device_calls import DeviceCalls
from blackbox.sources.nvidia.errors import INSUFFICIENT_SIZE, Failure, Fault

PID_MAX = 4_194_304
"""The kernel's own limit (2^22); `kernel.pid_max` may be lowered under a living process."""
INSTANCE_MAX = 1024
"""MIG instance ids are below a hundred; a larger one is a memory size read through a wrong layout."""
NO_INSTANCE = 0xFFFFFFFF
NOT_AVAILABLE_BYTES = 2**64 - 1

ROWS_CUT = 950
"""NVIDIA's kernel module stops at so many processes of a device, without an error (NV2080_CTRL_GPU_GET_PIDS)."""
ROWS_INITIAL = 1024
"""So that one call is enough."""
ROWS_MAX = 65_536
"""A driver that asks for more is not believed."""
LISTS_KEPT_MAX = 4096
"""Three lists of 1,024 devices: more handles than that are those of libraries that were closed."""
GROWTH_TRIES_MAX = 8
"""A list that outgrows the doubled buffer this often in a row is left for the next reading."""
ROW_BYTES_MAX = 32
"""Largest row any driver writes; the buffer is sized for it so that a wrong layout cannot overrun it."""

_ROW_V1 = Struct("<I4xQ")
_ROW_V2 = Struct("<I4xQII")
_ROW_R535 = Struct("<I4xQII8x")
"""Early R535 drivers write a fifth field in version 3 of the call."""

_LISTS: tuple[tuple[ProcessKind, str], ...] = (
    ("mps", "nvmlDeviceGetMPSComputeRunningProcesses"),
    ("compute", "nvmlDeviceGetComputeRunningProcesses"),
    ("graphics", "nvmlDeviceGetGraphicsRunningProcesses"),
)
"""In the order in which a kind wins where several lists name a process."""
_REFUSALS = (Fault.DENIED, Fault.QUARANTINED)
_VERSIONS: tuple[tuple[str, tuple[Struct, ...]], ...] = (
    ("_v3", (_ROW_V2, _ROW_R535)),
    ("_v2", (_ROW_V2,)),
    ("", (_ROW_V1,)),
)


class ProcessRow(msgspec.Struct, frozen=True, gc=False):
    """A process on a device; the instance ids are `NO_INSTANCE` outside MIG."""

    pid: int
    gpu_instance_id: int
    compute_instance_id: int
    used_bytes: int | None
    """None where the driver does not tell (WSL, vGPU)."""
    kind: ProcessKind


class Gap(NamedTuple):
    """Why the processes listed may not be all."""

    reason: str
    kind: Literal["fault", "refused", "cut", "rows"]
    """The list could not be read; the device never offers it, or a person withheld it; it may go on; single rows were
    left out."""


class ProcessReading(NamedTuple):
    rows: list[ProcessRow]
    gap: Gap | None
    """None when these are all."""


class Parsed(NamedTuple):
    """What a list says, without the rows that cannot be."""

    rows: "list[RawRow]"
    left_out: "list[RawRow]"


RawRow = tuple[int, int, int, int]
"""pid, used bytes, GPU instance, compute instance, as the driver wrote them."""


class _KnownList(NamedTuple):
    """A list, and what it was read from."""

    data: bytes
    total_bytes: int | None
    parsed: Parsed


class _KnownReading(NamedTuple):
    """The processes of a device, and the lists that they were merged from, in the order of `_LISTS`."""

    lists: tuple[Parsed | None, ...]
    merged: list[ProcessRow]


class KnownLists:
    """The last list of each call and device: the same object is answered again while the driver writes the same bytes
    and the device's memory, by which rows are judged, is as large. Likewise the processes of a device while all its
    lists are the same objects. A list that takes a second layout to read is read each time."""

    def __init__(self) -> None:
        self._lists: dict[tuple[int, str], _KnownList] = {}
        """By handle of the device and name of the call."""
        self._readings: dict[int, _KnownReading] = {}

    def parsed(
        self, device: int, name: str, data: memoryview, count: int, layouts: tuple[Struct, ...], total_bytes: int | None
    ) -> Parsed | None:
        """As `parse_list`."""
        first = bytes(data[: count * layouts[0].size])
        known = self._lists.get((device, name))
        if known is not None and known.data == first and known.total_bytes == total_bytes:
            return known.parsed
        parsed = parse_rows(memoryview(first), layouts[0], total_bytes)
        if parsed is None or not _is_plain(parsed):
            return parse_list(data, count, layouts, total_bytes)
        if len(self._lists) >= LISTS_KEPT_MAX:
            self._lists.clear()
        self._lists[device, name] = _KnownList(first, total_bytes, parsed)
        return parsed

    def merged(self, device: int, lists: tuple[Parsed | None, ...]) -> list[ProcessRow]:
        """One row a process, out of the three lists; None stands for a list that is not there."""
        known = self._readings.get(device)
        if known is not None and all(map(is_, known.lists, lists)):
            return known.merged
        if len(self._readings) >= LISTS_KEPT_MAX:
            self._readings.clear()
        told: list[tuple[ProcessKind, list[RawRow]]] = [
            (kind, parsed.rows) for (kind, _), parsed in zip(_LISTS, lists, strict=True) if parsed and parsed.rows
        ]
        self._readings[device] = _KnownReading(lists, merge_lists(told))
        return self._readings[device].merged


class ProcessLists:
    """Reads the lists of any device into one buffer, ready before the call."""

    def __init__(self) -> None:
        self.retries_total = 0
        """Calls repeated because the list had outgrown the buffer."""
        self.left_out_total = 0
        """Rows that cannot be."""
        self._known = KnownLists()
        self._count = c_uint()
        self._count_reference = byref(self._count)
        self._reserve(ROWS_INITIAL)

    def read(self, calls: DeviceCalls, total_bytes: int | None) -> ProcessReading | Failure:
        """All processes of the device, or why they are not known.

        A list that this device does not offer is empty. One that is refused makes the others incomplete, and so does a
        row that cannot be.
        """
        lists: list[Parsed | None] = []
        refusals: list[Failure] = []
        left_out: list[RawRow] = []
        is_cut = False
        for kind, name in _LISTS:
            parsed = self._read_list(calls, name, total_bytes)
            lists.append(None if isinstance(parsed, Failure) else parsed)
            if not isinstance(parsed, Failure):
                left_out += parsed.left_out
                is_cut = is_cut or len(parsed.rows) + len(parsed.left_out) == ROWS_CUT
            elif parsed.fault in _REFUSALS or (parsed.fault is Fault.PERMANENT and kind == "compute"):
                refusals.append(parsed)
            elif parsed.fault is not Fault.PERMANENT:
                return parsed
        merged = self._known.merged(calls.handle, tuple(lists))
        if refusals and not merged:
            return refusals[0]
        self.left_out_total += len(left_out)
        return ProcessReading(merged, _gap(refusals, is_cut, left_out))

    def _read_list(self, calls: DeviceCalls, name: str, total_bytes: int | None) -> Parsed | Failure:
        failure = Failure(Fault.PERMANENT, name)
        for suffix, layouts in _VERSIONS:
            answer = self._fill(calls, name + suffix)
            if answer is None:
                return self._parse(calls.handle, name + suffix, layouts, total_bytes)
            failure = answer
            if failure.fault is not Fault.PERMANENT:
                break
        return failure

    def _fill(self, calls: DeviceCalls, name: str) -> Failure | None:
        """One call into the buffer, repeated with a larger one while the list outgrows it."""
        failure: Failure | None = None
        for _ in range(GROWTH_TRIES_MAX):
            self._count.value = self._rows
            failure = calls.make(name, self._count_reference, self._buffer)
            if failure is None or failure.code != INSUFFICIENT_SIZE:
                return failure
            wanted = max(self._count.value, self._rows) * 2
            if wanted > ROWS_MAX:
                return failure
            self.retries_total += 1
            self._reserve(wanted)
        return failure

    def _reserve(self, rows: int) -> None:
        self._rows = rows
        self._buffer: Array[c_char] = create_string_buffer(rows * ROW_BYTES_MAX)
        self._bytes = memoryview(self._buffer).cast("B")

    def _parse(self, device: int, name: str, layouts: tuple[Struct, ...], total_bytes: int | None) -> Parsed | Failure:
        count = self._count.value
        if count > self._rows:
            return Failure(Fault.INVALID, f"{name} answered {count} rows in a buffer of {self._rows}")
        return self._known.parsed(device, name, self._bytes, count, layouts, total_bytes) or Failure(
            Fault.INVALID, f"invalid: {name} answered rows that cannot be, as of another driver version"
        )


def gap_of(failure: Failure) -> Gap:
    """The gap that a list leaves which could not be read."""
    return Gap(failure.reason, "refused" if failure.fault in (Fault.PERMANENT, Fault.DENIED) else "fault")


def _gap(refusals: list[Failure], is_cut: bool, left_out: list[RawRow]) -> Gap | None:
    """What says most of why the rows may not be all."""
    if refusals:
        return gap_of(refusals[0])
    if is_cut:
        return Gap(f"the driver's list stops at {ROWS_CUT} processes: there may be more", "cut")
    return Gap(_left_out_reason(left_out), "rows") if left_out else None


def parse_list(data: memoryview, count: int, layouts: tuple[Struct, ...], total_bytes: int | None) -> Parsed | None:
    """The `count` rows in `data` by the layout that fits best; None where none may be theirs."""
    readable: list[Parsed] = []
    for layout in layouts:
        parsed = parse_rows(data[: count * layout.size], layout, total_bytes)
        if parsed is not None:
            readable.append(parsed)
            if _is_plain(parsed):
                break  # none fits better
    return min(readable, key=lambda parsed: (_is_mixed(parsed.rows), len(parsed.left_out)), default=None)


def _is_plain(parsed: Parsed) -> bool:
    return not parsed.left_out and not _is_mixed(parsed.rows)


def parse_rows(data: memoryview, layout: Struct, total_bytes: int | None) -> Parsed | None:
    """The rows in `data` read by `layout`; None where that cannot be their layout.

    Drivers write single rows that cannot be (pid 0, more memory than the GPU has); they still name an instance as the
    good rows do. Read by a wrong layout, what stands in the place of the instances is a pid or a size.
    """
    limit = NOT_AVAILABLE_BYTES if total_bytes is None else total_bytes
    rows: list[RawRow] = [*layout.iter_unpack(data)]
    if layout.size == _ROW_V1.size:
        rows = [(pid, used, NO_INSTANCE, NO_INSTANCE) for pid, used, *_ in rows]
    if _are_plain(rows, limit):
        return Parsed(rows, [])
    good = [row for row in rows if _may_be(row, limit)]
    if len(good) == len(rows):
        return Parsed(rows, [])
    left_out = [row for row in rows if not _may_be(row, limit)]
    instances = {row[2:] for row in good}
    return Parsed(good, left_out) if instances.issuperset(row[2:] for row in left_out) else None


def _are_plain(rows: list[RawRow], limit: int) -> bool:
    """Whether all may be, and none names an instance: looked at column by column, as most lists are."""
    pids, used, *instances = zip(*rows, strict=True) if rows else ((1,), (0,))
    return (
        min(pids) > 0
        and max(pids) <= PID_MAX
        and max(used) <= limit
        and all(column.count(NO_INSTANCE) == len(column) for column in instances)
    )


def _may_be(row: RawRow, limit: int) -> bool:
    pid, used, gpu_instance, compute_instance = row
    return (
        0 < pid <= PID_MAX
        and (used <= limit or used == NOT_AVAILABLE_BYTES)
        and (gpu_instance <= INSTANCE_MAX or gpu_instance == NO_INSTANCE)
        and (compute_instance <= INSTANCE_MAX or compute_instance == NO_INSTANCE)
    )


def _is_mixed(rows: list[RawRow]) -> bool:
    """Whether only some rows name an instance, as where sizes are read in the place of instances."""
    named = [row[2] == row[3] == NO_INSTANCE for row in rows]
    return True in named and False in named


def _left_out_reason(rows: list[RawRow]) -> str:
    pid, used, _, _ = rows[0]
    size = "no size" if used == NOT_AVAILABLE_BYTES else f"{used} bytes"
    more = f" and {len(rows) - 1} more" if len(rows) > 1 else ""
    return f"left out of the driver's list, since it cannot be: pid {pid} with {size}{more}"


def merge_lists(told: Sequence[tuple[ProcessKind, list[RawRow]]]) -> list[ProcessRow]:
    """One row a process, out of lists of which the first to name a process says its kind."""
    if len(told) == 1 and len({row[0] for row in told[0][1]}) == len(told[0][1]):  # as mostly
        kind, rows = told[0]
        return [
            ProcessRow(pid, gpu_instance, compute_instance, _used_bytes(used), kind)
            for pid, used, gpu_instance, compute_instance in rows
        ]
    merged: dict[tuple[int, int, int], ProcessRow] = {}
    for kind, rows in told:
        _merge(merged, kind, rows)
    return list(merged.values())


def _used_bytes(used: int) -> int | None:
    return None if used == NOT_AVAILABLE_BYTES else used


def _merge(merged: dict[tuple[int, int, int], ProcessRow], kind: ProcessKind, rows: list[RawRow]) -> None:
    """Adds the rows of a list: each list states all memory of a process, so the largest figure counts, not the sum."""
    for pid, used, gpu_instance, compute_instance in rows:
        key = (pid, gpu_instance, compute_instance)
        used_bytes = _used_bytes(used)
        known = merged.get(key)
        if known is None:
            merged[key] = ProcessRow(pid, gpu_instance, compute_instance, used_bytes, kind)
        elif used_bytes is not None and (known.used_bytes is None or used_bytes > known.used_bytes):
            merged[key] = msgspec.structs.replace(known, used_bytes=used_bytes)
