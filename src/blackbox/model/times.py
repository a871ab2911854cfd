"""Points in time and stretches of time, as a question writes them."""

import math
import re
from datetime import UTC, datetime

_SECONDS = re.compile(r"[0-9]{1,11}(?:\.[0-9]{1,9})?")
_DURATION = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,9})?)(ms|s|m|h|d|)")
_UNIT_SECONDS = {"ms": 0.001, "": 1.0, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0}
TIME_SECONDS_MAX = 253_402_300_799.0
"""The end of the year 9999, the last that a calendar of four digits has; the first is 1970, second 0."""
TIME_RANGE = "from 1970-01-01 to 9999-12-31, in UTC"
TIME_FORMS = "Unix seconds, ISO 8601 (2026-11-22T03:12:07Z), or how long ago (-15m)"
DURATION_FORMS = "500ms, 90s, 15m, 24h, 7d"


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
    if text.startswith("-") and _DURATION.fullmatch(text[1:]):
        return now - duration_seconds(text[1:])
    try:
        # a "+" that nobody escaped arrives as a blank
        read = datetime.fromisoformat(re.sub(r" (?=\d\d:?\d\d$)", "+", text) if "T" in text else text)
        return (read if read.tzinfo else read.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        raise ValueError(f"{text!a:.60} is no time: {TIME_FORMS}") from None


def duration_seconds(text: str) -> float:
    """Seconds, or a number with `ms`, `s`, `m`, `h` or `d`. Raises `ValueError`."""
    match = _DURATION.fullmatch(text)
    seconds = float(match[1]) * _UNIT_SECONDS[match[2]] if match else math.nan
    if not 0 < seconds < math.inf:
        raise ValueError(f"{text!a:.60} is no duration: {DURATION_FORMS}")
    return seconds
