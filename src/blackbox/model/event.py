"""What an event tells beyond its message: one struct per kind that has more to say."""

from typing import Literal

from msgspec import Struct

Ended = Literal["orderly", "exception", "killed", "abrupt", "unknown"]
"""How a process ended, see `ProcessLife.ended`."""


class ProcessLife(Struct, frozen=True, kw_only=True):
    """A process on one GPU, at its start, at its end, or after it."""

    name: str | None
    """The kernel's name of the process."""
    start_time: float | None
    """Unix seconds; with the pid, the identity of the process."""
    used_bytes: int | None
    """Held when the event was noticed; for an exit, when the process was last seen."""
    peak_used_bytes: int | None
    """The most that any sample saw it hold on this GPU; null where the driver never told."""
    peak_at: float | None
    """Unix seconds of the first sample that saw the peak."""
    ended: Ended | None = None
    """How it ended: `orderly` (by itself, with any exit code), `exception` (nobody caught it), `killed` (by a signal),
    `abrupt` (without its exit handlers: by a signal or `os._exit`), `unknown`. Null at its start, and where memory was
    left behind."""
    signal: int | None = None
    """Number of the signal that killed it, where the kernel told."""
    exit_code: int | None = None
    """Its exit code, where the kernel told."""
    exception: str | None = None
    """Type of the exception that nobody caught, never its message; shown to the owner of the process and to whoever may
    see all."""


class Growth(Struct, frozen=True, kw_only=True):
    """Memory of a process that keeps growing: what was seen, not what will come."""

    name: str | None
    """The kernel's name of the process."""
    start_time: float | None
    """Unix seconds; with the pid, the identity of the process."""
    used_bytes: int
    """Held when the growth was noticed."""
    rise_bytes: int
    """Grown within the window, between the medians of its first and last sixth."""
    window_seconds: float
    """From the first point looked at to the last."""
    rate_bytes_per_second: float
    """Median of the slopes between all pairs of points (Theil-Sen)."""
    rate_low_bytes_per_second: float
    """The rate is above this with 97.5 % confidence."""
    rate_high_bytes_per_second: float
    """And below this."""


class Crossing(Struct, frozen=True, kw_only=True):
    """A GPU's used memory passed a threshold."""

    threshold_percent: float
    """As set."""
    used_percent: float
    """100 * used / total, when it was noticed."""
    above: bool
    """False: it fell back below."""
