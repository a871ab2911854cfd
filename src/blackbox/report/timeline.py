"""Memory over time: a picture and tables that need no script, and the data that the script draws."""

from collections.abc import Iterator, Sequence
from itertools import accumulate, pairwise
from typing import Any, NamedTuple
from xml.etree.ElementTree import Element

from blackbox.analysis.stacks import LIBRARIES, own_frame
from blackbox.analysis.trace.timeline import OTHERS, Band, StepTold, Timeline, TimelineScope, levels
from blackbox.model.text import short, size
from blackbox.report import charts, html
from blackbox.report.markup import clean, table, tag
from blackbox.report.palette import BANDS, CATEGORIES, NO_STACK, OWN_NAMES, REST
from blackbox.sources.memory_snapshot.replayed import DeviceTimeline

DATA_BYTES_MAX = 1_500_000
"""Of all GPUs together, so that the page stays below two megabytes."""
PICTURE_POINTS = 400
"""Of the picture without script: two pixels each."""
COLOURS = (*dict.fromkeys((*(colour for colour, _ in CATEGORIES.values()), *OWN_NAMES, *BANDS)),)
INTERFACE = ("ink", "soft", "line", "paper", "shade", "edge", "alarm")
NAME_CHARS_MAX = 72
"""Names of C++ templates take lines."""
KINDS = {"refusal": "the refusal", "peak": "the peak", "end": "the end"}


class ShownBand(NamedTuple):
    """A band and how it looks."""

    band: Band
    name: str
    colour: str
    letter: str


def fitting(elements: Sequence[Element]) -> int:
    """How many of these have room on one page, the first in any case."""
    sizes = accumulate(len(element.text or "") for element in elements)
    return max(1, sum(total <= DATA_BYTES_MAX for total in sizes))


def section(drawn: Sequence[DeviceTimeline], left_out: int = 0) -> Iterator[Element]:
    """The pictures, and what was held at the moment in question of the first; `left_out` more have no room."""
    first = drawn[0]
    held = levels(first.timeline.by_category, len(first.timeline.done))
    yield tag("p", _finding(first, held, len(drawn) > 1), class_="hint", id="finding")
    yield tag("div", *_stills(drawn), id="timeline", class_="over-time")
    if left_out:
        more = "1 more GPU has" if left_out == 1 else f"{left_out} more GPUs have"
        yield tag("p", f"{more} a history and no room here; --json tells their peaks and refusals.", class_="hint")
    yield tag("div", *_at_the_moment(first, held[first.timeline.moment]), id="pinned", aria_live="polite")


def _stills(drawn: Sequence[DeviceTimeline]) -> Iterator[Element]:
    """A picture of each, without script; those of the others have less room."""
    for place, one in enumerate(drawn):
        held = levels(one.timeline.by_category, len(one.timeline.done))
        head = [tag("p", _finding(one, held, True), class_="hint")] if place else []
        points = PICTURE_POINTS if place == 0 else PICTURE_POINTS // (len(drawn) - 1)
        yield tag("div", *head, _picture(one.timeline, held, points), class_="still")


def data(drawn: Sequence[DeviceTimeline]) -> Iterator[Element]:
    """All points, for the script; of each device in an element of its own."""
    for place, one in enumerate(drawn):
        yield html.data("timeline-data" if place == 0 else f"timeline-data-{place}", _columns(one, len(drawn) > 1))


def _columns(told: DeviceTimeline, of_several: bool) -> dict[str, Any]:
    timeline = told.timeline
    frames: dict[str, int] = {}
    numbers = [[frames.setdefault(clean(frame), len(frames)) for frame in stack] for stack in timeline.stacks]
    return {
        "gpu": f"GPU {told.device}",
        "finding": _finding(told, levels(timeline.by_category, len(timeline.done)), of_several),
        "first": timeline.first,
        "steps": timeline.steps,
        "done": timeline.done,
        "seconds": timeline.seconds,
        "reserved": timeline.reserved,
        "category": [band_columns(shown) for shown in categories(timeline.by_category)],
        "stack": [band_columns(shown) for shown in stacks(timeline.by_stack)],
        "told": _steps(timeline.told),
        "stacks": numbers,
        "frames": list(frames),
        "peak": timeline.peak,
        "moment": timeline.moment,
        "kind": KINDS[told.kind],
        "refusals": timeline.refusals,
        "scopes": _scopes(timeline.scopes),
        "parts": _scopes(timeline.parts),
        "colours": (*COLOURS, *INTERFACE),
        "libraries": LIBRARIES,
    }


def categories(bands: Sequence[Band]) -> list[ShownBand]:
    """In one order whatever the file: from what stays at the bottom to what is unknown."""
    order = list(CATEGORIES)
    own = [band.name for band in bands if band.name not in CATEGORIES and band.name != OTHERS]
    looks = {name: (OWN_NAMES[place % len(OWN_NAMES)], name[:1].upper()) for place, name in enumerate(own)} | CATEGORIES

    def rank(band: Band) -> tuple[bool, bool, int, int]:
        is_own = band.name not in order
        return (
            band.name == OTHERS,
            band.name == order[-1],
            own.index(band.name) if band.name in own else -1,
            (0 if is_own else order.index(band.name)),
        )

    return [
        ShownBand(band, f"{band.parts} more categories", REST, "")
        if band.name == OTHERS
        else ShownBand(band, clean(band.name), *looks[band.name])
        for band in sorted(bands, key=rank)
    ]


