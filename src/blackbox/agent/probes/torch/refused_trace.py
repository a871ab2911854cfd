"""What PyTorch's own snapshot tells of a failed allocation, as the rows of a report: steps, segments, stacks."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from blackbox.wire.frames import frames_of
from blackbox.wire.report import NO_STACK, NOT_KNOWN, AllocatorSettings, ScopeEdge, SegmentRow, TraceStep
from blackbox.wire.segments import STATE_OF

TRACE_STEPS_MAX = 5_000
"""Newest steps in a report; more would not fit its header."""
SCOPES_MAX = 2_000
"""Newest beginnings and ends of scopes: those of some hundred training steps."""
STACK_DEPTH_MAX = 64
TAG_CHARS_MAX = 120
"""Of a note of the program: as a line of a report has room for."""
INTERVALS = 16
"""Sizes that have divisions of their own: below 2 MiB, from 2 to 4 MiB, ..."""


class StackNumbers:
    """Numbers the stacks of one snapshot, in which one object stands for each distinct frame."""

    def __init__(self) -> None:
        self.lines: dict[tuple[str, ...], int] = {}
        """By stack, in the order of the numbers."""
        self._by_frames: dict[tuple[int, ...], int] = {}
        self._line_of: dict[int, str] = {}

    def number(self, frames: Sequence[Mapping[str, Any]] | None) -> int | None:
        """The number of a stack; None where none was recorded."""
        if not frames:
            return None
        key = tuple(map(id, frames))
        number = self._by_frames.get(key)
        if number is None:
            lines = tuple(map(self._line, frames[:STACK_DEPTH_MAX]))
            number = self._by_frames[key] = self.add(lines)
        return number

    def add(self, lines: tuple[str, ...]) -> int:
        """The number of a stack that is text already."""
        return self.lines.setdefault(lines, len(self.lines))

    def _line(self, frame: Mapping[str, Any]) -> str:
        line = self._line_of.get(id(frame))
        if line is None:
            line = self._line_of[id(frame)] = f"{frame['filename']}:{frame['line']} {frame['name']}"
        return line


def steps_of(entries: Iterable[Mapping[str, Any]], stacks: StackNumbers) -> list[TraceStep]:
    """The entries of PyTorch's history."""
    return [_step(entry, stacks) for entry in entries]


def segment_rows(segments: Iterable[Mapping[str, Any]], held: Sequence[int]) -> tuple[SegmentRow, ...]:
    """The segments that begin with one of these blocks, by address."""
    starts = frozenset(held)
    found = [_segment(segment) for segment in segments if segment["address"] in starts]
    return tuple(sorted(found))


def held_bytes(segments: Iterable[Mapping[str, Any]]) -> int | None:
    """What the program holds of these segments; None where none is told."""
    blocks = [block for segment in segments for block in segment["blocks"]]
    return sum(block["size"] for block in blocks if block["state"].startswith("active")) if blocks else None


def block_stacks(segments: Iterable[Mapping[str, Any]], held: Sequence[int], stacks: StackNumbers) -> list[int]:
    """The stack of each of these blocks, by their addresses; `NO_STACK` of free ones too."""
    number_at: dict[int, int] = {}
    for segment in segments:
        address = segment["address"]
        for block in segment["blocks"]:
            if STATE_OF[block["state"]]:
                number = stacks.number(frames_of(block))
                if number is not None:
                    number_at[address] = number
            address += block["size"]
    return [number_at.get(address, NO_STACK) for address in held]


def settings_of(
    told: Mapping[str, Any] | None, fraction: float | None, segments: Iterable[Mapping[str, Any]]
) -> AllocatorSettings | None:
    """`allocator_settings` of a snapshot, and the share of the GPU that the program may have; None where neither is
    told. Up to PyTorch 2.2, and where no history is kept, there is no snapshot: what is mapped shows the rest."""
    if told is None:
        expandable = any(segment.get("is_expandable") for segment in segments)
        return None if fraction is None else AllocatorSettings(expandable=expandable, memory_fraction=fraction)
    limit = told.get("max_split_size", -1)
    table: Mapping[str, Any] = told.get("roundup_power2_divisions") or {}
    return AllocatorSettings(
        max_split_bytes=limit if isinstance(limit, int) and limit >= 0 else None,
        expandable=bool(told.get("expandable_segments", False)),
        divisions=tuple(int(table.get(str(1 << place), 0)) for place in range(INTERVALS)),
        memory_fraction=fraction,
    )


def scopes_of(told: Sequence[Mapping[str, Any]] | None) -> tuple[ScopeEdge, ...]:
    """`external_annotations` of a snapshot."""
    return tuple(
        ScopeEdge(str(edge["name"])[:TAG_CHARS_MAX], edge["stage"], edge["time_us"])
        for edge in (told or ())[-SCOPES_MAX:]
    )


def _step(entry: Mapping[str, Any], stacks: StackNumbers) -> TraceStep:
    """One entry. Of a refusal, its address is what the driver said was free, as PyTorch itself has it."""
    pool = entry.get("pool_id")
    tag = entry.get("user_metadata")
    return TraceStep(
        entry["action"],
        entry.get("addr", entry.get("device_free", 0)),
        entry["size"],
        stream=entry.get("stream", NOT_KNOWN),
        time_us=entry.get("time_us"),
        stack=stacks.number(entry.get("frames")),
        pool=None if pool is None else tuple(pool),
        tag=tag[:TAG_CHARS_MAX] if isinstance(tag, str) and tag else None,
    )


def _segment(segment: Mapping[str, Any]) -> SegmentRow:
    pool = segment.get("segment_pool_id")
    return SegmentRow(
        segment["address"],
        segment["total_size"],
        stream=segment.get("stream", 0),
        pool=None if pool is None else tuple(pool),
        small=segment.get("segment_type") == "small",
        expandable=bool(segment.get("is_expandable")),
        recorded=bool(segment.get("frames")),
    )
