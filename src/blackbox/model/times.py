"""Times as people write them, read by one function: on the command line, in the HTTP interface, in exports.

A time that names no zone is of the reader's: the command line reads it in the local zone, the HTTP interface in UTC,
since a server does not know where its clients are. What is not one instant is refused, never guessed: a time that
clocks skipped, or showed twice.
"""

import re
from datetime import UTC, date, datetime, time, timedelta, timezone, tzinfo
from functools import lru_cache

from blackbox.model.text import duration_seconds, is_duration

TIME_SECONDS_MAX = 253_402_300_799.0
"""The end of the year 9999, the last that a calendar of four digits has; the first is 1970, second 0."""
TIME_RANGE = "from 1970-01-01 to 9999-12-31, in UTC"
TIME_FORMS = (
    "now, how long ago (-5m, 1h30m, 10 minutes ago), a time of day (12:03, yesterday 14:00), "
    "ISO 8601 (2026-11-22T03:12:07Z) or Unix seconds"
)
TEXT_CHARS_MAX = 100
"""No time takes more."""
ZONES_REMEMBERED = 16
"""A file each."""

_FILE_STAMP = "%Y%m%dT%H%M%SZ"
_SECONDS = re.compile(r"[0-9]{1,11}(?:\.[0-9]{1,9})?")
_AGO = re.compile(r"(?:-(?P<before>.+)|(?:(?P<one>an?) +)?(?P<ago>.+?) +ago)", re.IGNORECASE)
_WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_NAMED_DAY = "today|yesterday|" + "|".join(f"{name[:3]}(?:{name[3:]})?" for name in _WEEKDAYS)
_CLOCK = (
    r"(?P<hour>[0-9]{1,2})(?::(?P<minute>[0-9]{2})(?::(?P<second>[0-9]{2})(?:\.(?P<fraction>[0-9]{1,9}))?)?)?"
    r" ?(?P<half>[ap]m)?"
)
_OFFSET = r"Z|[+-][0-9]{2}:?[0-9]{2}"
_ZONE = rf"(?: ?(?P<offset>{_OFFSET})| +(?P<zone>[A-Z][A-Za-z0-9_+-]*(?:/[A-Za-z0-9_+-]+){{0,2}}))?"
_DATE = r"[0-9]{4}-[0-9]{2}-[0-9]{2}"
_WALL = re.compile(rf"(?:(?P<day>{_NAMED_DAY}|{_DATE})(?:,? +(?:at +)?|T))?{_CLOCK}{_ZONE}", re.IGNORECASE)
_DAY = re.compile(rf"(?P<day>today|yesterday|{_DATE}){_ZONE}", re.IGNORECASE)
_CLOCK_THEN_DAY = re.compile(
    r"(?P<clock>[0-9]{1,2}(?::[0-9]{2}){0,2}(?: ?[ap]m)?) +(?P<day>today|yesterday)", re.IGNORECASE
)
_LOST_PLUS = re.compile(r"(?<=[0-9]) (?=[0-9]{2}:?[0-9]{2}$)")
"""A "+" that nobody escaped arrives as a blank."""
_ISO_DATE_AND_TIME = re.compile(r"[0-9]{4}-?(?:[0-9]{2}-?[0-9]{2}|W[0-9]{2}-?[0-9])T")


def unix_seconds(text: str, now: float, zone: tzinfo | None = UTC) -> float:
    """Unix seconds of a time in one of `TIME_FORMS`; `now` is in Unix seconds, too. Without a zone of its own it is
    read in `zone`, None being the machine's. Raises `ValueError` with one line, also where the calendar of
    `in_calendar` has no such time."""
    return in_calendar(_unix_seconds(text.strip(), now, zone), text)


def seconds_ago(text: str) -> float | None:
    """Of `-15m`, `15m ago`, `an hour ago`, `now`, and of `15m` alone: what means the same to every clock. None where
    the text is none of them. Raises `ValueError` where it is one of no length."""
    stripped = text.strip()
    if stripped.lower() == "now":
        return 0.0
    match = _AGO.fullmatch(stripped)
    if match is None:
        return duration_seconds(stripped) if stripped[-1:].isalpha() and is_duration(stripped) else None
    span = match["before"] or ("1 " if match["one"] else "") + match["ago"]
    return duration_seconds(span) if is_duration(span) else None


def in_calendar(seconds: float, text: str) -> float:
    """The same seconds. Raises `ValueError`, quoting `text`, where they are before 1970 or after 9999: no recording
    reaches there, and dates do not either."""
    if not 0 <= seconds <= TIME_SECONDS_MAX:
        raise ValueError(f"{text!a:.60} is out of range: times are {TIME_RANGE}")
    return seconds


def _unix_seconds(text: str, now: float, zone: tzinfo | None) -> float:
    if _SECONDS.fullmatch(text):
        return float(text)
    ago = seconds_ago(text)
    if ago is not None:
        return now - ago
    if len(text) > TEXT_CHARS_MAX:
        raise _no_time(text)
    try:
        found = _of_people(text, now, zone)
        return _of_iso(text, zone) if found is None else found
    except OverflowError:
        raise _no_time(text) from None


def _no_time(text: str) -> ValueError:
    return ValueError(f"{text!a:.60} is no time: {TIME_FORMS}")


