"""What a number from an agent may be: one range for each kind of number, checked where it is read off the wire."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

BYTES_MAX = 1 << 48
"""256 TiB: a thousand times the largest GPU, and the sum of 32 such is still exact in JavaScript."""
ADDRESS_MAX = (1 << 63) - 1
"""Devices use 47 to 57 bits; databases and other languages take 63 without loss."""
COUNT_MAX = 1 << 53
"""Of things, or of bytes moved since the start: exact in JavaScript."""
STREAM_MAX = (1 << 64) - 1
"""A pointer in the program. The last one means that it is not known."""
THREAD_ID_MAX = (1 << 31) - 1
"""The kernel's pids are 22 bits."""
TIME_SECONDS_MAX = 253_402_300_799
"""The end of the year 9999, the last that dates can show."""
UPTIME_SECONDS_MAX = 1 << 40
"""Of a monotonic clock: 35,000 years. In another time namespace than ours it may be before 0."""
PAGES_MAX = 1_000_000
"""Pages of one engine: 16 million tokens of KV cache."""


class Range(NamedTuple):
    """The least and the most; NaN is outside of every range."""

    low: int
    high: int

    def holds(self, number: float) -> bool:
        """Whether the number is one of them."""
        return self.low <= number <= self.high


RANGES: Mapping[str, Range] = {
    "bytes": Range(0, BYTES_MAX),
    "address": Range(0, ADDRESS_MAX),
    "count": Range(0, COUNT_MAX),
    "percent": Range(0, 100),
    "stream": Range(0, STREAM_MAX),
    "thread_id": Range(1, THREAD_ID_MAX),
    "thread_id_or_none": Range(0, THREAD_ID_MAX),
    "time_us": Range(0, TIME_SECONDS_MAX * 1_000_000),
    "timestamp": Range(0, TIME_SECONDS_MAX),
    "uptime": Range(-UPTIME_SECONDS_MAX, UPTIME_SECONDS_MAX),
    "pages": Range(0, PAGES_MAX),
}
"""Kind of number -> its range."""


def shown(number: float) -> str:
    """The number, for a reason: one of a thousand digits is not written out."""
    return f"{number}" if -(1 << 70) < number < 1 << 70 else "a number of more than 21 digits"
