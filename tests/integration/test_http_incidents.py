"""What is kept of an incident, over HTTP: its report, its dumps, and the moment of the refusal itself."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from msgspec import structs

from blackbox.client import Client, StatusError
from blackbox.model.event import Event, OutOfMemory
from blackbox.model.moment import Moment
from blackbox.recorder import Recorder
from blackbox.recorder.dumps.file import new_head, write_dump
from blackbox.recorder.query.refusal import at_refusal
from blackbox.recorder.storage.dump_files import DUMPS_DIRECTORY, new_dump
from blackbox.report import build_report, viewed
from blackbox.report.origins import of_dump
from blackbox.report.viewed import of_event
from tests import incidents
from tests.recordings import recorded
from tests.serving import Serving

MOMENTS = (*incidents.leak()[:-8:8], *incidents.leak()[-8:])
OWNER, STRANGER = 1002, 4321


def real(moment: Moment) -> Moment:
    """The same as if it came from a real machine, whose insides are their owners'."""
    return structs.replace(
        moment,
        samples=tuple(
            structs.replace(
                sample,
                simulated=False,
                events=tuple(
                    structs.replace(
                        one,
                        uid=OWNER,
                        oom=None if one.oom is None else structs.replace(one.oom, source="pytorch"),
                    )
                    for one in sample.events
                ),
            )
            for sample in moment.samples
        ),
    )


@pytest.fixture(scope="module")
def recorder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Recorder]:
    directory = tmp_path_factory.mktemp("data")
    with recorded(directory, MOMENTS) as made:
        folder = directory / DUMPS_DIRECTORY
        folder.mkdir(exist_ok=True)
        events = incidents.events(MOMENTS)
        dump = new_dump(folder, "oom", 48211, None, MOMENTS[-1].timestamp)
        write_dump(dump.path, new_head("a test", *incidents.span(MOMENTS)), MOMENTS[-4:], events)
        yield made


@pytest.fixture(scope="module")
def serving(recorder: Recorder) -> Iterator[Serving]:
    with Serving(recording=recorder.recording) as made:
        made.hub.publish(MOMENTS[-1])
        yield made


@pytest.fixture(scope="module")
def refusal(serving: Serving) -> int:
    """The id of the out-of-memory."""
    return Client(serving.url).events(kind="oom")[-1].id


def test_a_refusal_is_light_in_a_list_and_whole_by_itself(serving: Serving, refusal: int) -> None:
    client = Client(serving.url)
    (light,) = client.events(kind="oom", detail="light")
    (whole,) = client.events(event=refusal)
    assert light.oom is not None
    assert whole.oom is not None
    assert (light.oom.allocator, light.oom.trace, light.oom.requested_bytes) == (None, (), whole.oom.requested_bytes)
    assert light.oom.stacks[0][0] == "layers.py:52 attention"
    assert whole.oom.allocator is not None
    assert " MiB" in whole.message
    assert "bytes" not in whole.message
    weights = [len(serving.ask(f"/vram/events?kind=oom&detail={detail}").body) for detail in ("full", "light")]
    assert weights[1] * 20 < weights[0]


def test_the_moment_of_a_refusal_needs_no_time(serving: Serving, refusal: int) -> None:
    client = Client(serving.url)
    then = client.events(event=refusal)[0].timestamp
    assert (
        client.at(event=refusal, blocks="none").used_bytes == client.at(then, event=refusal, blocks="none").used_bytes
    )


def test_the_report_of_an_event_is_told_as_json(serving: Serving, refusal: int) -> None:
    found = Client(serving.url, timeout_seconds=120).report(event=refusal)
    assert "python (pid 48211) ran out of memory" in found["title"]
    assert found["causes"][0]["cause"] == "leak"
    assert found["causes"][0]["why"]
    assert found["request"]


def test_the_report_of_an_event_is_a_page_that_asks_for_nothing(serving: Serving, refusal: int) -> None:
    reply = serving.ask(f"/vram/report?event={refusal}")
    assert (reply.status, reply.headers["content-type"]) == (200, "text/html; charset=utf-8")
    policy = reply.headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; style-src 'sha256-")
    assert "sandbox allow-scripts" in policy
    assert "unsafe" not in policy
    assert b"layers.py:52 attention" in reply.body
    assert not re.search(rb"(?:src|href)=", reply.body)


def test_without_an_event_the_report_is_on_the_last_failure(serving: Serving) -> None:
    assert "ran out of memory" in Client(serving.url, timeout_seconds=120).report()["title"]


