"""`fleet at` of a machine is that machine's own `/vram/at`: recorded, shipped and asked for by the real parts."""

import json
import random
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from blackbox.fleet.ddl import TableLayout
from blackbox.fleet.questions.at import at
from blackbox.fleet.questions.cover import FleetScope
from blackbox.fleet.reader import FleetReader
from blackbox.fleet.schema import OWNER_KEYS
from blackbox.fleet.send import Access
from blackbox.fleet.setup import make_tables
from blackbox.fleet.shipper import FleetOptions, Shipper
from blackbox.model.fleet import FleetAt
from blackbox.model.moment import Moment
from blackbox.model.parts import Workload
from blackbox.recorder import Recording
from blackbox.settings import Settings
from tests.clickhouse_rig import CLUSTER, ClickHouse, running
from tests.moments import GIB, allocator, device, memory, moment, process, sample
from tests.recordings import recorded
from tests.serving import Serving

MACHINES, MINUTES, STEP_SECONDS = 4, 11, 20
START = time.time() // 300 * 300 - 3600
"""A whole batch's start, an hour ago."""
QUESTIONS = 200
"""Of a machine at a time."""
TOKEN = "s3cret"
LAYOUT = TableLayout(cluster=CLUSTER, replicated=False)
LEDGER = ("total_bytes", "used_bytes", "free_bytes", "driver_reserved_bytes", "unattributed_bytes")
BYTES = ("used_bytes", "reserved_bytes", "allocated_bytes")
OWNERS = tuple(key for key in OWNER_KEYS if key != "runtime")
KEYS = sorted(("pid", "gpu", "gpu_uuid", "name", "start_time", *BYTES, *OWNERS))
"""Of a process, compared."""


class ShippedMachine(NamedTuple):
    """A machine whose recording was shipped, and its own server."""

    machine: str
    """Its identity in the fleet."""
    last_moments: list[float]
    """Of each minute that was shipped."""
    serving: Serving


