"""Frames of agents to messages. Total: any bytes give a message that keeps every limit below, or a `WireError`.

A report that says something impossible is refused alone (`RefusedReportError`): the next one may be right. Whatever
else is wrong ends the connection.
"""

from __future__ import annotations  # arrays take no parameter at run time before Python 3.12

import re
from array import array
from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple, TypeVar

import msgspec

from blackbox.model.decoding import DECODE_ERRORS
from blackbox.model.event_blocks import json_bytes
from blackbox.sources.agents.checks import RefusedReportError, check, check_counts, require
from blackbox.sources.agents.history import check_history, with_frames
from blackbox.wire import Frame, FrameKind, WireError
from blackbox.wire.message import (
    BLOCKS_MAX,
    COLUMNS,
    GOODBYE_BYTES_MAX,
    HELLO_BYTES_MAX,
    LABELS_MAX,
    OOM_HEADER_BYTES_MAX,
    REPORT_HEADER_BYTES_MAX,
    THREADS_MAX,
    BlockShape,
    OomHeader,
    ReportHeader,
    read_column,
    split,
)
from blackbox.wire.ranges import ADDRESS_MAX, BYTES_MAX, PAGES_MAX, TIME_SECONDS_MAX, shown
from blackbox.wire.report import (
    NO_STACK,
    NOT_KNOWN,
    STATES,
    TYPES,
    AllocatorReport,
    Cost,
    Goodbye,
    Hello,
    KvLayout,
    KvStates,
    OwnerStack,
    Report,
)
from blackbox.wire.stacks import FRAMES_MAX, STACKS_MAX

DEVICES_MAX = 64
"""Devices one process holds memory on: 8 GPUs in 7 slices each."""
KEYS_MAX = 32
"""Entries of an `unknown`; there are fewer fields."""
PARTS_MAX = 1024
"""Tensors of a KV cache on one device: several per layer."""
ENGINES_MAX = 16
STEP_JSON_SIZE = 96
"""Of a step, a segment, or a scope with its name."""
_SOURCE = re.compile(r"[a-z][a-z0-9_]{0,31}")

T = TypeVar("T")


def _reader(shape: type[T]) -> Callable[[bytes], T]:
    """Reads JSON of that shape."""
    return _decoder(shape).decode


@cache
def _decoder(shape: type) -> msgspec.json.Decoder[Any]:
    """Made for the first agent that sends some: all together take a megabyte."""
    return msgspec.json.Decoder(shape)


class Columns(NamedTuple):
    """The blocks of an allocator, packed; None where no block tells."""

    address: array[int]
    size: array[int]
    state: array[int]
    type: array[int] | None
    requested: array[int] | None
    stream: array[int] | None
    thread: array[int] | None
    label: array[int] | None
    labels: tuple[tuple[str | None, str | None], ...]
    stack: array[int] | None
    starts: array[int] | None
    pool: array[int] | None
    allocated_ms: array[int] | None


class ReportMessage(NamedTuple):
    report: Report
    """Its page states in place; its blocks beside it."""
    blocks: tuple[Columns | None, ...]
    """Of each allocator."""
    cost: Cost


class OomMessage(NamedTuple):
    header: OomHeader
    blocks: Columns | None

    @property
    def json_bytes(self) -> int:
        """What its blocks, steps, stacks, segments and scopes take in JSON, about."""
        oom, columns = self.header.oom, self.blocks
        steps = sum(map(len, (oom.trace, oom.segments, oom.scopes))) * STEP_JSON_SIZE
        lines = sum(len(line) for stack in oom.stacks for line in stack)
        blocks = 0 if columns is None else json_bytes(len(columns.address), columns.label, columns.labels)
        return steps + lines + blocks

    def without_details(self, reason: str) -> OomMessage:
        """The same without blocks, steps and stacks, for `reason`."""
        oom = self.header.oom
        allocator = oom.allocator
        if allocator is not None:
            allocator = allocator._replace(stacks=None, unknown=allocator.unknown | {"blocks": reason})
        bare = oom._replace(allocator=allocator, trace=(), stacks=(), segments=(), settings=None, scopes=())
        return OomMessage(OomHeader(bare, None), None)


Message = Hello | ReportMessage | OomMessage | Goodbye


def decode(frame: Frame) -> Message:
    """The message in a frame. Raises `WireError`."""
    match frame.kind:
        case FrameKind.HELLO:
            return _decode_hello(frame.payload)
        case FrameKind.REPORT:
            return _decode_report(frame.payload)
        case FrameKind.OOM:
            return _decode_oom(frame.payload)
        case FrameKind.GOODBYE:
            return _decode_goodbye(frame.payload)
        case _:
            raise WireError(f"frame of kind {frame.kind}, which no agent sends")


