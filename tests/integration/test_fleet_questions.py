"""Questions about a fleet, on two real ClickHouse nodes: the answers are those of the rows, and a shard, a machine or a
minute that is missing is named."""

import json
import random
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest

from blackbox.cli import main
from blackbox.errors import FailureError
from blackbox.fleet.ddl import TableLayout, reader_grants
from blackbox.fleet.questions.at import at, top
from blackbox.fleet.questions.cover import GRACE_SECONDS, STALE_SECONDS, FleetScope, machines
from blackbox.fleet.questions.lives import ooms, where
from blackbox.fleet.questions.waste import waste
from blackbox.fleet.reader import FleetReader
from blackbox.fleet.rows import Origin
from blackbox.fleet.send import Access, EngineError
from blackbox.fleet.setup import make_tables
from blackbox.model.fleet import FleetAt
from tests.clickhouse_rig import CLUSTER, PASSWORD, READER, ClickHouse, running
from tests.fleet_rows import (
    GIB,
    MINUTE,
    START,
    MadeMinute,
    MadeProcess,
    gpu_rows,
    insert,
    machine_row,
    made_fleet,
    process_rows,
    statistics,
    store,
    utc,
)

HOSTS = tuple(f"gpu{number}" for number in range(8))
MINUTES = 90
END = START + MINUTES * MINUTE
NOW = END + 10 * GRACE_SECONDS
"""Long after: every server has shipped."""
LAYOUT = TableLayout(cluster=CLUSTER, replicated=False)
BLIND = "blind"
"""A user who may not see which shards there are."""
RANDOM_MOMENTS = 200
"""Of a machine."""
MAIN = FleetScope("main")
"""What most tests look at: others have tenants of their own."""


@pytest.fixture(scope="module")
def nodes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[ClickHouse]]:
    grants = {READER: [f"GRANT {grant}" for grant in reader_grants(LAYOUT)], BLIND: ["GRANT SELECT ON `blackbox`.*"]}
    with running(tmp_path_factory.mktemp("clickhouse"), 2, grants) as nodes:
        make_tables([Access(node.url) for node in nodes], LAYOUT, lambda _: None)
        yield nodes


@pytest.fixture(scope="module")
def made(nodes: list[ClickHouse]) -> list[MadeMinute]:
    found = made_fleet(HOSTS, MINUTES, random.Random(16))
    store(nodes[0], found, END, MAIN.tenant)
    return found


READERS: list[FleetReader] = []


@pytest.fixture(autouse=True)
def _closed() -> Iterator[None]:
    yield
    while READERS:
        READERS.pop().close()


def opened(access: Access, now: float = NOW) -> FleetReader:
    """Closed when the test is over."""
    READERS.append(FleetReader(access, lambda: now))
    return READERS[-1]


def reader(node: ClickHouse, now: float = NOW, user: str = READER) -> FleetReader:
    return opened(Access(node.url, user, PASSWORD), now)


def expected_minutes(made: list[MadeMinute], asked: float) -> dict[str, MadeMinute]:
    """The newest of each machine as of then."""
    found: dict[str, MadeMinute] = {}
    for minute in made:
        if asked - STALE_SECONDS < minute.moment <= asked:
            found[minute.host] = minute
    return found


def assert_as_shipped(answer: FleetAt, minute: MadeMinute) -> None:
    (machine,) = (one for one in answer.machines if one.host == minute.host)
    processes = [one for one in answer.processes if one.host == minute.host]
    assert machine.timestamp == minute.moment
    assert machine.ledger.used_bytes == sum(minute.used_bytes.values())
    assert machine.ledger.total_bytes == sum(minute.total_bytes.values())
    told = {
        (one.gpu_uuid, one.pid, one.user, one.slurm_job, one.used_bytes, one.reserved_bytes, one.allocated_bytes)
        for one in processes
    }
    assert told == {tuple(one) for one in minute.processes}
    assert len(processes) == machine.processes == len(minute.processes)
    held = sum(one.used_bytes or 0 for one in processes)
    assert machine.ledger.unattributed_bytes == machine.ledger.used_bytes - held


