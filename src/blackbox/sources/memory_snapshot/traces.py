"""What a snapshot recorded of each device, as the columns that `blackbox.analysis.trace` replays."""

from collections.abc import Mapping, Sequence
from operator import itemgetter
from typing import Any, NamedTuple

from blackbox.analysis.trace.entries import ACTIONS, ALLOC, DEFAULT_POOL, NO_STACK, OOM, OTHER, Pool, Trace
from blackbox.analysis.trace.layout import NOT_KNOWN, Layout, Segment
from blackbox.analysis.trace.rounding import Rules, divisions_of
from blackbox.analysis.trace.situations import Facts
from blackbox.wire.frames import frame_text, frames_of, program_frames
from blackbox.wire.segments import ADDRESS_MAX, STATE_OF, SegmentError

FRAMES_MAX = 64
FRAME_CHARS_MAX = 200
"""Names of C++ templates go on for kilobytes."""
TAG_CHARS_MAX = 120
ACTIVE, PENDING = STATE_OF["active_allocated"], STATE_OF["active_pending_free"]
HOST = -1
"""The number of the device whose memory is the host's, pinned."""


class DeviceTrace(NamedTuple):
    """One device: its entries, and its memory after them."""

    device: int
    trace: Trace
    end: Layout
    rules: Rules
    facts: Facts


class Traces(NamedTuple):
    """All devices of a file; stacks and tags are numbered over all of them."""

    devices: tuple[DeviceTrace, ...]
    stacks: Sequence[tuple[str, ...]]
    tags: Sequence[str]
    has_traces: bool
    """False: this kind of file cannot have any."""


class Texts:
    """Numbers stacks and tags. Frames are known by identity, as one object stands for each distinct one."""

    def __init__(self) -> None:
        self.stacks: dict[tuple[str, ...], int] = {}
        self.tags: dict[str, int] = {"": 0}
        self._lists: dict[int, int] = {}
        self._frames: dict[tuple[int, ...], int] = {}
        self._lines: dict[int, str] = {}

    def stack(self, frames: Sequence[Mapping[str, Any]] | None) -> int:
        """The number of a stack; `NO_STACK` where none was recorded."""
        if not frames:
            return NO_STACK
        number = self._lists.get(id(frames))
        if number is None:
            key = tuple(map(id, frames))
            number = self._frames.get(key)
            if number is None:
                lines = tuple(self._line(frame) for frame in program_frames(frames)[:FRAMES_MAX])
                number = self._frames[key] = self.stacks.setdefault(lines, len(self.stacks))
            self._lists[id(frames)] = number
        return number

    def tag(self, text: object) -> int:
        """The number of a note of the program."""
        note = text[:TAG_CHARS_MAX] if isinstance(text, str) else ""
        return self.tags.setdefault(note, len(self.tags))

    def _line(self, frame: Mapping[str, Any]) -> str:
        line = self._lines.get(id(frame))
        if line is None:
            line = self._lines[id(frame)] = frame_text(frame)[:FRAME_CHARS_MAX]
        return line


def read_traces(snapshot: Mapping[str, Any]) -> Traces:
    """All devices with memory or a trace. Raises `SegmentError`, `KeyError` or the like where they are malformed."""
    texts = Texts()
    settings: Mapping[str, Any] = snapshot.get("allocator_settings") or {}
    lists: Sequence[Sequence[Mapping[str, Any]]] = snapshot.get("device_traces") or ()
    by_device: dict[int, list[Mapping[str, Any]]] = {device: [] for device, trace in enumerate(lists) if trace}
    for segment in snapshot["segments"]:
        by_device.setdefault(segment.get("device", 0), []).append(segment)
    devices = [
        _device(device, lists[device] if device < len(lists) else (), segments, settings, texts)
        for device, segments in sorted(by_device.items())
    ]
    host: Sequence[Mapping[str, Any]] = snapshot.get("host_traces") or ()
    if host:
        devices.append(_device(HOST, host, snapshot.get("host_segments") or (), settings, texts, rounds=False))
    return Traces(tuple(devices), tuple(texts.stacks), tuple(texts.tags), bool(snapshot.get("device_traces")))


