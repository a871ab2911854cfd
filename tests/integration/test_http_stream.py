"""`GET /vram/stream`, over real sockets."""

import json
import socket
import struct
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from itertools import islice
from pathlib import Path

import pytest
import requests

from blackbox.hub import HISTORY_MOMENTS_MAX
from blackbox.settings import Settings
from tests.moments import device, sample
from tests.running_server import RunningServer
from tests.serving import QUICK, Raw, Serving
from tests.tools import tool
from tests.waiting import PATIENCE_SECONDS, SLACK_SECONDS, until

STREAMS = 300
SIGTERM_SECONDS_MAX = 3.0
"""Promised; not a measurement."""


@pytest.fixture
def serving() -> Iterator[Serving]:
    with Serving() as made:
        made.publish()
        yield made


def opened(raw: Raw, path: str = "/vram/stream?blocks=none", **headers: str) -> str:
    """Asks for a stream; returns its head."""
    raw.request(path, **headers)
    return raw.until(b"\r\n\r\n").decode()


def next_event(raw: Raw) -> tuple[list[str], int]:
    """The comments before the next event, and its id."""
    text = raw.until(b"\n\n").decode()
    comments = []
    while "\ndata: " not in text:
        comments.append(text.partition(": ")[2].strip())
        text = raw.until(b"\n\n").decode()
    number = text.partition("id: ")[2].partition("\n")[0]
    assert json.loads(text.partition("data: ")[2])["seq"] == int(number)
    return comments, int(number)


def ids(raw: Raw, count: int) -> list[int]:
    return [next_event(raw)[1] for _ in range(count)]


def test_the_head_is_the_contracts(serving: Serving) -> None:
    with serving.connect() as raw:
        head = opened(raw)
    assert head.startswith("HTTP/1.1 200 OK\r\n")
    for line in ("Content-Type: text/event-stream", "Cache-Control: no-cache", "Connection: keep-alive"):
        assert f"\r\n{line}\r\n" in head
    assert "\r\nTransfer-Encoding: chunked\r\n" in head
    assert "\r\nX-Accel-Buffering: no\r\n" in head


def test_the_first_event_comes_at_once_and_then_every_one(serving: Serving) -> None:
    with serving.connect() as raw:
        opened(raw)
        assert ids(raw, 1) == [1]
        for _ in range(3):
            serving.publish()
        assert ids(raw, 3) == [2, 3, 4]


def test_a_stream_opened_before_the_first_sample_waits_for_it() -> None:
    with Serving() as starting, starting.connect() as raw:
        opened(raw)
        starting.publish()
        assert ids(raw, 1) == [1]


def test_http_1_0_gets_the_stream_without_chunks(serving: Serving) -> None:
    with serving.connect() as raw:
        raw.send(b"GET /vram/stream?blocks=none HTTP/1.0\r\n\r\n")
        head = raw.until(b"\r\n\r\n")
        assert b"Transfer-Encoding" not in head
        assert b"\r\nConnection: close\r\n" in head
        assert raw.until(b"\n") == b"id: 1\n"
        serving.publish()
        raw.until(b"\n\n")
        assert raw.until(b"\n") == b"id: 2\n"


def test_a_client_that_returns_resumes_where_it_was(serving: Serving) -> None:
    for _ in range(5):
        serving.publish()
    with serving.connect() as raw:
        opened(raw, last_event_id="2")
        assert ids(raw, 4) == [3, 4, 5, 6]
        serving.publish()
        assert ids(raw, 1) == [7]


def test_a_client_that_was_away_too_long_is_told_how_much_is_gone(serving: Serving) -> None:
    for _ in range(HISTORY_MOMENTS_MAX + 9):
        serving.publish()
    with serving.connect() as raw:
        opened(raw, last_event_id="4")
        assert next_event(raw) == (["missed 6"], 11)
    assert serving.server.stats.frames_missed_total == 6


@pytest.mark.parametrize("last_event_id", ["", "x", "-1", "1.5", "9" * 40, "\xb2"])
def test_an_id_that_was_never_ours_is_ignored(serving: Serving, last_event_id: str) -> None:
    with serving.connect() as raw:
        opened(raw, last_event_id=last_event_id)
        assert ids(raw, 1) == [1]


def test_silence_is_broken_by_comments() -> None:
    with Serving(limits=QUICK) as quiet, quiet.connect() as raw:
        quiet.publish()
        opened(raw)
        assert ids(raw, 1) == [1]
        assert b": heartbeat\n\n" in raw.until(b"\n\n")
        assert b": heartbeat\n\n" in raw.until(b"\n\n")
        quiet.publish()
        assert ids(raw, 1) == [2]


