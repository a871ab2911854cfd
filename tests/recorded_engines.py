"""Recorded answers of engines, and a visit that gives them."""

from pathlib import Path
from typing import TypeVar

import msgspec

from blackbox.sources.engines.adapters import METRIC_NAMES, NAMESPACES
from blackbox.sources.engines.metrics import KnownLines, Metrics
from blackbox.sources.engines.scrape import NONE

T = TypeVar("T")
RECORDED = Path(__file__).parent / "recorded" / "engines"
PIECE_BYTES = 997
"""Of a page at a time, so that lines are torn."""


def recorded(name: str) -> bytes:
    return (RECORDED / name).read_bytes()


def metrics(page: bytes) -> Metrics:
    """A /metrics page as it is read from a socket."""
    lines = KnownLines(METRIC_NAMES, NAMESPACES)
    for start in range(0, max(len(page), 1), PIECE_BYTES):
        lines.take(page[start : start + PIECE_BYTES])
    return lines.metrics()


class Recording:
    """An engine that answers each path with a page; any other is not found."""

    def __init__(self, **pages: bytes) -> None:
        """Path, without the slash and with `_` for others -> page."""
        self._pages = {"/" + path.replace("_", "/"): page for path, page in pages.items()}
        if "is_sleeping" in pages:
            self._pages["/is_sleeping"] = pages["is_sleeping"]
        self.asked: list[str] = []
        self.is_working: bool | None = True
        self._remembered: set[str] = set()

    def metrics(self, path: str = "/metrics") -> Metrics:
        page = self._page(path)
        return NONE if page is None else metrics(page)

    def json(self, path: str, shape: type[T]) -> T | None:
        page = self._page(path)
        return None if page is None else msgspec.json.decode(page, type=shape)

    lasting = json

    def remembers(self, what: str) -> bool:
        return what in self._remembered

    def remember(self, what: str) -> None:
        self._remembered.add(what)

    def _page(self, path: str) -> bytes | None:
        self.asked.append(path)
        return self._pages.get(path)
