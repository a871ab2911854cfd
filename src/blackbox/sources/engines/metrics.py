"""The few lines of a /metrics page that an adapter knows, kept while the page streams by, then parsed."""

import re
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import NamedTuple

from blackbox.sources.engines.fetch import NoAnswerError

KEPT_BYTES_MAX = 1024 * 1024
"""Kept of one page. What is kept of a real one is a few KiB per engine."""

PARSE_ERRORS = (ValueError, IndexError, KeyError, OverflowError)
"""What the parser raises at text that is none."""
COUNT_MAX = 2**53
"""Beyond it, what a page tells is no longer exact."""


_FIGURE = re.compile(rb"\n[^#\s]")
_NAME = re.compile(rb"[^{\s]*")


class MetricLine(NamedTuple):
    """One line of the page."""

    labels: Mapping[str, str]
    value: float


class Metrics(NamedTuple):
    """What was kept of a page."""

    namespaces: frozenset[str]
    """Those of the known beginnings of names that occur."""
    series: Mapping[str, Sequence[MetricLine]]
    """Name -> its lines."""
    is_json_list: bool = False
    """The page is a list in JSON, and no metrics."""
    is_bare: bool = False
    """The page is there, and has no line but comments."""
    unread: frozenset[str] = frozenset()
    """Names with a line that could not be read: what is told under them is not all."""

    def has(self, name: str) -> bool:
        """Whether the page has a line of this name, if one that could not be read."""
        return name in self.series or name in self.unread

    def of(self, name: str, labels: Mapping[str, str]) -> tuple[MetricLine, ...]:
        """The lines of a name that bear these labels; an empty label is one that is not there."""
        return tuple(
            line
            for line in self.series.get(name, ())
            if all(line.labels.get(key, "") == value for key, value in labels.items())
        )


class Body:
    """A page kept whole."""

    def __init__(self) -> None:
        self._kept = bytearray()

    def take(self, chunk: bytes) -> None:
        """The next piece. Raises `NoAnswerError` when it is too much."""
        self._kept += chunk
        if len(self._kept) > KEPT_BYTES_MAX:
            raise NoAnswerError(f"more than {KEPT_BYTES_MAX >> 20} MiB of it to keep")

    @property
    def content(self) -> bytes:
        return bytes(self._kept)


class KnownLines:
    """The lines of a page whose names are known."""

    def __init__(self, names: Collection[str], namespaces: Collection[str]) -> None:
        wanted = b"|".join(re.escape(name.encode()) for name in sorted(names))
        self._wanted = re.compile(rb"\n(?:" + wanted + rb")[{ \t].*")
        self._missing = {name: b"\n" + name.encode() for name in namespaces}
        self._namespaces: set[str] = set()
        self._is_there, self._has_figures = False, False
        self._first = b""
        """The first character that is no blank."""
        self._rest = b"\n"
        """A line's end, and what has come of the next line."""
        self._kept = Body()

    def take(self, chunk: bytes) -> None:
        """The next piece of the page, at least one, if empty. Raises `NoAnswerError` when there is too much to keep."""
        self._is_there = True
        self._first = self._first or chunk.lstrip()[:1]
        data = self._rest + chunk
        end = data.rfind(b"\n")
        self._rest = data[end:]
        if len(self._rest) > KEPT_BYTES_MAX:
            raise NoAnswerError(f"a line of more than {KEPT_BYTES_MAX >> 20} MiB")
        self._look(data[:end])

    def metrics(self) -> Metrics:
        """What was kept, after the last piece. Raises `NoAnswerError`."""
        self._look(self._rest)
        self._rest = b"\n"
        series: defaultdict[str, list[MetricLine]] = defaultdict(list)
        unread: set[str] = set()
        for name, line in _parse(self._kept.content + b"\n", unread):
            series[name].append(line)
        return Metrics(
            frozenset(self._namespaces),
            series,
            self._first == b"[",
            self._is_there and not self._has_figures,
            frozenset(unread),
        )

    def _look(self, lines: bytes) -> None:
        """At whole lines, each with the end of the one before it."""
        self._has_figures = self._has_figures or _FIGURE.search(lines) is not None
        for name in [name for name, start in self._missing.items() if start in lines]:
            self._namespaces.add(name)
            del self._missing[name]
        for match in self._wanted.finditer(lines):
            self._kept.take(match[0])