@pytest.mark.slow
def test_random_machines_and_times_are_what_was_shipped(nodes: list[ClickHouse], made: list[MadeMinute]) -> None:
    """All machines are asked for at once, which costs the engine as much as one, and then one by itself."""
    chance = random.Random(1)
    asking = reader(nodes[0])
    for _ in range(RANDOM_MOMENTS // len(HOSTS)):
        host, asked = chance.choice(HOSTS), round(START + chance.random() * MINUTES * MINUTE, 3)
        expected = expected_minutes(made, asked)
        answer = at(asking, asked, MAIN)
        assert sorted(one.host for one in answer.machines) == sorted(expected)
        assert sorted(answer.cover.unknown_hosts) == sorted(set(HOSTS) - expected.keys())
        for minute in expected.values():
            assert_as_shipped(answer, minute)
        alone = at(asking, asked, FleetScope(MAIN.tenant, host))
        if host not in expected:
            assert alone.machines == alone.processes == ()
            assert (alone.cover.fresh, alone.cover.unknown_hosts, alone.cover.whole) == (0, (host,), False)
            continue
        assert alone.cover.whole
        assert {one.host for one in (*alone.machines, *alone.processes)} == {host}
        assert_as_shipped(alone, expected[host])


def test_the_whole_fleet_adds_up(nodes: list[ClickHouse], made: list[MadeMinute]) -> None:
    asked = START + 45 * MINUTE + 0.25
    expected = expected_minutes(made, asked)
    answer = at(reader(nodes[0]), asked, MAIN, limit=3)
    assert {one.host for one in answer.machines} == set(expected)
    assert answer.cover.fresh == len(expected)
    assert answer.cover.unknown == len(HOSTS) - len(expected)
    assert answer.cover.shards == 2
    assert answer.cover.missing_shards == ()
    ledger = answer.ledger
    assert ledger.used_bytes == sum(sum(one.used_bytes.values()) for one in expected.values())
    assert ledger.total_bytes == ledger.used_bytes + ledger.free_bytes + ledger.driver_reserved_bytes
    rows = [process for one in expected.values() for process in one.processes]
    assert len(answer.processes) == 3
    assert answer.processes_omitted == len(rows) - 3
    assert [one.used_bytes for one in answer.processes] == sorted((one.used_bytes or 0 for one in rows), reverse=True)[
        :3
    ]


def test_holders_are_sums_of_processes(nodes: list[ClickHouse], made: list[MadeMinute]) -> None:
    asked = START + 60 * MINUTE
    rows = [(host, one) for host, minute in expected_minutes(made, asked).items() for one in minute.processes]
    by_user: dict[str | None, int] = defaultdict(int)
    for _, one in rows:
        by_user[one.user] += one.used_bytes or 0
    answer = top(reader(nodes[0]), asked, "user", MAIN)
    assert {one.name: one.used_bytes for one in answer.holders} == by_user
    assert answer.all.processes == len(rows) == sum(one.processes for one in answer.holders)
    assert answer.all.silent == sum(one.reserved_bytes is None for _, one in rows)
    assert answer.all.machines == len({host for host, one in rows})
    first = top(reader(nodes[0]), asked, "workload", MAIN, limit=1)
    assert len(first.holders) == 1
    assert first.holders[0].name in ("slurm 7", "slurm 8", "user ann", "user bob")
    assert first.all.used_bytes == answer.all.used_bytes


def test_a_machine_that_is_behind_is_late_and_one_that_never_shipped_is_unknown(
    nodes: list[ClickHouse], made: list[MadeMinute]
) -> None:
    tenant = {"tenant": "behind"}
    rows = [machine_row("new", None), machine_row("slow", END - 3600), machine_row("quick", END)]
    insert(nodes[0], "machine", [row | tenant for row in rows])
    asked = END - 1.0
    answer = at(reader(nodes[0], now=END + 60), asked, FleetScope("behind"))
    assert (answer.cover.late_hosts, answer.cover.unknown_hosts) == (("slow",), ("new", "quick"))
    found = machines(reader(nodes[0], now=END + 60), FleetScope("behind"))
    assert [(one.host, one.state) for one in found.machines] == [
        ("new", "unknown"),
        ("slow", "late"),
        ("quick", "fresh"),
    ]
    assert (found.machines[0].shipped_until, found.machines[1].shipped_until) == (None, END - 3600)
    assert not found.cover.whole


def test_of_now_numbers_may_be_some_minutes_old(nodes: list[ClickHouse], made: list[MadeMinute]) -> None:
    now = END + 300.0
    assert at(reader(nodes[0], now=now), now, MAIN).cover.fresh == len(HOSTS)
    late = END + GRACE_SECONDS + STALE_SECONDS
    answer = at(reader(nodes[0], now=late), late, MAIN)
    assert (answer.cover.fresh, answer.cover.late) == (0, len(HOSTS))


def test_a_machine_whose_processes_are_still_on_their_way_is_late(nodes: list[ClickHouse]) -> None:
    minute = made_fleet(["torn"], 1, random.Random(5))[0]
    assert minute.processes
    tenant = {"tenant": "torn"}
    insert(nodes[0], "machine", [machine_row("torn", minute.ts + MINUTE) | tenant])
    insert(nodes[0], "gpu", [row | tenant for row in gpu_rows(minute)])
    insert(nodes[0], "process", [row | tenant for row in process_rows(minute)[1:]])
    answer = at(reader(nodes[0]), minute.moment, FleetScope("torn"))
    assert answer.cover.late_hosts == ("torn",)
    insert(nodes[0], "process", [row | tenant for row in process_rows(minute)])
    assert at(reader(nodes[0]), minute.moment, FleetScope("torn")).cover.whole


def test_a_machine_that_was_renamed_is_one_machine(nodes: list[ClickHouse]) -> None:
    """By its name of now, and by its identity; its earlier name is nobody's, which an answer says."""
    tenant, asked = "renamed", START + 5 * MINUTE + 59.6
    earlier = MadeMinute("old-name", START + 5 * MINUTE, asked - 0.1, {"GPU-r": 80 * GIB}, {"GPU-r": 3 * GIB}, [])
    changes = {"tenant": tenant, "machine": "id-renamed"}
    insert(nodes[0], "gpu", [row | changes for row in gpu_rows(earlier)])
    insert(nodes[0], "machine", [machine_row("new-name", END) | changes])
    oom = {"kind": "oom", "ts": utc(asked), "event_id": 1, "detail": "", "batch": 1, "host": "old-name"}
    insert(nodes[0], "event", [oom | changes])
    asking = reader(nodes[0])
    for name in ("new-name", "id-renamed", ""):
        scope = FleetScope(tenant, name)
        answer = at(asking, asked, scope)
        assert (answer.ledger.used_bytes, answer.cover.fresh, answer.cover.whole) == (3 * GIB, 1, True)
        assert len(ooms(asking, START, END, scope).ooms) == 1
    nobody = at(asking, asked, FleetScope(tenant, "old-name")).cover
    assert (nobody.machines, nobody.whole) == (0, False), "no machine is no whole fleet"


def test_a_gpu_that_two_recordings_tell_of_counts_once_and_is_named(nodes: list[ClickHouse]) -> None:
    """Two servers on a machine, or a recording that was shipped again since its cursor was lost; machines of one name
    with other GPUs are two."""
    tenant, ts = "twice", START + 5 * MINUTE
    process = MadeProcess("GPU-t", 7, "ann", None, GIB, None, None)
    made = [
        ("id-first", MadeMinute("same", ts, ts + 50.0, {"GPU-t": 80 * GIB}, {"GPU-t": 3 * GIB}, [process])),
        ("id-'again", MadeMinute("same", ts, ts + 59.0, {"GPU-t": 80 * GIB}, {"GPU-t": 4 * GIB}, [process])),
        ("id-other", MadeMinute("same", ts, ts + 50.0, {"GPU-o": 80 * GIB}, {"GPU-o": GIB}, [])),
    ]
    for machine, minute in made:
        changes = {"tenant": tenant, "machine": machine}
        insert(nodes[0], "gpu", [row | changes for row in gpu_rows(minute)])
        insert(nodes[0], "process", [row | changes for row in process_rows(minute)])
        insert(nodes[0], "machine", [machine_row("same", END) | changes])
    asking = reader(nodes[0])
    answer = at(asking, ts + 59.5, FleetScope(tenant))
    assert (answer.ledger.total_bytes, answer.ledger.used_bytes) == (160 * GIB, 5 * GIB)
    assert [one.machine for one in answer.processes] == ["id-'again"]
    assert (answer.cover.machines, answer.cover.fresh, answer.cover.twice_hosts) == (2, 2, ("same",))
    assert top(asking, ts + 59.5, "user", FleetScope(tenant)).all.used_bytes == GIB
    before = at(asking, ts + 55.0, FleetScope(tenant))
    assert (before.ledger.used_bytes, before.cover.twice_hosts) == (4 * GIB, ()), "the other has told nothing by then"


def test_of_two_servers_of_which_one_sees_a_single_gpu_the_others_count_too(nodes: list[ClickHouse]) -> None:
    tenant, ts = "partly", START + 5 * MINUTE
    totals = {"GPU-x": 80 * GIB, "GPU-y": 80 * GIB}
    processes = [MadeProcess(gpu, 7, "ann", None, GIB, None, None) for gpu in totals]
    made = [
        ("id-all", MadeMinute("host", ts, ts + 50.0, totals, {"GPU-x": 3 * GIB, "GPU-y": 5 * GIB}, processes)),
        ("id-one", MadeMinute("host", ts, ts + 55.0, {"GPU-x": 80 * GIB}, {"GPU-x": 4 * GIB}, processes[:1])),
    ]
    for machine, minute in made:
        changes = {"tenant": tenant, "machine": machine}
        insert(nodes[0], "gpu", [row | changes for row in gpu_rows(minute)])
        insert(nodes[0], "process", [row | changes for row in process_rows(minute)])
        insert(nodes[0], "machine", [machine_row("host", END) | changes])
    asking = reader(nodes[0])
    answer = at(asking, ts + 59.0, FleetScope(tenant))
    assert (answer.ledger.total_bytes, answer.ledger.used_bytes) == (160 * GIB, 9 * GIB)
    assert sorted((one.machine, one.gpu_uuid) for one in answer.processes) == [("id-all", "GPU-y"), ("id-one", "GPU-x")]
    assert (answer.cover.machines, answer.cover.fresh, answer.cover.twice_hosts) == (2, 2, ("host",))
    assert top(asking, ts + 59.0, "user", FleetScope(tenant)).all.used_bytes == 2 * GIB


def test_a_slice_counts_once_and_its_processes_stay(nodes: list[ClickHouse]) -> None:
    minute = MadeMinute(
        "mig", START, START + 59.0, {"GPU-p": 80 * GIB, "MIG-1": 10 * GIB}, {"GPU-p": 3 * GIB, "MIG-1": GIB}, []
    )
    whole, part = gpu_rows(minute)
    tenant = {"tenant": "mig"}
    insert(nodes[0], "machine", [machine_row("mig", START + MINUTE) | tenant])
    insert(
        nodes[0],
        "gpu",
        [whole | tenant | {"parent_uuid": None, "processes": 1}, part | tenant | {"parent_uuid": "GPU-p"}],
    )
    answer = at(reader(nodes[0]), minute.moment, FleetScope("mig"))
    assert answer.cover.whole
    assert answer.ledger.total_bytes == 80 * GIB
    assert answer.machines[0].gpus == 1


def test_an_unknown_newest_value_is_not_an_older_known_one(nodes: list[ClickHouse]) -> None:
    minute = made_fleet(["null"], 1, random.Random(9))[0]
    process = process_rows(minute)[0]
    tenant = {"tenant": "null"}
    insert(nodes[0], "machine", [machine_row("null", START + 2 * MINUTE) | tenant])
    for number, used in enumerate((GIB, None)):
        times = {"ts": utc(START + number * MINUTE), "moment": utc(START + number * MINUTE + 59)}
        insert(nodes[0], "gpu", [row | tenant | times | {"processes": 0} for row in gpu_rows(minute)])
        insert(nodes[0], "process", [process | tenant | times | statistics(used_bytes=used)])
    scope = FleetScope("null")
    (before,) = at(reader(nodes[0]), START + 60.0, scope).processes
    (after,) = at(reader(nodes[0]), START + 120.0, scope).processes
    assert (before.used_bytes, after.used_bytes) == (GIB, None)
    assert top(reader(nodes[0]), START + 120.0, "user", scope).all.used_bytes is None


def life(pid: int, **changes: object) -> dict[str, object]:
    return {
        "tenant": MAIN.tenant,
        "machine": "id-gpu0",
        "host": "gpu0",
        "gpu_uuid": "GPU-0",
        "pid": pid,
        "start_ms": (START - pid) * 1000,
        "first_seen": utc(START),
        "last_seen": utc(START + 600),
        **changes,
    }


def test_a_gpu_whose_memory_nobody_measured_is_counted(nodes: list[ClickHouse]) -> None:
    totals = {"GPU-a": 80 * GIB, "GPU-b": 80 * GIB}
    minute = MadeMinute("dark", START, START + 59.0, totals, {"GPU-a": GIB, "GPU-b": GIB}, [])
    tenant = {"tenant": "dark"}
    dark = statistics(**dict.fromkeys(("total_bytes", "used_bytes", "free_bytes", "driver_reserved_bytes")))
    dark |= statistics(unattributed_bytes=None) | {"processes": None}
    first, second = gpu_rows(minute)
    insert(nodes[0], "machine", [machine_row("dark", START + MINUTE) | tenant])
    insert(nodes[0], "gpu", [first | tenant, second | tenant | dark])
    ledger = at(reader(nodes[0]), minute.moment, FleetScope("dark")).ledger
    assert (ledger.total_bytes, ledger.used_bytes, ledger.unattributed_bytes) == (80 * GIB, GIB, GIB)
    assert ledger.unmeasured_gpus == 1
    unknown = {"ts": utc(START + MINUTE), "moment": utc(START + MINUTE + 59)} | statistics(unattributed_bytes=None)
    insert(nodes[0], "gpu", [first | tenant | unknown])
    later = at(reader(nodes[0]), START + MINUTE + 59.0, FleetScope("dark")).ledger
    assert (later.used_bytes, later.unattributed_bytes, later.unmeasured_gpus) == (GIB, None, 0)


def test_where_a_job_was(nodes: list[ClickHouse], made: list[MadeMinute]) -> None:
    rows = [
        life(1, slurm_job="4711", name="python", peak_used_bytes=GIB),
        life(1, slurm_job=None, last_seen=utc(START + 1200), peak_used_bytes=3 * GIB, ended="killed", signal=9),
        life(2, slurm_job="4712", pod="train-0", container="c0ffee" * 10),
        life(3, user="4711", last_seen=utc(START + 60)),
    ]
    for row in rows:
        insert(nodes[0], "life", [row])
    found = where(reader(nodes[1]), "4711", START, END, MAIN)
    assert found.matched == ("slurm_job", "user")
    assert [one.pid for one in found.lives] == [1, 3]
    one = found.lives[0]
    assert (one.used_bytes, one.ended, one.signal, one.last_seen) == (3 * GIB, "killed", 9, START + 1200)
    assert (one.host, one.name, one.start_time, one.slurm_job) == ("gpu0", "python", START - 1, "4711")
    assert found.cover.whole
    limited = where(reader(nodes[0]), "4711", START, END, MAIN, limit=1)
    assert ([one.pid for one in limited.lives], limited.omitted) == ([1], 1)
    assert [one.pid for one in where(reader(nodes[0]), "4711", START + 900, END, MAIN).lives] == [1]
    assert where(reader(nodes[0]), "c0ffeec0ffee", START, END, MAIN).matched == ("container",)
    assert where(reader(nodes[0]), "train-0", START, END, MAIN).matched == ("pod",)
    insert(nodes[0], "life", [life(5, user=Origin("", "", MAIN.tenant).user("carol"))])
    carol = where(reader(nodes[0]), "carol", START, END, MAIN)
    assert (carol.matched, [one.pid for one in carol.lives]) == (("user",), [5]), "whose name was shipped as a hash"
    nothing = where(reader(nodes[0]), "nobody'; DROP TABLE life", START, END, MAIN)
    assert (nothing.matched, nothing.lives, nothing.omitted) == ((), (), 0)


def test_every_out_of_memory_once(nodes: list[ClickHouse], made: list[MadeMinute]) -> None:
    rows = [
        {
            "tenant": MAIN.tenant,
            "machine": "id-gpu1",
            "host": "gpu1",
            "kind": kind,
            "ts": utc(START + place),
            "event_id": place,
            "batch": 1,
        }
        | {"pid": 7, "requested_bytes": GIB, "detail": "{}"}
        for place, kind in enumerate(("oom", "crash", "oom", "oom"))
    ]
    insert(nodes[0], "event", rows)
    insert(nodes[0], "event", rows[2:])  # again, as after a lost answer
    found = ooms(reader(nodes[0]), START, END, MAIN)
    assert [one.event_id for one in found.ooms] == [3, 2, 0]
    assert found.ooms[0].requested_bytes == GIB
    assert found.ooms[0].device_free_bytes is None
    assert (found.ooms[0].host, found.ooms[0].timestamp) == ("gpu1", START + 3)
    assert ooms(reader(nodes[0]), START + 1, START + 3, MAIN).ooms[0].event_id == 2
    limited = ooms(reader(nodes[0]), START, END, MAIN, limit=2)
    assert (len(limited.ooms), limited.omitted) == (2, 1)


HOUR = START // 3600 * 3600 + 3600


def test_memory_that_was_reserved_and_never_used(nodes: list[ClickHouse]) -> None:
    tenant = {"tenant": "waste"}
    insert(nodes[0], "machine", [machine_row("waste", HOUR + 3 * 3600) | tenant])
    minute = made_fleet(["waste"], 1, random.Random(3))[0]._replace(processes=[])
    base = {
        "machine": "id-waste",
        "host": "waste",
        "gpu_uuid": "GPU-w",
        "start_ms": 1,
        "present": True,
        "batch": 1,
    } | tenant

    def of(pid: int, user: str, number: int, reserved: int | None, allocated: int | None) -> dict[str, object]:
        ts = HOUR + number * MINUTE
        times = {"pid": pid, "user": user, "ts": utc(ts), "moment": utc(ts + 59)}
        values = statistics(used_bytes=9 * GIB, reserved_bytes=reserved, allocated_bytes=allocated)
        return base | tenant | times | values

    rows = [of(1, "ann", number, 8 * GIB, 2 * GIB) for number in range(60)]
    rows += [of(2, "bob", number, 4 * GIB, 4 * GIB) for number in range(60)]
    rows += [of(3, "ann", number, None, None) for number in range(60)]
    rows += [of(4, "eve", number, 3 * GIB, number % 2 * GIB) for number in range(30)]
    insert(nodes[0], "process", rows)
    insert(nodes[0], "process", rows)  # a late repeat does not count twice
    gpu = gpu_rows(minute)[0] | tenant
    times = [{"ts": utc(HOUR + number * MINUTE), "processes": int(number < 20)} for number in range(60)]
    insert(nodes[0], "gpu", [gpu | changes for changes in times])
    uuid = gpu_rows(minute)[0]["gpu_uuid"]
    gift = {"host": "waste", "gpu_uuid": uuid, "scheduler": "slurm", "job": "9", "user": "ann"} | tenant
    insert(nodes[0], "allocation", [gift | {"since": utc(HOUR + 10 * MINUTE), "until": None}])
    found = waste(reader(nodes[0]), HOUR, HOUR + 3600, "user", FleetScope("waste"))
    assert [(one.name, one.never_used_byte_hours, one.held_byte_hours) for one in found.wasters] == [
        ("ann", 6 * GIB, 8 * GIB),
        ("eve", GIB, 1.5 * GIB),
    ]
    assert found.silent_processes == 1
    assert found.allocations == 1
    (empty,) = found.empty
    assert (empty.job, empty.empty_minutes, empty.seen_minutes, empty.until) == ("9", 40, 50, None)
    by_host = waste(reader(nodes[0]), HOUR, HOUR + 3600, "host", FleetScope("waste"))
    assert [one.name for one in by_host.wasters] == ["waste"]
    none = waste(reader(nodes[0]), HOUR + 7200, HOUR + 3 * 3600, "user", FleetScope("waste"))
    assert (none.wasters, none.empty, none.silent_processes) == ((), (), 0)


def test_without_tables_one_line_says_so(nodes: list[ClickHouse]) -> None:
    with pytest.raises(FailureError, match="fleet init"):
        machines(opened(Access(nodes[0].url, READER, PASSWORD, database="nowhere")))


def test_one_node_is_one_shard(tmp_path: Path) -> None:
    with running(tmp_path, 1) as (node,):
        make_tables([Access(node.url)], TableLayout(), lambda _: None)
        store(node, made_fleet(["alone"], 5, random.Random(2)), END)
        answer = at(opened(Access(node.url)), START + 5 * MINUTE)
        assert (answer.cover.shards, answer.cover.missing_shards, answer.cover.machines) == (1, (), 1)


def test_a_shard_that_is_away_is_named_in_every_answer(nodes: list[ClickHouse], made: list[MadeMinute]) -> None:
    asked = START + 45 * MINUTE
    whole = at(reader(nodes[0]), asked, MAIN)
    nodes[1].kill()
    try:
        asking = reader(nodes[0])
        away = f"2 (127.0.0.1:{nodes[1].tcp_port})"
        answer = at(asking, asked, MAIN)
        assert answer.cover.missing_shards == (away,)
        assert not answer.cover.whole
        assert answer.ledger.used_bytes < whole.ledger.used_bytes
        covers = [
            top(asking, asked, "user", MAIN).cover,
            waste(asking, START, END, "user", MAIN).cover,
            where(asking, "4711", START, END, MAIN).cover,
            ooms(asking, START, END, MAIN).cover,
            machines(asking, MAIN).cover,
        ]
        assert all(cover.missing_shards == (away,) and not cover.whole for cover in covers)
        with pytest.raises(EngineError):  # who cannot be told which is missing is told nothing
            at(reader(nodes[0], user=BLIND), asked, MAIN)
    finally:
        nodes[1].start()
    assert at(reader(nodes[0]), asked, MAIN) == whole
    blind = at(reader(nodes[0], user=BLIND), asked, MAIN)
    assert (blind.cover.shards, blind.ledger) == (None, whole.ledger)


def test_a_shard_that_hangs_is_named_as_one_that_is_away(nodes: list[ClickHouse], made: list[MadeMinute]) -> None:
    asked = START + 45 * MINUTE
    asking = reader(nodes[0])
    whole = at(asking, asked, MAIN)
    nodes[1].pause()  # accepts connections, has some already, and answers nothing
    try:
        answer = at(asking, asked, MAIN)
        assert answer.cover.missing_shards == (f"2 (127.0.0.1:{nodes[1].tcp_port})",)
        assert answer.ledger.used_bytes < whole.ledger.used_bytes
    finally:
        nodes[1].resume()
    assert at(asking, asked, MAIN) == whole


def test_commands_answer_in_json_with_a_word_on_what_is_missing(
    nodes: list[ClickHouse], made: list[MadeMinute], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    secret = tmp_path / "password"
    secret.write_text(PASSWORD)
    secret.chmod(0o600)
    asked = START + 45 * MINUTE
    words = ["--url", nodes[1].url, "--user", READER, "--password-file", str(secret), "--tenant", MAIN.tenant]
    assert main(["fleet", "at", str(asked), *words]) == 0
    printed = capsys.readouterr()
    expected = expected_minutes(made, asked)
    answer = json.loads(printed.out)
    assert answer["ledger"]["used_bytes"] == sum(sum(one.used_bytes.values()) for one in expected.values())
    assert ("not the whole fleet" in printed.err) == (len(expected) < len(HOSTS))
    span = ["--from", str(START), "--to", str(END)]
    for command in (
        ["top", str(asked), "--by", "user"],
        ["waste", "--by", "host", *span],
        ["where", "4711", *span],
        ["ooms", *span],
        ["machines"],
    ):
        assert main(["fleet", *command, *words]) == 0
        assert json.loads(capsys.readouterr().out)["cover"]["machines"] == len(HOSTS)
    for wrong in (["at", "soon"], ["ooms", "--from", "now", "--to", "5m"], ["top", "--limit", "0"]):
        assert main(["fleet", *wrong, *words]) == 2
    assert main(["fleet", "at", "--url", "http://127.0.0.1:1"]) == 1
    assert capsys.readouterr().err.count("\n") == 4
