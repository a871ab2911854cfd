"""Collapsed stacks, as flame-graph tools read them: a line a stack, its bytes behind it."""

from collections import defaultdict
from collections.abc import Iterable

from blackbox.report.markup import clean
from blackbox.report.report_data import Report

NO_STACK, MORE_STACKS = "[stack not recorded]", "[{} more stacks]"
FoldedStack = tuple[tuple[str, ...], int]
"""Frames, innermost first, and bytes."""


def to_folded(report: Report) -> bytes:
    """What was held at the moment of the report, outermost frame first; empty where no stacks are known.

    The lines sum to what was allocated then.
    """
    sums: dict[str, int] = defaultdict(int)
    for frames, count in _held(report):
        sums[";".join(_safe(frame) for frame in reversed(frames)) or NO_STACK] += count
    return "".join(f"{line} {count}\n" for line, count in sorted(sums.items())).encode()


def _held(report: Report) -> Iterable[FoldedStack]:
    if report.told is not None:
        for share in report.told.by_stack:
            yield share.frames or ((MORE_STACKS.format(share.stacks),) if share.stacks > 1 else ()), share.bytes
    elif report.growth is not None:
        yield from ((share.frames, share.bytes) for share in report.growth.shares)


def _safe(frame: str) -> str:
    """Without what separates frames and lines."""
    return " ".join(clean(frame).replace(";", ":").split())
