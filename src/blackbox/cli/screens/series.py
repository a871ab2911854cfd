"""A metric over time on one screen: a row for the machine and each GPU and process, with a curve."""

from collections.abc import Iterator, Mapping, Sequence

from blackbox.cli.common.screen import Screen
from blackbox.model.query import History, Point, Series
from blackbox.model.series import METRICS
from blackbox.model.times import local_text
from blackbox.terminal.bar import spark
from blackbox.terminal.figures import ABSENT, GIB, span
from blackbox.terminal.layout import EMPTY, Fragment, TextLine, fit, wrapped
from blackbox.terminal.ledger import place_label, process_label
from blackbox.terminal.looks import palette

NAME_WIDTH, FIGURE_WIDTH = 26, 8
CURVE_MIN = 10
"""Cells of the narrowest curve."""
LEGEND_LINES_MAX = 2
"""On a terminal of 80 columns."""
_UNITS: dict[str, tuple[str, float, int]] = {
    "bytes": ("GiB", GIB, 1),
    "percent": ("%", 1, 0),
    "ratio": ("share", 1, 3),
    "celsius": ("°C", 1, 0),
    "watts": ("W", 1, 0),
    "count": ("", 1, 0),
    "seconds": ("s", 1, 1),
    "code": ("", 1, 0),
}
"""Name, divisor and decimals of each."""


def curve_width(screen: Screen) -> int:
    """Cells for a curve."""
    return max(CURVE_MIN, screen.width - NAME_WIDTH - 3 * (FIGURE_WIDTH + 1) - 2)


def lines(
    history: History, metric: str, labels: Mapping[str, str], screen: Screen, reach: tuple[float, float] | None
) -> Iterator[TextLine]:
    """The screen. `labels`: what GPUs and slices are called, by UUID; `reach`: first and last time recorded."""
    words = palette(screen.depth)
    unit, divisor, decimals = _UNITS[next((str(one.unit) for one in METRICS if one.key == metric), "count")]
    title = f"{metric} in {unit}" if unit else metric
    yield (Fragment(title, words.strong), Fragment(f"  {local_text(history.from_)} to {local_text(history.to)}"))
    if not history.series:
        yield from ((Fragment(line),) for line in wrapped(_nothing(history, metric, reach), screen.width))
        return
    yield (
        Fragment(
            f"{'':{NAME_WIDTH}} {'least':>{FIGURE_WIDTH}} {'mean':>{FIGURE_WIDTH}} {'most':>{FIGURE_WIDTH}}", words.soft
        ),
    )
    room = max(1, screen.height - 5 - LEGEND_LINES_MAX)
    rows = _in_order(history.series)
    shown = rows if len(rows) <= room else rows[: room - 1]
    for one in shown:
        yield _row(one, _name(one, labels), history, screen, divisor, decimals)
    left_out = len(rows) - len(shown) + history.series_omitted
    if left_out:
        yield (Fragment(f"  … {left_out} more: --gpu and --pid select", words.soft),)
    yield EMPTY
    seconds = (history.to - history.from_) / curve_width(screen)
    told = f"Each curve is from 0 to the most of its row, {span(max(1.0, seconds))} a cell; blank: not recorded"
    yield from ((Fragment(line, words.soft),) for line in wrapped(told, screen.width))


def _in_order(series: Sequence[Series]) -> list[Series]:
    """The machine, then each device with its processes."""
    devices = list(dict.fromkeys(one.gpu_uuid for one in series))
    return sorted(series, key=lambda one: (devices.index(one.gpu_uuid), one.pid is not None))


def _nothing(history: History, metric: str, reach: tuple[float, float] | None) -> str:
    if reach is None:
        return "Nothing is recorded yet."
    if reach[0] <= history.to and history.from_ <= reach[1]:
        return f"Nothing had {metric} then: no GPU, process or engine that was seen has it."
    return f"Nothing was recorded then: the recording reaches from {local_text(reach[0])} to {local_text(reach[1])}."


def _row(one: Series, called: str, history: History, screen: Screen, divisor: float, decimals: int) -> TextLine:
    words, width = palette(screen.depth), curve_width(screen)
    values = [point for point in one.points if point[2] is not None]
    lows = [float(low) for _, low, _, _ in values if low is not None]
    means = [float(mean) for _, _, mean, _ in values if mean is not None]
    highs = [float(high) for _, _, _, high in values if high is not None]

    def figure(value: float | None) -> str:
        text = ABSENT if value is None else f"{value / divisor:,.{decimals}f}"
        return f" {text:>{FIGURE_WIDTH}}"

    most = max(highs, default=None)
    mean = sum(means) / len(means) if means else None
    figures = figure(min(lows, default=None)) + figure(mean) + figure(most)
    curve = spark(_resampled(values, history, width), most or 1.0)
    name = fit(called, NAME_WIDTH)
    return (
        Fragment(name, words.strong if one.pid is None else words.soft._replace(dim=False, ink=None)),
        Fragment(figures),
        Fragment("  "),
        Fragment(curve, words.accent._replace(bold=False, underline=False)),
    )


def _resampled(points: Sequence[Point], history: History, width: int) -> list[float | None]:
    """The largest in each of `width` equal stretches of the range."""
    found: list[float | None] = [None] * width
    length = (history.to - history.from_) / width
    for start, _, _, high in points:
        first = int((start - history.from_) / length)
        last = int((start + history.step_seconds - history.from_) / length - 1e-9)
        for place in range(max(0, first), min(width - 1, max(first, last)) + 1):
            if high is not None:
                found[place] = max(found[place] or 0.0, float(high))
    return found


def _name(one: Series, labels: Mapping[str, str]) -> str:
    if one.engine is not None:
        return f"    {one.engine} {one.name or one.pid or ''}"
    if one.pid is not None:
        return f"    {process_label(one.name, one.pid)}"
    if one.gpu is None:
        return "machine"
    return f"  {place_label(labels, one.gpu_uuid or '', one.gpu)}"
