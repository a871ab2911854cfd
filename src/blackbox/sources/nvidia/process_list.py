"""The processes on a device, out of the driver's three lists."""

from ctypes import Array, byref, c_char, c_uint, create_string_buffer
from struct import Struct
from typing import NamedTuple

from blackbox.model.parts import ProcessKind
from blackbox.sources.nvidia.device_calls import DeviceCalls
from blackbox.sources.nvidia.errors import INSUFFICIENT_SIZE, Failure, Fault

PID_MAX = 4_194_304
"""The kernel's own limit (2^22); `kernel.pid_max` may be lowered under a living process."""
INSTANCE_MAX = 1024
"""MIG instance ids are below a hundred; a larger one is a memory size read through a wrong layout."""
NO_INSTANCE = 0xFFFFFFFF
NOT_AVAILABLE_BYTES = 2**64 - 1

ROWS_INITIAL = 1024
"""The driver lists at most 950 processes of a device, so one call is enough."""
ROWS_MAX = 65_536
"""A driver that asks for more is not believed."""
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


class ProcessRow(NamedTuple):
    """A process on a device; the instance ids are `NO_INSTANCE` outside MIG."""

    pid: int
    gpu_instance_id: int
    compute_instance_id: int
    used_bytes: int | None
    """None where the driver does not tell (WSL, vGPU)."""
    kind: ProcessKind


class ProcessReading(NamedTuple):
    rows: list[ProcessRow]
    unknown: str | None
    """Why there may be more processes than these; None when these are all."""


RawRow = tuple[int, int, int, int]
"""pid, used bytes, GPU instance, compute instance, as the driver wrote them."""


class ProcessLists:
    """Reads the lists of any device into one buffer, ready before the call."""

    def __init__(self) -> None:
        self.retries_total = 0
        """Calls repeated because the list had outgrown the buffer."""
        self._count = c_uint()
        self._count_reference = byref(self._count)
        self._reserve(ROWS_INITIAL)

    def read(self, calls: DeviceCalls, total_bytes: int | None) -> ProcessReading | Failure:
        """All processes of the device, or why they are not known.

        A list that this device does not offer is empty. One that is refused makes the others incomplete.
        """
        merged: dict[tuple[int, int, int], ProcessRow] = {}
        refusals: list[Failure] = []
        for kind, name in _LISTS:
            rows = self._read_list(calls, name, total_bytes)
            if not isinstance(rows, Failure):
                _merge(merged, kind, rows)
            elif rows.fault in _REFUSALS or (rows.fault is Fault.PERMANENT and kind == "compute"):
                refusals.append(rows)
            elif rows.fault is not Fault.PERMANENT:
                return rows
        if refusals and not merged:
            return refusals[0]
        return ProcessReading(list(merged.values()), refusals[0].reason if refusals else None)

    def _read_list(self, calls: DeviceCalls, name: str, total_bytes: int | None) -> list[RawRow] | Failure:
        failure = Failure(Fault.PERMANENT, name)
        for suffix, layouts in _VERSIONS:
            answer = self._fill(calls, name + suffix)
            if answer is None:
                return self._parse(name + suffix, layouts, total_bytes)
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

    def _parse(self, name: str, layouts: tuple[Struct, ...], total_bytes: int | None) -> list[RawRow] | Failure:
        count = self._count.value
        if count > self._rows:
            return Failure(Fault.INVALID, f"{name} answered {count} rows in a buffer of {self._rows}")
        for layout in layouts:
            rows = parse_rows(self._bytes[: count * layout.size], layout, total_bytes)
            if rows is not None:
                return rows
        return Failure(Fault.INVALID, f"invalid: {name} answered rows that cannot be, as of another driver version")


def parse_rows(data: memoryview, layout: Struct, total_bytes: int | None) -> list[RawRow] | None:
    """The rows in `data` read by `layout`; None when one of them cannot be."""
    limit = NOT_AVAILABLE_BYTES if total_bytes is None else total_bytes
    rows: list[RawRow] = [
        (*fields, NO_INSTANCE, NO_INSTANCE) if len(fields) == 2 else fields for fields in layout.iter_unpack(data)
    ]
    for pid, used, gpu_instance, compute_instance in rows:
        if (
            not 0 < pid <= PID_MAX
            or (used > limit and used != NOT_AVAILABLE_BYTES)
            or (gpu_instance > INSTANCE_MAX and gpu_instance != NO_INSTANCE)
            or (compute_instance > INSTANCE_MAX and compute_instance != NO_INSTANCE)
        ):
            return None
    return rows


def _merge(merged: dict[tuple[int, int, int], ProcessRow], kind: ProcessKind, rows: list[RawRow]) -> None:
    """Adds the rows of a list: each list states all memory of a process, so the largest figure counts, not the sum."""
    for pid, used, gpu_instance, compute_instance in rows:
        key = (pid, gpu_instance, compute_instance)
        used_bytes = None if used == NOT_AVAILABLE_BYTES else used
        known = merged.get(key)
        if known is None:
            merged[key] = ProcessRow(pid, gpu_instance, compute_instance, used_bytes, kind)
        elif used_bytes is not None and (known.used_bytes is None or used_bytes > known.used_bytes):
            merged[key] = known._replace(used_bytes=used_bytes)
