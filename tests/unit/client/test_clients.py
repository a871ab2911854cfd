"""One suite for both clients, against a server that answers anything."""

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Literal

import pytest

import blackbox
from blackbox.client import (
    AnswerError,
    AsyncClient,
    Client,
    ClientError,
    Loss,
    StatusError,
    StreamEvent,
    UnreachableError,
    resume,
)
from blackbox.client.errors import unreachable
from blackbox.errors import FailureError, UsageError
from tests.scripted_server import JSON_HEAD, STREAM_HEAD, Script, ScriptedServer, chunk, json_answer, text_answer
from tests.waiting import PATIENCE_SECONDS

Kind = Literal["blocking", "async"]


class Both:
    """The blocking or the asynchronous client, behind calls that block."""

    def __init__(self, kind: Kind) -> None:
        self.kind = kind

    def snapshot_json(self, url: str, gpu: str | int | None = None, **options: Any) -> bytes:
        options = {"timeout_seconds": PATIENCE_SECONDS} | options
        if self.kind == "blocking":
            return Client(url, **options).snapshot_json(gpu=gpu, blocks="none")
        return asyncio.run(AsyncClient(url, **options).snapshot_json(gpu=gpu, blocks="none"))

    def snapshot(self, url: str) -> object:
        return Client(url).snapshot() if self.kind == "blocking" else asyncio.run(AsyncClient(url).snapshot())

    def take(
        self, url: str, count: int, on_loss: Callable[[Loss], None] | None = None
    ) -> tuple[list[StreamEvent], Any]:
        if self.kind == "blocking":
            with Client(url).stream(on_loss=on_loss) as stream:
                return [next(stream) for _ in range(count)], stream

        async def run() -> tuple[list[StreamEvent], Any]:
            async with AsyncClient(url).stream(on_loss=on_loss) as stream:
                return [await anext(stream) for _ in range(count)], stream

        return asyncio.run(run())


@pytest.fixture(params=["blocking", "async"])
def both(request: pytest.FixtureRequest) -> Both:
    return Both(request.param)


@pytest.fixture(autouse=True)
def quick_back_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resume, "BACKOFF_SECONDS_MIN", 0.001)


def events(*numbers: int) -> bytes:
    return b"".join(chunk(b'id: %d\ndata: {"seq":%d}\n\n' % (number, number)) for number in numbers)


def test_the_body_arrives_unchanged_and_the_request_says_what_is_wanted(both: Both) -> None:
    with ScriptedServer([Script(json_answer(b'{"a":1}'))]) as server:
        assert both.snapshot_json(server.url, gpu=0, token="t0ken") == b'{"a":1}'
    head = server.requests[0].decode().split("\r\n")
    assert head[0] == "GET /vram?gpu=0&blocks=none HTTP/1.1"
    assert f"Host: {server.url.removeprefix('http://')}" in head
    assert "Authorization: Bearer t0ken" in head


def test_user_and_password_of_the_url_are_sent_and_never_shown(both: Both) -> None:
    refusal = Script(text_answer("401 Unauthorized", "who are you?"))
    with ScriptedServer([refusal]) as server, pytest.raises(StatusError, match="who are you") as caught:
        both.snapshot_json(server.url.replace("//", "//ann:s3%40ret@"))
    assert "s3" not in str(caught.value)
    assert b"Authorization: Basic YW5uOnMzQHJldA==" in server.requests[0]


def test_through_a_unix_socket(both: Both, tmp_path: Path) -> None:
    path = tmp_path / "b.sock"
    with ScriptedServer([Script(json_answer(b"{}"))], unix_socket=path) as server:
        assert both.snapshot_json("http://localhost", unix_socket=path) == b"{}"
    assert b"Host: localhost\r\n" in server.requests[0]