def _parse(text: bytes, unread: set[str]) -> Iterator[tuple[str, MetricLine]]:
    """The lines; those that are none are left out, and their names put into `unread`, unless all are none."""
    try:
        yield from list(_parsed(text))
        return
    except PARSE_ERRORS:
        pass
    found: list[tuple[str, MetricLine]] = []
    for line in text.splitlines():
        try:
            found += _parsed(line + b"\n")
        except PARSE_ERRORS:
            unread.update(name.decode(errors="replace") for name in _NAME.findall(line)[:1])
    if not found:
        raise NoAnswerError("/metrics is not in the exposition format")
    yield from found


def _parsed(text: bytes) -> Iterator[tuple[str, MetricLine]]:
    from prometheus_client.parser import text_string_to_metric_families  # 4 MiB, not before there is an engine

    for family in text_string_to_metric_families(text.decode()):
        for sample in family.samples:
            yield sample.name, MetricLine(sample.labels, float(sample.value))


class FigureReader:
    """Takes the figures of one engine out of a page, and notes why others are not to be had."""

    def __init__(self, metrics: Metrics, **labels: str) -> None:
        """Of lines that bear `labels`."""
        self._metrics = metrics
        self._labels = labels
        self.reasons: dict[str, str] = {}
        """Field -> why it is not known."""
        self.notes: dict[str, str] = {}
        """Field -> what a figure that is known really is."""

    def count(self, field: str, *names: str, **labels: str) -> int | None:
        """A whole number, under the first of `names` that is there."""
        value = self._value(field, names, labels)
        return None if value is None else self._whole(field, value)

    def ratio(self, field: str, *names: str, **labels: str) -> float | None:
        """A number from 0 to 1, under the first of `names` that is there."""
        value = self._value(field, names, labels)
        if value is None or 0 <= value <= 1:
            return value
        return self.none(field, f"the engine says {value:g}")

    def sum(self, field: str, *names: str) -> int | None:
        """The sum of all lines of the first of `names` that is there."""
        lines = self._lines(names, {})
        if not lines or self._unread(names):
            return self.none(field, self._missing(names))
        return self._whole(field, sum(line.value for line in lines))

    def none(self, field: str, reason: str) -> None:
        """The field is not known."""
        self.reasons[field] = reason

    def _value(self, field: str, names: tuple[str, ...], labels: Mapping[str, str]) -> float | None:
        lines = self._lines(names, labels)
        if len(lines) == 1:
            return lines[0].value
        return self.none(
            field, f"/metrics has {len(lines)} lines of it for one engine" if lines else self._missing(names)
        )

    def _lines(self, names: tuple[str, ...], labels: Mapping[str, str]) -> tuple[MetricLine, ...]:
        wanted = {**self._labels, **labels}
        return next((found for name in names if (found := self._metrics.of(name, wanted))), ())

    def _whole(self, field: str, value: float) -> int | None:
        if 0 <= value <= COUNT_MAX and value.is_integer():
            return int(value)
        return self.none(field, f"the engine says {value:g}")

    def _unread(self, names: tuple[str, ...]) -> str | None:
        """The first of the names with a line that could not be read."""
        return next((name for name in names if name in self._metrics.unread), None)

    def _missing(self, names: tuple[str, ...]) -> str:
        if unread := self._unread(names):
            return f"/metrics has a line of {unread} that cannot be read"
        return f"/metrics has no {' or '.join(names)}"


def whole_label(text: str | None) -> int | None:
    """The whole number that a label holds; None where it is none, or one that no page has."""
    if not text or len(text) > len(str(COUNT_MAX)) or not (text.isascii() and text.isdigit()):
        return None
    return number if (number := int(text)) <= COUNT_MAX else None


def share(reading: FigureReader, field: str, part: int | None, whole: int | None) -> float | None:
    """`part / whole`; not known where one of them is not, or where nothing has been counted yet."""
    if part is None or whole is None:
        return None
    if not part <= whole or whole == 0:
        return reading.none(field, f"{part} of {whole} so far")
    return part / whole
