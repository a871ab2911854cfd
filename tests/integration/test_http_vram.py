"""`GET /vram` and the small routes, over real sockets."""

import gzip
import json
import logging
import threading
from collections.abc import Iterator
from typing import Any

import pytest
import requests
import zstandard

from blackbox.hub import Published
from blackbox.settings import Settings
from tests.moments import GIB, device, sample, status
from tests.serving import Serving
from tests.waiting import PATIENCE_SECONDS


@pytest.fixture(scope="module")
def serving() -> Iterator[Serving]:
    with Serving() as made:
        made.publish()
        yield made


def test_the_newest_snapshot_is_json(serving: Serving) -> None:
    reply = serving.ask("/vram")
    assert reply.status == 200
    assert reply.headers["content-type"] == "application/json"
    assert reply.headers["cache-control"] == "no-cache"
    assert reply.headers["x-content-type-options"] == "nosniff"
    assert json.loads(reply.body)["seq"] == serving.seq
    newer = serving.publish()
    assert json.loads(serving.ask("/vram").body)["seq"] == newer


def test_before_the_first_sample_the_client_is_told_to_come_back() -> None:
    with Serving() as starting:
        reply = starting.ask("/vram")
        assert (reply.status, reply.headers["retry-after"]) == (503, "1")
        assert starting.ask("/readyz").status == 503
        health = starting.ask("/healthz")
        assert (health.status, json.loads(health.body)["status"]) == (503, "starting")
        assert starting.ask("/metrics").status == 200


@pytest.mark.parametrize("gpu", ["1", "GPU-1"])
def test_one_gpu_is_chosen_by_index_or_uuid(serving: Serving, gpu: str) -> None:
    snapshot = json.loads(serving.ask(f"/vram?gpu={gpu}").body)
    assert [row["uuid"] for row in snapshot["gpus"]] == ["GPU-1", "MIG-1-1", "MIG-1-2"]
    assert snapshot["total_bytes"] == 80 * GIB


@pytest.mark.parametrize("gpu", ["9", "GPU-9", "-1", "%0D%0Aevil", "x" * 500])
def test_an_unknown_gpu_is_named(serving: Serving, gpu: str) -> None:
    for path in ("/vram", "/vram/stream"):
        reply = serving.ask(f"{path}?gpu={gpu}")
        assert reply.status == 404
        assert reply.headers["content-type"] == "text/plain"
        assert reply.body.startswith(b"no GPU '")
        assert len(reply.body.splitlines()) == 1
        assert len(reply.body) < 200
    assert serving.server.stats.streams_open == 0


def test_blocks_are_listed_summed_up_or_left_out(serving: Serving) -> None:
    full, summary, none = (
        json.loads(serving.ask(f"/vram?blocks={detail}").body) for detail in ("full", "summary", "none")
    )
    assert full["blocks"]
    assert summary["blocks"] == none["blocks"] == []
    assert summary["blocks_summary"]
    assert none["active_blocks"] == full["active_blocks"] > 0


@pytest.mark.parametrize(
    "query",
    ["blocks=all", "blocks=", "gpu=", "gpu=0&gpu=0", "gpu=0&gpu=1", "unknown=1", "blocks=full&blocks=none", "a", "gpu"],
)
def test_a_parameter_that_means_nothing_is_refused_in_one_line(serving: Serving, query: str) -> None:
    for path in ("/vram", "/vram/stream"):
        reply = serving.ask(f"{path}?{query}")
        assert reply.status == 400
        assert reply.headers["content-type"] == "text/plain"
        assert len(reply.body.splitlines()) == 1


def test_an_answer_is_not_sent_twice(serving: Serving) -> None:
    first = serving.ask("/vram?blocks=none")
    assert first.headers["etag"].startswith('W/"')
    again = serving.ask("/vram?blocks=none", if_none_match=first.headers["etag"])
    assert (again.status, again.body) == (304, b"")
    assert again.headers["etag"] == first.headers["etag"]
    assert "content-type" not in again.headers
    assert serving.ask("/vram?blocks=full", if_none_match=first.headers["etag"]).status == 200
    serving.publish()
    assert serving.ask("/vram?blocks=none", if_none_match=first.headers["etag"]).status == 200


