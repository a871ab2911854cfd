"""One export over real sockets: what was taken, what was not and why, and that no answer can do harm."""

import socket
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest

from blackbox.outputs.otlp import sender
from blackbox.outputs.otlp.endpoint import endpoint
from blackbox.outputs.otlp.sender import ExportOutcome, send
from tests.certificates import make_certificate
from tests.otlp_receiver import Receiver, receiving

BODY = ExportMetricsServiceRequest().SerializeToString()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as found:
        yield found


def sent(url: str, **headers: str) -> ExportOutcome:
    return send(endpoint(url, None), headers, BODY)


def test_a_request_is_taken_with_its_headers(receiver: Receiver) -> None:
    assert sent(receiver.url, Authorization="Bearer token") == ExportOutcome(None)
    assert receiver.paths == ["/v1/metrics"]
    (said,) = receiver.said
    assert said["Content-Type"] == "application/x-protobuf"
    assert said["Content-Encoding"] == "gzip"
    assert said["Authorization"] == "Bearer token"


def test_points_that_were_rejected_are_counted(receiver: Receiver) -> None:
    receiver.reject(7)
    assert sent(receiver.url) == ExportOutcome(None, 7)


@pytest.mark.parametrize("status", [301, 400, 401, 404, 500, 503])
def test_other_answers_are_failures(receiver: Receiver, status: int) -> None:
    receiver.status = status
    assert sent(receiver.url) == ExportOutcome(f"answered {status}")


@pytest.mark.parametrize(
    ("status", "said", "expected"),
    [(503, "30", 30.0), (429, "1", 1.0), (503, "soon", None), (503, "9" * 40, None), (401, "30", None)],
)
def test_a_receiver_may_ask_for_time(receiver: Receiver, status: int, said: str, expected: float | None) -> None:
    receiver.status = status
    receiver.headers["Retry-After"] = said
    assert sent(receiver.url).retry_after_seconds == expected


def test_a_page_for_people_is_no_answer(receiver: Receiver) -> None:
    receiver.headers["Content-Type"] = "text/html; charset=utf-8"
    assert sent(receiver.url) == ExportOutcome(None)  # an empty answer is one of OTLP
    receiver.answer = b"<html>"
    assert sent(receiver.url) == ExportOutcome("answered 200, but not as a receiver of OTLP does")
    receiver.headers["Content-Type"] = "application/x-protobuf"
    assert sent(receiver.url) == ExportOutcome("answered 200 with what is no answer of OTLP")


def test_nobody_there() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # and does not listen
        outcome = sent(f"http://127.0.0.1:{taken.getsockname()[1]}")
    assert outcome.failure == "could not be reached: Connection refused"


@pytest.mark.parametrize("answer", [b"SSH-2.0-OpenSSH_9\r\n", b""])
def test_what_speaks_no_http(answer: bytes) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def once() -> None:
            connection, _ = listening.accept()
            with connection:
                connection.recv(65536)
                connection.sendall(answer)

        thread = threading.Thread(target=once)
        thread.start()
        outcome = sent(f"http://127.0.0.1:{listening.getsockname()[1]}")
        thread.join()
    assert outcome.failure is not None


def test_a_receiver_that_says_nothing_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sender, "SEND_SECONDS_MAX", 0.05)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        outcome = sent(f"http://127.0.0.1:{listening.getsockname()[1]}")
    assert outcome.failure == "did not answer within 0.05 s"


def test_tls_with_an_authority_of_ones_own(tmp_path: Path) -> None:
    made = make_certificate(tmp_path, "collector.test")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(made.cert_file, made.key_file)
    with receiving(context) as receiver:
        url = f"https://127.0.0.1:{receiver.server_port}"
        assert send(endpoint(url, Path(made.cert_file)), {}, BODY) == ExportOutcome(None)
        failure = sent(url).failure
        assert failure is not None
        assert failure.startswith("has a certificate that is not trusted")
    with receiving() as plain:
        outcome = sent(f"https://127.0.0.1:{plain.server_port}")
    assert outcome.failure is not None
