"""Snapshot files held against each other: two of them, or all those of one job."""

from collections.abc import Sequence
from pathlib import Path

from msgspec import Struct

from blackbox.analysis.rules import NO_RULES, CategoryRules
from blackbox.analysis.trace.difference import PeakDifference, difference
from blackbox.analysis.trace.ranks import RankRow, RankTable, UnreadFile, in_order, rank_table, rows_of
from blackbox.errors import FailureError
from blackbox.sources.memory_snapshot import read as read_snapshot_file
from blackbox.sources.memory_snapshot.contents import Beside, Contents
from blackbox.sources.memory_snapshot.parts import SnapshotParts
from blackbox.sources.memory_snapshot.replayed import Replayed, Told


class SnapshotComparison(Struct, frozen=True, kw_only=True):
    """Two files."""

    a: str
    """Its name."""
    b: str
    devices: tuple[PeakDifference, ...]
    notes: tuple[str, ...]
    """What limits the figures of either, each with the file's letter before it."""
    told: tuple[Told, Told]
    """The device that each file is about, over time."""


def compare_files(a: Path, b: Path, rules: CategoryRules = NO_RULES) -> SnapshotComparison:
    """The peaks of two files. Raises `FailureError`."""
    before, after = _replayed(a, "all_stacks", rules), _replayed(b, "all_stacks", rules)
    return SnapshotComparison(
        a=a.name,
        b=b.name,
        devices=difference(before.devices, after.devices),
        notes=(*_notes("A", before), *_notes("B", after)),
        told=(before.told, after.told),
    )


def compare_ranks(files: Sequence[Path], rules: CategoryRules = NO_RULES) -> RankTable:
    """All files of a job, in that order, or all snapshots of its one file. One that cannot be read is told.

    Raises `FailureError` where none can be read.
    """
    rows: list[RankRow] = []
    unread: list[UnreadFile] = []
    for path in files:
        try:
            rows += _rows(path, rules)
        except FailureError as error:
            unread.append(UnreadFile(path.name, str(error).removeprefix(f"{path}: ")))
    if not rows and len(files) == 1:
        raise FailureError(f"{files[0]}: {unread[0].reason}")
    if not rows:
        raise FailureError(f"none of {len(files)} files can be read; {unread[0].file}: {unread[0].reason}")
    return rank_table(rows, unread)


def _rows(path: Path, rules: CategoryRules) -> list[RankRow]:
    """Of each snapshot in the file, of which there is one mostly. Raises `FailureError`."""
    contents = read_snapshot_file(path, "figures", rules)
    if not contents.beside:
        return rows_of(path.name, _known(path, contents).devices)
    found = [Beside(contents.place, _known(path, contents).devices), *contents.beside]
    found.sort(key=lambda one: in_order(one.place))
    return [row for one in found for row in rows_of(f"{path.name} {one.place}", one.devices)]


def _replayed(path: Path, parts: SnapshotParts, rules: CategoryRules) -> Replayed:
    return _known(path, read_snapshot_file(path, parts, rules))


def _known(path: Path, contents: Contents) -> Replayed:
    if contents.replayed is None:
        raise FailureError(f"{path}: it holds no GPU memory, or its history is malformed")
    return contents.replayed


def _notes(letter: str, replayed: Replayed) -> list[str]:
    return [f"{letter}: {note}" for device in replayed.devices for note in device.situations]
