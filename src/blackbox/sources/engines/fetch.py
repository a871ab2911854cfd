"""One careful GET: two seconds in all, a bounded answer, no redirect, no decompression, own addresses only."""

import io
import socket
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple, cast

from blackbox.sources.engines.address import Address, is_own

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

REQUEST_SECONDS_MAX = 2.0
"""From connecting to the last byte. An engine answers in 10 to 30 ms."""
CONNECT_SECONDS_MAX = 1.0
"""This machine accepts at once, unless the program's queue is full."""
CANCEL_SECONDS = 0.1
"""How long a reader that is no longer wanted goes on waiting."""
ANSWER_BYTES_MAX = 16 * 1024 * 1024
"""Read of one answer, heads included. A large vLLM sends 0.1 MiB."""
CHUNK_BYTES = 65_536
HEADERS = {"User-Agent": "blackbox", "Accept-Encoding": "identity", "Connection": "close"}


class NoAnswerError(Exception):
    """An engine did not answer, or not as it should; the reason in one line."""


class Patience(NamedTuple):
    """How long to wait for an answer."""

    until: float
    """On the clock."""
    cancelled: threading.Event
    clock: Callable[[], float] = time.monotonic

    def left(self) -> float:
        """Seconds. Raises `NoAnswerError` when there are none."""
        if self.cancelled.is_set():
            raise NoAnswerError("no longer wanted")
        left = self.until - self.clock()
        if left <= 0:
            raise NoAnswerError(f"no whole answer within {REQUEST_SECONDS_MAX:g} s")
        return left


def fetch(address: Address, path: str, take: Callable[[bytes], object], cancelled: threading.Event) -> int:
    """GETs `path`, hands the body of a 200 to `take` piece by piece, and returns the status.

    Raises `NoAnswerError`, and whatever `take` raises.
    """
    import http.client  # 1 MiB, and OpenSSL: not before there is an engine

    patience = Patience(time.monotonic() + REQUEST_SECONDS_MAX, cancelled)
    try:
        with _connect(address, patience) as connected:
            return _exchange(address, path, take, _Link(connected, patience))
    except http.client.HTTPException as error:
        raise NoAnswerError(f"no proper HTTP: {type(error).__name__}") from None
    except OSError as error:
        raise NoAnswerError((error.strerror or str(error) or type(error).__name__).lower()) from None


def _connect(address: Address, patience: Patience) -> socket.socket:
    failure: OSError | None = None
    for host in address.hosts:
        if not is_own(host):
            raise NoAnswerError(f"{host} is not an address of this machine")
        try:
            return socket.create_connection((host, address.port), min(CONNECT_SECONDS_MAX, patience.left()))
        except OSError as error:
            failure = failure or error
    raise failure or NoAnswerError("no address")


def _exchange(address: Address, path: str, take: Callable[[bytes], object], link: "_Link") -> int:
    import http.client

    connection = http.client.HTTPConnection(address.host, address.port)
    connection.sock = cast(socket.socket, link)  # all of a socket that the connection uses
    connection.request("GET", path, headers={"Host": address.authority, **HEADERS})
    with connection.getresponse() as response:
        if response.status != http.HTTPStatus.OK:
            return response.status
        encoding = response.headers.get("Content-Encoding", "identity")
        if encoding != "identity":
            raise NoAnswerError(f"compressed though asked not to: {encoding[:20]!r}")
        while chunk := response.read1(CHUNK_BYTES):
            take(chunk)
        if response.length:
            raise NoAnswerError(f"the answer ended {response.length} bytes early")
        return response.status


class _Link:
    """A socket with patience and a limit, as far as `http.client` needs one."""

    def __init__(self, connected: socket.socket, patience: Patience) -> None:
        self._socket = connected
        self._patience = patience

    def sendall(self, data: bytes) -> None:
        self._socket.settimeout(self._patience.left())
        self._socket.sendall(data)

    def makefile(self, _mode: str) -> io.BufferedReader:
        return io.BufferedReader(_Incoming(self._socket, self._patience), CHUNK_BYTES)

    def close(self) -> None:
        """The socket belongs to who opened it."""


class _Incoming(io.RawIOBase):
    """What arrives on a socket."""

    def __init__(self, connected: socket.socket, patience: Patience) -> None:
        self._socket = connected
        self._patience = patience
        self._bytes = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: "WriteableBuffer", /) -> int:
        while True:
            self._socket.settimeout(min(CANCEL_SECONDS, self._patience.left()))
            try:
                count = self._socket.recv_into(buffer)
            except TimeoutError:
                continue
            self._bytes += count
            if self._bytes > ANSWER_BYTES_MAX:
                raise NoAnswerError(f"more than {ANSWER_BYTES_MAX >> 20} MiB")
            return count
