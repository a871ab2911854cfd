"""One gRPC call over a Unix socket: HTTP/2 by h2, and around each message five bytes of gRPC's own.

What the other side may send, and how long it may take, is bounded: a kubelet is trusted with no more than any program.
"""

import socket
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from urllib.parse import unquote_to_bytes

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import (
    ConnectionTerminated,
    DataReceived,
    Event,
    ResponseReceived,
    StreamEnded,
    StreamReset,
    TrailersReceived,
)
from h2.exceptions import H2Error

from blackbox.model.text import printable, size

READ_BYTES = 64 << 10
WIRE_FACTOR = 2
"""Bytes on the wire at most, of those of an answer: frames, windows and headers are few beside it."""
PREFIX_BYTES = 5
"""Whether the message is compressed, and its length."""
MESSAGE_CHARS_MAX = 200
"""Of what the other side says is wrong."""
Headers = Iterable[tuple[bytes, bytes]]


class CallError(Exception):
    """There is no answer; says why in one line."""


def call(
    path: Path,
    method: str,
    message: bytes,
    *,
    seconds: float,
    bytes_max: int,
    clock: Callable[[], float] = time.monotonic,
) -> bytes:
    """The answer of `method`, such as `/v1.PodResourcesLister/List`, to `message`. Takes `seconds` at most. Raises
    `CallError`."""
    deadline = clock() + seconds
    exchange = _Exchange(bytes_max)
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as channel:
            channel.settimeout(seconds)
            channel.connect(str(path))
            channel.sendall(exchange.begin(method, message, seconds))
            received = 0
            while not exchange.is_over:
                channel.settimeout(max(deadline - clock(), 0.001))
                data = channel.recv(READ_BYTES)
                received += len(data)
                if not data:
                    raise CallError("it hung up in the middle of its answer")
                if received > WIRE_FACTOR * bytes_max or clock() > deadline:
                    raise CallError(_too_long(seconds, bytes_max))
                if reply := exchange.take(data):
                    channel.sendall(reply)
    except TimeoutError:
        raise CallError(f"no answer within {seconds:g} s") from None
    except OSError as error:
        raise CallError(error.strerror or str(error)) from None
    except H2Error as error:
        raise CallError(f"it does not speak HTTP/2: {printable(str(error))[:MESSAGE_CHARS_MAX]}") from None
    return exchange.answer()


def _too_long(seconds: float, bytes_max: int) -> str:
    return f"no answer within {seconds:g} s and {size(bytes_max)}"


class _Exchange:
    """One request and its answer."""

    def __init__(self, bytes_max: int) -> None:
        self._bytes_max = bytes_max
        self._connection = H2Connection(H2Configuration(client_side=True, header_encoding=None))
        self._stream = 0
        self._headers: dict[bytes, bytes] = {}
        self._body = bytearray()
        self.is_over = False

    def begin(self, method: str, message: bytes, seconds: float) -> bytes:
        """What is sent first."""
        self._connection.initiate_connection()
        self._stream = self._connection.get_next_available_stream_id()
        self._connection.send_headers(
            self._stream,
            (
                (":method", "POST"),
                (":scheme", "http"),
                (":path", method),
                (":authority", "localhost"),
                ("te", "trailers"),
                ("content-type", "application/grpc"),
                ("grpc-timeout", f"{round(seconds * 1000)}m"),
                ("user-agent", "blackbox"),
            ),
        )
        framed = b"\0" + len(message).to_bytes(4, "big") + message
        self._connection.send_data(self._stream, framed, end_stream=True)
        return self._connection.data_to_send()

    def take(self, data: bytes) -> bytes:
        """Reads on; what is to be sent back. Raises `CallError`, `H2Error`."""
        for event in self._connection.receive_data(data):
            self._note(event)
        return self._connection.data_to_send()

    def answer(self) -> bytes:
        """The message, once it is over. Raises `CallError`."""
        status = self._headers.get(b"grpc-status")
        if self._headers.get(b":status") != b"200" or status is None:
            raise CallError("it does not speak gRPC")
        if status != b"0":
            raise CallError(_refusal(status, self._headers.get(b"grpc-message", b"")))
        if len(self._body) < PREFIX_BYTES or self._body[0] != 0:
            raise CallError("its answer is no plain message")
        length = int.from_bytes(self._body[1:PREFIX_BYTES], "big")
        if length != len(self._body) - PREFIX_BYTES:
            raise CallError("its answer is cut, or more than one")
        return bytes(self._body[PREFIX_BYTES:])

    def _note(self, event: Event) -> None:
        if isinstance(event, ResponseReceived | TrailersReceived):
            self._headers |= dict(_bytes_of(event.headers))
        elif isinstance(event, DataReceived):
            self._body += event.data
            if len(self._body) > self._bytes_max:
                raise CallError(f"its answer is larger than {size(self._bytes_max)}")
            self._connection.acknowledge_received_data(event.flow_controlled_length, self._stream)
        elif isinstance(event, StreamEnded):
            self.is_over = True
        elif isinstance(event, StreamReset | ConnectionTerminated) and not self.is_over:
            raise CallError(f"it broke off, with HTTP/2's error {event.error_code}")


def _bytes_of(headers: "Iterable[tuple[bytes | str, bytes | str]] | None") -> Headers:
    for name, value in headers or ():
        yield (
            (name if isinstance(name, bytes) else name.encode()),
            (value if isinstance(value, bytes) else value.encode()),
        )


def _refusal(status: bytes, message: bytes) -> str:
    """In its own words, where it has some."""
    told = printable(unquote_to_bytes(message).decode("utf-8", "replace"))[:MESSAGE_CHARS_MAX]
    code = printable(status.decode("ascii", "replace"))[:MESSAGE_CHARS_MAX]
    return f"it refuses: {told or 'no reason'} (gRPC's status {code})"