@pytest.mark.parametrize(
    "answer",
    [
        JSON_HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + chunk(b'{"a"') + chunk(b":1}") + b"0\r\n\r\n",
        JSON_HEAD + b'\r\n{"a":1}',
    ],
    ids=["chunked", "until the end"],
)
def test_any_framing_of_the_body(both: Both, answer: bytes) -> None:
    with ScriptedServer([Script(answer)]) as server:
        assert both.snapshot_json(server.url) == b'{"a":1}'


@pytest.mark.parametrize(
    ("answer", "error", "words"),
    [
        (text_answer("404 Not Found", "no GPU 9\nhere"), StatusError, "answered 404: no GPU 9 here"),
        (
            text_answer("400 Bad Request", "unknown parameter 'blocks'"),
            StatusError,
            "upgrade the server",
        ),
        (text_answer("404 Not Found", "Not Found"), StatusError, "or one older than this client"),
        (text_answer("401 Unauthorized", "Unauthorized"), StatusError, "it wants a token"),
        (text_answer("503 Service Unavailable", ""), StatusError, "answered 503: Service Unavailable"),
        (b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 2\r\n\r\nhi", AnswerError, "no Blackbox"),
        (b"SSH-2.0-OpenSSH_9.2\r\n", AnswerError, "does not speak HTTP"),
        (JSON_HEAD + b"Content-Length: 100\r\n\r\n{", UnreachableError, "middle of its answer"),
        (b"", UnreachableError, "hung up"),
    ],
)
def test_what_is_no_answer(both: Both, answer: bytes, error: type[ClientError], words: str) -> None:
    with ScriptedServer([Script(answer)]) as server, pytest.raises(error, match=words) as caught:
        both.snapshot_json(server.url)
    assert isinstance(caught.value, FailureError)
    assert "\n" not in str(caught.value)


def test_a_body_that_is_no_snapshot(both: Both) -> None:
    wrong = Script(json_answer(b'{"total_bytes":-1}'))
    with ScriptedServer([wrong]) as server, pytest.raises(AnswerError, match="not a snapshot"):
        both.snapshot(server.url)


def test_nobody_there(both: Both) -> None:
    with ScriptedServer([]) as server:
        url = server.url
    with pytest.raises(UnreachableError, match=url):
        both.snapshot_json(url)
    with pytest.raises(UnreachableError, match=url):
        both.take(url, 1)


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (ConnectionRefusedError(111, "Connect call failed ('127.0.0.1', 1)"), "Connection refused"),
        (OSError("Multiple exceptions: [Errno 111] Connect call failed ('::1', 1), [Errno"), "Connection refused"),
        (OSError(-2, "Name or service not known"), "Name or service not known"),
        (OSError(1, "[SSL: CERTIFICATE_VERIFY_FAILED] no"), "CERTIFICATE_VERIFY_FAILED"),
        (TimeoutError(), "TimeoutError"),
    ],
)
def test_what_the_system_says_of_a_connection_is_plain(error: OSError, words: str) -> None:
    told = str(unreachable("http://one", error))
    assert words in told
    assert "Connect call" not in told


def test_a_silent_server_is_given_up(both: Both) -> None:
    with ScriptedServer([Script(b"", hold=True)]) as server, pytest.raises(UnreachableError, match="no answer"):
        both.snapshot_json(server.url, timeout_seconds=0.5)


@pytest.mark.parametrize(
    "url", ["localhost:6767", "ftp://x", "http://", "http://h:99999", "http://u:secret@h:x", "http://h/?a=1"]
)
def test_what_is_no_url(url: str) -> None:
    for kind in (Client, AsyncClient):
        with pytest.raises(UsageError, match="not the URL") as caught:
            kind(url)
        assert "secret" not in str(caught.value)


def test_events_of_a_stream_and_what_was_missed(both: Both) -> None:
    with ScriptedServer([Script(STREAM_HEAD + events(3, 4, 9), hold=True)]) as server:
        got, stream = both.take(server.url, 3)
    assert [(event.seq, event.missed, event.json()) for event in got] == [
        (3, 0, {"seq": 3}),
        (4, 0, {"seq": 4}),
        (9, 4, {"seq": 9}),
    ]
    assert (stream.missed_total, stream.reconnects_total) == (4, 0)


