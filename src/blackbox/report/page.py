"""The report as one HTML page: no request to anywhere, nothing but itself.

Where there is a trace it has one script of its own, known to the policy by its hash, and is whole without it.
"""

from collections.abc import Iterable, Iterator
from xml.etree.ElementTree import Element

from blackbox.analysis.stacks import own_frame
from blackbox.model.parts import gpu_name
from blackbox.model.snapshot import Gpu
from blackbox.model.text import duration, plural, size
from blackbox.report import figures, html, timeline
from blackbox.report.evidence import FAILURES
from blackbox.report.markup import table, tag
from blackbox.report.report_data import Report
from blackbox.report.text import CAUSES, known_size, moment_text, moved, stacks_text
from blackbox.sources.memory_snapshot.replayed import DeviceTimeline

STACKS_MAX = 20
EVENTS_MAX = 200
PROCESSES_MAX = 50
TIMELINE_SCRIPT = "timeline.js"


def to_html(report: Report) -> bytes:
    """The page, encoded."""
    drawn = _drawn(report)
    if not drawn:
        return html.page(report.title, _body(report, ()))
    data = list(timeline.data(drawn))
    shown = timeline.fitting(data)
    over_time = timeline.section(drawn[:shown], len(drawn) - shown)
    return html.page(report.title, [*_body(report, over_time), *data[:shown]], TIMELINE_SCRIPT)


def policy_of(report: Report) -> str:
    """The page's content security policy."""
    return html.policy(TIMELINE_SCRIPT if _drawn(report) else None)


def _drawn(report: Report) -> list[DeviceTimeline]:
    """What is drawn over time: the GPU that the report is about first, then the others of the file."""
    told = report.told
    if told is None or told.timeline is None:
        return []
    return [DeviceTimeline(device=told.device, kind=told.kind, timeline=told.timeline), *report.others]


def _body(report: Report, over_time: Iterable[Element]) -> Iterator[Element]:
    yield tag("p", " · ".join(filter(None, (report.host, moment_text(report.time), report.origin))), class_="over")
    yield tag("h1", report.title)
    for told in report.causes:
        yield tag("p", CAUSES[told.cause].capitalize(), class_="cause")
    if report.simulated:
        yield tag("p", "Simulated machine: no figure on this page is real.", class_="simulated")
    for sentence in report.why:
        yield tag("p", sentence, class_="why")
    for title, parts in (
        ("Memory over time", over_time),
        ("What was asked, and what there was" if report.request else "What there was", _asked(report)),
        ("The minutes before", _before(report)),
        ("Who held the memory", _processes(report)),
        ("What for", _uses(report)),
        ("By stack", _stacks(report)),
        ("Its memory, block by block", _map(report)),
        ("What would have helped", _advice(report)),
        ("Events", _events(report)),
        ("The machine", _machine(report)),
        ("About these figures", _notes(report)),
    ):
        found = list(parts)
        if found:
            yield tag("h2", title)
            yield from found


def _asked(report: Report) -> Iterator[Element]:
    if report.request is not None or report.cache is not None:
        yield figures.asked(report)
    request, cache = report.request, report.cache
    if request is not None and request.thread is not None:
        yield tag("p", f"Asked by thread {request.thread}.", class_="hint")
    if cache is not None:
        stranded = f", {known_size(cache.stranded_bytes)} stranded by live neighbours" if cache.stranded_bytes else ""
        yield tag(
            "p",
            f"Its allocator held {size(cache.reserved_bytes)}; {size(cache.allocated_bytes)} were in use{stranded}.",
            class_="hint",
        )


def _before(report: Report) -> Iterator[Element]:
    if len(report.summaries) < 2:
        return
    machine = figures.by_process(report)
    if machine is not None:
        yield tag(
            "p", f"{gpu_name(report.gpu.index, report.gpu.mig) if report.gpu else 'GPU ?'}, by process", class_="hint"
        )
        yield from machine
    inside = figures.by_use(report)
    if inside is not None:
        yield tag("p", f"{report.subject}, by what it is for", class_="hint")
        yield from inside


