"""Answers as notebooks show them: tables, a map of the memory, and data frames where the user has pandas.

A value that nobody measured is "n/a" with its reason, and missing in a data frame: never the 0 of the answer. The
answers import this module when they are shown, so it knows them by their keys alone.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from html import escape
from typing import Any

from msgspec import Struct, structs

from blackbox.model.text import rfc3339, size

ROWS_MAX = 50
"""Of one table in a notebook, whose file keeps every one of them; `to_pandas` has all."""
CELL_CHARS_MAX = 80
MAP_PARTS_MAX = 40
"""Of one bar; what is smaller is drawn as one."""
COLOURS = ("#3b82f6", "#f59e0b", "#10b981", "#8b5cf6", "#ef4444", "#06b6d4", "#84cc16", "#ec4899")
"""Told apart on light and on dark; neighbours differ."""
UNATTRIBUTED, DRIVER, FREE = "#94a3b8", "#475569", "transparent"
NO_PANDAS = "to_pandas() needs pandas, which is yours to install: pip install pandas"

CURVE_WIDTH, CURVE_HEIGHT, CURVE_POINTS_MAX = 160, 20, 80
"""Of a course in a cell: in pixels, and of two pixels each."""
POINT_COLUMNS = ("time", "gpu", "pid", "name", "metric", "min", "mean", "max")
CHANGE_COLUMNS = ("change", "gpu", "pid", "name", "before_bytes", "after_bytes", "delta_bytes")
OUTLOOK_COLUMNS = (
    "used_bytes",
    "headroom_bytes",
    "full_in_seconds_min",
    "full_in_seconds",
    "full_in_seconds_max",
    "since",
    "predictable_from",
    "message",
)

Row = Mapping[str, Any]
StepValue = float | int | None
"""Of a step; None where nothing was measured."""


def rows_of(answers: Iterable[Struct]) -> list[Row]:
    """Each as a row; what its `unknown` names is None."""
    return [_row(answer) for answer in answers]


def data_frame(rows: Sequence[Row], columns: Sequence[str] | None = None) -> Any:
    """A `pandas.DataFrame`. Raises `ImportError` where there is no pandas."""
    try:
        import pandas  # pyright: ignore[reportMissingTypeStubs]
    except ImportError:
        raise ImportError(NO_PANDAS) from None
    frame: Any = pandas
    return frame.DataFrame(rows, columns=None if columns is None else list(columns))


def table(answers: Sequence[Struct], columns: Sequence[str] | None = None) -> str:
    """The answers as an HTML table, a row each."""
    if not answers:
        return "<em>nothing</em>"
    names = list(columns or _plain_columns(answers[0]))
    head = "".join(f"<th>{escape(name)}</th>" for name in names)
    body = "".join(
        "<tr>" + "".join(f"<td>{_cell(answer, name)}</td>" for name in names) + "</tr>" for answer in answers[:ROWS_MAX]
    )
    more = len(answers) - ROWS_MAX
    note = f"<p>{more} more; to_pandas() has all of them</p>" if more > 0 else ""
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>{note}"


def bar(parts: Sequence[tuple[str, int, str]], total: int) -> str:
    """A bar of parts (name, bytes, colour), as long as they are large; the rest of `total` stays free."""
    shown = sorted(parts, key=lambda part: -part[1])[:MAP_PARTS_MAX]
    rest = sum(part[1] for part in parts) - sum(part[1] for part in shown)
    if rest > 0:
        shown.append((f"{len(parts) - len(shown)} smaller ones", rest, UNATTRIBUTED))
    pieces = "".join(
        f'<span title="{escape(f"{name}: {size(held)}")}" '
        f'style="display:inline-block;height:100%;width:{100 * held / total:.2f}%;background:{colour}"></span>'
        for name, held, colour in shown
        if held > 0 and total > 0
    )
    style = "height:1.2em;width:100%;max-width:60em;border:1px solid #94a3b8;white-space:nowrap;overflow:hidden"
    return f'<div style="{style}">{pieces}</div>'


def snapshot_html(snapshot: Any) -> str:
    """Of a `Snapshot`: each GPU as a bar of its processes, and the processes as a table."""
    parents = {gpu.parent_uuid for gpu in snapshot.gpus}
    mark = "<strong>SIMULATED</strong> " if snapshot.simulated else ""
    lines = [f"<p>{mark}{escape(snapshot.host)}, {escape(snapshot.timestamp)}</p>"]
    for gpu in snapshot.gpus:
        if gpu.uuid in parents:  # its slices are drawn
            continue
        holders = [process for process in snapshot.processes if process.gpu_uuid == gpu.uuid]
        parts = [
            (f"{process.name} ({process.pid})", process.used_bytes, COLOURS[place % len(COLOURS)])
            for place, process in enumerate(holders)
        ]
        parts += [("unattributed", gpu.unattributed_bytes, UNATTRIBUTED), ("driver", gpu.driver_reserved_bytes, DRIVER)]
        what = "" if gpu.parent_uuid is None else f", slice {gpu.uuid}"
        told = f"GPU {gpu.index} {gpu.name}{what}: {size(gpu.used_bytes)} of {size(gpu.total_bytes)}"
        lines.append(f"<p>{escape(told)}</p>{bar(parts, gpu.total_bytes)}")
    columns = ("gpu", "pid", "name", "user", "used_bytes", "reserved_bytes", "allocated_bytes")
    return "".join(lines) + table(snapshot.processes, columns)


def history_frame(history: Any) -> Any:
    """Of a `History`: a line per point. Raises `ImportError` where there is no pandas."""
    rows = [
        _point_row(series, start, least, mean, largest)
        for series in history.series
        for start, least, mean, largest in series.points
    ]
    return data_frame(rows, POINT_COLUMNS)


def _point_row(series: Any, start: float, least: Any, mean: Any, largest: Any) -> dict[str, Any]:
    return {
        "time": datetime.fromtimestamp(start, UTC),
        "gpu": series.gpu,
        "pid": series.pid,
        "name": series.name,
        "metric": series.metric,
        "min": least,
        "mean": mean,
        "max": largest,
    }


def history_html(history: Any) -> str:
    """Of a `History`: a row per series, with its least, mean and largest and its course."""
    return _series_html(history, [(series, *_columns_of(series.points)) for series in history.series])


def chart_frame(chart: Any) -> Any:
    """Of a `Chart`: a line per step of each series. Raises `ImportError` where there is no pandas."""
    rows = [
        _point_row(series, chart.start + place * chart.step_seconds, least, mean, largest)
        for series in chart.series
        for place, (least, mean, largest) in enumerate(zip(series.low, series.mean, series.high, strict=True))
    ]
    return data_frame(rows, POINT_COLUMNS)


def chart_html(chart: Any) -> str:
    """Of a `Chart`: a row per series, with its least, mean and largest and its course; then what happened."""
    series = _series_html(chart, [(one, one.low, one.mean, one.high) for one in chart.series])
    return series + (table(chart.marks, ("timestamp", "kind", "message")) if chart.marks else "")


def comparison_frame(comparison: Any, of: str) -> Any:
    """Of a `Comparison`: a line per process, or per type, purpose or stack of each. Raises `ImportError` where there is
    no pandas."""
    if of == "processes":
        rows = rows_of(comparison.processes)
        return data_frame([{name: row[name] for name in CHANGE_COLUMNS} for row in rows], CHANGE_COLUMNS)
    whose = ("gpu", "pid", "name")
    return data_frame(
        [
            {name: getattr(process, name) for name in whose} | dict(row)
            for process in comparison.processes
            for row in rows_of(getattr(process, of))
        ]
    )


def comparison_html(comparison: Any) -> str:
    """Of a `Comparison`: the sums, and the processes that differ as a table."""
    a, b = comparison.a, comparison.b
    told = f"{a.timestamp} to {b.timestamp}: used {size(a.used_bytes)}, then {size(b.used_bytes)}; "
    told += f"{comparison.unchanged} processes did not change"
    return f"<p>{escape(told)}</p>{table(comparison.processes, CHANGE_COLUMNS)}"


def forecast_frame(forecast: Any) -> Any:
    """Of a `Forecast`: a line per GPU, then per process with a trend. Raises `ImportError` where there is no pandas."""
    outlooks = rows_of((*forecast.gpus, *forecast.processes))
    columns = ("gpu", "gpu_uuid", "pid", "name", *OUTLOOK_COLUMNS)
    return data_frame([{name: row[name] for name in columns} for row in outlooks], columns)


def forecast_html(forecast: Any) -> str:
    """Of a `Forecast`: the GPUs and processes as a table, then the advice."""
    outlooks = table((*forecast.gpus, *forecast.processes), ("gpu", "pid", "name", *OUTLOOK_COLUMNS))
    advice = "".join(f"<p>{escape(one.message)}</p>" for one in forecast.advice)
    return f"<p>Predictions of {escape(rfc3339(forecast.timestamp))}</p>{outlooks}{advice}"


SeriesRow = tuple[Any, Sequence[StepValue], Sequence[StepValue], Sequence[StepValue]]
"""A series, and the least, mean and largest of each step."""


def _columns_of(points: Sequence[Any]) -> tuple[list[StepValue], list[StepValue], list[StepValue]]:
    """Least, mean and largest of points that begin with their time."""
    return [point[1] for point in points], [point[2] for point in points], [point[3] for point in points]


def _series_html(answer: Any, rows: Sequence[SeriesRow]) -> str:
    told = f"{rfc3339(answer.from_)} to {rfc3339(answer.to)}, a point per {answer.step_seconds:g} s"
    names = ("gpu", "pid", "name", "metric", "least", "mean", "largest", "course")
    head = "".join(f"<th>{name}</th>" for name in names)
    body = "".join(f"<tr>{_series_cells(*row)}</tr>" for row in rows[:ROWS_MAX])
    more = len(rows) - ROWS_MAX + answer.series_omitted if len(rows) > ROWS_MAX else answer.series_omitted
    note = f"<p>{more} more series</p>" if more else ""
    return f"<p>{escape(told)}</p><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>{note}"


def _series_cells(series: Any, low: Sequence[StepValue], mean: Sequence[StepValue], high: Sequence[StepValue]) -> str:
    who = "".join(f"<td>{_cell(series, name)}</td>" for name in ("gpu", "pid", "name", "metric"))
    means = [value for value in mean if value is not None]
    figures = (
        min((value for value in low if value is not None), default=None),
        sum(means) / len(means) if means else None,
        max((value for value in high if value is not None), default=None),
    )
    told = "".join(f"<td>{_figure(value, series.metric)}</td>" for value in figures)
    return f"{who}{told}<td>{_curve(high, figures[2])}</td>"


def _figure(value: StepValue, metric: str) -> str:
    if value is None:
        return "n/a"
    return escape(size(int(value))) if metric.endswith("_bytes") else f"{value:g}"


def _curve(values: Sequence[StepValue], most: StepValue) -> str:
    """From 0 to the most, with gaps where nothing was measured."""
    step = max(1, -(-len(values) // CURVE_POINTS_MAX))
    groups = [[one for one in values[place : place + step] if one is not None] for place in range(0, len(values), step)]
    width = CURVE_WIDTH / max(1, len(groups))
    bars = "".join(
        f'<rect x="{place * width:.1f}" y="{CURVE_HEIGHT * (1 - max(group) / most):.1f}" width="{width:.1f}" '
        f'height="{CURVE_HEIGHT * max(group) / most:.1f}"/>'
        for place, group in enumerate(groups)
        if group and most and max(group) > 0
    )
    return f'<svg width="{CURVE_WIDTH}" height="{CURVE_HEIGHT}" fill="{COLOURS[0]}">{bars}</svg>'


def _row(answer: Struct) -> dict[str, Any]:
    values = structs.asdict(answer)
    unknown: Mapping[str, str] = values.pop("unknown", {})
    return {name: None if name in unknown else value for name, value in values.items()}


def _plain_columns(answer: Struct) -> list[str]:
    """Those that fit into a cell."""
    return [
        name for name, value in structs.asdict(answer).items() if value is None or isinstance(value, (str, int, float))
    ]


def _cell(answer: Struct, name: str) -> str:
    reason = getattr(answer, "unknown", {}).get(name)
    if reason is not None:
        return f'<span title="{escape(reason)}">n/a</span>'
    value = getattr(answer, name)
    if value is None:
        return ""
    if name.endswith("_bytes") and isinstance(value, int):
        return escape(size(value))
    if isinstance(value, float):
        is_time = name in ("timestamp", "start_time", "since", "predictable_from", "peak_at", "started_at")
        return escape(rfc3339(value)) if is_time else f"{value:g}"
    text = str(value)
    return escape(text if len(text) <= CELL_CHARS_MAX else text[: CELL_CHARS_MAX - 1] + "…")
