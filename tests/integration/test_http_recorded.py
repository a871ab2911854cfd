"""Requests about the recording over HTTP, on a recording of a minute that was just made."""

import gzip
import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from threading import Event as Flag
from typing import Any

import pytest
import zstandard
from msgspec import structs

from blackbox.model.endpoint import Endpoint
from blackbox.model.endpoints import ENDPOINTS
from blackbox.model.event import Event, OutOfMemory, ProcessLife
from blackbox.model.moment import Moment
from blackbox.recorder import RecordedEvent, Recorder, Recording
from blackbox.recorder.query.visibility import numbered
from blackbox.server.http import query_pool
from blackbox.settings import Settings
from tests.contract.assertions import assert_honours_the_contract
from tests.moments import GIB, MIB, allocator, device, memory, moment, process, sample
from tests.recordings import recorded
from tests.serving import QUICK, Raw, Serving
from tests.waiting import PATIENCE_SECONDS, until

SECONDS = 60
LEAKY, NEW, GONE = 100, 200, 300


def machine(second: int) -> Moment:
    """One process leaks, one ends half-way, one begins."""
    leaked = GIB + second * 50 * MIB
    rows = [process(LEAKY, used_bytes=leaked, name="leaky")]
    if second < SECONDS // 2:
        rows.append(process(GONE, used_bytes=2 * GIB, name="gone"))
    else:
        rows.append(process(NEW, used_bytes=3 * GIB, name="new"))
    used = sum(row.used_bytes or 0 for row in rows)
    return moment(
        sample([device(memory=memory(used=used))], rows),
        seq=second + 1,
        timestamp=START + second,
    )


START = float(int(time.time()) - SECONDS)
EVENTS = (
    Event(kind="process_exit", timestamp=START + 30, message="gone ended", gpu_uuid="GPU-0", pid=GONE, uid=1000),
    Event(kind="process_start", timestamp=START + 30, message="new began", gpu_uuid="GPU-0", pid=NEW, uid=1000),
    Event(kind="xid", timestamp=START + 40, message="fell off the bus", gpu_uuid="GPU-0", code=79),
)


@pytest.fixture(scope="module")
def recorder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Recorder]:
    with recorded(tmp_path_factory.mktemp("data"), map(machine, range(SECONDS)), EVENTS) as recorder:
        yield recorder


@pytest.fixture(scope="module")
def serving(recorder: Recorder) -> Iterator[Serving]:
    with Serving(recording=recorder.recording) as serving:
        serving.hub.publish(machine(SECONDS - 1))
        yield serving


def answer(serving: Serving, path: str) -> Any:
    reply = serving.ask(path)
    assert reply.status == 200, reply.body
    assert reply.headers["content-type"] == "application/json"
    return json.loads(reply.body)


def test_history_is_the_recording_of_the_machine_its_gpus_and_processes(serving: Serving) -> None:
    found = answer(serving, f"/vram/history?from={START}&to={START + SECONDS}&points=30")
    assert (found["from"], found["to"]) == (START, START + SECONDS)
    assert [(one["gpu"], one["pid"]) for one in found["series"]] == [
        (None, None),
        (0, None),
        (0, LEAKY),
        (0, NEW),
        (0, GONE),
    ]
    leaky = found["series"][2]
    assert leaky["name"] == "leaky"
    times, lows, means, highs = zip(*leaky["points"], strict=True)
    assert list(times) == sorted(times)
    assert all(low <= mean <= high for low, mean, high in zip(lows, means, highs, strict=True))
    assert (lows[0], highs[-1]) == (GIB, GIB + (SECONDS - 1) * 50 * MIB)


