"""The query of a request, checked against the parameters of its endpoint. Every mistake is one
`HTTPError` of status 400."""

from collections.abc import Callable
from functools import lru_cache, partial
from typing import TypeVar

from blackbox.model.endpoint import Endpoint
from blackbox.model.parameter import Parameter, TimeText
from blackbox.model.text import did_you_mean, rfc3339
from blackbox.model.times import unix_seconds
from blackbox.server.http.request import HTTPError

T = TypeVar("T")
D = TypeVar("D")

QUERIES_REMEMBERED = 256
"""Different queries whose check is kept; clients ask for the same few again and again."""


class Query:
    """The parameters given, each once and not empty. Compared, and hashed, by identity."""

    __slots__ = ("_values",)

    def __init__(self, values: dict[str, str]) -> None:
        self._values = values

    def value(self, parameter: Parameter[T]) -> T:
        """The parameter's value, or its default. Raises `HTTPError` where it has neither, or accepts no such value."""
        return self._read(parameter, parameter.values.parse)

    def get(self, parameter: Parameter[T]) -> T | None:
        """The parameter's value; None where it is absent. Raises `HTTPError`."""
        return self.value(parameter) if parameter.name in self._values else None

    def time(self, parameter: Parameter[TimeText], now: float) -> float:
        """A time in Unix seconds, as `now` is; in UTC where it names no zone. Raises `HTTPError` where it is absent, or
        no time."""
        return self._read(parameter, partial(unix_seconds, now=now))

    def time_or(self, parameter: Parameter[TimeText], now: float, default: D) -> float | D:
        """The same, with a default. Raises `HTTPError`."""
        return self.time(parameter, now) if parameter.name in self._values else default

    def _read(self, parameter: Parameter[D], parse: Callable[[str], T]) -> T:
        text = self._values.get(parameter.name, parameter.default)
        if text is None:
            raise HTTPError(400, f"{parameter.name} is missing")
        try:
            return parse(text)
        except ValueError as error:
            raise HTTPError(400, f"{parameter.name}: {error}") from None


@lru_cache(maxsize=QUERIES_REMEMBERED)
def query_of(endpoint: Endpoint, given: tuple[tuple[str, str], ...]) -> Query:
    """The query `given` to this endpoint. Raises `HTTPError`."""
    known = endpoint.query_names
    values: dict[str, str] = {}
    for name, value in given:
        if endpoint.accepts_any_parameter and name not in known:
            continue
        if name not in known:
            there = ", ".join(known) or "none"
            raise HTTPError(400, f"unknown parameter {name!a:.40}: there are {there}{did_you_mean(name, known)}")
        if name in values:
            raise HTTPError(400, f"parameter {name!a:.40} is given twice")
        if not value:
            raise HTTPError(400, f"{name} is empty")
        values[name] = value
    return Query(values)


def not_reversed(since: float | None, until: float | None) -> tuple[float | None, float | None]:
    """Both ends of a range that holds them both, where they are given. Raises `HTTPError` where its end comes first."""
    if since is not None and until is not None and since > until:
        raise HTTPError(400, f"since ({rfc3339(since)}) must not be after until ({rfc3339(until)})")
    return since, until


def in_order(since: float, until: float) -> tuple[float, float]:
    """Both ends of a range. Raises `HTTPError` where nothing lies between."""
    if since >= until:
        raise HTTPError(400, f"from ({rfc3339(since)}) must be before to ({rfc3339(until)})")
    return since, until
