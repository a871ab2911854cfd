"""Row 53: what a program told is for its owner, root, and who knows the token, on every route. Others get the very same
bytes whatever it tells."""

import json
import os
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple
from urllib.parse import urlencode

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import structs

from blackbox.events import EventDetectors
from blackbox.model import endpoints
from blackbox.model.endpoint import Endpoint
from blackbox.model.endpoints import (
    AT,
    ENDPOINTS,
    EVENTS_STREAM,
    LOGIN,
    METRICS,
    REPORT,
    SETTINGS,
    SNAPSHOT,
    SNAPSHOT_AT,
    SNAPSHOT_STREAM,
    STATUS,
)
from blackbox.model.event import Event, OutOfMemory
from blackbox.model.fleet_endpoints import FLEET_ENDPOINTS
from blackbox.model.moment import Moment
from blackbox.model.parts import Allocator, InferenceEngine, KernelCounters
from blackbox.model.sample import ProcessExit
from blackbox.model.series import METRIC_KEYS
from blackbox.model.status import UserStatus
from blackbox.recorder.dumps import keeper
from blackbox.recorder.dumps.keeper import keep
from blackbox.recorder.storage.dump_files import DUMPS_DIRECTORY, new_dump
from blackbox.server.auth import access
from blackbox.server.auth.access import Access, Peer
from blackbox.settings import Settings
from tests import strategies
from tests.moments import GIB, TIMESTAMP, allocator, device, engine, moment, process, sample, status
from tests.recordings import recorded
from tests.serving import Serving
from tests.waiting import until

START = TIMESTAMP
HERS, HIS = 41_001, 41_002
"""Users; neither runs the server."""
CANARY = "CANARY"
EXAMPLES = 4
"""Each makes two recordings and two servers, and asks everything of both; the strategies draw a whole machine."""
MINE, MINE_UNMEASURED, MINE_UNLISTED, ENDING, THEIRS = 101, 102, 103, 104, 201
"""Pids: hers, of which the driver tells all, a part, or nothing, and one that ends; and his."""
DUMP = new_dump(Path(), "oom", MINE, HERS, START + 1).path.name
"""The first that is kept of her failure."""
texts = st.text("abc", max_size=8).map(lambda text: f"{CANARY}{text}")
counts = st.none() | st.integers(0, 10**12)
ratios = st.none() | st.floats(0, 1)


class Told(NamedTuple):
    """All that her programs told of themselves."""

    allocators: tuple[Allocator, ...]
    kernels: tuple[KernelCounters, ...]
    engines: tuple[InferenceEngine, ...]
    of_users: tuple[UserStatus, ...]
    exits: tuple[ProcessExit, ...]
    oom: OutOfMemory


@st.composite
def hers(draw: st.DrawFn, pid: int, gpu_uuid: str) -> Allocator:
    """An allocator of hers with texts of her own."""
    made = draw(strategies.allocators(pid, gpu_uuid))
    text, uid = draw(texts), None if pid == MINE and draw(st.booleans()) else HERS  # None: of an earlier version
    return structs.replace(
        made,
        uid=uid,
        source=text,
        blocks=None if made.blocks is None else tuple(structs.replace(one, subtype=text) for one in made.blocks),
        threads=None if made.threads is None else tuple(structs.replace(one, name=text) for one in made.threads),
        stacks=None
        if made.stacks is None
        else tuple(structs.replace(one, frames=(text,), subtype=text) for one in made.stacks),
        unknown={"blocks": draw(texts), "reserved_bytes": draw(texts)},
    )