def stacks(bands: Sequence[Band]) -> list[ShownBand]:
    """The eight largest, the steadiest at the bottom, each with a colour; what has none has a texture above them."""
    named = [band for band in bands if band.frames]
    coloured = sorted(named[: len(BANDS)], key=_unsteadiness)
    unnamed = sorted((band for band in bands if not band.frames), key=lambda band: band.parts)
    return [
        *(
            ShownBand(band, stack_name(band), colour, str(place + 1))
            for place, (band, colour) in enumerate(zip(coloured, BANDS, strict=False))
        ),
        *(ShownBand(band, stack_name(band), REST, "") for band in named[len(BANDS) :]),
        *(ShownBand(band, stack_name(band), NO_STACK if band.parts == 1 else REST, "") for band in unnamed),
    ]


def short_frame(frame: str) -> str:
    """`layers.py:52 attention`: without the folders, and as long as a line of a legend."""
    place, space, function = frame.partition(" ")
    text = clean(f"{place.rsplit('/', 1)[-1]}{space}{function}")
    return text if len(text) <= NAME_CHARS_MAX else f"{text[: NAME_CHARS_MAX - 1]}…"


def _unsteadiness(band: Band) -> float:
    """How much it moves, in times of the most that it held."""
    most = max(accumulate(band.bytes), default=0)
    return sum(map(abs, band.bytes)) / most if most else 0.0


def stack_name(band: Band) -> str:
    """Its innermost frame of the program's own code."""
    if band.frames:
        return short_frame(own_frame(band.frames))
    return "stack not recorded" if band.parts == 1 else f"{band.parts} more stacks"


def _finding(told: DeviceTimeline, held: Sequence[int], of_several: bool) -> str:
    timeline, replayed = told.timeline, told.timeline.done[-1]
    peak = timeline.first + timeline.done[timeline.peak]
    parts = [
        f"{replayed:,} steps of the allocator" + (f" in {short(timeline.seconds[-1])}" if timeline.seconds else ""),
        f"peak {size(held[timeline.peak])} at step {peak:,}"
        if peak
        else f"peak {size(held[timeline.peak])} at the start",
    ]
    if timeline.refusals:
        parts.append(f"{len(timeline.refusals)} refused")
    if len(timeline.done) <= replayed:
        parts.append(f"{len(timeline.done):,} of them drawn, the highest and the lowest of each stretch")
    return f"{f'GPU {told.device}: ' if of_several else ''}{'; '.join(parts)}."


def _picture(timeline: Timeline, held: Sequence[int], points: int) -> Element:
    """By category, without script: the highest of each stretch."""
    length = -(-len(held) // points)
    shown = sorted(
        {
            max(range(start, min(len(held), start + length)), key=held.__getitem__)
            for start in range(0, len(held), length)
        }
        | {0, timeline.peak, timeline.moment, len(held) - 1}
    )
    layers = [
        charts.Band(band.name, band.colour, [level[point] for point in shown])
        for band in categories(timeline.by_category)
        for level in (levels((band.band,), len(held)),)
    ]
    marks = [charts.ChartMark(timeline.done[timeline.peak], f"peak {size(held[timeline.peak])}")]
    marks += [
        charts.ChartMark(timeline.done[point], f"refused {size(timeline.told[point].bytes)}")
        for point in timeline.refusals
    ]
    return charts.bands(
        [timeline.done[point] for point in shown],
        layers,
        max(held),
        marks,
        "Allocated memory over the steps of the allocator, by what it is for",
        (f"step {timeline.first}", f"step {timeline.steps}"),
    )


def _at_the_moment(told: DeviceTimeline, total: int) -> Iterator[Element]:
    timeline = told.timeline
    place = timeline.first + timeline.done[timeline.moment]
    where = f" at {KINDS[told.kind]}, " + (f"step {place} of {timeline.steps}" if place else "before the first step")
    yield tag("p", tag("b", f"{size(total)} allocated"), where)
    for head, bands in (("What for", categories(timeline.by_category)), ("By stack", stacks(timeline.by_stack))):
        held = [(sum(_until(band.band, "bytes", timeline.moment)), band) for band in bands]
        yield table(
            (head, "#Held", "#Blocks"),
            [
                (False, (band.name, size(count), str(sum(_until(band.band, "blocks", timeline.moment)))))
                for count, band in sorted(held, key=lambda row: -row[0])
                if count
            ],
        )


def _until(band: Band, column: str, point: int) -> Iterator[int]:
    changes: Sequence[int] = getattr(band, column)
    return (change for at, change in zip(band.at, changes, strict=True) if at <= point)


def band_columns(shown: ShownBand) -> dict[str, Any]:
    """A band for a script: where it changes is told from one place to the next."""
    band = shown.band
    return {
        "name": shown.name,
        "colour": shown.colour,
        "letter": clean(shown.letter),
        "frames": [short_frame(frame) for frame in band.frames[:8]],
        "at": [band.at[0], *(after - before for before, after in pairwise(band.at))] if band.at else [],
        "bytes": band.bytes,
        "blocks": band.blocks,
    }


def _steps(told: Sequence[StepTold]) -> dict[str, Any]:
    return {
        "action": [step.action for step in told],
        "bytes": [step.bytes for step in told],
        "stack": [-1 if step.stack is None else step.stack for step in told],
    }


def _scopes(scopes: Sequence[TimelineScope]) -> list[tuple[str, int, int, int]]:
    return [(clean(scope.name), scope.start, scope.end, scope.depth) for scope in scopes]
