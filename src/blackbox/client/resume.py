"""What a stream knows across connections: where it was, what it missed, how long to wait before it tries again."""

import json
from abc import ABC, abstractmethod
from collections.abc import Iterator
from functools import cached_property
from typing import Any, Generic, NamedTuple, TypeVar

import msgspec

from blackbox.client.errors import AnswerError, ClientError, StatusError, UnreachableError
from blackbox.client.sse import EventStreamParser, EventTooLargeError, ServerSentEvent
from blackbox.model.codec import from_json
from blackbox.model.decoding import DECODE_ERRORS
from blackbox.model.query import NumberedEvent
from blackbox.model.snapshot import Snapshot

T = TypeVar("T")

BACKOFF_SECONDS_MIN = 0.5
"""The default interval: a server that restarts is found again within an event or two."""
BACKOFF_SECONDS_MAX = 15.0
"""A server down for long is asked four times a minute."""
RETRY_AFTER_SECONDS_MAX = 120.0
"""What a server may ask for; beyond, someone waiting would think the stream dead."""
TRANSIENT_STATUSES = frozenset({408, 429, 500, 502, 503, 504})


class Loss(NamedTuple):
    """A connection ended, or could not be made, and will be tried again."""

    error: ClientError
    retry_in_seconds: float


class StreamEvent:
    """One event of a stream."""

    def __init__(self, seq: int | None, data: bytes, missed: int) -> None:
        self.seq = seq
        """Sample number since the server started; None when the server did not say."""
        self.data = data
        """The snapshot as JSON, as it arrived."""
        self.missed = missed
        """Samples between the previous event and this one that never reached us."""

    @cached_property
    def snapshot(self) -> Snapshot:
        """The snapshot. Raises `AnswerError` when it breaks the schema."""
        return decode(self.data)

    def json(self) -> dict[str, Any]:
        """The snapshot as plain dicts and lists."""
        return json.loads(self.data)


class Progress(ABC, Generic[T]):
    """State of one stream; `feed` and `connected` move it on, `lost` says when to try again."""

    def __init__(self) -> None:
        self.missed_total: int = 0
        self.reconnects_total: int = 0
        self._parser = EventStreamParser()
        self._seq: int | None = None
        self._ever_connected = False
        self._failures = 0

    def headers(self) -> dict[str, str]:
        """Request headers that resume where the last connection ended."""
        headers = {"Accept": "text/event-stream", "Cache-Control": "no-cache"}
        if self._seq is not None:
            headers["Last-Event-ID"] = str(self._seq)
        return headers

    def connected(self) -> None:
        """A new connection answers with a stream."""
        self.reconnects_total += self._ever_connected
        self._ever_connected = True
        self._parser = EventStreamParser()

    def feed(self, data: bytes) -> Iterator[T]:
        """The events completed by `data`. Raises `AnswerError`."""
        try:
            arrived = self._parser.feed(data)
        except EventTooLargeError as error:
            raise AnswerError(str(error)) from None
        for sent in arrived:
            taken = self._take(sent, int(sent.id) if sent.id.isdigit() else None)
            if taken is not None:
                self._failures = 0
                yield taken

    def lost(self, error: ClientError) -> Loss:
        """How to go on after `error`; raises it where trying again is of no use."""
        transient = isinstance(error, StatusError) and error.status in TRANSIENT_STATUSES
        if not transient and not (self._ever_connected and isinstance(error, UnreachableError)):
            raise error
        delay = min(BACKOFF_SECONDS_MAX, BACKOFF_SECONDS_MIN * 2**self._failures)
        self._failures += 1
        asked = error.retry_after_seconds if isinstance(error, StatusError) else self._parser.retry_seconds
        return Loss(error, max(delay, min(asked or 0.0, RETRY_AFTER_SECONDS_MAX)))

    def _count_missed(self, samples: int) -> None:
        self.missed_total += samples

    @abstractmethod
    def _take(self, sent: ServerSentEvent, number: int | None) -> T | None:
        """What the stream yields for an event; None for one that it passes over."""


class SnapshotProgress(Progress[StreamEvent]):
    """Of `GET /vram/stream`: counts what it missed."""

    def _take(self, sent: ServerSentEvent, number: int | None) -> StreamEvent | None:
        return self._event(number, sent.data) if sent.event == "message" else None

    def _event(self, seq: int | None, data: bytes) -> StreamEvent:
        missed = 0
        if seq is not None and self._seq is not None:
            missed = max(0, seq - self._seq - 1)  # a restarted server counts from the start again
        self._seq = seq
        self._count_missed(missed)
        return StreamEvent(seq, data, missed)


class EventProgress(Progress[NumberedEvent]):
    """Of `GET /vram/events/stream`, which misses nothing."""

    def __init__(self, after: int | None) -> None:
        """Begins behind the event `after`, or with the next one."""
        super().__init__()
        self._seq = after

    def _take(self, sent: ServerSentEvent, number: int | None) -> NumberedEvent | None:
        if number is None:
            return None
        self._seq = number
        try:
            return msgspec.json.decode(sent.data, type=NumberedEvent)
        except DECODE_ERRORS as error:
            raise AnswerError(f"not an event: {error}") from None


def decode(body: bytes) -> Snapshot:
    """The snapshot in `body`. Raises `AnswerError` when it breaks the schema."""
    try:
        return from_json(body)
    except DECODE_ERRORS as error:
        raise AnswerError(f"the answer is not a snapshot: {error}") from None