counters = st.builds(
    KernelCounters,
    pid=st.sampled_from([MINE, MINE_UNLISTED]),
    scope=st.sampled_from(["process", "device", "kernel"]),
    source=texts,
    atomic_operations=counts,
    threads_per_block=counts,
    occupancy=ratios,
    dram_read_bytes=counts,
    unknown=st.dictionaries(st.sampled_from(["occupancy", "active_blocks"]), texts, max_size=2),
    uid=st.just(HERS),
)
engines = st.builds(
    InferenceEngine,
    kind=st.sampled_from(["vllm", CANARY]),
    pid=st.sampled_from([None, MINE]),
    pids=st.sampled_from([(), (MINE, MINE_UNLISTED)]),
    model=texts,
    kv_pages_total=counts,
    kv_pages_used=counts,
    kv_usage_ratio=ratios,
    requests_running=counts,
    taken_at=st.floats(990, 999),
    unknown=st.dictionaries(texts, texts, max_size=2),
    uid=st.sampled_from([HERS, None]),  # None: of an earlier version, for those alone who see all
)


@st.composite
def told(draw: st.DrawFn) -> Told:
    """Anything her programs may tell; that there is something is no secret."""
    places = ((MINE, "GPU-0"), (MINE_UNMEASURED, "GPU-0"), (MINE_UNLISTED, "GPU-1"))
    allocators = tuple(draw(hers(pid, uuid)) for pid, uuid in places)
    lines = tuple(draw(st.lists(texts, max_size=3)))
    facts = draw(st.dictionaries(texts, texts, max_size=2))
    figures = {"agents_cpu_seconds": draw(st.floats(0, 10)), "agents_dropped": draw(st.integers(0, 9))}
    manner: dict[str, Any] = {"ended": draw(st.sampled_from(["exception", "killed", "abrupt"]))}
    manner |= {"signal": draw(st.sampled_from([None, 9])), "exit_code": draw(st.sampled_from([None, 7]))}
    return Told(
        allocators=allocators,
        kernels=tuple(draw(st.lists(counters, max_size=3))),
        engines=(*draw(st.lists(engines, max_size=2)), structs.replace(draw(engines), uid=HERS)),
        of_users=(UserStatus(uid=HERS, reasons=lines, facts=facts, cost=figures),),
        exits=(
            ProcessExit(
                pid=ENDING,
                start_time=START - 3600,
                timestamp=START + 1,
                name="python",
                uid=HERS,
                exception=draw(texts),
                **manner,
            ),
        ),
        oom=OutOfMemory(
            source=draw(texts),
            requested_bytes=draw(st.integers(0, 10**12)),
            thread_id=MINE,
            device_total_bytes=80 * GIB,
            device_free_bytes=draw(st.integers(0, 10**12)),
            allocator=allocators[0],
            trace=(),
            stacks=((draw(texts),),),
        ),
    )


def world(story: Told, number: int, *, ending: bool) -> Moment:
    """A machine with her programs and his. What the driver and the kernel say does not depend on the story."""
    rows = [
        process(MINE, uid=HERS, used_bytes=5 * GIB),
        process(MINE_UNMEASURED, uid=HERS, used_bytes=None, unknown={"used_bytes": "not supported"}),
        process(THEIRS, uid=HIS, used_bytes=6 * GIB),
    ]
    if ending:
        rows.append(process(ENDING, uid=HERS, used_bytes=GIB))
    oom = Event(
        kind="oom",
        timestamp=START + 1,
        message=f"python ({MINE}) was refused {story.oom.requested_bytes} {CANARY}",
        gpu_uuid="GPU-0",
        pid=MINE,
        uid=HERS,
        oom=story.oom,
    )
    nvml = sample((device(0), device(1)), rows)
    agents = sample(
        (),
        source="agents",
        allocators=(*story.allocators, allocator(THEIRS, uid=HIS)),
        kernels=story.kernels,
        engines=(*story.engines, structs.replace(engine(THEIRS), uid=HIS)),
        of_users=(*story.of_users, UserStatus(uid=HIS, reasons=("his report was refused",))),
        events=() if ending else (oom,),
        process_exits=() if ending else story.exits,
    )
    return moment(
        nvml,
        agents,
        seq=number,
        timestamp=START + number,
        sources=(status(), status(name="agents", cost={"agents": 4.0}, facts={"socket": "here"})),
        stale_after_seconds=1e9,
    )


