"""One round of questions to one address."""

import threading
from collections.abc import Callable
from typing import TypeVar

import msgspec

from blackbox.model.decoding import DECODE_ERRORS
from blackbox.sources.engines.adapters import METRIC_NAMES, NAMESPACES
from blackbox.sources.engines.address import Address
from blackbox.sources.engines.fetch import NoAnswerError, fetch
from blackbox.sources.engines.metrics import Body, KnownLines, Metrics

T = TypeVar("T")
OK = 200
NOT_READY = 503
"""What engines answer to everything while they load their model."""
NOTES_MAX = 8
"""Notes kept of an address: of each version that has been there, one."""
NONE = Metrics(frozenset(), {})


class HttpScrape:
    """Asks for each page once, one after the other (see `blackbox.sources.engines.adapter.Scrape`)."""

    def __init__(
        self,
        address: Address,
        kept: dict[str, bytes | None],
        cancelled: threading.Event,
        look: Callable[[], bool | None] = lambda: None,
        notes: set[str] | None = None,
    ) -> None:
        """`kept` holds the pages that last, from visit to visit, and `notes` what adapters noted of the address; `look`
        tells whether the process works."""
        self._look = look
        self._notes = set[str]() if notes is None else notes
        self._address = address
        self._kept = kept
        self._cancelled = cancelled
        self._metrics: dict[str, Metrics] = {}
        self._pages: dict[str, bytes | None] = {}
        self.statuses: dict[str, int] = {}
        """Path -> how it was answered."""

    @property
    def is_working(self) -> bool | None:
        return self._look()

    def metrics(self, path: str = "/metrics") -> Metrics:
        if path not in self._metrics:
            lines = KnownLines(METRIC_NAMES, NAMESPACES)
            if self._get(path, lines):
                lines.take(b"")  # an empty page came in no piece
                self._metrics[path] = lines.metrics()
            else:
                self._metrics[path] = NONE
        return self._metrics[path]

    def json(self, path: str, shape: type[T]) -> T | None:
        if path not in self._pages:
            self._pages[path] = self._page(path)
        return _decoded(self._pages[path], shape)

    def lasting(self, path: str, shape: type[T]) -> T | None:
        if path not in self._kept:
            self._kept[path] = self._page(path)
        return _decoded(self._kept[path], shape)

    def remembers(self, what: str) -> bool:
        return what in self._notes

    def remember(self, what: str) -> None:
        if len(self._notes) >= NOTES_MAX:
            self._notes.clear()
        self._notes.add(what)

    def _page(self, path: str) -> bytes | None:
        body = Body()
        return body.content if self._get(path, body) else None

    def _get(self, path: str, into: Body | KnownLines) -> bool:
        self.statuses[path] = fetch(self._address, path, into.take, self._cancelled)
        if self.statuses[path] == NOT_READY:
            raise NoAnswerError(f"it says that it is not ready ({path} {NOT_READY})")
        return self.statuses[path] == OK


def _decoded(page: bytes | None, shape: type[T]) -> T | None:
    if page is None:
        return None
    try:
        return msgspec.json.decode(page, type=shape)
    except DECODE_ERRORS:
        return None
