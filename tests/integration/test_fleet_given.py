"""GPUs that pods were given and left empty, from the kubelet's answer to the fleet's; and two recordings of a machine,
of which each thing is told once. On two real ClickHouse nodes."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from blackbox.fleet.questions.cover import FleetScope
from blackbox.fleet.questions.lives import ooms, where
from blackbox.fleet.questions.waste import waste
from blackbox.fleet.reader import FleetReader
from blackbox.fleet.send import Access
from blackbox.model.moment import Moment
from blackbox.model.parts import GivenGpus, GivenTo
from tests import moments
from tests.clickhouse_rig import ClickHouse
from tests.fleet_rig import START, Ship
from tests.fleet_rows import GIB, MINUTE, insert, machine_row, statistics, utc
from tests.fleet_rows import START as PAST
from tests.moments import TRAINER
from tests.recordings import recorded

MINUTES, BUSY_FROM, GIVEN_FROM, GIVEN_UNTIL = 10, 5, 1, 8
TRAIN = GivenTo(namespace="ml", pod="train-0", container="main")
SHARES = tuple(GivenTo(namespace="web", pod=f"chat-{place}", container="serve", shared=True) for place in range(2))
HOUR = PAST // 3600 * 3600 + 3600


@pytest.fixture
def reader(nodes: list[ClickHouse]) -> Iterator[FleetReader]:
    found = FleetReader(Access(nodes[1].url), lambda: START + 7200)
    yield found
    found.close()


def kubelet_moments() -> Iterator[Moment]:
    """GPU-0 has a process from the fifth minute on, GPU-1 has none; in the last minute the kubelet does not answer."""
    for place in range(MINUTES + 1):
        given = {"GPU-1": SHARES} | ({"GPU-0": (TRAIN,)} if GIVEN_FROM <= place < GIVEN_UNTIL else {})
        processes = [moments.process(TRAINER)] if place >= BUSY_FROM else []
        driver = moments.sample((moments.device(0), moments.device(1), moments.device(2)), processes)
        told = GivenGpus(containers=given) if place < MINUTES - 1 else GivenGpus(reason="no answer within 5 s")
        kubelet = moments.sample((), source="kubelet", processes_taken_at=None, given=told)
        yield moments.moment(driver, kubelet, seq=place + 1, timestamp=START + place * MINUTE + 1, host="node-0")


def test_a_gpu_that_a_pod_was_given_and_left_empty(
    nodes: list[ClickHouse], reader: FleetReader, tmp_path: Path
) -> None:
    with recorded(tmp_path, kubelet_moments()), Ship(tmp_path, nodes[0], host="node-0", tenant="pods") as ship:
        ship.steps()
        machine = ship.machine
    told = nodes[0].rows(
        f"SELECT gpu_uuid, given_to FROM blackbox.gpu WHERE machine = '{machine}' ORDER BY gpu_uuid, ts"
    )
    of = {uuid: [row["given_to"] for row in told if row["gpu_uuid"] == uuid] for uuid in ("GPU-0", "GPU-1", "GPU-2")}
    assert of["GPU-0"] == ["", *["ml/train-0/main"] * 7, "", None], "given to nobody is not the same as not known"
    assert of["GPU-1"] == ["web/chat-0/serve,web/chat-1/serve"] * 9 + [None]
    assert of["GPU-2"] == [""] * 9 + [None]
    found = waste(reader, START, START + MINUTES * MINUTE, "user", FleetScope("pods"))
    assert found.allocations == 3
    rows = [(one.gpu_uuid, one.scheduler, one.job, one.empty_minutes, one.seen_minutes) for one in found.empty]
    assert sorted(rows) == [
        ("GPU-0", "kubernetes", "ml/train-0/main", BUSY_FROM - GIVEN_FROM, GIVEN_UNTIL - GIVEN_FROM),
        ("GPU-1", "kubernetes", "web/chat-0/serve", 9, 9),
        ("GPU-1", "kubernetes", "web/chat-1/serve", 9, 9),
    ]
    (train,) = (one for one in found.empty if one.gpu_uuid == "GPU-0")
    assert (train.since, train.until) == (START + GIVEN_FROM * MINUTE, START + GIVEN_UNTIL * MINUTE)
    assert (train.host, train.user) == ("node-0", None)
    chats = [one for one in found.empty if one.gpu_uuid == "GPU-1"]
    assert [one.until for one in chats] == [None, None], "nobody told that it was given back: the kubelet was silent"
    assert waste(reader, START, START + 1, "user", FleetScope("pods", "another")).allocations == 0


def test_what_two_recordings_of_a_machine_tell_is_told_once(nodes: list[ClickHouse], reader: FleetReader) -> None:
    """Two servers on it, or a recording that began anew; and another machine of the same name."""
    tenant = {"tenant": "twins", "host": "twin"}
    machines = ("id-old", "id-new", "id-namesake")
    gpus = {"id-old": "GPU-t", "id-new": "GPU-t", "id-namesake": "GPU-n"}
    for place, machine in enumerate(machines):
        own = tenant | {"machine": machine, "gpu_uuid": gpus[machine]}
        insert(nodes[0], "machine", [machine_row("twin", HOUR + 7200) | {"tenant": "twins", "machine": machine}])
        lasts = 50 if machine == "id-old" else 60
        process = own | {"pid": 7, "start_ms": 1000, "present": True, "batch": 1, "user": "ann"}
        values = statistics(used_bytes=9 * GIB, reserved_bytes=6 * GIB, allocated_bytes=2 * GIB)
        insert(nodes[0], "process", [process | values | {"ts": utc(HOUR + at * MINUTE)} for at in range(lasts)])
        gpu = own | {"processes": 0, "given_to": "ml/idle/main", "batch": 1}
        gpu |= {"simulated": False, "omitted_processes": 0, "omitted_used_bytes": 0}
        insert(nodes[0], "gpu", [gpu | {"ts": utc(HOUR + at * MINUTE)} for at in range(lasts)])
        life = own | {"pid": 7, "start_ms": 1000, "slurm_job": "12", "peak_used_bytes": (place + 1) * GIB}
        times = {"first_seen": utc(HOUR + place * MINUTE), "last_seen": utc(HOUR + (lasts - 1) * MINUTE)}
        insert(nodes[0], "life", [life | times])
        oom = own | {"kind": "oom", "pid": 7, "detail": "{}", "batch": 1}
        insert(nodes[0], "event", [oom | {"ts": utc(HOUR + at), "event_id": 10 * place + at} for at in (5, 6)])
    # a gift of a scheduler, to each GPU
    gift = tenant | {"scheduler": "slurm", "job": "12", "since": utc(HOUR), "until": None, "user": "ann"}
    insert(nodes[0], "allocation", [gift | {"gpu_uuid": uuid} for uuid in ("GPU-t", "GPU-n")])

    scope = FleetScope("twins")
    found = waste(reader, HOUR, HOUR + 3600, "user", scope)
    assert [(one.name, one.processes, one.machines, one.never_used_byte_hours) for one in found.wasters] == [
        ("ann", 2, 2, 8 * GIB)
    ]
    assert [(one.name, one.machines) for one in waste(reader, HOUR, HOUR + 3600, "host", scope).wasters] == [
        ("twin", 1),
        ("twin", 1),
    ]
    assert sorted((one.gpu_uuid, one.scheduler, one.empty_minutes, one.seen_minutes) for one in found.empty) == [
        ("GPU-n", "kubernetes", 60, 60),
        ("GPU-n", "slurm", 60, 60),
        ("GPU-t", "kubernetes", 60, 60),
        ("GPU-t", "slurm", 60, 60),
    ]
    lives = where(reader, "12", HOUR, HOUR + 3600, scope)
    assert sorted((one.gpu_uuid, one.machine, one.used_bytes, one.first_seen) for one in lives.lives) == [
        ("GPU-n", "id-namesake", 3 * GIB, HOUR + 2 * MINUTE),
        ("GPU-t", "id-new", 2 * GIB, HOUR),
    ]
    assert lives.omitted == 0
    assert where(reader, "12", HOUR, HOUR + 3600, scope, limit=1).omitted == 1
    refused = ooms(reader, HOUR, HOUR + 3600, scope)
    assert sorted((one.gpu_uuid, one.timestamp) for one in refused.ooms) == [
        (uuid, HOUR + at) for uuid in ("GPU-n", "GPU-t") for at in (5.0, 6.0)
    ]
    assert ooms(reader, HOUR, HOUR + 3600, scope, limit=1).omitted == 3
    alone = FleetScope("twins", "id-old")
    assert [one.machine for one in where(reader, "12", HOUR, HOUR + 3600, alone).lives if one.gpu_uuid == "GPU-t"]