@contextmanager
def serving(story: Told, directory: Path, now: float, **options: Any) -> Iterator[Serving]:
    """A server with a recording of that story, up to this moment."""
    moments = [world(story, 1, ending=True), world(story, 2, ending=False)]
    detectors = EventDetectors()
    events = [event for one in moments for event in detectors.observe(one)]
    assert {"crash", "process_exit"} <= {event.kind for event in events}
    with (
        recorded(directory, moments) as recorder,
        Serving(Settings(port=0, process_metrics=True, **options), recording=recorder.recording) as server,
    ):
        for event in events:
            recorder.note(event)
        until(lambda: recorder.status().events_total == len(events) + 1)  # and the failure in the second moment
        (failure,) = moments[1].samples[1].events
        kept = keep(recorder.recording, directory / DUMPS_DIRECTORY, failure, START + 3)
        assert kept.name == DUMP
        for one in moments:
            server.hub.publish(_at(one, now))
        yield server


def _at(one: Moment, now: float) -> Moment:
    """The moment, with all its times on the machine's clock moved."""
    shift = now - one.taken_at
    samples = tuple(
        structs.replace(
            each,
            taken_at=each.taken_at + shift,
            processes_taken_at=None if each.processes_taken_at is None else each.processes_taken_at + shift,
            devices=tuple(structs.replace(row, taken_at=row.taken_at + shift) for row in each.devices),
        )
        for each in one.samples
    )
    return structs.replace(one, taken_at=now, samples=samples)


@pytest.fixture(autouse=True)
def dumps_at_known_times(monkeypatch: pytest.MonkeyPatch) -> None:
    """Those that the recorder would keep by itself come seconds later, and bear the time of then."""
    monkeypatch.setattr(keeper, "TRIGGERS", frozenset())


