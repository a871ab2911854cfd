"""Figures as SVG: bars on one scale, bands over time."""

from collections.abc import Sequence
from typing import NamedTuple
from xml.etree.ElementTree import Element

from blackbox.model.text import size
from blackbox.report.markup import tag

WIDTH = 920.0
CHART_HEIGHT, CHART_LEFT, CHART_BOTTOM = 220.0, 64.0, 22.0
GRID_LINES = 4
SHORT_SECONDS = 2.0


class Bar(NamedTuple):
    label: str
    bytes: int
    colour: str


class Band(NamedTuple):
    """One layer of a stacked chart; levels in bytes, one per time."""

    label: str
    colour: str
    levels: Sequence[int]


class Line(NamedTuple):
    """A level over places of its own, each holding until the next."""

    label: str
    colour: str
    places: Sequence[float]
    levels: Sequence[int]


class ChartMark(NamedTuple):
    time: float
    text: str


def bars(rows: Sequence[Bar], limit: int | None, title: str) -> Element:
    """Horizontal bars on one scale, with a line at `limit`; their words stay as large as the page's, however narrow."""
    scale_max = max([*(row.bytes for row in rows), limit or 0, 1])
    found = tag("div", class_="bars", role="group", aria_label=title)
    for row in rows:
        picture = tag("svg", viewBox=f"0 0 {WIDTH:g} 1", preserveAspectRatio="none", aria_hidden="true")
        length = max(WIDTH * row.bytes / scale_max, 1.0)
        picture.append(tag("rect", x=0.0, y=0.0, width=length, height=1.0, class_=row.colour))
        if limit is not None:
            at = WIDTH * limit / scale_max
            picture.append(tag("line", x1=at, x2=at, y1=0.0, y2=1.0, class_="limit"))
        found.append(
            tag("div", tag("span", row.label), tag("span", size(row.bytes), class_="n"), picture, class_="bar")
        )
    return found


def strip(parts: Sequence[Bar], total: int, title: str) -> Element:
    """One bar cut into parts of a whole."""
    picture = _picture(34.0, title)
    left = 0.0
    for part in parts:
        width = WIDTH * part.bytes / max(total, 1)
        box = tag("rect", x=left, y=0.0, width=max(0.0, width - 1), height=34.0, class_=part.colour)
        box.append(tag("title", f"{part.label}: {size(part.bytes)}"))
        picture.append(box)
        left += width
    return picture


def bands(
    times: Sequence[float],
    layers: Sequence[Band],
    top: int,
    marks: Sequence[ChartMark],
    title: str,
    ends: tuple[str, str] | None = None,
) -> Element:
    """Layers stacked over time, from the first time to the last; `top` is the scale's end in bytes. `ends` are the
    labels of both ends, where these are no times."""
    picture = _picture(CHART_HEIGHT, title)
    span, floor = WIDTH - CHART_LEFT, CHART_HEIGHT - CHART_BOTTOM
    begin, length = times[0], max(times[-1] - times[0], 1e-9)

    def x_of(time: float) -> float:
        return CHART_LEFT + span * (time - begin) / length

    def y_of(level: float) -> float:
        return floor - (floor - 8) * level / max(top, 1)

    for step in range(GRID_LINES + 1):
        level = top * step / GRID_LINES
        picture.append(tag("line", x1=CHART_LEFT, x2=WIDTH, y1=y_of(level), y2=y_of(level), class_="grid"))
        picture.append(tag("text", size(level), x=CHART_LEFT - 8, y=y_of(level) + 4, text_anchor="end", class_="tick"))
    below = [0] * len(times)
    for layer in layers:
        above = [low + level for low, level in zip(below, layer.levels, strict=True)]
        edge = [f"{x_of(time):.1f} {y_of(level):.1f}" for time, level in zip(times, above, strict=True)]
        back = [f"{x_of(time):.1f} {y_of(level):.1f}" for time, level in zip(times, below, strict=True)]
        area = tag("path", d="M" + "L".join([*edge, *reversed(back)]) + "Z", class_=layer.colour)
        area.append(tag("title", layer.label))
        picture.append(area)
        below = above
    for mark in marks:
        if begin <= mark.time <= times[-1]:
            line = tag("line", x1=x_of(mark.time), x2=x_of(mark.time), y1=4.0, y2=floor, class_="mark")
            line.append(tag("title", mark.text))
            picture.append(line)
    for text, at, anchor in _time_labels(length) if ends is None else _end_labels(ends):
        picture.append(
            tag("text", text, x=CHART_LEFT + span * at, y=CHART_HEIGHT - 4, text_anchor=anchor, class_="tick")
        )
    return picture


def _time_labels(seconds: float) -> list[tuple[str, float, str]]:
    """Times before the end, at shares of the width."""
    anchors = ("start", "middle", "middle", "middle", "end")
    return [(_before(seconds * (4 - place) / 4), place / 4, anchor) for place, anchor in enumerate(anchors)]


def lines(drawn: Sequence[Line], title: str, ends: tuple[str, str]) -> Element:
    """Lines on one axis, from the first place of all to the last; `ends` are its labels."""
    picture = _picture(CHART_HEIGHT, title)
    span, floor = WIDTH - CHART_LEFT, CHART_HEIGHT - CHART_BOTTOM
    top = max((level for line in drawn for level in line.levels), default=1)
    begin, last = min(line.places[0] for line in drawn), max(line.places[-1] for line in drawn)
    for step in range(GRID_LINES + 1):
        level = top * step / GRID_LINES
        y = floor - (floor - 8) * step / GRID_LINES
        picture.append(tag("line", x1=CHART_LEFT, x2=WIDTH, y1=y, y2=y, class_="grid"))
        picture.append(tag("text", size(level), x=CHART_LEFT - 8, y=y + 4, text_anchor="end", class_="tick"))
    for line in drawn:
        x = [CHART_LEFT + span * (place - begin) / max(last - begin, 1e-9) for place in line.places]
        y = [floor - (floor - 8) * level / max(top, 1) for level in line.levels]
        path = [f"M{x[0]:.1f} {y[0]:.1f}", *(f"H{at:.1f}V{level:.1f}" for at, level in zip(x[1:], y[1:], strict=True))]
        drawn_line = tag("path", d="".join(path), class_=f"line {line.colour}")
        drawn_line.append(tag("title", line.label))
        picture.append(drawn_line)
    for text, at, anchor in _end_labels(ends):
        picture.append(
            tag("text", text, x=CHART_LEFT + span * at, y=CHART_HEIGHT - 4, text_anchor=anchor, class_="tick")
        )
    return picture


def _end_labels(ends: tuple[str, str]) -> list[tuple[str, float, str]]:
    return [(ends[0], 0.0, "start"), (ends[1], 1.0, "end")]


def _before(seconds: float) -> str:
    if seconds == 0:
        return "the instant"
    if seconds < SHORT_SECONDS:
        return f"−{seconds * 1000:.0f} ms"
    whole = round(seconds)
    return f"−{whole // 60}:{whole % 60:02d}" if whole < 7200 else f"−{whole / 3600:.1f} h"


def _picture(height: float, title: str) -> Element:
    return tag("svg", tag("title", title), viewBox=f"0 0 {WIDTH:g} {height:g}", role="img", class_="figure")
