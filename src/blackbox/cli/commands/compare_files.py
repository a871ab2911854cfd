"""`blackbox compare` of snapshot files: two of them, or a folder, or one file, with a snapshot of each rank."""

import sys
from argparse import Namespace
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from blackbox.cli.common import output, parsers, snapshot_arguments
from blackbox.errors import FailureError, UsageError
from blackbox.paths import SNAPSHOT_SUFFIXES

if TYPE_CHECKING:
    from blackbox.analysis.trace.difference import PeakDifference, ShareChange
    from blackbox.analysis.trace.ranks import RankTable
    from blackbox.report.comparison import SnapshotComparison

HISTORIES = {"none": "no history: held at the end", "part": "of a part of its history"}
"""What a peak is that is not of all that was recorded."""
FILES_MAX = 1024
"""Of one job: as many ranks as the largest that anyone debugs file by file."""
STACKS_MAX = 12
"""Printed of each device, the largest differences first; --json has all."""
CATEGORIES_MAX = 4
"""Of a job, printed: the widest spreads."""


def run(arguments: Namespace) -> int:
    """Prints the differences, or the table."""
    if arguments.gpu is not None:
        raise UsageError("--gpu is for times: of snapshots all GPUs are told")
    rules = snapshot_arguments.rules(arguments)
    if arguments.b is None:
        if arguments.html is not None:
            raise UsageError("--html is for two snapshots, not for a folder of them")
        from blackbox.report.comparison import compare_ranks

        path = parsers.path(arguments.a)
        table = compare_ranks(_files(path), rules)
        if not path.is_dir() and all(row.file == path.name for row in table.rows):
            raise UsageError(f"{path}: one snapshot alone; name a second one to compare it with, or a folder of them")
        _print(arguments, table, rank_lines(table))
        return 1 if table.unread else 0
    from blackbox.report.comparison import compare_files

    found = compare_files(parsers.path(arguments.a), parsers.path(arguments.b), rules)
    document = {"a": found.a, "b": found.b, "devices": found.devices, "notes": found.notes}
    _print(arguments, document, lines(found))
    if arguments.html is not None:
        from blackbox.report.comparison_page import comparison_page

        output.write_page(parsers.path(arguments.html), comparison_page(found))
    return 0


def lines(found: "SnapshotComparison") -> Iterator[str]:
    """Two files, for people."""
    yield f"A {found.a}, B {found.b}: the peak of each"
    for device in found.devices:
        yield from _device(device)
    if found.notes:
        yield from ("", "About these figures")
        yield from (f"  {note}" for note in found.notes)


def rank_lines(table: "RankTable") -> Iterator[str]:
    """A job, for people."""
    from blackbox.model.text import plural, rfc3339, signed, size

    width = max(len(row.file) for row in table.rows)
    yield f"{'':{width}}  GPU        peak    of mean    reserved  refused"
    for row in table.rows:
        refused = ""
        if row.refusals:
            when = "" if row.first_refusal_time is None else f", first at {rfc3339(row.first_refusal_time)}"
            refused = f"{row.refusals}{when}"
        known = [] if row.history == "whole" else [HISTORIES[row.history]]
        if row.peak_bytes_max is not None:
            known.append(f"up to {size(row.peak_bytes_max)}: the file leaves sizes open")
        note = f"  ({'; '.join(known)})" if known else ""
        apart = signed(row.peak_bytes - table.mean_bytes)
        yield (
            f"{row.file:{width}}  {row.gpu:>3}  {size(row.peak_bytes):>10} {apart:>10}  "
            f"{size(row.reserved_bytes):>10}  {refused}{note}"
        ).rstrip()
    yield from (f"{one.file}: not read: {one.reason}" for one in table.unread)
    yield ""
    yield (
        f"Highest peak {size(table.highest.peak_bytes)} ({table.highest.file}), lowest {size(table.lowest.peak_bytes)} "
        f"({table.lowest.file}); the highest is {table.imbalance_ratio:.2f} times the mean"
    )
    if table.first_refused is not None:
        first = table.first_refused
        yield (
            f"{first.file} was refused first, by the clocks of the machines: {size(first.first_refused_bytes or 0)} at "
            f"{rfc3339(first.first_refusal_time or 0)}; refused in {plural(table.refused_files, 'snapshot')}"
        )
    elif table.refused_files:
        yield f"Refused in {plural(table.refused_files, 'snapshot')}, without a time"
    for spread in table.by_category[:CATEGORIES_MAX]:
        if spread.most_bytes > spread.least_bytes:
            yield (
                f"{spread.category}: {size(spread.least_bytes)} ({spread.least_file}) to {size(spread.most_bytes)} "
                f"({spread.most_file})"
            )


def _device(device: "PeakDifference") -> Iterator[str]:
    from blackbox.model.text import signed, size

    a, b = device.a, device.b
    before, after = ("nothing" if side is None else size(side.bytes) for side in (a, b))
    yield ""
    yield f"{device.place}: {before}, then {after} ({signed(device.delta_bytes)})"
    if a is not None and b is not None:
        yield (
            f"  reserved {size(a.reserved_bytes)}, then {size(b.reserved_bytes)}; asked for {size(a.requested_bytes)}, "
            f"then {size(b.requested_bytes)}; refused {a.refusals}, then {b.refusals}"
        )
    for change in device.by_category:
        yield _change(change, change.category or "")
    shown = device.by_stack[:STACKS_MAX]
    if shown:
        more = f", {len(shown)} of {len(device.by_stack)}" if len(device.by_stack) > len(shown) else ""
        yield f"  by stack{more} ({device.unchanged_stacks} did not change)"
        yield from (_change(change, _origin(change)) for change in shown)


def _change(change: "ShareChange", name: str) -> str:
    from blackbox.model.text import signed, size

    sides = f"{size(change.before_bytes)}, then {size(change.after_bytes)}"
    blocks = f"blocks: {change.before_blocks}, then {change.after_blocks}"
    return f"{signed(change.delta_bytes):>12}  {change.change:<6}  {name}: {sides} ({blocks})"


def _origin(change: "ShareChange") -> str:
    from blackbox.analysis.stacks import own_frame

    if not change.frames:
        return "stack not recorded"
    return own_frame(change.frames) + (" (at other lines)" if change.moved else "")


def _files(folder: Path) -> list[Path]:
    """Ranks in the order of their numbers; a file may hold them all. Raises `FailureError`."""
    if not folder.is_dir():
        return [folder]
    try:
        found = [path for path in folder.iterdir() if snapshot_arguments.is_pickle(path.name)]
    except OSError as error:
        raise FailureError(f"{folder}: {error.strerror}") from None
    if not found:
        raise FailureError(f"{folder}: no snapshot in it ({', '.join(SNAPSHOT_SUFFIXES)})")
    if len(found) > FILES_MAX:
        raise FailureError(f"{folder}: {len(found)} snapshots are more than the {FILES_MAX} that are compared")
    from blackbox.analysis.trace.ranks import in_order

    return sorted(found, key=lambda path: in_order(path.name))


def _print(arguments: Namespace, found: Any, text: Iterator[str]) -> None:
    if not arguments.json:
        print("\n".join(text))
        return
    import msgspec

    sys.stdout.buffer.write(msgspec.json.encode(found) + b"\n")