def _of_people(text: str, now: float, zone: tzinfo | None) -> float | None:
    """Of a day, a time of day, or both. None where the text is neither."""
    turned = _CLOCK_THEN_DAY.fullmatch(text)
    text = f"{turned['day']} {turned['clock']}" if turned else _LOST_PLUS.sub("+", text) if "T" in text else text
    match = _DAY.fullmatch(text) or _WALL.fullmatch(text)
    if match is None:
        return None
    parts = match.groupdict()
    if "hour" in parts and parts["minute"] is None and parts["half"] is None:
        return None  # a number alone is no time of day
    place = _zone(parts["offset"], parts["zone"], text) if parts["offset"] or parts["zone"] else zone
    clock = _clock(parts, text) if "hour" in parts else time()
    today = _today(now, place)
    day = (parts["day"] or "").lower()
    if day in ("", *_WEEKDAYS) or day in [name[:3] for name in _WEEKDAYS]:
        return _newest(today, day, clock, now, place, text)
    return _instant(datetime.combine(_day(day, today, text), clock), place, text)


def _today(now: float, zone: tzinfo | None) -> date:
    try:
        return datetime.fromtimestamp(now, zone).date()
    except (ValueError, OverflowError, OSError):
        return datetime.fromtimestamp(now, UTC).date()


def _day(day: str, today: date, text: str) -> date:
    if day == "today":
        return today
    if day == "yesterday":
        return today - timedelta(days=1)
    try:
        return date.fromisoformat(day)
    except ValueError:
        raise _no_time(text) from None


def _newest(today: date, day: str, clock: time, now: float, zone: tzinfo | None, text: str) -> float:
    """The newest such time of day that is not in the future: recordings are of the past."""
    wanted = None if not day else next(place for place, name in enumerate(_WEEKDAYS) if name.startswith(day[:3]))
    for back in range(9):
        candidate = today - timedelta(days=back)
        if wanted is not None and candidate.weekday() != wanted:
            continue
        if datetime.combine(candidate, clock) > _wall(now, zone):
            continue
        found = _instant(datetime.combine(candidate, clock), zone, text)
        if found <= now:
            return found
    raise _no_time(text)


def _wall(now: float, zone: tzinfo | None) -> datetime:
    """What clocks in the zone show."""
    return datetime.fromtimestamp(now, zone).replace(tzinfo=None)


def _clock(parts: dict[str, str | None], text: str) -> time:
    hour = int(parts["hour"] or 0)
    half = (parts["half"] or "").lower()
    if half:
        if not 1 <= hour <= 12:
            raise _no_time(text)
        hour = hour % 12 + (12 if half == "pm" else 0)
    try:
        microsecond = int((parts["fraction"] or "").ljust(6, "0")[:6])
        return time(hour, int(parts["minute"] or 0), int(parts["second"] or 0), microsecond)
    except ValueError:
        raise _no_time(text) from None


def _zone(offset: str | None, name: str | None, text: str) -> tzinfo:
    if name is not None:
        return _zone_named(name)
    sign, digits = (offset or "Z")[0], re.sub(r"\D", "", offset or "")
    if sign in "Zz":
        return UTC
    hours, minutes = int(digits[:2]), int(digits[2:])
    if hours > 23 or minutes > 59:
        raise _no_time(text)
    return timezone((1 if sign == "+" else -1) * timedelta(hours=hours, minutes=minutes))


@lru_cache(maxsize=ZONES_REMEMBERED)
def _zone_named(name: str) -> tzinfo:
    """Raises `ValueError`."""
    from zoneinfo import ZoneInfo

    if name.upper() in ("UTC", "GMT"):
        return UTC
    try:
        return ZoneInfo(name)
    except (LookupError, ValueError, OSError):
        raise ValueError(
            f"{name!a:.60} is no time zone that this machine knows: UTC, Europe/Berlin, or an offset such as +01:00"
        ) from None


def _of_iso(text: str, zone: tzinfo | None) -> float:
    """Of the other forms of ISO 8601, such as those of weeks."""
    if _ISO_DATE_AND_TIME.match(text):
        text = _LOST_PLUS.sub("+", text)
    try:
        read = datetime.fromisoformat(text)
    except (ValueError, OverflowError):
        raise _no_time(text) from None
    return _instant(read.replace(tzinfo=None), read.tzinfo or zone, text)


def _instant(wall: datetime, zone: tzinfo | None, text: str) -> float:
    """Unix seconds at which clocks in the zone show this. Raises `ValueError` where they never do, or do twice."""
    try:
        first, second = (wall.replace(tzinfo=zone, fold=fold).timestamp() for fold in (0, 1))
    except (ValueError, OverflowError, OSError):  # at the ends of the calendar, where a zone has no neighbours
        first = second = wall.replace(tzinfo=UTC).timestamp()
    if first == second:
        return first
    if _wall(min(first, second), zone) != wall:
        raise ValueError(f"{text!a:.60} never was: clocks were put forward over it")
    either = " or ".join(_with_offset(seconds, zone) for seconds in (first, second))
    raise ValueError(f"{text!a:.60} was twice, since clocks were put back: say {either}")


def _with_offset(seconds: float, zone: tzinfo | None) -> str:
    return datetime.fromtimestamp(seconds, zone).astimezone(zone).isoformat(timespec="seconds")


def local_text(seconds: float, zone: tzinfo | None = None) -> str:
    """`2026-11-22 14:03:07 CET`, in the zone or else the machine's."""
    then = datetime.fromtimestamp(seconds, zone).astimezone(zone)
    return f"{then:%Y-%m-%d %H:%M:%S} {then.tzname() or ''}".strip()


def file_stamp(timestamp: float) -> str:
    """A time as names of files tell it, in UTC and to the second: 20261122T031207Z."""
    return datetime.fromtimestamp(timestamp, UTC).strftime(_FILE_STAMP)


def of_file_stamp(stamp: str) -> float:
    """The time of a `file_stamp`. Raises `ValueError`."""
    read = datetime.fromisoformat(stamp)  # not `strptime`, whose module takes 0.4 MiB
    if read.strftime(_FILE_STAMP) != stamp:
        raise ValueError(f"not a time in the name of a file: {stamp}")
    return read.timestamp()