def test_history_of_one_process_and_metric(serving: Serving) -> None:
    found = answer(serving, f"/vram/history?from={START}&pid={LEAKY}&gpu=GPU-0")
    assert [(one["pid"], one["metric"]) for one in found["series"]] == [(LEAKY, "used_bytes")]
    found = answer(serving, f"/vram/history?from={START}&gpu=0&metric=power_watts")
    assert [(one["gpu"], one["pid"], one["points"][0][1:]) for one in found["series"]] == [(0, None, [250.5] * 3)]


def test_at_is_the_snapshot_as_of_then(serving: Serving) -> None:
    found = answer(serving, f"/vram/at?t={START + 10.3}")
    assert_honours_the_contract(found)
    assert found["seq"] == 11
    assert [row["name"] for row in found["processes"]] == ["leaky", "gone"]
    bare = answer(serving, f"/vram/at?t={START + 10.3}&gpu=0&blocks=none")
    assert (bare["blocks"], bare["blocks_omitted"]) == ([], len(found["blocks"]))


def test_events_of_a_kind_and_since_then(serving: Serving) -> None:
    found = answer(serving, "/vram/events")["events"]
    assert [event["kind"] for event in found] == ["process_exit", "process_start", "xid"]
    assert [event["id"] for event in found] == sorted(event["id"] for event in found)
    assert found[2] == {
        "kind": "xid",
        "timestamp": START + 40,
        "message": "fell off the bus",
        "gpu_uuid": "GPU-0",
        "code": 79,
        "id": found[2]["id"],
    }
    assert answer(serving, f"/vram/events?since={START + 35}")["events"] == found[2:]
    assert answer(serving, f"/vram/events?until={START + 35}&kind=xid,process_exit")["events"] == found[:1]
    assert answer(serving, "/vram/events?limit=1")["events"] == found[2:]
    assert answer(serving, f"/vram/events?event={found[1]['id']}")["events"] == [found[1]]
    assert serving.ask("/vram/events?event=7").status == 404
    assert answer(serving, "/vram/events?detail=light")["events"] == found, "they are light already"
    assert [event["kind"] for event in answer(serving, "/vram/events?detail=folded&limit=2")["events"]] == [
        "process_start",
        "xid",
    ]


RANGES = (("from", "to"), ("since", "until"))
RANGED = [
    (endpoint, *names)
    for endpoint in ENDPOINTS
    for names in RANGES
    if {*names} <= {one.name for one in endpoint.parameters} and not endpoint.path.startswith("/fleet")
]
"""Every route that takes a range of this machine's recording."""


@pytest.mark.parametrize(("endpoint", "begin", "end"), RANGED, ids=[endpoint.path for endpoint, *_ in RANGED])
def test_a_range_that_ends_before_it_begins_is_refused(
    serving: Serving, endpoint: Endpoint, begin: str, end: str
) -> None:
    given = {begin: START + 30, end: START + 10, "metric": "used_bytes", "gpu": "0"}
    query = "&".join(f"{one.name}={given[one.name]}" for one in endpoint.parameters if one.name in given)
    refused = serving.ask(f"{endpoint.path}?{query}")
    told = refused.body.decode()
    assert (refused.status, begin in told, end in told) == (400, True, True)


def test_events_of_one_gpu(serving: Serving) -> None:
    every = answer(serving, "/vram/events")["events"]
    for name in ("0", "GPU-0"):
        assert answer(serving, f"/vram/events?gpu={name}")["events"] == every
        folded = answer(serving, f"/vram/events?gpu={name}&detail=folded")["events"]
        assert [event["kind"] for event in folded] == [event["kind"] for event in every]
    assert answer(serving, "/vram/events?gpu=GPU-of-last-week")["events"] == []


def test_a_forecast_of_one_gpu(serving: Serving) -> None:
    found = answer(serving, "/vram/forecast?gpu=0")
    assert [gpu["gpu_uuid"] for gpu in found["gpus"]] == ["GPU-0"]