def _processes(report: Report) -> Iterator[Element]:
    if report.gpu is not None and report.processes:
        yield figures.ledger(report)
    if report.processes:
        over = f" in {duration(report.time - report.since)}" if len(report.summaries) > 1 else ""
        yield table(
            ("Process", "User", "#Held", f"#Change{over}"),
            [
                (
                    process.is_failed,
                    (
                        process.label,
                        process.user or "",
                        size(process.used_bytes),
                        moved(process.change, report),
                    ),
                )
                for process in report.processes[:PROCESSES_MAX]
            ],
        )


def _uses(report: Report) -> Iterator[Element]:
    if report.uses:
        yield tag("p", report.subject or "", class_="hint")
        yield table(
            ("What for", "#Held", "#Change", "#Deepest fall in between"),
            [
                (
                    False,
                    (
                        use.what,
                        size(use.after_bytes),
                        moved(use, report),
                        size(use.fell_bytes) if len(report.summaries) > 1 else "",
                    ),
                )
                for use in report.uses
            ],
        )


def _stacks(report: Report) -> Iterator[Element]:
    growth = report.growth
    if growth is None or not growth.shares:
        return
    yield tag("p", f"{stacks_text(growth)}.", class_="hint")
    if report.told is None:
        yield from figures.history(growth)
    for place, share in enumerate(growth.shares[:STACKS_MAX]):
        head = own_frame(share.frames) if share.frames else "stack not recorded"
        uses = f" · {share.what_for}" if share.uses else ""
        if not share.frames:
            yield tag("p", tag("b", size(share.bytes)), f"{share.blocks}{uses} · {head}")
            continue
        yield tag(
            "details",
            tag("summary", tag("b", size(share.bytes)), f"{share.blocks}{uses} · ", tag("code", head)),
            tag("pre", "\n".join(share.frames)),
            open="" if place == 0 else None,
        )
    left = growth.shares[STACKS_MAX:]
    if left:
        yield tag("p", f"{len(left)} more stacks hold {size(sum(share.bytes for share in left))}.", class_="hint")


def _map(report: Report) -> Iterator[Element]:
    if report.blocks:
        yield tag("p", f"{len(report.blocks)} blocks by address; each cell shows what fills most of it.", class_="hint")
        yield from figures.blocks(report)


def _advice(report: Report) -> Iterator[Element]:
    if not report.advice:
        return
    items: list[Element] = []
    for item in report.advice:
        gain = f" ({size(item.bytes)})" if item.bytes is not None else ""
        items += (tag("dt", f"{item.title}{gain}"), tag("dd", item.text))
    yield tag("dl", *items)


def _events(report: Report) -> Iterator[Element]:
    if report.events:
        yield table(
            ("Time", "Kind", "What"),
            [
                (
                    event is report.events[-1] and event.kind in FAILURES,
                    (moment_text(event.timestamp), event.kind, event.message),
                )
                for event in report.events[-EVENTS_MAX:]
            ],
        )


def _machine(report: Report) -> Iterator[Element]:
    if report.gpu is None and report.told is not None:
        return  # a snapshot file tells nothing of it
    rows = [(False, (gpu_name(gpu.index, gpu.mig), gpu.name, _gpu_use(gpu), gpu.state)) for gpu in report.last.gpus]
    rows += [
        (
            False,
            (
                source.name,
                ", ".join(f"{key} {value}" for key, value in source.facts.items()),
                source.reason or "",
                source.state,
            ),
        )
        for source in report.last.sources
    ]
    rows += [
        (False, (engine.kind, engine.model or "", _engine(engine.kv_usage_ratio, engine.requests_running), ""))
        for engine in report.engines
    ]
    if rows:
        yield table(("", "", "", "State"), rows)


def _gpu_use(gpu: Gpu) -> str:
    if "total_bytes" in gpu.unknown:
        return gpu.unknown["total_bytes"]
    return f"{size(gpu.used_bytes)} of {size(gpu.total_bytes)} used"


def _engine(usage: float | None, running: int | None) -> str:
    parts = [
        None if usage is None else f"{usage:.0%} of the KV cache in use",
        None if running is None else f"{plural(running, 'request')} running",
    ]
    return ", ".join(part for part in parts if part)


def _notes(report: Report) -> Iterator[Element]:
    if report.notes:
        yield tag("ul", *(tag("li", note) for note in report.notes))
