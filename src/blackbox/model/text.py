"""Sizes and durations: printed for people, and parsed as people write them. Times are read by `model.times`."""

import math
import re
import signal
from collections.abc import Iterable
from datetime import UTC, datetime

UNITS = ("B", "KiB", "MiB", "GiB", "TiB")
STEP = 1024
MINUTE_SECONDS, HOUR_SECONDS, DAY_SECONDS = 60, 3600, 86_400
_UNITS_OF_TIME = (
    (604_800.0, "w|weeks?"),
    (86_400.0, "d|days?"),
    (3600.0, "h|hrs?|hours?"),
    (60.0, "m|mins?|minutes?"),
    (1.0, "s|secs?|seconds?"),
    (0.001, "ms|milliseconds?"),
)
"""Each in seconds, with what it is called; a duration of several has them in this order."""
_NUMBER = r"(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)"
_DURATION = " ?".join(f"(?:({_NUMBER}) ?(?:{names})(?![a-z]))?" for _, names in _UNITS_OF_TIME) + f"|({_NUMBER})"
"""Compiled when first asked for: most commands are given none."""
DURATION_FORMS = "500ms, 90s, 15m, 1h30m, 24h, 7d, 1w"
MILLISECOND_SLACK = 1e-3
"""A time read from text is up to 0.0003 ms before or behind the millisecond that it names."""
_SIZE = re.compile(r"([0-9]+(?:\.[0-9]*)?) ?([KMGTkmgt]?)(?:i?B)?")
SIZE_FORMS = "500M, 2G"
WORD_CHARS_MAX = 60
"""Of what is compared with known words: none of them is longer."""


def size(count: float) -> str:
    """`1.5 GiB`; differences may be negative."""
    value, unit = float(count), UNITS[0]
    for unit in UNITS:
        if abs(value) < STEP or unit == UNITS[-1]:
            break
        value /= STEP
    return f"{value:.0f} B" if unit == "B" else f"{value:.1f} {unit}"


def signed(count: float) -> str:
    """`+1.5 GiB`, `-1.5 GiB`, `0 B`."""
    return f"+{size(count)}" if count > 0 else size(count)


def plural(count: int, noun: str, nouns: str | None = None) -> str:
    """`1 GPU`, `3 GPUs`."""
    return f"{count:,} {noun if count == 1 else nouns or noun + 's'}"


def duration(seconds: float) -> str:
    """`45 s`, `12 min`, `3.5 h`, `2.1 days`."""
    if seconds < 2 * MINUTE_SECONDS:
        return f"{seconds:.0f} s"
    if seconds < 2 * HOUR_SECONDS:
        return f"{seconds / MINUTE_SECONDS:.0f} min"
    if seconds < 2 * DAY_SECONDS:
        return f"{seconds / HOUR_SECONDS:.1f} h"
    return f"{seconds / DAY_SECONDS:.1f} days"


def short(seconds: float) -> str:
    """A duration that may be less than a second: `12 ms`."""
    return duration(seconds) if seconds >= 1 else f"{seconds * 1000:.0f} ms"


def rate(bytes_per_second: float) -> str:
    """`12.0 MiB/min`: per minute, as on every screen and page."""
    return f"{size(bytes_per_second * MINUTE_SECONDS)}/min"


def printable(text: str) -> str:
    """The text with `?` for what would move a terminal's cursor, change it, or begin a new line: names of processes and
    what is in files of others are chosen by others."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(sign if sign.isprintable() else "?" for sign in text)


def who(name: str | None, pid: int) -> str:
    """`python (pid 4711)`."""
    return f"{name} (pid {pid})" if name else f"pid {pid}"


def signal_name(number: int | None) -> str:
    """`SIGSEGV`."""
    try:
        return signal.Signals(number or 0).name
    except ValueError:
        return f"signal {number}"


def duration_seconds(text: str) -> float:
    """Seconds: a number, or numbers with `ms`, `s`, `m`, `h`, `d` or `w`, or with these words. Raises `ValueError`."""
    match = _duration(text)
    seconds = math.nan
    if match is not None:
        *counts, alone = match.groups()
        seconds = float(alone or 0) + sum(
            float(count) * unit for count, (unit, _) in zip(counts, _UNITS_OF_TIME, strict=True) if count is not None
        )
    if not 0 < seconds < math.inf:
        raise ValueError(f"{text!a:.60} is no duration: {DURATION_FORMS}")
    return seconds


def is_duration(text: str) -> bool:
    """Whether the text is written like a duration."""
    return _duration(text) is not None


def _duration(text: str) -> re.Match[str] | None:
    stripped = text.strip()
    return re.fullmatch(_DURATION, stripped, re.IGNORECASE) if stripped else None


def size_bytes(text: str) -> int:
    """Bytes: a number, or one with `K`, `M`, `G` or `T` (1024 each). Raises `ValueError`."""
    match = _SIZE.fullmatch(text.strip())
    count = float(match[1]) * STEP ** " KMGT".index(match[2].upper() or " ") if match else math.inf
    if count == math.inf:
        raise ValueError(f"{text!a:.60} is no size: {SIZE_FORMS}")
    return int(count)


def rfc3339(timestamp: float) -> str:
    """Unix seconds as UTC text with milliseconds."""
    return datetime.fromtimestamp(timestamp, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def millisecond_end(timestamp: float) -> float:
    """The last instant of the millisecond that `rfc3339` prints of Unix seconds: what it prints is cut, not rounded."""
    return math.nextafter((math.floor(timestamp * 1000 + MILLISECOND_SLACK) + 1) / 1000, 0.0)


def rfc3339_seconds(text: str) -> float:
    """Unix seconds of a time that `rfc3339` printed. Raises `ValueError`."""
    return datetime.fromisoformat(text).timestamp()


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """`; did you mean 'stat'?`, or nothing where no known word is close."""
    import difflib

    close = difflib.get_close_matches(word[:WORD_CHARS_MAX], list(known), n=1)
    return f"; did you mean {close[0]!r}?" if close else ""
