"""Predictions on one screen: what fills and when, how fast, since when; and settings worth changing."""

from collections.abc import Iterator, Mapping

from blackbox.cli.common.screen import Screen
from blackbox.model.forecast import Forecast, Outlook
from blackbox.model.text import size
from blackbox.model.times import local_text
from blackbox.terminal.bar import meter
from blackbox.terminal.figures import about, between, clock, per_minute
from blackbox.terminal.layout import EMPTY, Fragment, TextLine, fit, width_of, wrapped
from blackbox.terminal.ledger import place_label, process_label
from blackbox.terminal.looks import palette
from blackbox.terminal.verdict import ALARM_SECONDS_MAX, untold

NAME_WIDTH, METER_WIDTH = 20, 8


def lines(forecast: Forecast, labels: Mapping[str, str], screen: Screen) -> Iterator[TextLine]:
    """The screen. `labels`: what GPUs and slices are called, by UUID."""
    words = palette(screen.depth)
    filling = sorted(
        (one for one in (*forecast.gpus, *forecast.processes) if one.full_in_seconds is not None),
        key=lambda one: one.full_in_seconds or 0.0,
    )
    if filling:
        soonest = filling[0]
        seconds = soonest.full_in_seconds or 0.0
        first = f"{_where(soonest, labels)} is full in {about(seconds)}, if it goes on growing as it does."
        look = words.alarm if seconds <= ALARM_SECONDS_MAX else words.warn
    elif not forecast.gpus:
        first, look = "The server sees no GPU; 'blackbox doctor' tells why.", words.strong
    else:
        why = untold(forecast, {one.gpu_uuid: _where(one, labels) for one in forecast.gpus})
        first = "Nothing has a trend that fills a GPU." if why is None else f"{why[0].upper()}{why[1:]}."
        look = words.strong
    yield from ((Fragment(line, look),) for line in wrapped(first, screen.width, 2))
    yield (Fragment(local_text(forecast.timestamp), words.soft),)
    yield EMPTY
    rows = (*forecast.gpus, *forecast.processes)
    room = max(2, screen.height - 6 - 3 * len(forecast.advice))
    shown: list[TextLine] = []
    count = 0
    for one in rows:
        found = tuple(_row(one, labels, forecast.timestamp, screen))
        if shown and len(shown) + len(found) > room:
            break
        shown += found
        count += 1
    yield from shown
    if len(rows) > count:
        yield (Fragment(f"  … {len(rows) - count} more: --json has all", words.soft),)
    for advice in forecast.advice:
        yield EMPTY
        yield from ((Fragment(line),) for line in wrapped(advice.message, screen.width, 2))
    yield EMPTY
    told = "Predictions, made from what was recorded; the range in brackets is that of the 95 % interval of the growth."
    yield from ((Fragment(line, words.soft),) for line in wrapped(told, screen.width))


def _where(one: Outlook, labels: Mapping[str, str]) -> str:
    return place_label(labels, one.gpu_uuid, one.gpu)


def _row(one: Outlook, labels: Mapping[str, str], now: float, screen: Screen) -> Iterator[TextLine]:
    """One line; a second where what lies ahead does not fit beside the rest."""
    words = palette(screen.depth)
    name = f"  {process_label(one.name, one.pid)}" if one.pid is not None else _where(one, labels)
    total = one.used_bytes + one.headroom_bytes
    share = one.used_bytes / total if total else 0.0
    used = f" {meter(share, METER_WIDTH)} {size(one.used_bytes):>9}, {size(one.headroom_bytes):>9} free  "
    known = (Fragment(fit(name, NAME_WIDTH), words.strong if one.pid is None else words.soft), Fragment(used))
    ahead = _ahead(one, now, screen)
    if width_of((*known, ahead)) <= screen.width:
        yield (*known, ahead)
        return
    yield known
    rest = wrapped(ahead.text, screen.width - NAME_WIDTH - 1, 2)
    yield from ((Fragment(" " * (NAME_WIDTH + 1)), ahead._replace(text=line)) for line in rest)


def _ahead(one: Outlook, now: float, screen: Screen) -> Fragment:
    """When it is full, or how it goes, or why nobody can tell."""
    words, rise = palette(screen.depth), one.evidence
    if one.full_in_seconds is not None:
        low, high = one.full_in_seconds_min, one.full_in_seconds_max
        range_ = "" if low is None or high is None else f" ({between(low, one.full_in_seconds, high)})"
        return Fragment(f"full in {about(one.full_in_seconds)}{range_}", words.alarm)
    if rise is not None:
        since = f" since {clock(one.since, now)}" if one.since is not None else ""
        return Fragment(f"{per_minute(rise.rate_bytes_per_second)}{since}", words.warn)
    if one.predictable_from is not None:
        return Fragment(f"not known before {clock(one.predictable_from, now)}", words.soft)
    why = one.unknown.get("full_in_seconds")
    return Fragment("no trend" if why is None else f"not known: {why}", words.soft)
