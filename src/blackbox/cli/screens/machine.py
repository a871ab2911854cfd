"""A snapshot on one screen: the verdict, every GPU as a bar with who is on it, what happened lately."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from blackbox.cli.common.screen import Screen
from blackbox.cli.screens.happened import message
from blackbox.model.forecast import Forecast
from blackbox.model.query import NumberedEvent
from blackbox.model.snapshot import Engine, Snapshot
from blackbox.model.text import rfc3339_seconds, size
from blackbox.model.times import local_text
from blackbox.terminal import verdict as verdicts
from blackbox.terminal.bar import ledger_bar
from blackbox.terminal.event_marks import MARKS
from blackbox.terminal.figures import ABSENT, clock, gib, percent, plural, span
from blackbox.terminal.layout import EMPTY, PLAIN, Fragment, Look, TextLine, fit, spread, wrapped
from blackbox.terminal.ledger import GpuLedger, ProcessLedger, gpu_label, gpu_model, leaves, ledgers
from blackbox.terminal.looks import look_of, palette, tone_look
from blackbox.terminal.purposes import LOOK_OF, LOOKS, OPAQUE

LATELY_MAX = 3
"""Events shown below the GPUs."""
LATELY_SECONDS = 3600
PROCESSES_MIN = 1
"""Shown of each GPU, whatever room there is."""
_PID, _NAME, _USER, _USED = 8, 16, 11, 7
"""Widths of columns."""


class MachineView(NamedTuple):
    """What there is to show."""

    snapshot: Snapshot
    forecast: Forecast | None = None
    no_forecast: str | None = None
    """Why there is none."""
    events: tuple[NumberedEvent, ...] = ()
    asked_for: float | None = None
    """Of the past: the time asked for; None of the present."""


def lines(machine: MachineView, screen: Screen) -> Iterator[TextLine]:
    """The screen, from its first line to its last."""
    found = ledgers(machine.snapshot)
    top = [*_head(machine, screen), *_verdict(machine, tuple(leaves(found)), screen)]
    below = [*_lately(machine, screen), *_faults(machine, screen), *_legend(found, screen)]
    yield from top
    yield from _gpus(machine, found, screen, max(0, screen.height - len(top) - len(below)))
    yield from below


def _head(machine: MachineView, screen: Screen) -> Iterator[TextLine]:
    """Which machine, and when."""
    snapshot, words = machine.snapshot, palette(screen.depth)
    taken = rfc3339_seconds(snapshot.timestamp)
    demo = (Fragment(" DEMO ", words.bar), Fragment(" ")) if snapshot.simulated else ()
    left = (*demo, Fragment(fit(snapshot.host, min(len(snapshot.host), 30)), words.strong))
    used = _in_use(snapshot)
    if machine.asked_for is not None:
        apart = machine.asked_for - taken
        text = f" PAST {local_text(taken)}" + (f", {span(apart)} before the time asked for" if apart >= 1 else "")
        yield (Fragment(fit(text, screen.width), words.bar),)
        yield spread(left, (Fragment(used),), screen.width)
    else:
        yield spread((*left, Fragment(f"  {local_text(taken)}", words.soft)), (Fragment(used),), screen.width)


def _in_use(snapshot: Snapshot) -> str:
    """Of all GPUs that were measured, which the line says where others were not."""
    whole = [gpu for gpu in snapshot.gpus if gpu.parent_uuid is None]
    untold = [gpu for gpu in whole if not gpu.unknown.keys().isdisjoint(("used_bytes", "total_bytes"))]
    if untold and len(untold) == len(whole):
        return f"{ABSENT} used"
    used = f"{gib(snapshot.used_bytes)} of {size(snapshot.total_bytes)} used, {percent(snapshot.used_percent)}"
    return f"{used}, without {', '.join(map(gpu_label, untold))}" if untold else used


def _verdict(machine: MachineView, found: Sequence[GpuLedger], screen: Screen) -> Iterator[TextLine]:
    """What fills, or that nothing does; nothing of the past."""
    if machine.asked_for is not None:
        yield EMPTY
        return
    words, now = palette(screen.depth), rfc3339_seconds(machine.snapshot.timestamp)
    worst = verdicts.verdict(machine.forecast, found, machine.events)
    if worst is not None and worst.is_alarm:
        yield from _told(verdicts.headline(worst), screen, words.alarm)
        yield from _told(verdicts.who_grew(worst, now), screen)
        yield from _told(f"If nothing is done: {verdicts.if_nothing_is_done(worst, now)}", screen)
    else:
        yield from _told(verdicts.calm(machine.forecast, found, worst, machine.no_forecast), screen)
    yield EMPTY


def _told(text: str, screen: Screen, look: Look = PLAIN) -> Iterator[TextLine]:
    """A sentence, on as many lines as it takes."""
    for line in wrapped(text, screen.width, 2):
        yield (Fragment(line, look),)


def _gpus(machine: MachineView, found: Sequence[GpuLedger], screen: Screen, room: int) -> Iterator[TextLine]:
    """Every GPU: two lines and its processes; one line where there are too many; the first where even so."""
    every = [one for ledger in found for one in (ledger, *ledger.slices)]
    if not every:
        return
    crowded = len(every) * (2 + PROCESSES_MIN) > room
    if crowded:
        shown = every if len(every) <= room else every[: max(1, room - 1)]
        yield from (_one_line(one, screen) for one in shown)
        if len(shown) < len(every):
            yield (
                Fragment(f"  … {len(every) - len(shown)} more GPUs: --gpu tells of one", palette(screen.depth).soft),
            )
        return
    spare = room - 2 * len(every)
    holders = [one for one in every if one.processes]
    share = max(PROCESSES_MIN, spare // max(1, len(holders)))
    engines = {engine.pid: engine for engine in machine.snapshot.engines}
    for one in every:
        yield _gpu_head(one, screen)
        yield _bar(one, screen)
        yield from _processes(one, engines, share, screen)


def _gpu_head(one: GpuLedger, screen: Screen) -> TextLine:
    gpu, words = one.gpu, palette(screen.depth)
    left = (Fragment(gpu_label(gpu), words.strong), Fragment(f"  {gpu_model(gpu)}", words.soft))
    if gpu.state != "ok":
        return spread(left, (Fragment(f"{gpu.state}: {gpu.reason or 'no reason told'}", words.warn),), screen.width)
    return spread(left, (Fragment(_gpu_figures(one)),), screen.width)


def _gpu_figures(one: GpuLedger) -> str:
    gpu = one.gpu
    if "used_bytes" in gpu.unknown:
        return f"{ABSENT}: {gpu.unknown['used_bytes']}"
    told = [
        None if gpu.utilization_percent is None else f"util {percent(gpu.utilization_percent)}",
        None if gpu.temperature_celsius is None else f"{gpu.temperature_celsius:.0f} °C",
        None if gpu.power_watts is None else f"{gpu.power_watts:.0f} W",
    ]
    share = f"{gib(gpu.used_bytes)} of {size(gpu.total_bytes)}  {percent(gpu.used_percent):>5}"
    return "  ".join([*filter(None, told), share])


def _bar(one: GpuLedger, screen: Screen) -> TextLine:
    return (Fragment(" "), *ledger_bar(one.parts, one.gpu.total_bytes, screen.width - 2, screen.depth))


def _one_line(one: GpuLedger, screen: Screen) -> TextLine:
    """Name, bar and figures side by side."""
    figures = f" {gib(one.gpu.used_bytes):>6} of {size(one.gpu.total_bytes):>9}"
    name = fit(gpu_label(one.gpu), 16)
    if one.gpu.state != "ok":
        return (Fragment(name), Fragment(f"{one.gpu.state}: {one.gpu.reason or ''}", palette(screen.depth).warn))
    width = max(8, screen.width - len(name) - len(figures))
    return (Fragment(name), *ledger_bar(one.parts, one.gpu.total_bytes, width, screen.depth), Fragment(figures))


def _processes(one: GpuLedger, engines: dict[int | None, Engine], most: int, screen: Screen) -> Iterator[TextLine]:
    """Those of a GPU, in their order; where there are too many, the largest of them."""
    rows = list(one.processes)
    if len(rows) > most:
        largest = sorted(rows, key=lambda row: -row.process.used_bytes)[: max(PROCESSES_MIN, most - 1)]
        rest = [row for row in rows if row not in largest]
        rows = [row for row in rows if row in largest]
    else:
        rest = []
    for row in rows:
        yield _process(row, engines.get(row.process.pid), screen)
    if rest:
        yield (
            Fragment(
                f"{'':{_PID}}  … {plural(len(rest), 'more process', 'more processes')}, {_held(rest)}",
                palette(screen.depth).soft,
            ),
        )


def _held(rows: Sequence[ProcessLedger]) -> str:
    """What they hold together; of how many that is not known."""
    known = [row.process.used_bytes for row in rows if "used_bytes" not in row.process.unknown]
    unknown = len(rows) - len(known)
    if not known:
        return ABSENT
    return size(sum(known)) + (f" and {unknown} {ABSENT}" if unknown else "")


def _process(row: ProcessLedger, engine: Engine | None, screen: Screen) -> TextLine:
    process, words = row.process, palette(screen.depth)
    known = "used_bytes" not in process.unknown
    used = gib(process.used_bytes) if known else ABSENT
    who = f"{process.pid:>{_PID}}  {fit(process.name or ABSENT, _NAME)} {fit(process.user or ABSENT, _USER)}"
    text = f"{who} {used:>{_USED}} GiB  "
    inside = fit(_purposes(row, engine), max(0, screen.width - len(text))).rstrip()
    return (Fragment(text), Fragment(inside, words.soft))


def _purposes(row: ProcessLedger, engine: Engine | None) -> str:
    """What it is for in GiB, the most first, by the glyphs of the legend; or how that can be had."""
    if [part.purpose for part in row.parts] == [OPAQUE]:
        return "n/a, wants 'blackbox run'"
    parts = sorted(row.parts, key=lambda part: -part.bytes)
    told = "  ".join(f"{LOOK_OF[part.purpose].glyph} {gib(part.bytes)}" for part in parts)
    return told + (f"   {_engine(engine)}" if engine is not None else "")


def _engine(engine: Engine) -> str:
    usage = ABSENT if engine.kv_usage_ratio is None else percent(100 * engine.kv_usage_ratio)
    return f"{engine.kind}: {engine.model or 'model not told'}, {usage} of its KV cache in use"


def _lately(machine: MachineView, screen: Screen) -> Iterator[TextLine]:
    """The newest events that matter."""
    now = rfc3339_seconds(machine.snapshot.timestamp)
    since = now - LATELY_SECONDS
    weighty = [one for one in machine.events if MARKS[one.kind].tone != "plain" and one.timestamp >= since]
    if not weighty:
        return
    yield EMPTY
    for event in weighty[-LATELY_MAX:]:
        mark = MARKS[event.kind]
        text = f"{clock(event.timestamp, now)}  {mark.glyph} "
        told = fit(message(event), max(0, screen.width - len(text))).rstrip()
        yield (Fragment(text, palette(screen.depth).soft), Fragment(told, tone_look(mark.tone, screen.depth)))


def _faults(machine: MachineView, screen: Screen) -> Iterator[TextLine]:
    """Sources whose figures are missing or old."""
    for source in machine.snapshot.sources:
        if source.state not in ("ok", "starting"):
            text = f"{source.name}: {source.state}: {source.reason or 'no reason told'}"
            yield from _told(text, screen, palette(screen.depth).warn)


def _legend(found: Sequence[GpuLedger], screen: Screen) -> Iterator[TextLine]:
    """What the glyphs mean, of those that are there."""
    there = {part.purpose for one in found for part in one.parts}
    if not there:
        return
    yield EMPTY
    line: list[Fragment] = []
    used = 0
    for look in LOOKS:
        if look.key not in there:
            continue
        width = len(look.glyph) + len(look.name) + 4
        if used + width > screen.width and line:
            yield tuple(line)
            line, used = [], 0
        line += [
            Fragment(look.glyph, look_of(look.key, screen.depth)),
            Fragment(f" {look.name}   ", palette(screen.depth).soft),
        ]
        used += width
    yield tuple(line)
