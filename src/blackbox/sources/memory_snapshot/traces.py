"""What a snapshot recorded of each device, as the columns that `blackbox.analysis.trace` replays."""

import re
from array import array
from collections.abc import Mapping, Sequence
from operator import itemgetter
from typing import Any, NamedTuple, cast

from blackbox.analysis.purpose import CategoryEvidence
from blackbox.analysis.purpose_course import Annotation
from blackbox.analysis.purpose_phases import CODES
from blackbox.analysis.rules import NO_RULES, CategoryRules
from blackbox.analysis.trace.entries import (
    ALLOC,
    DEFAULT_POOL,
    FREE_REQUESTED,
    NO_STACK,
    OOM,
    OTHER,
    SEGMENT_MAP,
    Trace,
)
from blackbox.analysis.trace.layout import NOT_KNOWN, Layout, Segment
from blackbox.analysis.trace.passes import PLAIN, UNBORN, Passes
from blackbox.analysis.trace.rounding import Rules, divisions_of
from blackbox.analysis.trace.situations import Facts
from blackbox.sources.memory_snapshot.entry_columns import ANNOTATE, NO_FRAMES, EntryColumns, columns_of, pool_of
from blackbox.sources.memory_snapshot.stack_texts import TAG_CHARS_MAX, StackTexts
from blackbox.wire.frames import frames_of
from blackbox.wire.segments import ADDRESS_MAX, STATE_OF, SegmentError

ANNOTATIONS_MAX = 100_000
"""Scopes read of a file; more than that are not of parts of steps."""
ACTIVE, PENDING = STATE_OF["active_allocated"], STATE_OF["active_pending_free"]
ANNOTATES, OTHERS = bytes([ANNOTATE]), bytes([OTHER])
FRACTION = "per_process_memory_fraction"
"""Of the allocator's settings (PyTorch 2.10): the share of each GPU that the program may have."""
CONFIGURED = ("PYTORCH_CUDA_ALLOC_CONF", "PYTORCH_ALLOC_CONF")
"""Among the settings: their own text. Of two, PyTorch 2.13 reads the first alone."""
_FRACTION_IN_TEXT = re.compile(rf"\b{FRACTION}\s*:\s*([0-9]*\.?[0-9]+)")
HOST = -1
"""The number of the device whose memory is the host's, pinned."""


class DeviceTrace(NamedTuple):
    """One device: its entries, and its memory after them."""

    device: int
    trace: Trace
    end: Layout
    rules: Rules
    facts: Facts
    passes: Passes = PLAIN
    """By which its entries are gone through."""


class Traces(NamedTuple):
    """All devices of a file; stacks and tags are numbered over all of them."""

    devices: tuple[DeviceTrace, ...]
    stacks: Sequence[tuple[str, ...]]
    """Stacks that differ in frames of C++ alone read the same, and are several."""
    evidence: CategoryEvidence
    """What tells what the memory is for."""
    has_traces: bool
    """False: this kind of file cannot have any."""


def read_traces(snapshot: Mapping[str, Any], rules: CategoryRules = NO_RULES) -> Traces:
    """All devices with memory or a trace. Raises `SegmentError`, `KeyError` or the like where they are malformed."""
    texts = StackTexts(rules)
    settings: Mapping[str, Any] | None = snapshot.get("allocator_settings")
    lists: Sequence[Sequence[Mapping[str, Any]] | EntryColumns] = snapshot.get("device_traces") or ()
    by_device: dict[int, list[Mapping[str, Any]]] = {device: [] for device, trace in enumerate(lists) if trace}
    for segment in snapshot["segments"]:
        by_device.setdefault(segment.get("device", 0), []).append(segment)
    devices = [
        _device(device, lists[device] if device < len(lists) else (), segments, settings, texts)
        for device, segments in sorted(by_device.items())
    ]
    host: Sequence[Mapping[str, Any]] | EntryColumns = snapshot.get("host_traces") or ()
    if host:
        devices.append(_device(HOST, host, snapshot.get("host_segments") or (), settings, texts, rounds=False))
    evidence = texts.evidence(_annotations(snapshot.get("external_annotations")))
    return Traces(tuple(devices), tuple(texts.lines), evidence, bool(snapshot.get("device_traces")))


def _device(
    device: int,
    entries: Sequence[Mapping[str, Any]] | EntryColumns,
    segments: Sequence[Mapping[str, Any]],
    told: Mapping[str, Any] | None,
    texts: StackTexts,
    rounds: bool = True,
) -> DeviceTrace:
    end, settings = _layout(segments, texts), told or {}
    limit = settings.get("max_split_size", -1)
    columns = columns_of(entries)
    mapped = any(segment.expandable for segment in end.segments.values()) or SEGMENT_MAP in columns.action
    rules = Rules(
        divisions=divisions_of(settings.get("roundup_power2_divisions")),
        max_split_bytes=limit if type(limit) is int and limit >= 0 else None,
        expandable=bool(settings.get("expandable_segments", mapped)),
        rounds=rounds,
    )
    trace = _trace(columns, texts)
    addressed = all("address" in block for segment in segments[:1] for block in segment["blocks"][:1])
    pools = {segment.pool for segment in end.segments.values()}
    facts = Facts(
        unrecorded_frees=not addressed,
        recorded_blocks=frozenset(at for at, stack in zip(end.address, end.stack, strict=True) if stack != NO_STACK),
        one_pool=len(pools) == 1 and pools.isdisjoint((None, DEFAULT_POOL)),
        memory_fraction=_memory_fraction(settings),
        settings_are_told=told is not None or not rounds,
    )
    return DeviceTrace(device, trace, end, rules, facts, columns.passes)


