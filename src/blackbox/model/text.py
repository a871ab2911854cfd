"""Sizes, durations and times: printed for people, and parsed as people write them."""

import math
import re
import signal
from datetime import UTC, datetime

UNITS = ("B", "KiB", "MiB", "GiB", "TiB")
STEP = 1024
MINUTE_SECONDS, HOUR_SECONDS, DAY_SECONDS = 60, 3600, 86_400
_SECONDS = re.compile(r"[0-9]{1,11}(?:\.[0-9]{1,9})?")
_DURATION = re.compile(r"([0-9]+(?:\.[0-9]*)?|\.[0-9]+) ?(ms|s|m|h|d|)")
_UNIT_SECONDS = {"ms": 0.001, "": 1.0, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0}
TIME_SECONDS_MAX = 253_402_300_799.0
"""The end of the year 9999, the last that a calendar of four digits has; the first is 1970, second 0."""
TIME_RANGE = "from 1970-01-01 to 9999-12-31, in UTC"
TIME_FORMS = "Unix seconds, ISO 8601 (2026-11-22T03:12:07Z), or how long ago (-15m)"
DURATION_FORMS = "500ms, 90s, 15m, 24h, 7d"
_SIZE = re.compile(r"([0-9]+(?:\.[0-9]*)?) ?([KMGTkmgt]?)(?:i?B)?")
SIZE_FORMS = "500M, 2G"


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
    """`12.0 MiB/min`, in the unit of time that gives a readable number."""
    for name, seconds in (("s", 1), ("min", MINUTE_SECONDS), ("h", HOUR_SECONDS)):
        if abs(bytes_per_second) * seconds >= STEP * STEP:
            return f"{size(bytes_per_second * seconds)}/{name}"
    return f"{size(bytes_per_second * DAY_SECONDS)}/day"


def who(name: str | None, pid: int) -> str:
    """`python (pid 4711)`."""
    return f"{name} (pid {pid})" if name else f"pid {pid}"


def signal_name(number: int | None) -> str:
    """`SIGSEGV`."""
    try:
        return signal.Signals(number or 0).name
    except ValueError:
        return f"signal {number}"


def unix_seconds(text: str, now: float) -> float:
    """Unix seconds; ISO 8601, in UTC where it names no zone; or `-15m`, before `now`. Raises `ValueError`,
    also where the calendar of `in_calendar` has no such time."""
    return in_calendar(_unix_seconds(text, now), text)


def in_calendar(seconds: float, text: str) -> float:
    """The same seconds. Raises `ValueError`, quoting `text`, where they are before 1970 or after 9999: no recording
    reaches there, and dates do not either."""
    if not 0 <= seconds <= TIME_SECONDS_MAX:
        raise ValueError(f"{text!a:.60} is out of range: times are {TIME_RANGE}")
    return seconds


def _unix_seconds(text: str, now: float) -> float:
    if _SECONDS.fullmatch(text):
        return float(text)
    if text.startswith("-") and is_duration(text[1:]):
        return now - duration_seconds(text[1:])
    try:
        # a "+" that nobody escaped arrives as a blank
        read = datetime.fromisoformat(re.sub(r" (?=\d\d:?\d\d$)", "+", text) if "T" in text else text)
        return (read if read.tzinfo else read.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        raise ValueError(f"{text!a:.60} is no time: {TIME_FORMS}") from None


def duration_seconds(text: str) -> float:
    """Seconds: a number, or one with `ms`, `s`, `m`, `h` or `d`. Raises `ValueError`."""
    match = _DURATION.fullmatch(text.strip())
    seconds = float(match[1]) * _UNIT_SECONDS[match[2]] if match else math.nan
    if not 0 < seconds < math.inf:
        raise ValueError(f"{text!a:.60} is no duration: {DURATION_FORMS}")
    return seconds


def is_duration(text: str) -> bool:
    """Whether the text is written like a duration."""
    return _DURATION.fullmatch(text.strip()) is not None


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


def rfc3339_seconds(text: str) -> float:
    """Unix seconds of a time that `rfc3339` printed. Raises `ValueError`."""
    return datetime.fromisoformat(text).timestamp()
