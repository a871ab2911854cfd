"""One run of one kernel, as a report tells it."""

import math
import re
from collections.abc import Iterable

from msgspec import Struct

_SECONDS = re.compile(r"(n|u|m|)s(?:econds?)?")
_NANOSECONDS = {"n": 1, "u": 1e3, "m": 1e6, "": 1e9}
_COUNTED = re.compile(r"([KMGTP])(?:byte|inst|request|warp|block|thread|cycle)")
_DECIMAL = {"K": 1e3, "M": 1e6, "G": 1e9, "T": 1e12, "P": 1e15}
"""The prefixes are decimal: 64 KiB of shared memory are 65.54 Kbyte in these reports."""


class Kernel(Struct, frozen=True):
    """Figures by metric name, in base units: bytes, nanoseconds, percent, plain counts."""

    pid: int
    """0 where the report does not tell."""
    metrics: dict[str, float]
    host: str = ""
    """Where it ran, as the report names it; empty where it does not."""
    program: str | None = None
    """Path of the program that launched it; None where the report does not tell."""


def kernel(pid: int, figures: Iterable[tuple[str, float, str]], host: str = "", program: str | None = None) -> Kernel:
    """A kernel of (name, value, unit); without what cannot be (`ncu` writes nan for a share of nothing)."""
    metrics = {name: value * _scale(unit) for name, value, unit in figures if 0 <= value < math.inf}
    return Kernel(pid, metrics, host, program)


def is_scaled(unit: str) -> bool:
    """The value was rounded, to be read by people."""
    return _COUNTED.match(unit) is not None


def _scale(unit: str) -> float:
    """How many base units one of these is."""
    if match := _SECONDS.fullmatch(unit):
        return _NANOSECONDS[match[1]]
    match = _COUNTED.match(unit)
    return _DECIMAL[match[1]] if match else 1
