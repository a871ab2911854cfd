"""Twenty machines and ten minutes on two real ClickHouse nodes: whatever is killed, every row is there, once.

Nineteen recordings are shipped by shippers that are killed at two hundred points; the twentieth is a real server's,
which is killed by signals. Meanwhile one node dies twice, and then both do.
"""

import random
import signal
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from blackbox.fleet.cursor import CursorFile
from blackbox.fleet.schema import EVENT, HOUR_METRICS, LIFE, OWNER_KEYS
from blackbox.fleet.send import Access, EngineConnection
from tests.clickhouse_rig import PASSWORD, WRITER, ClickHouse
from tests.fleet_proof import WHOLE_TABLES, comparable, recorded_rows, stored_rows
from tests.fleet_recordings import MINUTE, machine_events, machine_moments
from tests.fleet_rig import MINUTES, START, Ship, expected, shipped
from tests.recordings import recorded
from tests.running_server import RunningServer
from tests.waiting import until

MACHINES = 20
"""The last of them has a real server."""
KILLS_EACH, KILLS = 11, 200
LIFE_CALLS = 7
"""The most requests that a shipper lives for, until it has been killed so often: about a batch's."""
BATCH_MINUTES = 2
BATCH_SECONDS = BATCH_MINUTES * MINUTE
CLOSED_UNTIL = START + MINUTES * MINUTE
RETRY_SECONDS = 100.0
"""Longer than any back-off."""
ROUNDS_MAX = 200
OUTAGES: dict[int, tuple[int, ...]] = {2: (1,), 6: (1,), 10: (0, 1)}
"""Round -> the nodes that are killed before it and started again after it."""
SERVER_KILLS = (1, 3, 7)
"""Rounds before which the real server is killed by a signal and started again."""


class Killed(BaseException):
    """Ends a shipper where no `except Exception` holds it, as a signal would."""


class Killing:
    """Kills whoever makes one call too many to the engine or to the cursor: before it, or before its answer is read."""

    def __init__(self, chance: random.Random, monkeypatch: pytest.MonkeyPatch) -> None:
        self._chance = chance
        self._calls: float = 0
        monkeypatch.setattr(EngineConnection, "execute", self._deadly(EngineConnection.execute))
        monkeypatch.setattr(CursorFile, "write", self._deadly(CursorFile.write))

    def allow(self, calls: float) -> None:
        self._calls = calls

    def _deadly(self, call: Callable[..., Any]) -> Callable[..., Any]:
        def wrapped(*arguments: Any, **named: Any) -> Any:
            self._calls -= 1
            if self._calls < 0 and self._chance.random() < 0.5:
                raise Killed
            result = call(*arguments, **named)
            if self._calls < 0:
                raise Killed
            return result

        return wrapped


class Member:
    """A machine whose shipper dies and is started again, until it has died often enough."""

    def __init__(self, directory: Path, number: int, node: ClickHouse) -> None:
        self.directory, self.number, self.node = directory, number, node
        self.kills = 0
        self._ship: Ship | None = None

    def go_on(self, killing: Killing, chance: random.Random) -> None:
        """A few steps, or a life."""
        if self._ship is None:
            access = Access(self.node.url, WRITER, PASSWORD)
            self._ship = Ship(
                self.directory, self.node, host=f"host-{self.number}", batch_minutes=BATCH_MINUTES, access=access
            )
        self._ship.clock.advance(RETRY_SECONDS)
        if self.kills >= KILLS_EACH:
            killing.allow(float("inf"))
            self._ship.steps(2)
            return
        killing.allow(chance.randint(0, LIFE_CALLS))
        try:
            self._ship.steps(2)
        except Killed:
            self.kills += 1
            self.end()

    @property
    def is_done(self) -> bool:
        shipped_until = None if self._ship is None else self._ship.shipper.status().shipped_until
        return shipped_until is not None and shipped_until + BATCH_SECONDS > CLOSED_UNTIL

    def end(self) -> None:
        if self._ship is not None:
            self._ship.shipper.close(0)
            self._ship = None


class RealServer:
    """`blackbox serve --fleet` over a recording, killed and started again."""

    def __init__(self, home: Path, directory: Path, node: ClickHouse) -> None:
        secret = home / "password"
        secret.write_text(PASSWORD)
        secret.chmod(0o600)
        words = ["--demo", "--threshold", "1", "--data-dir", str(directory.parent), "--fleet", node.url]
        self._words = [*words, "--fleet-user", WRITER, "--fleet-password-file", str(secret)]
        self._home, self._directory = home, directory
        self._server: RunningServer | None = None

    def start(self) -> None:
        self._server = RunningServer(self._home, *self._words)
        self._server.__enter__()

    def end(self, with_signal: signal.Signals = signal.SIGKILL) -> None:
        if self._server is not None:
            self._server.stop(with_signal)
        self._server = None

    def await_shipped(self) -> None:
        until(self._has_shipped, lambda: "" if self._server is None else self._server.log)

    def _has_shipped(self) -> bool:
        cursor = CursorFile(self._directory).read()
        return (cursor.shipped_until or 0) >= CLOSED_UNTIL and cursor.event_id > len(machine_events(START))


