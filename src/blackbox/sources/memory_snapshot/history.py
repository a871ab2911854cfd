"""The history that PyTorch recorded with a snapshot: the steps of each device's allocator, and who took them."""

from typing import Any

from msgspec import Struct

from blackbox.model.sample import TraceStep

STEPS_MAX = 200_000
"""The newest of each device; 30 MB of them pass to the parent."""
FRAMES_MAX = 64
NAME_LENGTH_MAX = 120
"""Names of C++ templates go on for kilobytes."""
PYTHON = (".py", ">")
"""Ends of the names of files that frames of Python are in: `<stdin>`, `<ipython-input-3>`."""
LIVE_STATES = ("active_allocated", "active_pending_free", "active_awaiting_free")
ALLOC, OOM = "alloc", "oom"

Stack = tuple[str, ...]


class Refusal(Struct, frozen=True):
    """An allocation that failed, after which nothing was allocated any more."""

    requested_bytes: int
    device_free_bytes: int | None
    time_us: int | None


class History(Struct, frozen=True):
    """What one device's allocator did. Empty where nothing was recorded."""

    device: int
    trace: tuple[TraceStep, ...]
    """Oldest first. What was allocated before the first recorded step, and lives, stands in front without a time."""
    stacks: tuple[Stack, ...]
    """Innermost first, as `file:line function`."""
    refusal: Refusal | None


def read_histories(snapshot: dict[str, Any]) -> tuple[History, ...]:
    """One per device that has a history. Raises `KeyError`, `TypeError` or the like where that is malformed."""
    traces: list[list[dict[str, Any]]] = snapshot.get("device_traces") or []
    segments: list[dict[str, Any]] = snapshot["segments"]
    return tuple(_history(device, trace, segments) for device, trace in enumerate(traces) if trace)


def _history(device: int, trace: list[dict[str, Any]], segments: list[dict[str, Any]]) -> History:
    numbers: dict[Stack, int] = {}
    trace = trace[-STEPS_MAX:]
    steps = [_step(entry, numbers) for entry in trace if entry["action"] != OOM]
    live: set[int] = set()
    for step in steps:
        if step.action == ALLOC:
            live.add(step.address)
    before = [
        step
        for segment in segments
        if segment.get("device", 0) == device
        for step in _live_before(segment, live, numbers)
    ]
    return History(device, tuple(before + steps), tuple(numbers), _refusal(trace))


def _step(entry: dict[str, Any], numbers: dict[Stack, int]) -> TraceStep:
    return TraceStep(
        action=str(entry["action"]),
        address=int(entry["addr"]),
        size=int(entry["size"]),
        stream=int(entry.get("stream", 0)),
        time_us=entry.get("time_us"),
        stack=_number(entry.get("frames"), numbers),
    )


def _live_before(segment: dict[str, Any], recorded: set[int], numbers: dict[Stack, int]) -> list[TraceStep]:
    steps: list[TraceStep] = []
    address: int = segment["address"]
    for block in segment["blocks"]:
        if block["state"] in LIVE_STATES and address not in recorded:
            frames = block.get("frames")
            steps.append(
                TraceStep(ALLOC, address, block["size"], segment.get("stream"), None, _number(frames, numbers))
            )
        address += block["size"]
    return steps


def _refusal(trace: list[dict[str, Any]]) -> Refusal | None:
    for entry in reversed(trace):
        if entry["action"] == OOM:
            free = entry.get("device_free", entry.get("addr"))
            return Refusal(int(entry["size"]), None if free is None else int(free), entry.get("time_us"))
        if entry["action"] == ALLOC:
            return None
    return None


def _number(frames: list[dict[str, Any]] | None, numbers: dict[Stack, int]) -> int | None:
    """The place of a stack among those seen; None for one that was not recorded."""
    if not frames:
        return None
    python = [frame for frame in frames if str(frame["filename"]).endswith(PYTHON)]
    stack = tuple(_text(frame) for frame in (python or frames)[:FRAMES_MAX])
    return numbers.setdefault(stack, len(numbers))


def _text(frame: dict[str, Any]) -> str:
    return f"{frame['filename']}:{frame['line']} {str(frame['name'])[:NAME_LENGTH_MAX]}"