def test_more_streams_than_allowed_are_told_to_come_back() -> None:
    with Serving(Settings(port=0, streams_max=2)) as small:
        small.publish()
        with small.connect() as first, small.connect() as second:
            opened(first)
            opened(second)
            refused = small.ask("/vram/stream")
            assert (refused.status, refused.headers["retry-after"]) == (503, "5")
            assert small.ask("/vram").status == 200
        until(lambda: small.server.stats.streams_open == 0)
        with small.connect() as third:
            assert opened(third).startswith("HTTP/1.1 200")
        assert small.server.stats.streams_refused_total == 1


def test_all_shapes_are_streamed(serving: Serving) -> None:
    with serving.connect() as raw:
        opened(raw, "/vram/stream?gpu=0&blocks=summary")
        raw.until(b"data: ")
        snapshot = json.loads(raw.until(b"\n\n"))
        assert [row["uuid"] for row in snapshot["gpus"]] == ["GPU-0"]
        assert snapshot["blocks_summary"]
        serving.publish(sample((device(1),)))
        assert b": GPU 0 is gone" in raw.rest()


def test_many_streams_each_get_every_event(serving: Serving) -> None:
    streams = [serving.connect() for _ in range(STREAMS)]
    try:
        for raw in streams:
            raw.request("/vram/stream?blocks=none")
        until(lambda: serving.server.stats.streams_open == STREAMS)
        for event in range(1, 5):
            # one that comes before the loop has sent the last would take its place
            until(lambda sent=event * STREAMS: serving.server.stats.frames_sent_total == sent)
            serving.publish()
        for raw in streams:
            assert ids(raw, 5) == [1, 2, 3, 4, 5]
        assert serving.server.stats.frames_missed_total == 0
        assert serving.server.stats.frames_sent_total == 5 * STREAMS
    finally:
        for raw in streams:
            raw.socket.close()


@pytest.mark.parametrize("accept_encoding", ["identity", "gzip, deflate"])
def test_requests_gets_each_event_when_it_is_made(serving: Serving, accept_encoding: str) -> None:
    headers = {"Accept-Encoding": accept_encoding}
    with requests.get(f"{serving.url}/vram/stream", stream=True, timeout=PATIENCE_SECONDS, headers=headers) as response:
        assert response.headers.get("Content-Encoding", "identity") in accept_encoding
        events = (json.loads(line[6:]) for line in response.iter_lines() if line.startswith(b"data: "))
        for seq in range(1, 5):
            assert next(events)["seq"] == seq
            serving.publish()


def test_requests_sees_a_proper_end_in_gzip() -> None:
    with Serving() as ending:
        ending.publish()
        with requests.get(f"{ending.url}/vram/stream", stream=True, timeout=PATIENCE_SECONDS) as response:
            assert response.headers["Content-Encoding"] == "gzip"
            lines = response.iter_lines()
            assert next(lines) == b"id: 1"
            ending.stop()
            assert list(lines)[-2:] == [b": server stopping", b""]


@pytest.mark.parametrize("encoding", ["identity", "gzip"])
def test_curl_gets_each_event_when_it_is_made(serving: Serving, encoding: str) -> None:
    curl = tool("curl", "curl")
    command = [
        curl,
        "--silent",
        "--no-buffer",
        "--compressed",
        "--max-time",
        "20",
        "-H",
        f"Accept-Encoding: {encoding}",
    ]
    with subprocess.Popen([*command, f"{serving.url}/vram/stream"], stdout=subprocess.PIPE, text=True) as program:
        assert program.stdout is not None
        lines = (line for line in program.stdout if line.startswith("data: "))
        for seq in range(1, 4):
            assert json.loads(next(lines)[6:])["seq"] == seq
            serving.publish()
        program.kill()


@pytest.mark.fault(27)
def test_row_27_a_client_that_never_reads_hurts_nobody_and_is_dropped() -> None:
    """It gets what the kernel takes, then nothing is kept for it but the newest frame, and in the end it goes."""
    with Serving(limits=QUICK) as serving, serving.connect() as reader:
        big = sample(device(index, name="x" * 5000) for index in range(40))
        serving.publish(big)
        silent = [serving.connect(receive_buffer=4096) for _ in range(30)]
        for raw in silent:
            raw.request("/vram/stream")
        until(lambda: serving.server.stats.streams_open == 30)
        opened(reader, "/vram/stream")
        for seq in range(1, 8):
            assert ids(reader, 1) == [seq]
            serving.publish(big)
        assert ids(reader, 1) == [8]
        until(lambda: serving.server.stats.streams_open == 1)
        assert serving.server.stats.connections_stalled_total == 30
        serving.publish()
        assert ids(reader, 1) == [9]
        for raw in silent:
            raw.socket.close()


