"""Numbers as people read them at a terminal: one rounding for each kind. What needs no terminal is in `model.text`."""

from datetime import datetime, tzinfo
from math import ceil, floor

from blackbox.model.text import DAY_SECONDS, HOUR_SECONDS, MINUTE_SECONDS, size
from blackbox.model.text import plural as plural

GIB = 1024**3
MINUS = "\N{MINUS SIGN}"
ABSENT = "n/a"
"""What nobody measured; never 0, never empty."""
SOON_SECONDS = 20
"""A prediction of less is told as seconds, without their number."""
ROUNDING = 1e-9
"""What a calculation may leave above a round number."""


def gib(count: float) -> str:
    """`12.3`: GiB without the unit, for columns whose head names it."""
    return f"{count / GIB:.1f}"


def change(count: float) -> str:
    """`+1.5 GiB`, `−1.5 GiB`; `0.0 GiB` where nothing moved."""
    if count == 0:
        return "0.0 GiB"
    return f"{'+' if count > 0 else MINUS}{size(abs(count))}"


def change_gib(count: float) -> str:
    """`+1.5`, `−1.5`; `0.0` where nothing that shows moved: for columns whose head names the unit."""
    text = f"{abs(count) / GIB:.1f}"
    return text if text == "0.0" else f"{'+' if count > 0 else MINUS}{text}"


def per_minute(bytes_per_second: float) -> str:
    """`+1.5 GiB/min`."""
    return f"{change(bytes_per_second * MINUTE_SECONDS)}/min"


def percent(value: float) -> str:
    """`58 %`, of a number from 0 to 100."""
    return f"{value:.0f} %"


def span(seconds: float) -> str:
    """`45 s`, `2 min 49 s`, `3 h 5 min`, `2 d`."""
    whole = max(0, round(seconds))
    if whole < MINUTE_SECONDS:
        return f"{whole} s"
    if whole < HOUR_SECONDS:
        return _joined(whole, MINUTE_SECONDS, "min", 1, "s")
    if whole < DAY_SECONDS:
        return _joined(whole, HOUR_SECONDS, "h", MINUTE_SECONDS, "min")
    return _joined(whole, DAY_SECONDS, "d", HOUR_SECONDS, "h")


def _joined(whole: int, large: int, large_unit: str, small: int, small_unit: str) -> str:
    count, rest = divmod(whole, large)
    rest //= small
    return f"{count} {large_unit} {rest} {small_unit}" if rest else f"{count} {large_unit}"


def between(least: float, likely: float, most: float) -> str:
    """The range of a prediction, as round as `about` tells it and around that: `45 s to 55 s`; `50 s` where both ends
    are told alike."""
    step = _step(likely)
    first, last = span(floor(least / step) * step), span(ceil(most / step - ROUNDING) * step)
    return first if first == last else f"{first} to {last}"


def brief(seconds: float) -> str:
    """`45s`, `2m49s`, `3h05m`, `2d`: for narrow columns."""
    whole = max(0, round(seconds))
    if whole < MINUTE_SECONDS:
        return f"{whole}s"
    if whole < HOUR_SECONDS:
        return f"{whole // MINUTE_SECONDS}m{whole % MINUTE_SECONDS:02}s"
    if whole < DAY_SECONDS:
        return f"{whole // HOUR_SECONDS}h{whole % HOUR_SECONDS // MINUTE_SECONDS:02}m"
    return f"{whole // DAY_SECONDS}d"


def about(seconds: float) -> str:
    """A prediction: `about 50 s`, and `seconds` where it is nearly over."""
    if seconds < SOON_SECONDS:
        return "seconds"
    step = _step(seconds)
    return f"about {span(round(seconds / step) * step)}"


def _step(seconds: float) -> int:
    """Seconds to which a prediction is rounded."""
    if seconds < SOON_SECONDS:
        return 1
    return 5 if seconds < 2 * MINUTE_SECONDS else 30 if seconds < 10 * MINUTE_SECONDS else 60


def clock(seconds: float, today: float, zone: tzinfo | None = None) -> str:
    """`17:11:47`, with the date before it where that is not the one of `today`; in the local zone unless one is given.
    Both are Unix seconds."""
    then, now = datetime.fromtimestamp(seconds, zone), datetime.fromtimestamp(today, zone)
    return then.strftime("%H:%M:%S" if then.date() == now.date() else "%Y-%m-%d %H:%M:%S")


def zone_name(seconds: float, zone: tzinfo | None = None) -> str:
    """`CET`: what `clock` speaks of."""
    return datetime.fromtimestamp(seconds, zone).astimezone(zone).tzname() or "local time"