def _memory_fraction(settings: Mapping[str, Any]) -> float | None:
    """As the settings say it; what the program set by a call is in no file."""
    text = next((settings[name] for name in CONFIGURED if settings.get(name)), "")
    found = _FRACTION_IN_TEXT.search(str(text))
    told = settings.get(FRACTION)
    told = float(found[1]) if told is None and found is not None else told
    return float(told) if isinstance(told, int | float) and 0 < told < 1 else None


def _trace(entries: EntryColumns, texts: StackTexts) -> Trace:
    action = bytes(entries.action).replace(ANNOTATES, OTHERS)
    stack = array("i", [NO_STACK]) * len(action)
    numbers = {NO_FRAMES: NO_STACK}

    def number_of(frames: int) -> int:
        if frames not in numbers:
            numbers[frames] = texts.stack(entries.lists[frames])
        return numbers[frames]

    entries.passes.told(action, (ALLOC, OOM), entries.frames, number_of, stack)
    tags = list(map(texts.tag, entries.tags)) if any(entries.tags) else []
    return Trace(
        action=action,
        address=entries.address,
        size=entries.size,
        stream=entries.stream,
        stack=stack,
        time_us=entries.time_us,
        device_free=entries.device_free,
        pool=entries.pool,
        tag=array("i", map(tags.__getitem__, _notes(entries))) if any(tags) else None,
        freed_in=_parts_of_frees(entries, action, numbers, texts),
        category=entries.category,
    )


def _notes(entries: EntryColumns) -> Sequence[int]:
    """The number of the program's note on each entry. One made later (`_annotate_memory`, PyTorch 2.14) is of the
    allocation that lives at its address, where that has none of its own.
    """
    if ANNOTATE not in entries.action:
        return entries.tag
    notes, born = entries.tag[:], dict[int, int]()
    for place, (code, address) in enumerate(zip(entries.action, entries.address, strict=True)):
        if code == ALLOC:
            born[address] = place
        elif code == FREE_REQUESTED:
            born.pop(address, None)
        elif code == ANNOTATE and (made := born.get(address)) is not None and not entries.tags[notes[made]]:
            notes[made] = notes[place]
    return notes


def _parts_of_frees(entries: EntryColumns, action: bytes, stacks: Mapping[int, int], texts: StackTexts) -> bytes:
    """By entry: the code of the part of a step that freed, where the stack of the allocation does not tell all.

    Empty where frees bear the stack of the allocation: up to PyTorch 2.0, and with `context="alloc"`. `stacks` has the
    number of the stack by that of the frames of each allocation.
    """
    lists, passes = entries.lists, entries.passes
    pairs, pair_of = passes.pairs(action, entries.address, entries.frames)
    parts = {frames: texts.part(lists[frames]) for _, frames in pairs if frames != NO_FRAMES}
    if not any(parts.values()):
        return b""
    settled = {made for made, _ in pairs if made != UNBORN and texts.is_settled(stacks[made])}
    if not any(
        made != frames and (made == NO_FRAMES or lists[made] != lists[frames])
        for made, frames in pairs
        if made != UNBORN and made not in settled and frames != NO_FRAMES
    ):
        return b""
    found = array("B", bytes(len(action)))
    codes = [0 if made in settled else CODES[parts.get(frames)] for made, frames in pairs]
    passes.told(action, (FREE_REQUESTED,), pair_of, codes.__getitem__, found)
    return found.tobytes()


def _annotations(told: object) -> tuple[Annotation, ...]:
    """The scopes of the file, whose beginnings and ends stand apart; none where they are malformed."""
    if not isinstance(told, list):
        return ()
    found: list[Annotation] = []
    begun: dict[str, list[int]] = {}
    for entry in cast(list[Any], told)[: 2 * ANNOTATIONS_MAX]:
        match entry:
            case {"name": str(name), "stage": "START", "time_us": int(time)}:
                begun.setdefault(name, []).append(time)
            case {"name": str(name), "stage": "END", "time_us": int(time)} if begun.get(name):
                found.append(Annotation(name[:TAG_CHARS_MAX], begun[name].pop(), time))
            case _:
                pass
    found.extend(Annotation(name[:TAG_CHARS_MAX], time, None) for name, times in begun.items() for time in times)
    return tuple(found)


def _layout(segments: Sequence[Mapping[str, Any]], texts: StackTexts) -> Layout:
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
            pool=pool_of(segment["segment_pool_id"]) if "segment_pool_id" in segment else None,
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


def _whole(numbers: list[int]) -> list[int]:
    """Raises `SegmentError` where one of them is none that a device can have."""
    if numbers and (set(map(type, numbers)) != {int} or min(numbers) < 0 or max(numbers) > ADDRESS_MAX):
        raise SegmentError("a step holds something that is no whole number")
    return numbers
