"""What the blocking and the asynchronous client have in common: everything but the sockets."""

import ssl
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Generic, TypeVar

from blackbox.client.errors import ClientError, UnreachableError
from blackbox.client.exchange import TIMEOUT_SECONDS, Exchange
from blackbox.client.resume import Loss, Progress
from blackbox.client.target import DEFAULT_URL, Target, target

T = TypeVar("T")


class BaseClient:
    """Where the server is, and how long to wait for it. Holds no connection between calls."""

    def __init__(
        self,
        url: str = DEFAULT_URL,
        *,
        token: str | None = None,
        unix_socket: str | Path | None = None,
        timeout_seconds: float = TIMEOUT_SECONDS,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        """`tls` defaults to the system's trusted authorities. Raises `UsageError` when `url` is no HTTP URL."""
        self._target = target(url, token, Path(unix_socket) if unix_socket is not None else None, tls)
        self._timeout_seconds = timeout_seconds

    @property
    def label(self) -> str:
        """The server's name in messages: its URL without user and password, or its Unix socket."""
        return self._target.label


class BaseStream(Generic[T]):
    """The state of one stream across its connections."""

    def __init__(
        self,
        server: Target,
        wanted: str,
        timeout_seconds: float,
        on_loss: Callable[[Loss], None] | None,
        progress: Progress[T],
    ) -> None:
        self._target = server
        self._path = wanted
        self._timeout_seconds = timeout_seconds
        self._on_loss = on_loss
        self._progress = progress

    @property
    def missed_total(self) -> int:
        """Samples that never reached us, so far."""
        return self._progress.missed_total

    @property
    def reconnects_total(self) -> int:
        """Connections made after the first."""
        return self._progress.reconnects_total

    def _request(self, exchange: Exchange) -> bytes:
        """The request that continues where the last connection ended."""
        return exchange.request(self._path, self._progress.headers())

    def _begin(self, exchange: Exchange) -> None:
        """Counts a connection whose answer is a stream. Raises `ClientError` where it is none."""
        exchange.require_stream()
        self._progress.connected()

    def _arrived(self, exchange: Exchange) -> Iterator[T]:
        """The events completed since the last call. Raises `ClientError` once the server has ended the stream."""
        yield from self._progress.feed(exchange.take_body())
        if exchange.complete:
            raise UnreachableError(f"{self._target.label} ended the stream")

    def _lost(self, error: ClientError) -> float:
        """Reports a lost connection; returns the seconds to wait before the next. Raises what no retry can mend."""
        loss = self._progress.lost(error)
        if self._on_loss is not None:
            self._on_loss(loss)
        return loss.retry_in_seconds