def machine_moments(number: int) -> Iterator[Moment]:
    """Processes come and go, allocators report or do not, and some sizes nobody knows."""
    chance = random.Random(number)
    for place in range(MINUTES * 60 // STEP_SECONDS + 1):
        rows, allocators = [], []
        for pid in range(100, 108):
            if chance.random() < 0.3:
                continue
            gpu, used = f"GPU-{pid % 2}", chance.choice([None, chance.randrange(2 * GIB, 9 * GIB)])
            unknown = {} if used is not None else {"used_bytes": "the driver does not tell"}
            work = Workload(slurm_job=str(pid), slurm_step="0") if pid % 3 else None
            user = chance.choice(["ann", "bob"])
            rows.append(process(pid, gpu, used_bytes=used, unknown=unknown, workload=work, user=user, start_time=START))
            if used is not None and chance.random() < 0.5:
                live = chance.randrange(GIB, used - GIB // 2)
                told = {"start_time": START, "blocks": None, "threads": None, "reserved_bytes": used - GIB // 4}
                allocators.append(allocator(pid, gpu, allocated_bytes=live, inactive_split_bytes=0, **told))
        gpus = [device(index, memory=memory(used=chance.randrange(40 * GIB, 79 * GIB))) for index in range(2)]
        seen = sample(gpus, rows, allocators=tuple(allocators))
        taken = START + place * STEP_SECONDS + chance.randrange(1, 19_000) / 1000
        yield moment(seen, seq=place + 1, timestamp=taken, host=f"host-{number}")


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ClickHouse]:
    with running(tmp_path_factory.mktemp("clickhouse"), 2) as nodes:
        make_tables([Access(one.url) for one in nodes], LAYOUT, lambda _: None)
        yield nodes[0]


@pytest.fixture(scope="module")
def machines(node: ClickHouse, tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[ShippedMachine]]:
    with ExitStack() as stack:
        yield [stack.enter_context(_shipped(node, tmp_path_factory.mktemp("data"), one)) for one in range(MACHINES)]


class _shipped:  # noqa: N801 - a context
    """One machine, recorded, shipped and served."""

    def __init__(self, node: ClickHouse, folder: Path, number: int) -> None:
        self._node, self._folder, self._number = node, folder, number

    def __enter__(self) -> ShippedMachine:
        made = list(machine_moments(self._number))
        with recorded(self._folder / "recording", made):
            pass
        recording = Recording(self._folder / "recording")
        options = FleetOptions(
            access=Access(self._node.url), host=f"host-{self._number}", version="1", users="name", batch_minutes=1
        )
        shipper = Shipper(recording, options)
        for _ in range(2 * MINUTES):
            shipper.step()
        status = shipper.status()
        shipper.close(0)
        assert (status.state, status.shipped_until) == ("shipping", START + MINUTES * 60), status.reason
        (self._folder / "token").write_text(TOKEN)
        self._serving = Serving(Settings(port=0, token_file=self._folder / "token"), recording=recording)
        last = {one.timestamp // 60: one.timestamp for one in made if one.timestamp < START + MINUTES * 60}
        assert status.machine is not None
        return ShippedMachine(status.machine, list(last.values()), self._serving.__enter__())

    def __exit__(self, *_: object) -> None:
        self._serving.__exit__(None, None, None)


def own_answer(machine: ShippedMachine, asked: float) -> dict[str, Any]:
    reply = machine.serving.ask(f"/vram/at?t={asked:.3f}&blocks=none", authorization=f"Bearer {TOKEN}")
    assert reply.status == 200, reply
    return json.loads(reply.body)


def known(row: dict[str, Any], key: str) -> Any:
    return None if key in row.get("unknown", {}) else row[key]


def held(row: dict[str, Any]) -> dict[str, Any]:
    """What a row of the machine's own answer says, in the words of the fleet."""
    work = row.get("workload", {})
    owner = {"user": row["user"], "container": row["container"]} | {key: work.get(key) for key in OWNER_KEYS[2:]}
    same = {key: row[key] for key in ("pid", "gpu", "gpu_uuid", "name", "start_time")}
    return same | {key: known(row, key) for key in BYTES} | owner


def assert_agrees(answer: FleetAt, machine: ShippedMachine) -> int:
    """What it says of a machine is what that says itself; returns how many processes that were."""
    (row,) = (one for one in answer.machines if one.machine == machine.machine)
    assert row.timestamp == max(last for last in machine.last_moments if last <= answer.asked)
    own = own_answer(machine, row.timestamp)
    assert {key: getattr(row.ledger, key) for key in LEDGER} == {key: known(own, key) for key in LEDGER}
    ours = [one for one in answer.processes if one.machine == machine.machine]
    assert sorted(json.dumps({key: getattr(one, key) for key in KEYS}) for one in ours) == sorted(
        json.dumps({key: held(one)[key] for key in KEYS}) for one in own["processes"]
    )
    if row.ledger.unattributed_bytes is not None:
        used = sum(one.used_bytes or 0 for one in ours)
        assert used + row.ledger.unattributed_bytes == row.ledger.used_bytes
    return len(ours)


@pytest.mark.slow
def test_a_machine_as_of_a_time_is_what_it_says_itself(node: ClickHouse, machines: list[ShippedMachine]) -> None:
    """The fleet is asked as one, since a question costs the engine as much for one machine as for all; for every fifth
    time one machine is asked for by itself, too."""
    chance = random.Random(7)
    reader = FleetReader(Access(node.url))
    processes = 0
    for place in range(QUESTIONS // MACHINES):
        asked = START + 60 + chance.random() * (MINUTES - 1) * 60
        answer = at(reader, asked, FleetScope())
        assert answer.cover.whole
        processes += sum(assert_agrees(answer, machine) for machine in machines)
        if place % 5 == 0:
            machine = chance.choice(machines)
            alone = at(reader, asked, FleetScope(machine=machine.machine))
            assert alone.cover.whole
            assert [one.machine for one in alone.machines] == [machine.machine]
            assert alone.processes
            assert {one.machine for one in alone.processes} == {machine.machine}
            assert_agrees(alone, machine)
    reader.close()
    assert processes > QUESTIONS
