"""What is new, gone, grown or shrunk between the peaks of two snapshots, by category and by stack."""

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Literal, NamedTuple

from msgspec import Struct

from blackbox.analysis.trace.device_findings import AllocationShare, AllocatorMoment, DeviceFindings

PeakChange = Literal["new", "gone", "grown", "shrunk", "same"]
_LINE = re.compile(r":\d+(?= )")
StackFrames = tuple[str, ...]


class PeakSide(Struct, frozen=True, kw_only=True):
    """The peak of one device in one file."""

    gpu: int
    bytes: int
    bytes_max: int | None
    """None: `bytes` is exact. Else it is the least that the file allows, and this the most."""
    requested_bytes: int
    reserved_bytes: int
    """By the allocator, at the peak."""
    step: int | None
    seconds: float | None
    refusals: int


class ShareChange(Struct, frozen=True, kw_only=True):
    """What is held at the two peaks for one purpose, or by one stack."""

    change: PeakChange
    category: str | None = None
    frames: StackFrames = ()
    """Innermost first, as in B where it is in both; empty of a category, and where no stack was recorded."""
    moved: bool = False
    """The same functions at other lines."""
    before_bytes: int
    after_bytes: int
    delta_bytes: int
    before_blocks: int
    after_blocks: int


class PeakDifference(Struct, frozen=True, kw_only=True):
    """The peaks of one device; both lists of changes sum to `delta_bytes`."""

    a: PeakSide | None
    """None: the file has no memory of that device."""
    b: PeakSide | None
    delta_bytes: int
    by_category: tuple[ShareChange, ...]
    """The largest difference first; also what is the same."""
    by_stack: tuple[ShareChange, ...]
    """The largest difference first; without what is the same."""
    unchanged_stacks: int

    @property
    def place(self) -> str:
        """`GPU 0`; where the files number it differently, `GPU 0, then GPU 3`."""
        sides = [side for side in (self.a, self.b) if side is not None]
        return ", then ".join(dict.fromkeys(device_name(side.gpu) for side in sides))


def device_name(gpu: int) -> str:
    """As people call it."""
    return "the host, pinned" if gpu < 0 else f"GPU {gpu}"


class HeldBytes(NamedTuple):
    bytes: int
    blocks: int


NOTHING = HeldBytes(0, 0)


def difference(before: Sequence[DeviceFindings], after: Sequence[DeviceFindings]) -> tuple[PeakDifference, ...]:
    """By the number of the device; of files of one GPU each that one, whatever its number, as ranks have."""
    old, new = {device.gpu: device for device in before}, {device.gpu: device for device in after}
    gpus = [[gpu for gpu in found if gpu >= 0] for found in (old, new)]
    if len(gpus[0]) == len(gpus[1]) == 1:
        old[gpus[1][0]] = old.pop(gpus[0][0])
    return tuple(_difference(old.get(gpu), new.get(gpu)) for gpu in sorted(old | new, key=lambda gpu: (gpu < 0, gpu)))


def _difference(before: DeviceFindings | None, after: DeviceFindings | None) -> PeakDifference:
    a, b = None if before is None else before.peak, None if after is None else after.peak
    by_stack = _by_stack(a, b)
    return PeakDifference(
        a=None if before is None else _side(before),
        b=None if after is None else _side(after),
        delta_bytes=(b.bytes if b else 0) - (a.bytes if a else 0),
        by_category=tuple(_sorted(_by_category(a, b))),
        by_stack=tuple(_sorted(change for change in by_stack if change.change != "same")),
        unchanged_stacks=sum(change.change == "same" for change in by_stack),
    )


def _side(device: DeviceFindings) -> PeakSide:
    peak = device.peak
    return PeakSide(
        gpu=device.gpu,
        bytes=peak.bytes,
        bytes_max=peak.bytes_max,
        requested_bytes=peak.requested_bytes,
        reserved_bytes=peak.reserved_bytes,
        step=peak.step,
        seconds=peak.seconds,
        refusals=device.refusals_total,
    )


def _by_category(a: AllocatorMoment | None, b: AllocatorMoment | None) -> list[ShareChange]:
    old = {share.category: HeldBytes(share.bytes, share.blocks) for share in (a.by_category if a else ())}
    new = {share.category: HeldBytes(share.bytes, share.blocks) for share in (b.by_category if b else ())}
    return [
        _change(old.get(name, NOTHING), new.get(name, NOTHING), category=name) for name in dict.fromkeys((*old, *new))
    ]


def _by_stack(a: AllocatorMoment | None, b: AllocatorMoment | None) -> list[ShareChange]:
    old, new = _stacks(a.by_stack if a else ()), _stacks(b.by_stack if b else ())
    pairs = {frames: frames for frames in new if frames in old} | _moved(old, new)
    found = [
        _change(old.get(pairs.get(frames, frames), NOTHING), held, frames, pairs.get(frames, frames) != frames)
        for frames, held in new.items()
    ]
    paired = set(pairs.values())
    return found + [_change(held, NOTHING, frames) for frames, held in old.items() if frames not in paired]


def _stacks(shares: Iterable[AllocationShare]) -> dict[StackFrames, HeldBytes]:
    """What has no stack, or is summed up, is one."""
    sums: dict[StackFrames, HeldBytes] = defaultdict(lambda: NOTHING)
    for share in shares:
        before = sums[share.frames]
        sums[share.frames] = HeldBytes(before.bytes + share.bytes, before.blocks + share.blocks)
    return dict(sums)


def _moved(
    old: Mapping[StackFrames, HeldBytes], new: Mapping[StackFrames, HeldBytes]
) -> dict[StackFrames, StackFrames]:
    """Stacks of B that are in A with other numbers of lines, where that fits one of each alone."""
    gone = _by_functions(frames for frames in old if frames not in new)
    come = _by_functions(frames for frames in new if frames not in old)
    return {frames: gone[functions] for functions, frames in come.items() if functions in gone}


def _by_functions(stacks: Iterable[StackFrames]) -> dict[StackFrames, StackFrames]:
    """Without numbers of lines -> the stack; those that are not alone are left out."""
    named = [(tuple(_LINE.sub("", frame) for frame in frames), frames) for frames in stacks if frames]
    count = Counter(functions for functions, _ in named)
    return {functions: frames for functions, frames in named if count[functions] == 1}


def _change(
    before: HeldBytes, after: HeldBytes, frames: StackFrames = (), moved: bool = False, category: str | None = None
) -> ShareChange:
    return ShareChange(
        change=_kind(before, after),
        category=category,
        frames=frames,
        moved=moved,
        before_bytes=before.bytes,
        after_bytes=after.bytes,
        delta_bytes=after.bytes - before.bytes,
        before_blocks=before.blocks,
        after_blocks=after.blocks,
    )


def _kind(before: HeldBytes, after: HeldBytes) -> PeakChange:
    if before == after:
        return "same"
    if not before.blocks:
        return "new"
    if not after.blocks:
        return "gone"
    return "same" if before.bytes == after.bytes else "grown" if after.bytes > before.bytes else "shrunk"


def _sorted(changes: Iterable[ShareChange]) -> list[ShareChange]:
    return sorted(changes, key=lambda change: (-abs(change.delta_bytes), change.category or "", change.frames))