def test_compare_tells_new_gone_and_grown(serving: Serving) -> None:
    found = answer(serving, f"/vram/compare?a={START + 5}&b={START + 55}")
    assert (found["a"]["seq"], found["b"]["seq"]) == (6, 56)
    changes = {row["name"]: (row["change"], row["delta_bytes"]) for row in found["processes"]}
    assert changes == {"new": ("new", 3 * GIB), "gone": ("gone", -2 * GIB), "leaky": ("grown", 2500 * MIB)}
    assert found["delta_bytes"] == 2500 * MIB + GIB


def test_aggregated_over_a_window(serving: Serving) -> None:
    found = answer(serving, f"/vram/aggregated?window=20.6s&to={START + 50.5}&pid={LEAKY}")
    assert found["to"] - found["from"] == pytest.approx(20.6)
    (leaky,) = found["aggregates"]
    assert (leaky["min"], leaky["max"]) == (GIB + 30 * 50 * MIB, GIB + 50 * 50 * MIB)
    assert leaky["min"] < leaky["mean"] < leaky["p95"] <= leaky["p99"] <= leaky["max"]
    assert (leaky["count"], leaky["exact"]) == (21, True)


def test_a_forecast_without_enough_to_go_by_predicts_nothing(serving: Serving) -> None:
    found = answer(serving, "/vram/forecast")
    assert [gpu["full_in_seconds"] for gpu in found["gpus"]] == [None]
    assert "soon enough to predict" in found["gpus"][0]["message"]
    assert all(process["full_in_seconds"] is None for process in found["processes"])
    assert found["advice"] == []


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("/vram/history?from=someday", "from: 'someday' is no time"),
        ("/vram/history?from=-1h&to=-2h", "must be before"),
        ("/vram/history?metric=size", "metric: 'size' is none of"),
        ("/vram/history?points=0", "points: '0' is no whole number from 1 to 10000"),
        ("/vram/history?points=1e3", "points: '1e3'"),
        ("/vram/history?pid=-1", "pid: '-1'"),
        ("/vram/history?pid=%C2%B2", "pid: '\\xb2'"),
        ("/vram/history?blocks=none", "unknown parameter 'blocks'"),
        ("/vram/history?to=1&to=2", "given twice"),
        ("/vram/at?t=", "t is empty"),
        ("/vram/at", "t or event is needed"),
        ("/vram/events?detail=some", "detail: 'some' is none of full, light, folded"),
        ("/vram/at?t=nan", "t: 'nan' is no time"),
        ("/vram/at?t=-1h&blocks=some", "blocks: 'some' is none of full, summary, none"),
        ("/vram/events?kind=oom,boom", "kind: 'boom' is none of"),
        ("/vram/events?limit=99999999", "limit: '99999999'"),
        ("/vram/events/stream?kind=boom", "kind: 'boom' is none of"),
        ("/vram/compare?b=5", "a is missing"),
        ("/vram/aggregated?window=forever", "window: 'forever' is no duration"),
        ("/vram/aggregated?window=0s", "window: '0s' is no duration"),
        ("/vram/forecast?now=1", "unknown parameter 'now'"),
    ],
)
def test_a_mistake_is_one_line(serving: Serving, path: str, words: str) -> None:
    reply = serving.ask(path)
    assert (reply.status, reply.headers["content-type"]) == (400, "text/plain")
    text = reply.body.decode()
    assert words in text
    assert "\n" not in text


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("/vram/at?t={before}", "nothing was recorded at "),
        ("/vram/at?t={within}&gpu=7", "no GPU '7'"),
        ("/vram/events?gpu=7", "no GPU '7'"),
        ("/vram/events/stream?gpu=7", "no GPU '7'"),
        ("/vram/forecast?gpu=7", "no GPU '7'"),
        ("/vram/compare?a={before}", "nothing was recorded at "),
        ("/vram/events/nothing", "Not Found"),
    ],
)
def test_what_is_not_there_is_404(serving: Serving, path: str, words: str) -> None:
    reply = serving.ask(path.format(before=START - 500, within=START + 5))
    assert reply.status == 404
    assert words in reply.body.decode()


