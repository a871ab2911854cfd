"""A server on loopback that answers each connection with the bytes it was given, for clients to meet any answer."""

import socket
import threading
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self

JSON_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
STREAM_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"


def json_answer(body: bytes) -> bytes:
    """A whole answer of 200."""
    return JSON_HEAD + f"Content-Length: {len(body)}\r\n\r\n".encode() + body


def text_answer(status: str, text: str, headers: str = "") -> bytes:
    """A whole answer in plain text."""
    body = text.encode()
    return (
        f"HTTP/1.1 {status}\r\nContent-Type: text/plain\r\n{headers}Content-Length: {len(body)}\r\n\r\n".encode() + body
    )


def chunk(data: bytes) -> bytes:
    """One chunk of a chunked body."""
    return f"{len(data):x}\r\n".encode() + data + b"\r\n"


class Script(NamedTuple):
    """What one connection gets."""

    answer: bytes
    hold: bool = False
    """Stay silent afterwards, until the client leaves."""


class ScriptedServer:
    """Plays one script per connection, in order; connections beyond the scripts are closed at once."""

    def __init__(self, scripts: Sequence[Script], unix_socket: Path | None = None) -> None:
        self._scripts = scripts
        self._unix_socket = unix_socket
        self.requests: list[bytes] = []
        self.url = "http://localhost"

    def __enter__(self) -> Self:
        if self._unix_socket is None:
            self._listener = socket.create_server(("127.0.0.1", 0))
            self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        else:
            self._listener = socket.socket(socket.AF_UNIX)
            self._listener.bind(str(self._unix_socket))
            self._listener.listen()
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._thread.join(10)
        self._listener.close()

    def _serve(self) -> None:
        scripts = iter(self._scripts)
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            with connection:
                connection.settimeout(10)
                script = next(scripts, None)
                if script is None:
                    continue
                self.requests.append(_read_head(connection))
                connection.sendall(script.answer)
                if script.hold:
                    connection.recv(1)


def _read_head(connection: socket.socket) -> bytes:
    head = b""
    while b"\r\n\r\n" not in head and (data := connection.recv(65536)):
        head += data
    return head
