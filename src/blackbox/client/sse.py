"""Server-sent events out of a byte stream, however it is cut (WHATWG HTML, section 9.2)."""

from typing import NamedTuple

EVENT_BYTES_MAX = 64 * 1024 * 1024
"""A snapshot of 100,000 blocks takes 11 MB; whoever sends more without ending an event is no Blackbox server."""
_BOM = b"\xef\xbb\xbf"


class ServerSentEvent(NamedTuple):
    data: bytes
    event: str
    """`message` unless the stream named it."""
    id: str
    """Last id seen on the stream, on this event or before; empty when there was none."""


class EventTooLargeError(ValueError):
    """An event exceeds `EVENT_BYTES_MAX`."""


class EventStreamParser:
    """Cuts bytes into events. Holds at most one unfinished event."""

    def __init__(self, event_bytes_max: int = EVENT_BYTES_MAX) -> None:
        self.retry_seconds: float | None = None
        """How long the server asks to wait before reconnecting."""
        self._event_bytes_max = event_bytes_max
        self._at_start = True
        self._line = bytearray()
        self._skip_line_feed = False
        self._data: list[bytes] = []
        self._data_bytes = 0
        self._event = ""
        self._id = ""

    def feed(self, chunk: bytes) -> list[ServerSentEvent]:
        """The events completed by `chunk`, in order. Raises `EventTooLargeError`."""
        events: list[ServerSentEvent] = []
        pieces = self._without_split_crlf(chunk).replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n")
        for piece in pieces[:-1]:
            line = bytes(self._line) + piece
            self._line.clear()
            event = self._take(self._without_bom(line))
            if event is not None:
                events.append(event)
        self._line += pieces[-1]
        if len(self._line) + self._data_bytes > self._event_bytes_max:
            raise EventTooLargeError(f"an event exceeds {self._event_bytes_max} bytes")
        return events

    def _without_split_crlf(self, chunk: bytes) -> bytes:
        if not chunk:
            return chunk
        if self._skip_line_feed and chunk.startswith(b"\n"):
            chunk = chunk[1:]
            self._skip_line_feed = False
            return self._without_split_crlf(chunk)
        self._skip_line_feed = chunk.endswith(b"\r")
        return chunk

    def _without_bom(self, line: bytes) -> bytes:
        at_start, self._at_start = self._at_start, False
        return line.removeprefix(_BOM) if at_start else line

    def _take(self, line: bytes) -> ServerSentEvent | None:
        if not line:
            return self._finish()
        name, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        match name:
            case b"data":
                self._data.append(value)
                self._data_bytes += len(value) + 1
            case b"event":
                self._event = value.decode(errors="replace")
            case b"id" if b"\0" not in value:
                self._id = value.decode(errors="replace")
            case b"retry" if value.isdigit():
                self.retry_seconds = int(value) / 1000
            case _:
                pass
        return None

    def _finish(self) -> ServerSentEvent | None:
        data, event = self._data, self._event
        self._data, self._data_bytes, self._event = [], 0, ""
        return ServerSentEvent(b"\n".join(data), event or "message", self._id) if data else None