def _decode_hello(payload: bytes) -> Hello:
    require(len(payload) <= HELLO_BYTES_MAX, "hello too long")
    hello = _parse(_reader(Hello), payload)
    check("address", *hello)
    return hello


def _decode_goodbye(payload: bytes) -> Goodbye:
    require(len(payload) <= GOODBYE_BYTES_MAX, "goodbye too long")
    return _parse(_reader(Goodbye), payload) if payload else Goodbye()


def _decode_report(payload: bytes) -> ReportMessage:
    text, packed = split(payload, REPORT_HEADER_BYTES_MAX)
    header = _parse(_reader(ReportHeader), text)
    _check_source(header.report.source)
    try:
        return _read_report(header, packed)
    except RefusedReportError as error:
        raise RefusedReportError(str(error), header.report.source) from None


def _read_report(header: ReportHeader, packed: memoryview) -> ReportMessage:
    report = header.report
    _check_report(report)
    check("count", *header.cost)
    require(len(header.shapes) == len(report.allocators), "not one shape per allocator")
    blocks: list[Columns | None] = []
    for shape, allocator in zip(header.shapes, report.allocators, strict=True):
        columns, packed = _read_blocks(shape, packed)
        _check_stacks(columns, len(allocator.stacks or ()))
        blocks.append(columns)
    states: list[KvStates] = []
    require(len(header.pages) == len(report.kv_states or ()), "not one number of pages per states")
    for reported, pages in zip(report.kv_states or (), header.pages, strict=True):
        require(0 <= pages <= min(PAGES_MAX, len(packed)), "page states out of range")
        states.append(reported._replace(states=bytes(packed[:pages])))
        packed = packed[pages:]
    require(not packed, "bytes behind the last column")
    if report.kv_states is not None:
        report = report._replace(kv_states=tuple(states))
    return ReportMessage(report, tuple(blocks), header.cost)


def _decode_oom(payload: bytes) -> OomMessage:
    text, packed = split(payload, OOM_HEADER_BYTES_MAX)
    header = _parse(_reader(OomHeader), text)
    _check_source(header.oom.source)
    try:
        return _read_oom(header, packed)
    except RefusedReportError as error:
        raise RefusedReportError(str(error), header.oom.source) from None


def _read_oom(header: OomHeader, packed: memoryview) -> OomMessage:
    oom = with_frames(header)
    _check_uuid(oom.gpu_uuid)
    check("bytes", oom.requested_bytes, oom.device_total_bytes, oom.device_free_bytes, oom.host_pinned_bytes)
    check("timestamp", oom.timestamp)
    check("uptime", oom.taken_at)
    check("thread_id_or_none", oom.thread_id)
    if oom.allocator is not None:
        _check_allocator(oom.allocator)
    check_history(oom)
    blocks, packed = _read_blocks(header.shape, packed)
    require(blocks is None or oom.allocator is not None, "blocks without an allocator")
    _check_stacks(blocks, len(oom.stacks))
    require(not packed, "bytes behind the last column")
    return OomMessage(OomHeader(oom, header.shape), blocks)


def _read_blocks(shape: BlockShape | None, packed: memoryview) -> tuple[Columns | None, memoryview]:
    if shape is None:
        return None, packed
    require(0 <= shape.rows <= BLOCKS_MAX, f"{shown(shape.rows)} blocks")
    require(len(shape.labels) <= LABELS_MAX, f"{len(shape.labels)} labels")
    require({"address", "size", "state"} <= set(shape.columns) <= COLUMNS.keys(), "columns that are not known")
    found: dict[str, array[int]] = {}
    for name in COLUMNS:
        if name in shape.columns:
            found[name], packed = read_column(COLUMNS[name], shape.rows, packed)
    columns = Columns(
        address=found["address"],
        size=found["size"],
        state=found["state"],
        type=found.get("type"),
        requested=found.get("requested"),
        stream=found.get("stream"),
        thread=found.get("thread"),
        label=found.get("label"),
        stack=found.get("stack"),
        starts=found.get("starts"),
        pool=found.get("pool"),
        allocated_ms=found.get("allocated_ms"),
        labels=shape.labels,
    )
    _check_below(columns.address, ADDRESS_MAX + 1 - BYTES_MAX, "address")
    _check_below(columns.size, BYTES_MAX + 1, "size")
    require(sum(columns.size) <= BYTES_MAX, f"blocks of {shown(sum(columns.size))} bytes")
    _check_requested(columns.requested)
    _check_below(columns.state, len(STATES), "state")
    _check_below(columns.type, len(TYPES), "type")
    _check_below(columns.label, len(shape.labels), "label")
    _check_below(columns.starts, 2, "start")
    require(not columns.starts or columns.starts[0] == 1, "a block before the first segment")
    _check_below(columns.allocated_ms, TIME_SECONDS_MAX * 1000, "time")
    return columns, packed