def test_dumps_are_listed_and_reported_on(serving: Serving) -> None:
    client = Client(serving.url, timeout_seconds=120)
    (dump,) = client.dumps()
    assert (dump.kind, dump.pid) == ("oom", 48211)
    assert (dump.size_bytes, list(dump.unknown)) == (0, ["size_bytes"]), "it tells how much all programs told"
    assert "ran out of memory" in client.report(dump=dump.name)["title"]


@pytest.mark.parametrize(
    "query",
    ["event=999999", "dump=nope.bbdump", "dump=../dumps", "dump=/etc/passwd", "dump=..%2F..%2Fetc%2Fpasswd"],
)
def test_what_is_not_there_is_404_in_one_line(serving: Serving, query: str) -> None:
    reply = serving.ask(f"/vram/report?{query}")
    assert reply.status == 404
    assert reply.body.count(b"\n") == 0
    assert str(serving.server) is not None


def test_a_report_is_on_the_event_that_is_asked_for_whatever_failed_before(tmp_path: Path) -> None:
    (refused,) = [one for one in incidents.events(MOMENTS) if one.kind == "oom"]
    later = refused.timestamp + 1
    crossed = Event(
        kind="threshold", timestamp=later, message="GPU 0 uses 96.0 % of its memory, above 95 %",
        gpu_uuid=MOMENTS[-1].samples[0].devices[0].uuid,
    )  # fmt: skip
    dump = tmp_path / "threshold.bbdump"
    write_dump(dump, new_head(crossed.message, *incidents.span(MOMENTS)), MOMENTS, [refused, crossed])
    for evidence in (of_dump(dump), viewed.of_dump(dump, None)):
        report = build_report(evidence)
        assert (report.title, report.time, report.gpu_uuid) == (crossed.message, later, crossed.gpu_uuid)
    by_hand = tmp_path / "by-hand.bbdump"
    write_dump(by_hand, new_head("made by hand", *incidents.span(MOMENTS)), MOMENTS, [refused, crossed])
    assert "ran out of memory" in build_report(of_dump(by_hand)).title
    with recorded(tmp_path / "data", MOMENTS) as made:
        for one in made.recording.events():
            report = build_report(of_event(made.recording, one.id, None))
            assert report.time == one.event.timestamp
            assert ("ran out of memory" in report.title) == (one.event.kind == "oom")


@pytest.mark.parametrize("query", ["event=1&dump=x", "event=-1", "event=1&format=pdf"])
def test_a_question_that_is_none_is_400(serving: Serving, query: str) -> None:
    assert serving.ask(f"/vram/report?{query}").status == 400


def test_the_moment_of_a_refusal_is_that_of_the_refusal(serving: Serving, refusal: int) -> None:
    client = Client(serving.url)
    event = client.events(kind="oom")[-1]
    assert event.oom is not None
    assert event.oom.allocator is not None
    seen = client.at(event.timestamp, event=refusal)
    (row,) = [row for row in seen.processes if row.pid == event.pid]
    assert row.reserved_bytes == event.oom.allocator.reserved_bytes
    assert row.allocated_bytes == event.oom.allocator.allocated_bytes
    (gpu,) = [gpu for gpu in seen.gpus if gpu.uuid == event.gpu_uuid]
    assert gpu.free_bytes == event.oom.device_free_bytes
    assert gpu.total_bytes == gpu.used_bytes + gpu.free_bytes + gpu.driver_reserved_bytes
    table = client.columns(event=refusal)
    held = [part.rows for part in table.head.parts if part.pid == event.pid and part.source]
    assert held == [len(event.oom.allocator.blocks or ())]
    with pytest.raises(StatusError, match="404"):
        client.columns(event=999999)


def test_a_stranger_sees_nothing_of_the_inside(tmp_path: Path) -> None:
    with recorded(tmp_path, map(real, MOMENTS)) as made:
        recording = made.recording
        (oom,) = [one for one in recording.events() if one.event.kind == "oom"]
        own, foreign = (of_event(recording, oom.id, viewer) for viewer in (OWNER, STRANGER))
        assert own.inside is not None
        assert own.failure is not None
        assert own.failure.oom is not None
        assert foreign.inside is None
        assert foreign.failure is not None
        assert foreign.failure.oom is None
        assert not any(block.subtype != "opaque" for block in foreign.last.blocks)
        before, at = recording.moment_at(oom.event.timestamp), recording.moment_of_event(oom.id, STRANGER)
        assert at == before


def test_an_event_without_an_allocator_is_the_moment_before_it() -> None:
    event = next(one for one in incidents.events(MOMENTS) if one.kind == "oom")
    assert event.oom is not None
    bare: OutOfMemory = structs.replace(event.oom, allocator=None)
    assert at_refusal(MOMENTS[0], structs.replace(event, oom=bare)) is MOMENTS[0]
