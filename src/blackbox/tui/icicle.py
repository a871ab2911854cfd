"""Held memory as an icicle: a box per process, below it one per caller down to the line that allocated, each as wide
as what it holds. No drawing here."""

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

REST = "…"
"""Name of the box of all that are narrower than a cell."""


class Held(NamedTuple):
    """Memory of one stack; or of one purpose, where no stack is told."""

    names: tuple[str, ...]
    """The process, then the outermost caller first."""
    purpose: str
    bytes: int
    reason: str | None
    """Why there is no stack."""


class Box(NamedTuple):
    """A process, a caller, or the line that allocated."""

    path: tuple[str, ...]
    """Its name, behind those of the boxes above."""
    bytes: int
    purpose: str | None
    """What the memory is for; None where that differs in it."""
    reason: str | None
    """Why it tells no more."""
    inner: tuple["Box", ...]
    """Largest first."""


class Placed(NamedTuple):
    """A box where it is drawn."""

    box: Box
    column: int
    cells: int


def tree(held: Iterable[Held]) -> Box:
    """All of it in one box, whose path is empty."""
    return _box((), tuple(one for one in held if one.bytes > 0))


def _box(path: tuple[str, ...], held: Sequence[Held]) -> Box:
    depth = len(path)
    groups: dict[str, list[Held]] = {}
    for one in held:
        if len(one.names) > depth:
            groups.setdefault(one.names[depth], []).append(one)
    inner = sorted((_box((*path, name), found) for name, found in groups.items()), key=lambda box: -box.bytes)
    purposes = {one.purpose for one in held}
    reasons = {one.reason for one in held}
    return Box(
        path,
        sum(one.bytes for one in held),
        held[0].purpose if len(purposes) == 1 else None,
        held[0].reason if len(reasons) == 1 and not inner else None,
        tuple(inner),
    )


def within(root: Box, path: Sequence[str]) -> Box:
    """The box of this path; where it is gone, the innermost above it that is there."""
    found = root
    for depth in range(1, len(path) + 1):
        inner = next((box for box in found.inner if box.path == tuple(path[:depth])), None)
        if inner is None:
            break
        found = inner
    return found


def levels(root: Box, width: int, most: int) -> Iterator[list[Placed]]:
    """The boxes below `root`, level by level, left to right, on at most `most` levels of `width` cells."""
    current = [Placed(root, 0, width)]
    for _ in range(most):
        current = [placed for above in current for placed in _below(above)]
        if not current:
            return
        yield current


def _below(above: Placed) -> Iterator[Placed]:
    """Its inner boxes below it; what is narrower than a cell is one box in the end, where it comes to one."""
    column, left = above.column, 0
    for box in above.box.inner:
        cells = box.bytes * above.cells // above.box.bytes if above.box.bytes else 0
        if cells:
            yield Placed(box, column, cells)
            column += cells
        else:
            left += box.bytes
    room = above.column + above.cells - column
    cells = min(room, -(-left * above.cells // above.box.bytes)) if left else 0
    if cells:
        yield Placed(Box((*above.box.path, REST), left, None, None, ()), column, cells)
