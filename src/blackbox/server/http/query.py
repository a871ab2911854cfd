"""The parameters of a question, checked. Every mistake is a `Refusal` of one line."""

from collections.abc import Callable, Collection
from typing import TypeVar

from blackbox.server.http.request import Refusal, Request

T = TypeVar("T")


class Query:
    """The query of a request that may hold `known` parameters, each once."""

    def __init__(self, request: Request, known: Collection[str]) -> None:
        self._values: dict[str, str] = {}
        for name, value in request.target.query:
            if name not in known:
                raise Refusal(400, f"unknown parameter {name!a:.40}: there are {', '.join(known)}")
            if name in self._values:
                raise Refusal(400, f"parameter {name!a:.40} is given twice")
            if not value:
                raise Refusal(400, f"{name} is empty")
            self._values[name] = value

    def text(self, name: str) -> str | None:
        """The value as it is."""
        return self._values.get(name)

    def required(self, name: str, parse: Callable[[str], T]) -> T:
        """The value read by `parse`, whose `ValueError` becomes the refusal."""
        if name not in self._values:
            raise Refusal(400, f"{name} is missing")
        try:
            return parse(self._values[name])
        except ValueError as error:
            raise Refusal(400, f"{name}: {error}") from None

    def get(self, name: str, parse: Callable[[str], T], default: T) -> T:
        """The same, with a default."""
        return self.required(name, parse) if name in self._values else default


def whole(low: int, high: int) -> Callable[[str], int]:
    """Reads a whole number between two."""

    def parse(text: str) -> int:
        number = int(text) if text.isascii() and text.isdigit() and len(text) <= len(str(high)) else -1
        if not low <= number <= high:
            raise ValueError(f"{text!a:.40} is no whole number from {low} to {high}")
        return number

    return parse


def one_of(allowed: Collection[str]) -> Callable[[str], str]:
    """Reads one of some words."""

    def parse(text: str) -> str:
        if text not in allowed:
            raise ValueError(f"{text!a:.40} is none of {', '.join(allowed)}")
        return text

    return parse


def some_of(allowed: Collection[str]) -> Callable[[str], frozenset[str]]:
    """Reads words separated by commas."""
    parse = one_of(allowed)
    return lambda text: frozenset(map(parse, text.split(",")))