def _device(
    device: int,
    entries: Sequence[Mapping[str, Any]],
    segments: Sequence[Mapping[str, Any]],
    settings: Mapping[str, Any],
    texts: Texts,
    rounds: bool = True,
) -> DeviceTrace:
    end = _layout(segments, texts)
    limit = settings.get("max_split_size", -1)
    mapped = any(segment.expandable for segment in end.segments.values())
    rules = Rules(
        divisions=divisions_of(settings.get("roundup_power2_divisions")),
        max_split_bytes=limit if type(limit) is int and limit >= 0 else None,
        expandable=bool(settings.get("expandable_segments", mapped)),
        rounds=rounds,
    )
    trace = _trace(entries, texts)
    addressed = all("address" in block for segment in segments[:1] for block in segment["blocks"][:1])
    pools = {segment.pool for segment in end.segments.values()}
    facts = Facts(
        unrecorded_frees=not addressed,
        recorded_blocks=frozenset(at for at, stack in zip(end.address, end.stack, strict=True) if stack != NO_STACK),
        one_pool=len(pools) == 1 and pools.isdisjoint((None, DEFAULT_POOL)),
    )
    return DeviceTrace(device, trace, end, rules, facts)


def _trace(entries: Sequence[Mapping[str, Any]], texts: Texts) -> Trace:
    code = ACTIONS.get
    action = bytes([code(entry["action"], OTHER) for entry in entries])
    first: Mapping[str, Any] = entries[0] if entries else {}
    timed = "time_us" in first
    notes = [entry.get("user_metadata") for entry in entries] if "user_metadata" in first else []
    tags = list(map(texts.tag, notes)) if any(notes) else []
    free = {
        place: entry.get("device_free", entry.get("addr"))
        for place, entry in enumerate(entries)
        if action[place] == OOM
    }
    return Trace(
        action=action,
        address=_whole([entry.get("addr", 0) for entry in entries]),
        size=_whole(list(map(itemgetter("size"), entries))),
        stream=_whole([entry.get("stream", 0) for entry in entries]),
        stack=[
            texts.stack(entry.get("frames")) if kind in (ALLOC, OOM) else NO_STACK
            for entry, kind in zip(entries, action, strict=True)
        ],
        time_us=_whole(list(map(itemgetter("time_us"), entries))) if timed else None,
        device_free={place: count for place, count in free.items() if type(count) is int},
        pool=[_pool(entry.get("pool_id", DEFAULT_POOL)) for entry in entries] if "pool_id" in first else None,
        tag=tags if any(tags) else None,
    )


def _layout(segments: Sequence[Mapping[str, Any]], texts: Texts) -> Layout:
    found: dict[int, Segment] = {}
    address: list[int] = []
    size: list[int] = []
    requested: list[int] = []
    pending: list[bool] = []
    stack: list[int] = []
    for segment in sorted(segments, key=itemgetter("address")):
        at: int = segment["address"]
        found[at] = Segment(
            size=segment["total_size"],
            stream=segment.get("stream", 0),
            pool=_pool(segment["segment_pool_id"]) if "segment_pool_id" in segment else None,
            small=segment.get("segment_type") == "small",
            expandable=bool(segment.get("is_expandable")),
            recorded=bool(segment.get("frames")),
        )
        for block in segment["blocks"]:
            state = STATE_OF[block["state"]]
            if state in (ACTIVE, PENDING):
                address.append(at)
                size.append(block["size"])
                requested.append(block.get("requested_size", NOT_KNOWN))
                pending.append(state == PENDING)
                stack.append(texts.stack(frames_of(block)))
            at += block["size"]
    return Layout(found, _whole(address), _whole(size), requested, pending, stack)


def _pool(told: Any) -> Pool:
    first, second = told
    return int(first), int(second)


def _whole(numbers: list[int]) -> list[int]:
    """Raises `SegmentError` where one of them is none that a device can have."""
    if numbers and (set(map(type, numbers)) != {int} or min(numbers) < 0 or max(numbers) > ADDRESS_MAX):
        raise SegmentError("a step holds something that is no whole number")
    return numbers