def _check_below(column: array[int] | None, limit: int, name: str) -> None:
    require(not column or max(column) < limit, f"{name} of a block out of range")


def _check_stacks(columns: Columns | None, stacks: int) -> None:
    if columns is not None and columns.stack is not None:
        require(max(set(columns.stack) - {NO_STACK}, default=-1) < stacks, "block without its stack")


def _check_requested(column: array[int] | None) -> None:
    known = set(column or ()) - {NOT_KNOWN}
    require(not known or max(known) <= BYTES_MAX, "requested size of a block out of range")


def _check_report(report: Report) -> None:
    check("uptime", report.taken_at)
    require(len(report.allocators) <= DEVICES_MAX, "too many allocators")
    require(len({one.gpu_uuid for one in report.allocators}) == len(report.allocators), "a device told twice")
    for allocator in report.allocators:
        _check_allocator(allocator)
    require(len(report.kv_layouts or ()) <= DEVICES_MAX, "too many layouts")
    for layout in report.kv_layouts or ():
        _check_layout(layout)
    require(len(report.kv_states or ()) <= ENGINES_MAX, "too many engines")
    require(len(report.kernels or ()) <= 1, "kernels told twice")
    for kernels in report.kernels or ():
        check_counts(kernels[1:-1])
        check("percent", kernels.occupancy)
        _check_unknown(kernels.unknown)
    require(len(report.engines or ()) <= ENGINES_MAX, "too many engines")
    for engine in report.engines or ():
        check_counts(engine[2:-1])
        _check_unknown(engine.unknown)


def _check_allocator(allocator: AllocatorReport) -> None:
    _check_uuid(allocator.gpu_uuid)
    check(
        "bytes",
        allocator.reserved_bytes,
        allocator.allocated_bytes,
        allocator.inactive_split_bytes,
        allocator.requested_bytes,
        allocator.largest_free_bytes,
        allocator.limit_bytes,
    )
    require(allocator.blocks is None, "blocks outside of columns")
    require(len(allocator.threads or ()) <= THREADS_MAX, "too many threads")
    for thread in allocator.threads or ():
        check("thread_id", thread.thread_id)
        check("bytes", thread.allocated_bytes)
    require(len(allocator.stacks or ()) <= STACKS_MAX, "too many stacks")
    for stack in allocator.stacks or ():
        _check_stack(stack)
    _check_unknown(allocator.unknown)


def _check_stack(stack: OwnerStack) -> None:
    require(len(stack.frames) <= FRAMES_MAX, "too deep a stack")
    check("bytes", stack.allocated_bytes)
    check("count", stack.blocks)
    require(0 <= stack.type < len(TYPES), "type of a stack out of range")


def _check_layout(layout: KvLayout) -> None:
    _check_uuid(layout.gpu_uuid)
    check("pages", layout.pages)
    require(len(layout.ranges) <= PARTS_MAX and len(layout.pieces) <= PARTS_MAX, "too many tensors")
    for address, size in layout.ranges:
        check("address", address)
        check("bytes", size)
    check("bytes", sum(size for _, size in layout.ranges))
    for piece in layout.pieces:
        check("bytes", piece.stride, piece.size, piece.stride * layout.pages, piece.size * layout.pages)
        check("address", piece.address, piece.address + piece.stride * layout.pages)


def _check_source(source: str) -> None:
    require(_SOURCE.fullmatch(source) is not None, "a source without a proper name")


def _check_uuid(uuid: str) -> None:
    require(0 < len(uuid) <= 96 and uuid.isprintable(), "a device without a proper name")


def _check_unknown(unknown: dict[str, str]) -> None:
    require(len(unknown) <= KEYS_MAX, "too many unknowns")


def _parse(parse: Callable[[bytes], T], text: bytes) -> T:
    try:
        return parse(text)
    except msgspec.ValidationError as error:
        if _is_json(text):
            raise RefusedReportError(f"header: {error}") from None
        raise WireError("header: no JSON") from None
    except DECODE_ERRORS as error:
        raise WireError(f"header: {error}") from None


def _is_json(text: bytes) -> bool:
    """Whether it is JSON to its end, of whatever type."""
    try:
        _reader(msgspec.Raw)(text)
    except DECODE_ERRORS:
        return False
    return True
