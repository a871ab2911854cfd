"""Text to values: what a person writes in a flag, a variable or a settings file. All raise `UsageError`."""

import math
import re
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from blackbox.errors import UsageError

PORT_MAX = 65535
T = TypeVar("T")
_DURATION = re.compile(r"([0-9]+(?:\.[0-9]*)?|\.[0-9]+) ?(ms|s|m|h|)")
_WHOLE = re.compile(r"[0-9]{1,9}")
_UNIT_SECONDS = {"ms": 0.001, "": 1.0, "s": 1.0, "m": 60.0, "h": 3600.0}
_SWITCH_TEXTS = {
    "1": True,
    "true": True,
    "yes": True,
    "on": True,
    "0": False,
    "false": False,
    "no": False,
    "off": False,
}


def named(where: str, parse: Callable[[str], T], text: str) -> T:
    """`parse(text)`, with `where` it was written in front of the error."""
    try:
        return parse(text)
    except UsageError as error:
        raise UsageError(f"{where}: {error}") from None


def port(text: str) -> int:
    """0 to 65535."""
    number = int(text) if _WHOLE.fullmatch(text) else -1
    if not 0 <= number <= PORT_MAX:
        raise UsageError(f"{text!r} is not a port (0 to {PORT_MAX})")
    return number


def count(text: str) -> int:
    """A whole number above 0."""
    number = int(text) if _WHOLE.fullmatch(text) else 0
    if number < 1:
        raise UsageError(f"{text!r} is not a whole number above 0")
    return number


def duration_seconds(text: str) -> float:
    """Seconds, or a number with `ms`, `s`, `m` or `h`."""
    match = _DURATION.fullmatch(text.strip())
    seconds = float(match[1]) * _UNIT_SECONDS[match[2]] if match else math.nan
    if not 0 < seconds < math.inf:
        raise UsageError(f"{text!r} is not a duration (examples: 0.5, 500ms, 2s, 5m)")
    return seconds


def interval_seconds(text: str) -> float:
    """A duration no shorter than the floor of the sampler."""
    from blackbox.settings import INTERVAL_SECONDS_MIN

    seconds = duration_seconds(text)
    if seconds < INTERVAL_SECONDS_MIN:
        raise UsageError(f"{text!r} is below the shortest interval, {INTERVAL_SECONDS_MIN * 1000:g}ms")
    return seconds


def path(text: str) -> Path:
    """A path; `~` is the home directory."""
    if not text:
        raise UsageError("an empty path")
    try:
        return Path(text).expanduser()
    except RuntimeError:
        raise UsageError(f"no home directory for {text!r}") from None


def name(text: str) -> str:
    """Any text but none."""
    if not text.strip():
        raise UsageError("an empty name")
    return text.strip()


def switch(text: str) -> bool:
    """1, true, yes, on; 0, false, no, off."""
    value = _SWITCH_TEXTS.get(text.strip().lower())
    if value is None:
        raise UsageError(f"{text!r} is neither true nor false")
    return value


def log_level(text: str) -> str:
    """debug, info, warning or error."""
    from blackbox.cli import LOG_LEVELS

    if text not in LOG_LEVELS:
        raise UsageError(f"{text!r} is not a log level ({', '.join(LOG_LEVELS)})")
    return text
