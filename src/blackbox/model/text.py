"""Numbers and names in the words of messages."""

import signal

UNITS = ("B", "KiB", "MiB", "GiB", "TiB")
STEP = 1024
MINUTE_SECONDS, HOUR_SECONDS, DAY_SECONDS = 60, 3600, 86_400


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
