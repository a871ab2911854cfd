"""The figures of a report: which numbers go into which picture."""

from collections.abc import Iterator, Sequence
from xml.etree.ElementTree import Element

from blackbox.analysis.stacks import StackGrowth
from blackbox.analysis.usage import FREE_IN_CACHE, KV_USED, ProcessOnGpu, ProcessUsage, use_of
from blackbox.model.parts import gpu_name
from blackbox.model.text import size
from blackbox.report.charts import Band, Bar, ChartMark, bands, bars, strip
from blackbox.report.map import block_map
from blackbox.report.markup import tag
from blackbox.report.palette import FAILED, holder_colours, use_colour
from blackbox.report.report_data import Report

BANDS_MAX = 6
"""Processes told apart in a chart; the rest share one band."""
MARKS = frozenset(("oom", "crash", "xid", "gpu_lost", "process_start", "process_exit"))
REST = "other processes"
OF_A_TRACE = {"other": "unknown", "weights": "parameters", "graph pool": "graph pools", KV_USED: "KV cache"}
"""The words that the tables of a snapshot's trace have for some uses, for the map beside them."""


def asked(report: Report) -> Element:
    """The request against everything that might have served it, on one scale."""
    rows: list[Bar] = []
    request, cache = report.request, report.cache
    if request is not None:
        rows.append(Bar("asked for", request.requested_bytes, FAILED))
        if request.device_free_bytes is not None:
            rows.append(Bar("free on the GPU", request.device_free_bytes, "grey"))
    if cache is not None:
        if cache.largest_hole_bytes is not None:
            rows.append(Bar("largest hole in its cache", cache.largest_hole_bytes, "grey"))
        rows.append(Bar("free in its cache, in all", cache.free_bytes, "pale"))
    limit = request.requested_bytes if request is not None else None
    return bars(rows, limit, "What was asked, against what was free")


def ledger(report: Report) -> Element:
    """Where all of the GPU's memory is."""
    gpu = report.gpu
    assert gpu is not None
    held = [(process.label, process.used_bytes) for process in report.processes]
    colours = holder_colours([name for name, _ in held], _failed_name(report))
    parts = [Bar(name, count, colours[name]) for name, count in held]
    parts.append(Bar("in no process's name", max(0, gpu.used_bytes - sum(count for _, count in held)), "grey"))
    parts.append(Bar("driver's reserve", gpu.driver_reserved_bytes, "sand"))
    parts.append(Bar("free", gpu.free_bytes, "pale"))
    total = max(gpu.total_bytes, sum(part.bytes for part in parts))
    shown = [part for part in parts if part.bytes]
    return tag("div", strip(shown, total, gpu_name(gpu.index, gpu.mig)), _legend(shown))


def by_process(report: Report) -> list[Element] | None:
    """The GPU over time."""
    uuid, gpu = report.gpu_uuid, report.gpu
    if uuid is None or gpu is None:
        return None
    named = [process.pid for process in report.processes[:BANDS_MAX]]
    names = {process.pid: process.label for process in report.processes}
    colours = holder_colours([names[pid] for pid in named], _failed_name(report))
    layers = [
        Band(
            names[pid], colours[names[pid]], [_held_by(summary.processes, uuid, (pid,)) for summary in report.summaries]
        )
        for pid in reversed(named)
    ]
    rest = [
        sum(held.used_bytes for key, held in summary.processes.items() if key.gpu_uuid == uuid and key.pid not in named)
        for summary in report.summaries
    ]
    if any(rest):
        layers.insert(0, Band(REST, "grey", rest))
    return _chart(report, layers, gpu.total_bytes, "GPU memory by process")


def by_use(report: Report) -> list[Element] | None:
    """The process in question over time."""
    if not report.uses or report.subject_pid is None:
        return None
    known = [summary for summary in report.summaries if _subject(summary.processes, report)]
    if len(known) < 2:
        return None
    rows = [_subject(summary.processes, report) for summary in known]
    uses = sorted((use.what for use in report.uses), key=lambda use: use == FREE_IN_CACHE)
    layers = [Band(use, use_colour(use), [row.get(use, 0) for row in rows]) for use in uses]
    top = max(sum(row.values()) for row in rows)
    return _chart(report, layers, top, "Memory of the process by what it is for", [summary.time for summary in known])


def history(growth: StackGrowth) -> Iterator[Element]:
    """Live memory through the trace, which is finer than the samples."""
    if len(growth.levels) > 1:
        levels = [level for _, level in growth.levels]
        layer = Band("live", "orange", levels)
        yield bands([time for time, _ in growth.levels], [layer], max(levels), [], "Live memory through the trace")


def blocks(report: Report) -> Iterator[Element]:
    """The block map, and what its colours mean."""
    yield block_map(report.blocks, "Memory of the process by address")
    sums: dict[str, int] = {}
    for block in report.blocks:
        use = use_of(block)
        name = use if report.told is None else OF_A_TRACE.get(use, use)
        sums[name] = sums.get(name, 0) + block.size
    yield _legend([Bar(use, count, use_colour(use)) for use, count in sorted(sums.items(), key=lambda item: -item[1])])


def _chart(
    report: Report, layers: Sequence[Band], top: int, title: str, times: Sequence[float] | None = None
) -> list[Element]:
    marks = [
        ChartMark(event.timestamp, f"{event.kind}: {event.message}")
        for event in report.events
        if event.kind in MARKS and event.gpu_uuid in (None, report.gpu_uuid)
    ]
    chart = bands(times or [summary.time for summary in report.summaries], layers, top, marks, title)
    return [chart, _legend([Bar(layer.label, layer.levels[-1], layer.colour) for layer in reversed(layers)])]


def _legend(parts: Sequence[Bar]) -> Element:
    return tag(
        "ul",
        *(
            tag(
                "li",
                tag("svg", tag("rect", width=11.0, height=11.0, class_=part.colour)),
                f"{part.label} {size(part.bytes)}",
            )
            for part in parts
        ),
        class_="legend",
    )


def _held_by(processes: dict[ProcessOnGpu, ProcessUsage], uuid: str, pids: Sequence[int]) -> int:
    return sum(held.used_bytes for key, held in processes.items() if key.gpu_uuid == uuid and key.pid in pids)


def _subject(processes: dict[ProcessOnGpu, ProcessUsage], report: Report) -> dict[str, int]:
    for key, held in processes.items():
        if key.pid == report.subject_pid and key.gpu_uuid == report.gpu_uuid:
            return held.uses
    return {}


def _failed_name(report: Report) -> str | None:
    return next((process.label for process in report.processes if process.is_failed), None)
