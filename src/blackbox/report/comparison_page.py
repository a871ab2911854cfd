"""Two snapshots as one page: both over time on one axis, and what is between their peaks."""

from collections.abc import Iterator
from typing import Any
from xml.etree.ElementTree import Element

from blackbox.analysis.stacks import own_frame
from blackbox.analysis.trace.difference import PeakDifference, ShareChange
from blackbox.analysis.trace.timeline import Timeline, levels
from blackbox.model.text import signed, size
from blackbox.report import charts, html
from blackbox.report.comparison import SnapshotComparison
from blackbox.report.markup import clean, table, tag
from blackbox.report.timeline import COLOURS, INTERFACE, band_columns, categories, short_frame

STACKS_MAX = 40
"""Of each device, the largest differences first."""
FRAMES_MAX = 24
"""Shown of a stack; deeper ones are the framework's own."""


def comparison_page(found: SnapshotComparison) -> bytes:
    """The page, encoded."""
    title = f"{found.a}, then {found.b}"
    drawn = [told.timeline for told in found.told]
    a, b = drawn
    if a is None or b is None:
        return html.page(title, _body(found, None))
    runs = [_run(found.a, a), _run(found.b, b)]
    colours = (*COLOURS, *INTERFACE)
    return html.page(
        title, [*_body(found, (a, b)), html.data("compare-data", {"runs": runs, "colours": colours})], "compare.js"
    )


def _body(found: SnapshotComparison, drawn: tuple[Timeline, Timeline] | None) -> Iterator[Element]:
    yield tag("p", "Two PyTorch snapshots", class_="over")
    yield tag("h1", f"{found.a}, then {found.b}")
    for device in found.devices:
        yield tag("p", _sentence(device), class_="why")
    if drawn is not None:
        yield tag("h2", "Memory over time")
        yield from _over_time(found, drawn)
    for device in found.devices:
        yield tag("h2", f"Between the peaks, {device.place}")
        yield _changes("What for", [(change.category or "", change) for change in device.by_category])
        yield from _stacks(device)
    if found.notes:
        yield tag("h2", "About these figures")
        yield tag("ul", *(tag("li", note) for note in found.notes))


def _sentence(device: PeakDifference) -> str:
    before, after = ("nothing" if side is None else size(side.bytes) for side in (device.a, device.b))
    return f"{device.place}: the peak was {before}, then {after} ({signed(device.delta_bytes)})."


def _over_time(found: SnapshotComparison, drawn: tuple[Timeline, Timeline]) -> Iterator[Element]:
    held = [levels(timeline.by_category, len(timeline.done)) for timeline in drawn]
    a, b = (
        f"{letter}: peak {size(level[timeline.peak])}, {timeline.done[-1]} steps"
        for letter, level, timeline in zip("AB", held, drawn, strict=True)
    )
    gpus = {told.device for told in found.told}
    which = "" if len(gpus) == 1 else f" A is GPU {drawn[0].gpu}, B is GPU {drawn[1].gpu}."
    finding = f"{a}; {b}.{which}"
    yield tag("p", finding, class_="hint")
    lines = [
        charts.Line(f"{letter} {name}", colour, timeline.done, level)
        for letter, name, colour, timeline, level in zip(
            "AB", (found.a, found.b), ("blue", "orange"), drawn, held, strict=True
        )
    ]
    most = max(timeline.done[-1] for timeline in drawn)
    still = charts.lines(lines, "Allocated memory of both over the steps of the allocator", ("start", f"step {most}"))
    yield tag("div", tag("div", still, class_="still"), id="compare", class_="over-time", data_finding=finding)
    yield tag("div", id="pinned", aria_live="polite")


def _run(name: str, timeline: Timeline) -> dict[str, Any]:
    return {
        "name": clean(name),
        "done": timeline.done,
        "seconds": timeline.seconds,
        "peak": timeline.peak,
        "category": [band_columns(shown) for shown in categories(timeline.by_category)],
    }


def _stacks(device: PeakDifference) -> Iterator[Element]:
    shown = device.by_stack[:STACKS_MAX]
    if not shown:
        return
    yield _changes("By stack", [(_origin(change), change) for change in shown])
    left = len(device.by_stack) - len(shown)
    more = f"Not shown: {left} more that differ. " if left else ""
    yield tag("p", f"{more}Stacks that hold the same in both: {device.unchanged_stacks}.", class_="hint")
    for change in shown:
        if change.frames:
            head = (tag("b", signed(change.delta_bytes)), f" {change.change} · ", tag("code", _origin(change)))
            yield tag("details", tag("summary", *head), tag("pre", "\n".join(change.frames[:FRAMES_MAX])))


def _origin(change: ShareChange) -> str:
    return short_frame(own_frame(change.frames)) if change.frames else "stack not recorded"


def _changes(head: str, rows: list[tuple[str, ShareChange]]) -> Element:
    return table(
        (head, "", "#A", "#B", "#B − A", "#Blocks"),
        [
            (
                False,
                (
                    name,
                    change.change + (", at other lines" if change.moved else ""),
                    size(change.before_bytes),
                    size(change.after_bytes),
                    signed(change.delta_bytes),
                    f"{change.before_blocks}, then {change.after_blocks}",
                ),
            )
            for name, change in rows
        ],
    )