def made(folder: Path, number: int) -> Path:
    directory = folder / f"machine-{number}" / "demo"  # where a server with --demo records
    with recorded(directory, machine_moments(START, MINUTES, number), machine_events(START)):
        pass
    CursorFile(directory).read()
    return directory


@pytest.mark.slow
def test_twenty_machines_are_whole_in_the_end(
    nodes: list[ClickHouse], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    directories = [made(tmp_path, number) for number in range(MACHINES)]
    server = RealServer(tmp_path, directories[-1], nodes[0])
    chance = random.Random(16)
    killing = Killing(chance, monkeypatch)
    members = [Member(directories[number], number, nodes[number % 2]) for number in range(MACHINES - 1)]
    try:
        server.start()
        for round_ in range(ROUNDS_MAX):
            dead = OUTAGES.get(round_, ())
            for place in dead:
                nodes[place].kill()
            if round_ in SERVER_KILLS:
                server.end()
                server.start()
            for member in members:
                if not member.is_done:
                    member.go_on(killing, chance)
            for place in dead:
                nodes[place].start()
            if all(member.is_done for member in members):
                break
        killing.allow(float("inf"))
        server.await_shipped()
    finally:
        server.end(signal.SIGTERM)
        for member in members:
            member.end()
    with Ship(directories[-1], nodes[0], host=socket.gethostname(), simulated=True) as rest:
        rest.steps()  # what the server had sent when it ended, and not noted yet
    assert sum(member.kills for member in members) >= KILLS
    for number, directory in enumerate(directories):
        is_real = number == MACHINES - 1
        machine, rows = recorded_rows(directory, socket.gethostname() if is_real else f"host-{number}")
        for table in WHOLE_TABLES:
            stored, happened = stored_rows(nodes[number % 2], table, machine), rows[table.name]
            if table is LIFE and is_real:
                stored, happened = without_owners(stored), without_owners(happened)
            assert comparable(table, stored) == comparable(table, happened), (number, table.name)
        check_events(nodes[0], machine, rows[EVENT.name], is_real)
        told = [row for row in shipped(nodes[0], machine) if row["ts"] < CLOSED_UNTIL]
        minutes = min(MINUTES, int((CursorFile(directory).read().shipped_until or 0) - START) // MINUTE)
        assert minutes >= 10
        assert told == expected(minutes, number), "and what the recording says is what the moments say"
    assert nodes[0].rows(HOURS) == nodes[0].rows(MINUTES_AS_HOURS)


def check_events(node: ClickHouse, machine: str, happened: list[dict[str, Any]], is_real: bool) -> None:
    """Each once; of the real server, those that it knows to have arrived, at least."""
    stored = [row for row in stored_rows(node, EVENT, machine) if row["kind"] != "gap"]
    known = {row["event_id"] for row in happened}
    arrived = [row for row in stored if row["event_id"] in known] if is_real else stored
    if is_real:
        arrived, happened = without_owners(arrived, "start_ms"), without_owners(happened, "start_ms")
    assert comparable(EVENT, arrived) == comparable(EVENT, happened)
    assert len({row["event_id"] for row in stored}) == len(stored)


def without_owners(rows: list[dict[str, Any]], *more: str) -> list[dict[str, Any]]:
    """A server thins its recording, in which the owner of an event's process is looked up: one shipping may tell it,
    and the next one not."""
    return [row | dict.fromkeys(("name", *OWNER_KEYS, *more)) for row in rows]


HOURS = (
    "SELECT machine, hour, gpu_uuid, pid, start_ms, bitCount(groupBitOr(minutes)) AS n, max(pod) AS pod, "
    f"{', '.join(f'{name[-3:]}({name}) AS {name}' for name in HOUR_METRICS)} "
    "FROM blackbox.process_hour GROUP BY machine, hour, gpu_uuid, pid, start_ms ORDER BY ALL"
)
MINUTES_AS_HOURS = (
    "SELECT machine, toStartOfHour(ts) AS hour, gpu_uuid, pid, start_ms, uniqExact(ts) AS n, max(pod) AS pod, "
    f"{', '.join(f'{name[-3:]}({name}) AS {name}' for name in HOUR_METRICS)} "
    "FROM blackbox.process FINAL GROUP BY machine, hour, gpu_uuid, pid, start_ms ORDER BY ALL"
)
