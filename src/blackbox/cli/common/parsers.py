"""Parsers of what a person writes in a flag, a variable or a settings file. All raise `UsageError`."""

import math
import re
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from blackbox.errors import UsageError

PORT_MAX = 65535
FLEET_USERS = ("hash", "name", "none")
SPEED_MIN, SPEED_MAX = 0.01, 10_000.0
"""Of a replay: an hour in a third of a second is as fast as anyone can use."""
T = TypeVar("T")
_PERCENT = re.compile(r"([0-9]{1,3}(?:\.[0-9]{1,6})?) ?%?")
_WHOLE = re.compile(r"[0-9]{1,9}")
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
    """`parse(text)`; an error begins with `where` the text was written."""
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


def percent(text: str) -> float:
    """Above 0, at most 100, with or without the sign."""
    match = _PERCENT.fullmatch(text.strip())
    number = float(match[1]) if match else 0.0
    if not 0 < number <= 100:
        raise UsageError(f"{text!r} is not a percentage above 0 and up to 100")
    return number


def duration_seconds(text: str) -> float:
    """Seconds, or numbers with `ms`, `s`, `m`, `h`, `d` or `w`."""
    from blackbox.model import text as texts

    try:
        return texts.duration_seconds(text)
    except ValueError:
        raise UsageError(f"{text!r} is not a duration (examples: 0.5, 500ms, 2s, 5m)") from None


def time_seconds(text: str) -> float:
    """Unix seconds of a time in any form; in the local zone where it names none."""
    import time

    from blackbox.model.times import unix_seconds

    try:
        return unix_seconds(text, time.time(), None)
    except ValueError as error:
        raise UsageError(str(error)) from None


def speed(text: str) -> float:
    """A factor: `10`, `10x`, `0.5`."""
    try:
        factor = float(text.strip().removesuffix("x"))
    except ValueError:
        factor = math.nan
    if not SPEED_MIN <= factor <= SPEED_MAX:
        raise UsageError(f"{text!r} is not a speed from {SPEED_MIN:g} to {SPEED_MAX:g}")
    return factor


def interval_seconds(text: str) -> float:
    """A duration no shorter than the floor of the sampler."""
    from blackbox.settings import INTERVAL_SECONDS_MIN

    seconds = duration_seconds(text)
    if seconds < INTERVAL_SECONDS_MIN:
        raise UsageError(f"{text!r} is below the shortest interval, {INTERVAL_SECONDS_MIN * 1000:g}ms")
    return seconds


def data_limit_bytes(text: str) -> int:
    """Bytes, or a number with `K`, `M`, `G` or `T` (1024 each); no less than a recording needs."""
    from blackbox.model.text import size_bytes
    from blackbox.settings import DATA_LIMIT_BYTES_MIN

    try:
        size = size_bytes(text)
    except ValueError:
        size = 0
    if size < DATA_LIMIT_BYTES_MIN:
        raise UsageError(f"{text!r} is not a size of at least {DATA_LIMIT_BYTES_MIN >> 20}M (examples: 500M, 2G)")
    return size


def path(text: str) -> Path:
    """A path; `~` is the home directory."""
    if not text:
        raise UsageError("an empty path")
    if "\0" in text:
        raise UsageError(f"{text!r} holds a null character, as no path can")
    try:
        return Path(text).expanduser()
    except RuntimeError:
        raise UsageError(f"no home directory for {text!r}") from None


def name(text: str) -> str:
    """Any text that is not empty."""
    if not text.strip():
        raise UsageError("an empty name")
    return text.strip()


def web_address(text: str) -> str:
    """An address of a web page, without what only browsers add to it."""
    from urllib.parse import urlsplit

    try:
        parts = urlsplit(text.strip())
        known = parts.scheme in ("http", "https") and parts.hostname
    except ValueError:
        known = False
    if not known or not text.isprintable():
        raise UsageError(f"{text!r} is no address of a web page (example: https://gpu1.example.org:6767)")
    return text.strip().partition("#")[0].rstrip("/")


def fleet_users(text: str) -> str:
    """hash, name or none."""
    if text not in FLEET_USERS:
        raise UsageError(f"{text!r} is none of {', '.join(FLEET_USERS)}")
    return text


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