@pytest.mark.fault(27)
def test_row_27_a_slow_client_catches_up_with_the_newest_and_is_told() -> None:
    with Serving() as serving, serving.connect(receive_buffer=4096) as raw:
        big = sample(device(index, name="x" * 5000) for index in range(200))
        serving.publish(big)
        opened(raw, "/vram/stream")
        for _ in range(20):
            serving.publish(big)
        told, seen = 0, [next_event(raw)[1]]
        while seen[-1] < 21:
            comments, number = next_event(raw)
            told += sum(int(line.removeprefix("missed ")) for line in comments)
            seen.append(number)
        assert len(seen) + told == 21
        assert told > 0
        assert serving.server.stats.frames_missed_total == told
        serving.publish()
        assert next_event(raw) == ([], 22)


@pytest.mark.fault(32)
def test_row_32_clients_that_vanish_in_the_middle_free_their_slots() -> None:
    with Serving() as serving:
        big = sample(device(index, name="x" * 5000) for index in range(40))
        serving.publish(big)
        done = threading.Event()

        def publish() -> None:
            while not done.wait(0.01):
                serving.publish(big)

        publishing = threading.Thread(target=publish)
        publishing.start()
        try:
            for number in range(400):
                with serving.connect() as raw:
                    raw.request("/vram/stream" if number % 3 else "/vram?blocks=summary")
                    if number % 2:
                        raw.take(number * 50 + 1)
                    raw.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        finally:
            done.set()
            publishing.join()
        stats = serving.server.stats
        until(lambda: stats.streams_open == 0 and stats.connections_open == 0)
        assert stats.errors_total == 0
        assert serving.ask("/vram").status == 200


@pytest.mark.fault(33)
def test_row_33_stopping_brings_every_stream_its_last_event_and_its_end() -> None:
    with Serving() as serving:
        serving.publish()
        streams = [serving.connect() for _ in range(STREAMS)]
        idle = serving.connect()
        for raw in streams:
            raw.request("/vram/stream?blocks=none")
        until(lambda: serving.server.stats.streams_open == STREAMS)
        last = serving.publish()
        serving.stop()
        for raw in streams:
            raw.until(b"\r\n\r\n")
            text = raw.rest()
            assert f"id: {last}\n".encode() in text
            assert text.endswith(b": server stopping\n\n\r\n0\r\n\r\n")
            raw.socket.close()
        assert idle.rest() == b""
        idle.socket.close()
        assert serving.server.stats.connections_open == 0


@pytest.mark.fault(33)
@pytest.mark.slow
def test_row_33_sigterm_with_1000_streams_open(tmp_path: Path) -> None:
    with RunningServer(tmp_path, "--demo") as server, ExitStack() as stack:
        streams = [stack.enter_context(Raw.tcp(server.port)) for _ in range(1000)]
        for raw in streams:
            raw.request("/vram/stream?blocks=none")
        for raw in streams:
            raw.until(b"data: ")
        began = time.monotonic()
        assert server.stop() == 0
        assert time.monotonic() - began < SIGTERM_SECONDS_MAX + SLACK_SECONDS
        assert all(raw.rest().endswith(b": server stopping\n\n\r\n0\r\n\r\n") for raw in streams)


@pytest.mark.fault(33)
def test_row_33_a_client_that_never_reads_cannot_hold_the_end_up() -> None:
    with Serving(limits=QUICK) as serving, serving.connect(receive_buffer=4096) as raw:
        serving.publish(sample(device(index, name="x" * 5000) for index in range(200)))
        raw.request("/vram/stream")
        until(lambda: serving.server.stats.streams_open == 1)
        serving.stop()
        assert serving.server.stats.connections_open == 0


def test_the_events_of_a_stream_are_the_answers_of_vram(serving: Serving) -> None:
    with serving.connect() as raw:
        opened(raw)
        raw.until(b"data: ")
        assert raw.until(b"\n\n").strip() == serving.ask("/vram?blocks=none").body


def test_what_follows_the_request_of_a_stream_is_ignored(serving: Serving) -> None:
    with serving.connect() as raw:
        opened(raw)
        raw.send(b"GET /readyz HTTP/1.1\r\nHost: localhost\r\n\r\n" * 1000)
        serving.publish()
        assert list(islice(iter(lambda: next_event(raw)[1], None), 2)) == [1, 2]
