"""Live memory by the stack that allocated it, out of PyTorch's own list of its allocator's segments.

PyTorch keeps a block's stack while a history is recorded. Every call of its list makes one object of each distinct
frame, so that stacks can be distinguished by the identities of their frames, and each frame is formatted once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from blackbox.wire.frames import frame_text, frames_of, program_frames
from blackbox.wire.report import OwnerStack
from blackbox.wire.segments import no_yield

STACKS_MAX = 64
"""Of one allocator, the largest first."""
FRAMES_MAX = 24
"""The innermost ones; those further out show how the program was started."""
FRAME_CHARS_MAX = 200
STACKS_CHARS_MAX = 24_000
"""Of one allocator in a report: so those of eight GPUs fit its header."""
LIVE = "active_allocated"

Purpose = tuple[int, "str | None"]
"""Index into `TYPES`, and the subtype."""
OTHER: Purpose = (0, None)
Found = tuple["Sequence[Mapping[str, Any]]", "list[int]", "list[int]"]
"""Frames; addresses and sizes of the blocks."""


class OwnedBlocks(NamedTuple):
    """The stacks of one device's live blocks."""

    stacks: tuple[OwnerStack, ...]
    """The largest first."""
    place_at: dict[int, int]
    """Address of a block -> place of its stack among them; blocks of other stacks are left out."""


def owner_stacks(
    segments: Iterable[Mapping[str, Any]],
    purposes: Mapping[int, Mapping[int, Purpose]],
    yield_gil: Callable[[], object] = no_yield,
) -> dict[int, OwnedBlocks]:
    """The stacks of each device's live blocks; a device without any is left out.

    `purposes`: device -> address -> what the block is for. Blocks whose stack nobody recorded are left out. Calls
    `yield_gil` after each segment.
    """
    found: dict[tuple[int, tuple[int, ...], Purpose], Found] = {}
    for segment in segments:
        device = segment.get("device", 0)
        purpose_at = purposes.get(device, {})
        address = segment["address"]
        for block in segment["blocks"]:
            frames = frames_of(block) if block["state"] == LIVE else None
            if frames:
                key = device, tuple(map(id, frames)), purpose_at.get(address, OTHER)
                known = found.get(key)
                if known is None:
                    found[key] = frames, [address], [block["size"]]
                else:
                    known[1].append(address)
                    known[2].append(block["size"])
            address += block["size"]
        yield_gil()
    return _summed(found)


def _summed(found: dict[tuple[int, tuple[int, ...], Purpose], Found]) -> dict[int, OwnedBlocks]:
    merged: dict[int, dict[tuple[tuple[str, ...], Purpose], tuple[list[int], list[int]]]] = {}
    line_of: dict[int, str] = {}
    for (device, _, purpose), (frames, addresses, sizes) in found.items():
        known = merged.setdefault(device, {}).setdefault((_lines(frames, line_of), purpose), ([], []))
        known[0].extend(addresses)
        known[1].extend(sizes)
    return {
        device: _largest(
            (OwnerStack(frames, sum(sizes), len(sizes), *purpose), addresses)
            for (frames, purpose), (addresses, sizes) in of_device.items()
        )
        for device, of_device in merged.items()
    }


def _largest(stacks: Iterable[tuple[OwnerStack, list[int]]]) -> OwnedBlocks:
    kept: list[OwnerStack] = []
    place_at: dict[int, int] = {}
    chars = 0
    for stack, addresses in sorted(stacks, key=lambda owned: -owned[0].allocated_bytes)[:STACKS_MAX]:
        chars += sum(map(len, stack.frames))
        if chars > STACKS_CHARS_MAX:
            break
        place_at.update(dict.fromkeys(addresses, len(kept)))
        kept.append(stack)
    return OwnedBlocks(tuple(kept), place_at)


def _lines(frames: Sequence[Mapping[str, Any]], line_of: dict[int, str]) -> tuple[str, ...]:
    """The frames that say what ran, innermost first. `line_of` caches their text by the identity of the frame."""
    lines: list[str] = []
    for frame in program_frames(frames)[:FRAMES_MAX]:
        line = line_of.get(id(frame))
        if line is None:
            line = line_of[id(frame)] = frame_text(frame)[:FRAME_CHARS_MAX]
        lines.append(line)
    return tuple(lines)
