"""The report as text for a terminal."""

from collections.abc import Iterator
from datetime import UTC, datetime

from blackbox.analysis.diagnosis import UsageChange
from blackbox.analysis.stacks import StackGrowth
from blackbox.analysis.verdict import Cause
from blackbox.model.parts import gpu_name
from blackbox.model.text import duration, plural, short, size
from blackbox.report.markup import clean
from blackbox.report.report_data import Report

CAUSES: dict[Cause, str] = {
    "leak": "A LEAK",
    "spike": "A SPIKE",
    "fragmentation": "FRAGMENTATION",
    "neighbour": "ANOTHER PROCESS",
    "shortage": "TOO LITTLE MEMORY",
    "limit": "A LIMIT",
    "unknown": "UNKNOWN",
}
STACKS_MAX = 5
FRAMES_MAX = 6
EVENTS_MAX = 12
PROCESSES_MAX = 12
NOT_TOLD = "not told"


def to_text(report: Report) -> str:
    """The report as some dozens of lines."""
    return "".join(f"{clean(line)}\n" for line in _lines(report))


def moment_text(time: float) -> str:
    """`2026-11-22 12:03:07 UTC`."""
    return f"{datetime.fromtimestamp(time, UTC):%Y-%m-%d %H:%M:%S} UTC"


def known_size(count: int | None) -> str:
    """A size, or `not told` where it is not known."""
    return NOT_TOLD if count is None else size(count)


def signed(count: int) -> str:
    """A difference."""
    return f"{'+' if count > 0 else ''}{size(count)}"


def _lines(report: Report) -> Iterator[str]:
    yield report.title
    yield ", ".join(filter(None, (report.host, moment_text(report.time), report.origin)))
    if report.simulated:
        yield "SIMULATED: no figure is real"
    if report.causes:
        yield ""
        yield f"Cause: {', '.join(CAUSES[told.cause] for told in report.causes)}"
    yield from (f"  {sentence}" for sentence in report.why)
    yield from _figures(report)
    yield from _processes(report)
    yield from _uses(report)
    yield from _stacks(report)
    yield from _advice(report)
    yield from _events(report)
    if report.notes:
        yield from ("", "About these figures")
        yield from (f"  {note}" for note in report.notes)


def _figures(report: Report) -> Iterator[str]:
    rows: list[tuple[str, str]] = []
    request, cache, gpu = report.request, report.cache, report.gpu
    if request is not None:
        rows.append(("asked for", size(request.requested_bytes)))
        rows.append(("free on the GPU", known_size(request.device_free_bytes)))
    if cache is not None:
        rows.append(("largest hole in the cache", known_size(cache.largest_hole_bytes)))
        rows.append(("free in the cache", size(cache.free_bytes)))
        if cache.usable_bytes is not None:
            rows.append(("of it for this request", size(cache.usable_bytes)))
        rows.append(("stranded by live neighbours", known_size(cache.stranded_bytes)))
        rows.append(("allocated / reserved", f"{size(cache.allocated_bytes)} / {size(cache.reserved_bytes)}"))
    if gpu is not None:
        rows.append(
            (f"{gpu_name(gpu.index, gpu.mig)}, {gpu.name}", f"{size(gpu.used_bytes)} of {size(gpu.total_bytes)} used")
        )
    if rows:
        yield ""
        width = max(len(name) for name, _ in rows)
        yield from (f"  {name:{width}}  {value}" for name, value in rows)


def _processes(report: Report) -> Iterator[str]:
    if not report.processes:
        return
    over = f" (and the change in {duration(report.time - report.since)})" if len(report.summaries) > 1 else ""
    yield from ("", f"Who held it{over}")
    for process in report.processes[:PROCESSES_MAX]:
        mark = "*" if process.is_failed else " "
        name = process.label + (f", {process.user}" if process.user else "")
        yield f" {mark} {size(process.used_bytes):>10}  {moved(process.change, report):>11}  {name}"


def _uses(report: Report) -> Iterator[str]:
    if not report.uses:
        return
    yield from ("", f"What for, in {report.subject}")
    for use in report.uses:
        yield f"   {size(use.after_bytes):>10}  {moved(use, report):>11}  {use.what}"


def moved(change: UsageChange, report: Report) -> str:
    """How much it grew; empty where only one instant is known."""
    if len(report.summaries) == 1:
        return ""
    return "new" if change.is_new and change.rise_bytes == 0 else signed(change.rise_bytes)


def _stacks(report: Report) -> Iterator[str]:
    growth = report.growth
    if growth is None or not growth.shares:
        return
    yield from ("", f"By stack: {stacks_text(growth)}")
    for share in growth.shares[:STACKS_MAX]:
        uses = f"  ({share.what_for})" if share.uses else ""
        yield f"   {size(share.bytes):>10} {share.blocks}{uses}"
        yield from (f"                 {frame}" for frame in share.frames[:FRAMES_MAX] or ("stack not recorded",))


def stacks_text(growth: StackGrowth) -> str:
    """The sum of which the stacks are shares."""
    if not growth.steps:
        return f"{size(growth.live_bytes)} live"
    span = f"{short(growth.seconds)}, " if growth.seconds else ""
    trace = f"the trace ({span}{plural(growth.steps, 'step')})"
    if growth.recent_bytes == growth.live_bytes:
        return f"{size(growth.live_bytes)} allocated within {trace} and not freed"
    return f"{size(growth.live_bytes)} live, {size(growth.recent_bytes)} of it allocated within {trace}"


def _advice(report: Report) -> Iterator[str]:
    if not report.advice:
        return
    yield from ("", "What would have helped")
    for item in report.advice:
        gain = f" ({size(item.bytes)})" if item.bytes is not None else ""
        yield f"  - {item.title}{gain}"
        yield f"    {item.text}"


def _events(report: Report) -> Iterator[str]:
    if not report.events:
        return
    yield from ("", "Events")
    for event in report.events[-EVENTS_MAX:]:
        yield f"  {moment_text(event.timestamp)}  {event.kind}: {event.message}"