@pytest.mark.parametrize(
    "path", ["history", "at?t=5", "events", "events/stream", "compare?a=5", "aggregated", "forecast"]
)
def test_without_a_recording_every_question_says_so(path: str) -> None:
    with Serving() as serving:
        serving.publish()
        reply = serving.ask(f"/vram/{path}")
        assert (reply.status, reply.body) == (404, b"this server keeps no recording: it runs with --no-record")


def test_times_in_every_form(serving: Serving) -> None:
    stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(START + 10))
    shifted = time.strftime("%Y-%m-%dT%H:%M:%S+01:00", time.gmtime(START + 10 + 3600))
    for form in (str(START + 10), stamp, stamp + "Z", shifted, shifted.replace("+", "%2B")):
        assert answer(serving, f"/vram/at?t={form}&blocks=none")["seq"] == 11
    ago = f"-{time.time() - START - 10 - 0.4:.3f}s"
    assert answer(serving, f"/vram/at?t={ago}&blocks=none")["seq"] == 11


def test_answers_come_compressed_where_that_is_accepted(serving: Serving) -> None:
    path = f"/vram/history?from={START}&to={START + SECONDS}"
    plain = serving.ask(path)
    assert "content-encoding" not in plain.headers
    packed = serving.ask(path, Accept_Encoding="gzip")
    assert gzip.decompress(packed.body) == plain.body
    packed = serving.ask(path, Accept_Encoding="zstd")
    assert zstandard.ZstdDecompressor().decompress(packed.body) == plain.body


class Slow(Recording):
    """A recording on a disk that does not answer until it is told to."""

    def __init__(self, directory: Path) -> None:
        super().__init__(directory)
        self.released = Flag()

    def moment_at(self, time: float) -> Moment | None:
        self.released.wait(PATIENCE_SECONDS)
        return None


def test_a_slow_disk_holds_up_nobody_but_a_few_who_ask_it(tmp_path: Path) -> None:
    recording = Slow(tmp_path)
    with Serving(recording=recording) as serving:
        serving.publish()
        waiting = [serving.connect() for _ in range(query_pool.WAITING_MAX)]
        for number, raw in enumerate(waiting):
            raw.request(f"/vram/at?t={number}")  # each its own: those who ask the same share one answer
        until(lambda: serving.server.stats.connections_open == query_pool.WAITING_MAX)
        reply = serving.ask(f"/vram/at?t={query_pool.WAITING_MAX}")
        assert (reply.status, reply.headers["retry-after"]) == (503, "1")
        assert serving.ask("/vram").status == 200
        recording.released.set()
        for raw in waiting:
            with raw:
                assert raw.reply().status == 404


# The stream of events


def listen(serving: Serving, query: str = "", **headers: str) -> Raw:
    raw = serving.connect()
    raw.request(f"/vram/events/stream{query}", **headers)
    head = raw.until(b"\r\n\r\n")
    assert b"200 OK" in head
    assert b"text/event-stream" in head
    raw.until(b": events follow\n\n")
    return raw


def note(recorder: Recorder, message: str, kind: Any = "oom") -> None:
    recorder.note(Event(kind=kind, timestamp=time.time(), message=message, pid=1, uid=os.getuid()))


def event_of(raw: Raw) -> tuple[int, str, dict[str, Any]]:
    raw.until(b"id: ")
    number, kind, data, _ = raw.until(b"\n\n").decode().split("\n", 3)
    return int(number), kind.removeprefix("event: "), json.loads(data.removeprefix("data: "))


