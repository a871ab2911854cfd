"""A call against the other side of HTTP/2, which may do as it likes."""

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import StreamEnded
from h2.exceptions import H2Error

from blackbox.sources.kubelet.call import CallError, call
from tests.waiting import PATIENCE_SECONDS

METHOD = "/v1.PodResourcesLister/List"
GOOD = ((":status", "200"), ("content-type", "application/grpc"))
Act = Callable[[socket.socket], None]
Answer = Callable[[H2Connection, socket.socket], None]


def framed(data: bytes, flag: bytes = b"\0") -> bytes:
    return flag + len(data).to_bytes(4, "big") + data


@contextmanager
def other_side(path: Path, act: Act) -> Iterator[None]:
    """Takes one connection."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        listener.bind(str(path))
        listener.listen()

        def serve() -> None:
            channel, _ = listener.accept()
            with channel:
                channel.settimeout(PATIENCE_SECONDS)
                with suppress(OSError, H2Error):  # once the caller has had enough
                    act(channel)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield
        thread.join(PATIENCE_SECONDS)
        assert not thread.is_alive()


def after_the_question(act: Answer) -> Act:
    def serve(channel: socket.socket) -> None:
        connection = H2Connection(H2Configuration(client_side=False))
        connection.initiate_connection()
        channel.sendall(connection.data_to_send())
        is_asked = False
        while not is_asked:
            is_asked = any(isinstance(event, StreamEnded) for event in connection.receive_data(channel.recv(65536)))
            channel.sendall(connection.data_to_send())
        act(connection, channel)
        channel.sendall(connection.data_to_send())
        while channel.recv(65536):  # until the caller hangs up
            pass

    return serve


def answering(
    body: bytes = framed(b"hello"),
    headers: tuple[tuple[str, str], ...] = GOOD,
    trailers: tuple[tuple[str, str], ...] | None = (("grpc-status", "0"),),
) -> Act:
    def act(connection: H2Connection, _: socket.socket) -> None:
        connection.send_headers(1, headers, end_stream=not body and trailers is None)
        if body:
            connection.send_data(1, body, end_stream=trailers is None)
        if trailers is not None:
            connection.send_headers(1, trailers, end_stream=True)

    return after_the_question(act)


def hanging(channel: socket.socket) -> None:
    while channel.recv(65536):
        pass


def saying(data: bytes) -> Act:
    def serve(channel: socket.socket) -> None:
        channel.sendall(data)
        hanging(channel)

    return serve


def endless(connection: H2Connection, channel: socket.socket) -> None:
    connection.send_headers(1, GOOD)
    while True:
        if connection.local_flow_control_window(1) >= 16384:
            connection.send_data(1, b"x" * 16384)
            channel.sendall(connection.data_to_send())
        else:
            data = channel.recv(65536)
            if not data:
                return
            connection.receive_data(data)


def widening(connection: H2Connection, channel: socket.socket) -> None:
    """Says for ever that it has room, which needs no reply."""
    while True:
        connection.increment_flow_control_window(1)
        channel.sendall(connection.data_to_send())


def resetting(connection: H2Connection, _: socket.socket) -> None:
    connection.reset_stream(1, 7)


def leaving(connection: H2Connection, _: socket.socket) -> None:
    connection.close_connection(11)


def test_the_message_of_an_answer(tmp_path: Path) -> None:
    with other_side(tmp_path / "s", answering()):
        assert call(tmp_path / "s", METHOD, b"", seconds=PATIENCE_SECONDS, bytes_max=1 << 16) == b"hello"


def test_an_answer_of_nothing_is_an_answer(tmp_path: Path) -> None:
    with other_side(tmp_path / "s", answering(framed(b""))):
        assert call(tmp_path / "s", METHOD, b"", seconds=PATIENCE_SECONDS, bytes_max=1 << 16) == b""


@pytest.mark.parametrize(
    ("act", "words"),
    [
        (
            answering(b"", (*GOOD, ("grpc-status", "8"), ("grpc-message", "rate 100%25")), None),
            "refuses: rate 100% ",
        ),
        (answering(b"", (*GOOD, ("grpc-status", "12")), None), "refuses: no reason .*12"),
        (answering(b"", (*GOOD, ("grpc-status", "2"), ("grpc-message", "%1B[2J%0Ax")), None), r"refuses: \?\[2J\?x "),
        (answering(b"", (*GOOD, ("grpc-status", "2"), ("grpc-message", "x" * 5000)), None), "refuses: x{200} "),
        (answering(trailers=None), "does not speak gRPC"),
        (answering(headers=((":status", "404"),)), "does not speak gRPC"),
        (answering(framed(b"hello", b"\1")), "no plain message"),
        (answering(b"\0"), "no plain message"),
        (answering(framed(b"hello")[:-1]), "cut, or more than one"),
        (answering(framed(b"a") + framed(b"b")), "cut, or more than one"),
        (after_the_question(endless), "larger than 64.0 KiB"),
        (after_the_question(widening), "no answer within .* and 64.0 KiB"),
        (after_the_question(resetting), "broke off"),
        (after_the_question(leaving), "broke off"),
        (lambda channel: None, "hung up|reset by peer|Broken pipe"),
        (saying(b"\0\0\0\4\0\0\0\0\1"), "does not speak HTTP/2"),
    ],
)
def test_what_is_no_answer_is_told_in_one_line(tmp_path: Path, act: Act, words: str) -> None:
    with other_side(tmp_path / "s", act), pytest.raises(CallError, match=words) as error:
        call(tmp_path / "s", METHOD, b"", seconds=PATIENCE_SECONDS, bytes_max=1 << 16)
    assert str(error.value).isprintable()


@pytest.mark.parametrize("act", [hanging, saying(b"HTTP/1.1 400 Bad Request\r\n\r\n")])
def test_who_says_nothing_of_use_is_not_waited_for(tmp_path: Path, act: Act) -> None:
    with other_side(tmp_path / "s", act), pytest.raises(CallError, match=r"no answer within 0.2 s"):
        call(tmp_path / "s", METHOD, b"", seconds=0.2, bytes_max=1 << 20)


def test_who_says_little_for_ever_is_not_either(tmp_path: Path) -> None:
    """Each word is in time; all of them together are not."""
    seconds = iter([0.0, *(0.4 * step for step in range(100))])
    slow = after_the_question(widening)
    with other_side(tmp_path / "s", slow), pytest.raises(CallError, match="no answer within 2 s"):
        call(tmp_path / "s", METHOD, b"", seconds=2.0, bytes_max=1 << 30, clock=lambda: next(seconds))


def test_nobody_listens(tmp_path: Path) -> None:
    with pytest.raises(CallError, match="No such file"):
        call(tmp_path / "s", METHOD, b"", seconds=1.0, bytes_max=1)
