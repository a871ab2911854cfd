"""Which versions of an engine its adapter was checked with, and what an engine tells of its own."""

import re
from collections.abc import Callable
from typing import NamedTuple, Protocol, TypeVar

from msgspec import Struct

T = TypeVar("T")
TEXT_CHARS_MAX = 40
"""Of what an engine says of its version."""


class CheckedVersions(NamedTuple):
    """The oldest and the newest."""

    first: str
    last: str
    when: str
    """Month in which the newest was looked at."""

    def remark(self, version: str) -> str | None:
        """What to say of an engine of this version; None where it is one of those."""
        found = _numbers(version)
        if not found or _numbers(self.first) <= found <= (*_numbers(self.last), _ANY):
            return None
        place = "older" if found < _numbers(self.first) else "newer"
        return f"{place} than those its figures were checked with ({self.first} to {self.last}, {self.when})"


class VersionPage(Struct):
    version: str


class LastingPages(Protocol):
    """The part of a scrape that is used here."""

    def lasting(self, path: str, shape: type[T]) -> T | None:
        """A page of JSON that does not change while the engine lives."""
        ...


def told_at(path: str) -> Callable[[LastingPages], str | None]:
    """Reads the version out of a page of JSON that has it by this name."""

    def read(scrape: LastingPages) -> str | None:
        page = scrape.lasting(path, VersionPage)
        return None if page is None else page.version[:TEXT_CHARS_MAX]

    return read


_ANY = 1 << 62


def _numbers(version: str) -> tuple[int, ...]:
    """Its parts, as far as they are numbers: `0.5.3.post1` and `b9760` are versions as well."""
    match = re.match(r"[vb]?([0-9]{1,9}(?:\.[0-9]{1,9}){0,3})", version)
    return tuple(map(int, match[1].split("."))) if match else ()