def test_a_stream_goes_on_where_it_was_cut(both: Both) -> None:
    losses: list[Loss] = []
    scripts = [
        Script(STREAM_HEAD + events(1, 2) + chunk(b"id: 3\nda")),
        Script(text_answer("503 Service Unavailable", "starting")),
        Script(STREAM_HEAD + events(5), hold=True),
    ]
    with ScriptedServer(scripts) as server:
        got, stream = both.take(server.url, 3, losses.append)
    assert [(event.seq, event.missed) for event in got] == [(1, 0), (2, 0), (5, 2)]
    assert [b"Last-Event-ID: 2" in request for request in server.requests] == [False, True, True]
    assert [type(loss.error) for loss in losses] == [UnreachableError, StatusError]
    assert (stream.missed_total, stream.reconnects_total) == (2, 1)


def test_a_stream_survives_a_server_that_counts_from_the_start_again(both: Both) -> None:
    scripts = [Script(STREAM_HEAD + events(100)), Script(STREAM_HEAD + events(1, 3), hold=True)]
    with ScriptedServer(scripts) as server:
        got, _ = both.take(server.url, 3)
    assert [(event.seq, event.missed) for event in got] == [(100, 0), (1, 0), (3, 1)]


def test_a_refusal_ends_a_stream(both: Both) -> None:
    scripts = [Script(STREAM_HEAD + events(1)), Script(text_answer("401 Unauthorized", "the token changed"))]
    with ScriptedServer(scripts) as server, pytest.raises(StatusError, match="the token changed"):
        both.take(server.url, 2)


def test_an_event_that_the_stream_names_is_no_snapshot(both: Both) -> None:
    body = chunk(b"event: bye\ndata: going down\n\n") + events(1)
    with ScriptedServer([Script(STREAM_HEAD + body, hold=True)]) as server:
        assert both.take(server.url, 1)[0][0].seq == 1


def test_closing_a_stream_ends_a_waiting_reader() -> None:
    with ScriptedServer([Script(STREAM_HEAD + events(1), hold=True)]) as server:
        stream = Client(server.url).stream()
        next(stream)

        async def close_while_waiting() -> Iterator[StreamEvent]:
            waiting = asyncio.create_task(asyncio.to_thread(list, stream))
            await asyncio.sleep(0.05)
            stream.close()
            return iter(await asyncio.wait_for(waiting, PATIENCE_SECONDS))

        assert list(asyncio.run(close_while_waiting())) == []


def test_a_cancelled_task_ends_its_stream() -> None:
    async def run(url: str) -> None:
        async with AsyncClient(url).stream() as stream:
            await anext(stream)
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(anext(stream), 0.05)

    with ScriptedServer([Script(STREAM_HEAD + events(1), hold=True)]) as server:
        asyncio.run(run(server.url))


def test_back_off_grows_to_a_limit_and_honours_the_server() -> None:
    progress = resume.SnapshotProgress()
    progress.connected()
    waits = [progress.lost(UnreachableError("gone")).retry_in_seconds for _ in range(40)]
    assert waits == sorted(waits)
    assert waits[-1] == resume.BACKOFF_SECONDS_MAX
    assert progress.lost(StatusError("full", 503, 60)).retry_in_seconds == 60
    assert progress.lost(StatusError("full", 503, 1e9)).retry_in_seconds == resume.RETRY_AFTER_SECONDS_MAX


def test_the_clients_are_found_in_the_package() -> None:
    assert blackbox.Client is Client
    assert blackbox.AsyncClient is AsyncClient
    with pytest.raises(AttributeError, match="Nonsense"):
        _ = blackbox.Nonsense  # pyright: ignore[reportAttributeAccessIssue]