def test_events_are_streamed_with_their_kind_and_id(recorder: Recorder, serving: Serving) -> None:
    with listen(serving) as raw, listen(serving, "?kind=threshold") as other:
        note(recorder, "first")
        number, kind, body = event_of(raw)
        assert (kind, body["message"], body["id"]) == ("oom", "first", number)
        note(recorder, "second", "threshold")
        assert event_of(raw)[2]["message"] == event_of(other)[2]["message"] == "second"
    note(recorder, "unheard")
    note(recorder, "unheard either")
    with listen(serving, Last_Event_ID=str(number)) as raw:
        assert [event_of(raw)[2]["message"] for _ in range(3)] == ["second", "unheard", "unheard either"]
    serving.until(lambda: serving.server.stats.streams_open == 0)


def test_a_stream_of_one_gpu_is_not_told_of_another(recorder: Recorder, serving: Serving) -> None:
    with listen(serving, "?gpu=0") as raw:
        recorder.note(Event(kind="xid", timestamp=time.time(), message="other", gpu_uuid="GPU-1", code=79))
        recorder.note(Event(kind="xid", timestamp=time.time(), message="this", gpu_uuid="GPU-0", code=79))
        assert event_of(raw)[2]["message"] == "this"


def test_a_new_listener_hears_nothing_of_the_past(recorder: Recorder, serving: Serving) -> None:
    note(recorder, "past")
    until(lambda: "past" in serving.ask("/vram/events").body.decode())
    with listen(serving) as raw:
        note(recorder, "present")
        assert event_of(raw)[2]["message"] == "present"


def test_a_listener_gets_gzip_where_it_accepts_it(recorder: Recorder, serving: Serving) -> None:
    with serving.connect() as raw:
        raw.request("/vram/events/stream", Accept_Encoding="gzip")
        assert b"Content-Encoding: gzip" in raw.until(b"\r\n\r\n")


def test_streams_of_events_count_as_streams(recorder: Recorder) -> None:
    with Serving(Settings(port=0, streams_max=1), recording=recorder.recording) as serving:
        with listen(serving):
            assert serving.ask("/vram/events/stream").status == 503
            assert serving.ask("/vram/stream").status == 503
        serving.until(lambda: serving.server.stats.streams_open == 0)
        with listen(serving) as raw:
            serving.stop()
            assert b": server stopping" in raw.rest()


def test_a_silent_stream_is_kept_alive(recorder: Recorder) -> None:
    with Serving(limits=QUICK, recording=recorder.recording) as serving, listen(serving) as raw:
        raw.until(b": heartbeat\n\n")
        raw.until(b": heartbeat\n\n")


def test_head_of_the_stream_is_a_head(serving: Serving) -> None:
    reply = serving.ask("/vram/events/stream", "HEAD")
    assert (reply.status, reply.headers["content-type"]) == (200, "text/event-stream")


@pytest.mark.fault(42)
def test_row_42_what_an_agent_saw_is_for_its_owner(tmp_path: Path) -> None:
    oom = OutOfMemory(
        source="pytorch",
        requested_bytes=1,
        thread_id=None,
        device_total_bytes=None,
        device_free_bytes=None,
        allocator=allocator(),
        trace=(),
        stacks=(("train.py:7 secret",),),
    )
    for uid, viewer, seen in ((1000, None, True), (1000, 1000, True), (1000, 1001, False), (None, 1001, False)):
        event = Event(kind="oom", timestamp=1.0, message="out of memory", pid=1, uid=uid, oom=oom)
        assert (numbered(RecordedEvent(1, event), viewer).oom is not None) == seen


def test_what_a_program_died_of_is_its_owners_business() -> None:
    life = ProcessLife(
        name="python",
        start_time=None,
        used_bytes=GIB,
        peak_used_bytes=None,
        peak_at=None,
        ended="exception",
        exception="ValueError",
    )
    event = Event(kind="crash", timestamp=1.0, message="died", pid=1, uid=1000, process=life)
    for viewer, seen in ((None, life), (1000, life), (1001, structs.replace(life, ended="unknown", exception=None))):
        assert numbered(RecordedEvent(1, event), viewer).process == seen