@pytest.fixture(autouse=True)
def peers(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the kernel says of a Unix socket's peer is what the field X-Uid says."""
    admit = Access.admit

    def with_uid(self: Access, request: access.Request, peer: Peer) -> Any:
        uid = request.headers.get(b"x-uid")
        return admit(self, request, peer if uid is None else Peer(uid=int(uid)))

    monkeypatch.setattr(Access, "admit", with_uid)


OWNERS_METRICS = ("unattributed_bytes", "kv_usage_ratio")
"""Of a machine and of an engine; the chart is asked for all there are."""
QUERIES: dict[str, list[dict[str, Any]]] = {
    "/vram": [{}, {"gpu": 0}, {"gpu": 1, "blocks": "summary"}, {"blocks": "none"}],
    "/vram/stream": [{}, {"gpu": 0, "blocks": "none"}],
    "/vram/columns": [{}, {"gpu": 0}, {"t": START + 2.5}],
    "/vram/chart": [{"from": START, "to": START + 9, "metric": ",".join(METRIC_KEYS)}],
    "/vram/stacks": [{"from": START, "to": START + 9}],
    "/vram/report": [{"format": "json"}, {"format": "json", "dump": DUMP}],
    "/vram/at": [{"t": START + 2.5}, {"t": START + 1.5, "gpu": 0}],
    "/vram/history": [{"from": START, "to": START + 9, "metric": metric} for metric in OWNERS_METRICS],
    "/vram/aggregated": [{"window": "9s", "to": START + 9, "metric": metric} for metric in OWNERS_METRICS],
    "/vram/events": [{}, {"kind": "oom,crash"}, {"detail": "light"}, {"detail": "folded"}],
    "/fleet/where": [{"name": "somebody"}],
    "/vram/compare": [{"a": START + 1.5, "b": START + 2.5}, {"a": START + 1.5}],
}
"""Of routes that take parameters; any other is asked without. A route that needs one belongs here."""
STREAMS = {SNAPSHOT_STREAM.path: 2, EVENTS_STREAM.path: 4}
"""What to wait for, of a client that comes back: both moments; a comment, and the failure, the crash and the exit."""
READINGS = re.compile("blackbox_(gpu_(?!xid_errors)|mig_|process_|engine_)")
CHANGING = re.compile(r'"(?:id|age_seconds)":[0-9.]+|"version":"[^"]*"|"recorder":.*')
"""What differs from one server to the next, though the same happened."""


def answers(server: Serving, endpoint: Endpoint, **headers: str) -> Iterator[str]:
    """All that a route tells a viewer."""
    for query in QUERIES.get(endpoint.path, [{}]):
        path = f"{endpoint.path}?{urlencode(query)}" if query else endpoint.path
        if endpoint.path in STREAMS:
            with server.connect() as raw:
                raw.request(path, last_event_id="1" if endpoint is EVENTS_STREAM else "0", **headers)
                body = b"".join(raw.until(b"\n\n") for _ in range(STREAMS[endpoint.path]))
            text = "\n".join(re.findall("^data: .*$", body.decode(), re.MULTILINE))
        else:
            reply = server.ask(path, **headers)
            asks_a_fleet = endpoint in FLEET_ENDPOINTS  # of which these servers know none
            assert reply.status == 200 or endpoint.path not in QUERIES or asks_a_fleet, (path, reply)
            text = f"{reply.status}: {reply.body.decode('latin-1')}"
        if endpoint is METRICS:  # and not what Blackbox counts of itself: it never stands still
            text = "\n".join(line for line in text.splitlines() if READINGS.match(line))
        yield CHANGING.sub("", text)


TELLING = (SNAPSHOT, SNAPSHOT_STREAM, SNAPSHOT_AT, EVENTS_STREAM)
"""Routes on which she finds what her programs told."""


@pytest.mark.slow
@pytest.mark.fault(53)
@settings(max_examples=EXAMPLES)
@given(told(), told())
def test_row_53_what_a_program_tells_changes_nothing_that_others_see(one: Told, other: Told) -> None:
    now = time.monotonic()
    with TemporaryDirectory() as directory:
        (Path(directory) / "token").write_text("s3cret")
        token = {"token_file": Path(directory) / "token"}
        with (
            serving(one, Path(directory, "a"), now, **token) as first,
            serving(other, Path(directory, "b"), now) as second,
        ):
            for endpoint in ENDPOINTS:
                his = list(answers(first, endpoint, x_uid=str(HIS)))
                assert CANARY not in "".join(his), endpoint.path
                if endpoint in (STATUS, SETTINGS):  # of Blackbox itself, no two of which are alike
                    continue
                assert his == list(answers(second, endpoint, x_uid=str(HIS))), endpoint.path
                if endpoint is REPORT:  # each takes a process of its own
                    assert CANARY in list(answers(first, endpoint, x_uid=str(HERS)))[-1], "the report of the dump"
                    continue
                assert CANARY not in "".join(answers(second, endpoint)), f"{endpoint.path}, over open TCP"
                own = list(answers(first, endpoint, x_uid=str(HERS)))
                root = list(answers(first, endpoint, x_uid="0"))
                holder = list(answers(first, endpoint, authorization="Bearer s3cret"))
                assert root == holder or endpoint is LOGIN, endpoint.path
                if endpoint in TELLING:
                    assert all(CANARY in "".join(seen) for seen in (own, root)), endpoint.path


@pytest.mark.fault(53)
def test_row_53_every_route_with_parameters_is_asked() -> None:
    required = {endpoint.path for endpoint in ENDPOINTS if any(one.required for one in endpoint.parameters)}
    assert required <= QUERIES.keys(), "a route that needs parameters has to be asked with some"
    assert DUMP in {query.get(endpoints.DUMP.name) for query in QUERIES[REPORT.path]}, "what is kept of a failure, too"
    assert AT.name in QUERIES[SNAPSHOT_AT.path][0]
    assert os.getuid() not in (HERS, HIS)
    assert json.dumps(CANARY)
