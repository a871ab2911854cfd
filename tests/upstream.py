"""An HTTP server on loopback that misbehaves on request, and counts who asks."""

import contextlib
import gzip
import os
import socket
import threading
from collections.abc import Callable, Iterator

from blackbox.sources.engines.address import Address

HEAD_BYTES_MAX = 65_536
OK = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n"
MIB = 1024 * 1024
Behaviour = Callable[["Upstream", socket.socket, str], None]
"""Answers one request for a path."""


class Upstream:
    """Answers every request by its behaviour, each connection in a thread of its own."""

    def __init__(self, behave: Behaviour) -> None:
        self.behave = behave
        self.stopping = threading.Event()
        self.paths: list[str] = []
        self.open = 0
        self.open_max = 0
        self._lock = threading.Lock()
        self._threads: list[threading.Thread] = []
        self._listen(0)

    @property
    def inode(self) -> int:
        """Of the socket that listens."""
        return os.fstat(self._listener.fileno()).st_ino

    def listen_anew(self) -> None:
        """At the same address with another socket, as another program would."""
        self._leave()
        self._listen(self.address.port)

    def _listen(self, port: int) -> None:
        self._listener = socket.create_server(("127.0.0.1", port))
        self.address = Address("127.0.0.1", self._listener.getsockname()[1])
        self._acceptor = threading.Thread(target=self._accept, args=(self._listener,), daemon=True)
        self._acceptor.start()

    def _leave(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._acceptor.join(5)

    def close(self) -> None:
        self.stopping.set()
        self._leave()
        for thread in self._threads:
            thread.join(5)

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            thread = threading.Thread(target=self._serve, args=(connection,), daemon=True)
            self._threads.append(thread)
            thread.start()

    def _serve(self, connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError):
            head = b""
            while b"\r\n\r\n" not in head and len(head) < HEAD_BYTES_MAX:
                piece = connection.recv(4096)
                if not piece:
                    return
                head += piece
            path = head.split(b" ")[1].decode()
            with self._lock:
                self.paths.append(path)
                self.open += 1
                self.open_max = max(self.open_max, self.open)
            try:
                self.behave(self, connection, path)
            finally:
                with self._lock:
                    self.open -= 1


@contextlib.contextmanager
def upstream(behave: Behaviour) -> Iterator[Upstream]:
    server = Upstream(behave)
    try:
        yield server
    finally:
        server.close()


def pages(**bodies: bytes) -> Behaviour:
    """An engine that is well; `api_ps` is the path `/api/ps`."""
    by_path = {"/" + name.replace("_", "/"): body for name, body in bodies.items()}

    def behave(_: Upstream, connection: socket.socket, path: str) -> None:
        body = by_path.get(path)
        if body is None:
            connection.sendall(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")
        else:
            connection.sendall(OK + b"Content-Length: %d\r\n\r\n" % len(body))
            connection.sendall(body)

    return behave


def hang(server: Upstream, _connection: socket.socket, _path: str) -> None:
    server.stopping.wait(30)


def drip_head(server: Upstream, connection: socket.socket, _path: str) -> None:
    """A byte now and then, so that no single read ever waits long."""
    for byte in OK:
        connection.sendall(bytes([byte]))
        if server.stopping.wait(0.05):
            return
    _drip(server, connection)


def drip_body(server: Upstream, connection: socket.socket, _path: str) -> None:
    connection.sendall(OK + b"\r\n")
    _drip(server, connection)


def _drip(server: Upstream, connection: socket.socket) -> None:
    while not server.stopping.wait(0.05):
        connection.sendall(b"#")


def endless(server: Upstream, connection: socket.socket, _path: str) -> None:
    connection.sendall(OK + b"\r\n")
    line = b"some_metric 1\n" * 4096
    while not server.stopping.is_set():
        connection.sendall(line)


def endless_line(server: Upstream, connection: socket.socket, _path: str) -> None:
    connection.sendall(OK + b"\r\n")
    while not server.stopping.is_set():
        connection.sendall(b"x" * MIB)


def endless_known_lines(server: Upstream, connection: socket.socket, _path: str) -> None:
    connection.sendall(OK + b"\r\n")
    line = b'vllm:num_requests_running{engine="0"} 1\n' * 4096
    while not server.stopping.is_set():
        connection.sendall(line)


def endless_head(server: Upstream, connection: socket.socket, _path: str) -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\n")
    while not server.stopping.is_set():
        connection.sendall(b"X-Header: 1\r\n" * 100)


def gzip_bomb(_: Upstream, connection: socket.socket, _path: str) -> None:
    body = gzip.compress(bytes(64 * MIB), 1)
    connection.sendall(OK + b"Content-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(body) + body)


def cut_short(_: Upstream, connection: socket.socket, _path: str) -> None:
    connection.sendall(OK + b"Content-Length: 100\r\n\r\nvllm:num_requests_running 1\n")


def cut_chunk(_: Upstream, connection: socket.socket, _path: str) -> None:
    connection.sendall(OK + b"Transfer-Encoding: chunked\r\n\r\n64\r\nvllm:num_requests_running 1\n")


def no_http(_: Upstream, connection: socket.socket, _path: str) -> None:
    connection.sendall(b"\x00\x01\x02 what do you want\r\n\r\n")


def hang_up(_: Upstream, _connection: socket.socket, _path: str) -> None:
    pass


def status(code: int) -> Behaviour:
    """A server that answers every question so."""

    def behave(_: Upstream, connection: socket.socket, _path: str) -> None:
        connection.sendall(b"HTTP/1.1 %d So\r\nContent-Length: 0\r\n\r\n" % code)

    return behave


def garbage_metrics(_: Upstream, connection: socket.socket, _path: str) -> None:
    body = b'vllm:num_requests_running{engine="0} }{ \xff\xfe 1\n' * 10
    connection.sendall(OK + b"Content-Length: %d\r\n\r\n" % len(body) + body)
