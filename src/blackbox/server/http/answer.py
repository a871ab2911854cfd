"""What a handler answers: a whole response, or a stream."""

from collections.abc import Coroutine
from typing import Any, NamedTuple, Protocol

from blackbox.server.http.outbox import Outbox
from blackbox.server.http.response import Fields, Response


class Viewer(NamedTuple):
    """Who made the request, as far as it matters to the answer."""

    uid: int | None = None
    """May see inside the processes of this user only; None: inside all."""


class StreamClient(Protocol):
    """What a connection needs of a stream that it carries."""

    def start(self, outbox: Outbox, first: bytes, seq: int) -> None:
        """Sends the first bytes of the stream, whose last event is `seq`; newer events follow."""
        ...

    def pause(self) -> None:
        """The peer is slow: bytes wait for it."""
        ...

    def resume(self) -> None:
        """Nothing waits for it any more."""
        ...

    def finish(self, reason: str) -> None:
        """Sends the reason and the end of the stream."""
        ...

    def leave(self) -> None:
        """Forgets the stream; a second time does nothing."""
        ...


class Streaming(NamedTuple):
    """An answer that is an event stream."""

    client: StreamClient | None
    """None for HEAD, which gets the head alone."""
    data: bytes = b""
    """The first bytes of its body."""
    seq: int = 0
    """Number of the last event in `data`."""
    fields: Fields = ()
    """Further header fields."""


Answer = Response | Streaming
AnswerOrCoroutine = Answer | Coroutine[Any, Any, Answer]
"""An answer, or a coroutine that returns one where making it takes more time than the event loop can spare."""
