"""Snapshot files held against each other: two of them, or all those of one job."""

from collections.abc import Sequence
from pathlib import Path

from msgspec import Struct

from blackbox.analysis.rules import NO_RULES, CategoryRules
from blackbox.analysis.trace.device_findings import DeviceFindings
from blackbox.analysis.trace.difference import PeakDifference, device_name, difference
from blackbox.analysis.trace.ranks import RankRow, RankTable, UnreadFile, in_order, rank_table, rows_of
from blackbox.errors import FailureError
from blackbox.sources.memory_snapshot import read as read_snapshot_file
from blackbox.sources.memory_snapshot.contents import Beside, Contents
from blackbox.sources.memory_snapshot.replayed import Replayed, Told
from blackbox.sources.memory_snapshot.traces import HOST

NOTHING_KNOWN = "it holds no GPU memory, or its history is malformed"


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
    """The peaks of two files, of each of the snapshot in question where it holds several. Raises `FailureError`."""
    of_a, of_b = (read_snapshot_file(path, "all_stacks", rules) for path in (a, b))
    before, after = _known(a, of_a), _known(b, of_b)
    return SnapshotComparison(
        a=a.name,
        b=b.name,
        devices=difference(before.devices, after.devices),
        notes=(*_notes("A", of_a), *_notes("B", of_b)),
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
            for name, devices in _snapshots(path, rules):
                rows += rows_of(name, devices)
                unread += [] if devices else [UnreadFile(name, NOTHING_KNOWN)]
        except FailureError as error:
            unread.append(UnreadFile(path.name, str(error).removeprefix(f"{path}: ")))
    if not rows and len(files) == 1:
        raise FailureError(f"{files[0]}: {unread[0].reason}")
    if not rows:
        raise FailureError(f"none of {len(files)} files can be read; {unread[0].file}: {unread[0].reason}")
    return rank_table(rows, unread)


def _snapshots(path: Path, rules: CategoryRules) -> list[tuple[str, tuple[DeviceFindings, ...]]]:
    """The name and the devices of each snapshot in the file, of which there is one mostly; without devices where it
    tells nothing. Raises `FailureError`."""
    contents = read_snapshot_file(path, "figures", rules)
    own = () if contents.replayed is None else contents.replayed.devices
    if not contents.beside:
        return [(path.name, _on_gpus(own))]
    found = sorted([Beside(contents.place, own), *contents.beside], key=lambda one: in_order(one.place))
    return [(f"{path.name} {one.place}", _on_gpus(one.devices)) for one in found]


def _on_gpus(devices: tuple[DeviceFindings, ...]) -> tuple[DeviceFindings, ...]:
    """What is pinned on the host is no rank's GPU."""
    return tuple(device for device in devices if device.gpu != HOST)


def _known(path: Path, contents: Contents) -> Replayed:
    if contents.replayed is None:
        raise FailureError(f"{path}: {NOTHING_KNOWN}")
    return contents.replayed


def _notes(letter: str, contents: Contents) -> list[str]:
    devices = () if contents.replayed is None else contents.replayed.devices
    notes = [
        f"{device_name(device.gpu)}: {note}" if len(devices) > 1 else note
        for device in devices
        for note in device.situations
    ]
    if contents.beside:
        notes.insert(0, f"the file holds {len(contents.beside) + 1} snapshots: this one is {contents.place}")
    return [f"{letter}: {note}" for note in notes]
