"""What ends TLS in front of a server that speaks none, as operators put one before ClickHouse."""

import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from blackbox.server.auth.web_config import TlsConfig

HOST = "127.0.0.1"


@contextmanager
def tls_front(certificate: TlsConfig, port: int) -> Iterator[int]:
    """The port at which the server on `port` is reached by TLS."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate.cert_file, certificate.key_file)
    listener = socket.create_server((HOST, 0))
    threading.Thread(target=_accept, args=(listener, context, port), daemon=True).start()
    try:
        yield listener.getsockname()[1]
    finally:
        with suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)
        listener.close()


def _accept(listener: socket.socket, context: ssl.SSLContext, port: int) -> None:
    with suppress(OSError):
        while True:
            client, _ = listener.accept()
            threading.Thread(target=_serve, args=(client, context, port), daemon=True).start()


def _serve(client: socket.socket, context: ssl.SSLContext, port: int) -> None:
    """One connection, until either side ends it."""
    with (
        suppress(OSError),
        client,
        context.wrap_socket(client, server_side=True) as inside,
        socket.create_connection((HOST, port)) as behind,
    ):
        back = threading.Thread(target=_copy, args=(behind, inside), daemon=True)
        back.start()
        _copy(inside, behind)
        back.join()


def _copy(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while piece := source.recv(64 << 10):
            target.sendall(piece)
    with suppress(OSError):
        target.shutdown(socket.SHUT_WR)
