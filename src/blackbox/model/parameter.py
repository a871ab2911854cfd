"""The parameters of a request: what each is called and means, which values it accepts, and how its text is read."""

from collections.abc import Callable
from typing import Any, Generic, Literal, NewType, TypeVar

from msgspec import Struct

from blackbox.model.text import did_you_mean, duration_seconds

T = TypeVar("T")
TimeText = NewType("TimeText", str)
"""A time as text: what it means depends on when it is read (`blackbox.model.times.unix_seconds`)."""


class Values(Struct, Generic[T], frozen=True, eq=False):
    """The values a parameter accepts."""

    parse: Callable[[str], T]
    """Reads one. Raises `ValueError` with one line that says what is wrong."""
    schema: dict[str, Any]
    """The same as JSON Schema."""


class Parameter(Struct, Generic[T], frozen=True, kw_only=True, eq=False):
    """One parameter of one or more endpoints."""

    name: str
    help: str
    values: Values[T]
    default: str | None = None
    """Text that means the same as leaving the parameter out; None where there is none."""
    required: bool = False
    location: Literal["query", "header"] = "query"
    examples: dict[str, str] = {}
    """Name -> value, for the published description."""


TEXT = Values(str, {"type": "string"})
NUMBER_IN_HEADER = Values(int, {"type": "integer"})
DURATION = Values(duration_seconds, {"type": "string"})
TIME = Values(TimeText, {"type": "string"})


def whole(low: int, high: int) -> Values[int]:
    """Whole numbers from `low` to `high`."""

    def parse(text: str) -> int:
        number = int(text) if text.isascii() and text.isdigit() and len(text) <= len(str(high)) else -1
        if not low <= number <= high:
            raise ValueError(f"{text!a:.40} is no whole number from {low} to {high}")
        return number

    return Values(parse, {"type": "integer", "minimum": low, "maximum": high})


def one_of(allowed: tuple[T, ...]) -> Values[T]:
    """One of some words."""
    return Values(_word_of(allowed), {"type": "string", "enum": list(allowed)})


def some_of(allowed: tuple[T, ...]) -> Values[frozenset[T]]:
    """Words separated by commas."""
    parse = _word_of(allowed)
    return Values(lambda text: frozenset(map(parse, text.split(","))), {"type": "string"})


def _word_of(allowed: tuple[T, ...]) -> Callable[[str], T]:
    words = {str(word): word for word in allowed}

    def parse(text: str) -> T:
        if text not in words:
            raise ValueError(f"{text!a:.40} is none of {', '.join(words)}{did_you_mean(text, words)}")
        return words[text]

    return parse
