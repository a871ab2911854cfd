"""A page that an inference engine answers with, whatever it was asked: Prometheus text, or JSON."""

import threading
from collections.abc import Sequence

import msgspec

from blackbox.sources.engines.adapters import ADAPTERS
from blackbox.sources.engines.address import Address
from blackbox.sources.engines.fetch import NoAnswerError
from blackbox.sources.engines.metrics import Body, KnownLines
from blackbox.sources.engines.scrape import OK, HttpScrape
from tests.recorded_engines import RECORDED

ALLOWED = (NoAnswerError,)
PIECE_BYTES = 997
ADDRESS = Address("127.0.0.1", 1)


class OnePage(HttpScrape):
    """Gets the same page from every path."""

    def __init__(self, page: bytes) -> None:
        super().__init__(ADDRESS, {}, threading.Event())
        self._page_of_all = page

    def _get(self, path: str, into: Body | KnownLines) -> bool:
        for start in range(0, len(self._page_of_all), PIECE_BYTES):
            into.take(self._page_of_all[start : start + PIECE_BYTES])
        self.statuses[path] = OK
        return True


def seeds() -> Sequence[bytes]:
    return [path.read_bytes() for path in sorted(RECORDED.iterdir()) if path.suffix in (".prom", ".json")]


def run(data: bytes) -> None:
    refused: NoAnswerError | None = None
    for adapter in ADAPTERS:
        try:
            for found in adapter.read(OnePage(data)) or ():
                msgspec.json.encode(found.engine)
                msgspec.msgpack.encode(found.engine)
        except NoAnswerError as error:
            refused = error
    if refused is not None:
        raise refused