def test_the_tags_of_another_start_mean_nothing(serving: Serving) -> None:
    with Serving() as other:
        other.seq = serving.seq - 1
        other.publish()
        assert other.seq == serving.seq
        assert other.ask("/vram", if_none_match=serving.ask("/vram").headers["etag"]).status == 200


@pytest.mark.parametrize("encoding", ["gzip", "zstd", "identity"])
def test_an_answer_comes_in_the_encoding_the_client_accepts(serving: Serving, encoding: str) -> None:
    reply = serving.ask("/vram", accept_encoding=encoding)
    assert reply.headers["vary"] == "Accept-Encoding"
    assert reply.headers.get("content-encoding", "identity") == encoding
    decode = {"gzip": gzip.decompress, "zstd": zstandard.ZstdDecompressor().decompress, "identity": bytes}[encoding]
    assert decode(reply.body) == serving.ask("/vram").body


def test_each_shape_and_encoding_is_made_once_for_all(serving: Serving, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[object] = []
    body = Published.body

    def count(self: Published, *key: Any) -> bytes:
        made.append(key)
        return body(self, *key)

    monkeypatch.setattr(Published, "body", count)
    for _ in range(5):
        serving.ask("/vram?gpu=0", accept_encoding="zstd")
    assert len(made) == 1


def test_a_new_shape_is_made_beside_other_answers(serving: Serving, monkeypatch: pytest.MonkeyPatch) -> None:
    """While an encoding takes its time, the others are answered."""
    release, entered = threading.Event(), threading.Event()
    body = Published.body

    def slow(self: Published, *key: Any) -> bytes:
        entered.set()
        assert release.wait(PATIENCE_SECONDS)
        return body(self, *key)

    serving.ask("/vram")
    monkeypatch.setattr(Published, "body", slow)
    with serving.connect() as raw:
        raw.request("/vram?gpu=MIG-1-2&blocks=summary")
        assert entered.wait(PATIENCE_SECONDS)
        assert serving.ask("/vram").status == 200
        release.set()
        assert raw.reply().status == 200


def test_a_large_answer_arrives_whole(serving: Serving) -> None:
    with Serving() as large:
        large.publish(sample(device(index, name="x" * 1000) for index in range(2000)))
        body = large.ask("/vram").body
        assert len(body) > 2_000_000
        assert len(json.loads(body)["gpus"]) == 2000


@pytest.mark.parametrize("path", ["/nope", "/vram/", "/VRAM", "//vram", "/vram/stream/x", "/../vram", "*", "/%00"])
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_an_unknown_path_is_answered_as_the_contract_says(serving: Serving, path: str, method: str) -> None:
    if path == "*" and method == "GET":
        path = "/*"
    reply = serving.ask(path, method)
    assert reply.body == b"Not Found"
    assert (reply.status, reply.headers["content-type"]) == (404, "text/plain")


def test_our_own_fault_is_logged_and_not_told(
    serving: Serving, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_: object) -> bytes:
        raise RuntimeError("the secret cause")

    before = serving.server.stats.errors_total
    serving.publish()  # of which no answer is ready
    monkeypatch.setattr(Published, "made", fail)
    with caplog.at_level(logging.ERROR):
        reply = serving.ask("/vram")
    assert reply.body == b"Internal Server Error"
    assert (reply.status, reply.headers["content-type"]) == (500, "text/plain")
    assert "the secret cause" in caplog.text
    assert serving.server.stats.errors_total == before + 1
    for ready, made in (("made", "body"), ("made_pieces", "pieces")):
        monkeypatch.setattr(Published, ready, lambda *_: None)
        monkeypatch.setattr(Published, made, fail)
    assert serving.ask("/vram").body == b"Internal Server Error"
    assert serving.ask("/vram/stream").body == b"Internal Server Error"
    assert serving.server.stats.streams_open == 0


def test_health_follows_the_sources(serving: Serving) -> None:
    serving.publish()
    assert serving.ask("/healthz").status == 200
    serving.publish(sources=(status(), status(name="b", state="failed", reason="it broke")))
    reply = serving.ask("/healthz")
    assert reply.status == 503
    assert [row["reason"] for row in json.loads(reply.body)["sources"]] == [None, "it broke"]
    serving.publish()
    assert serving.ask("/healthz").status == 200


def test_health_fails_once_no_more_samples_come(serving: Serving) -> None:
    serving.publish(taken_at=serving.hub.latest.moment.taken_at - 60)  # type: ignore[union-attr]
    reply = serving.ask("/healthz")
    assert reply.status == 503
    assert json.loads(reply.body)["sources"][0]["state"] == "stale"
    serving.publish()


def test_the_requests_of_one_connection_are_answered_in_order(serving: Serving) -> None:
    serving.publish()
    paths = ["/readyz", "/vram?blocks=summary", "/nope", "/openapi.json", "/metrics", "/vram", "/livez"]
    with serving.connect() as raw:
        raw.send(
            b"".join(f"GET {path} HTTP/1.1\r\nHost: a.b\r\n\r\n".replace("a.b", "localhost").encode() for path in paths)
        )
        replies = [raw.reply() for _ in paths]
    assert [reply.status for reply in replies] == [200, 200, 404, 200, 200, 200, 200]
    assert replies[0].body == b"ready"
    assert json.loads(replies[1].body)["blocks"] == []
    assert json.loads(replies[5].body)["blocks"]


def test_http_1_0_ends_with_the_answer_unless_asked_otherwise(serving: Serving) -> None:
    with serving.connect() as raw:
        raw.send(b"GET /readyz HTTP/1.0\r\n\r\n")
        assert raw.rest().endswith(b"\r\n\r\nready")
    with serving.connect() as raw:
        for _ in range(2):
            raw.send(b"GET /readyz HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
            assert raw.reply().headers["connection"] == "keep-alive"


def test_the_client_may_close_its_half_and_still_gets_its_answers(serving: Serving) -> None:
    with serving.connect() as raw:
        raw.send(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\nGET /readyz HTTP/1.1\r\nHost: localhost\r\n\r\n")
        raw.socket.shutdown(1)
        assert raw.reply().status == 200
        assert raw.rest().endswith(b"ready")


def test_a_body_is_read_past_and_the_connection_goes_on(serving: Serving) -> None:
    with serving.connect() as raw:
        raw.send(b"GET /readyz HTTP/1.1\r\nHost: localhost\r\nContent-Length: 60000\r\n\r\n" + b"x" * 60000)
        assert raw.reply().status == 200
        raw.request("/readyz")
        assert raw.reply().status == 200


def test_a_client_that_waits_to_be_told_to_continue_is_told(serving: Serving) -> None:
    with serving.connect() as raw:
        raw.send(b"POST /vram HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n")
        assert raw.until(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        raw.send(b"ok")
        assert raw.reply().status == 405


def test_an_ordinary_client_is_served(serving: Serving) -> None:
    with requests.Session() as session:
        for _ in range(3):
            assert session.get(f"{serving.url}/vram", timeout=PATIENCE_SECONDS).json()["seq"] == serving.seq


def test_answers_are_counted_by_route_and_status() -> None:
    with Serving(Settings(port=0, process_metrics=True)) as counted:
        counted.publish()
        for path in ("/vram", "/vram", "/a", "/b", "/vram?x"):
            counted.ask(path)
        counts = counted.server.stats.requests_total
        assert counts == {("/vram", 200): 2, ("other", 404): 2, ("/vram", 400): 1}
        metrics = counted.ask("/metrics").body.decode()
        assert 'blackbox_http_requests_total{route="/vram",status="200"} 2.0' in metrics
