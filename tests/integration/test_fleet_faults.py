"""What may fail while a recording is shipped: nothing is missing, nothing is there twice, and people are told."""

import logging
import random
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest
from msgspec import structs

from blackbox.fleet.batch import make_batch
from blackbox.fleet.cursor import CursorFile, machine_of
from blackbox.fleet.deliver import Delivery
from blackbox.fleet.rows import Origin, whole_time
from blackbox.fleet.schema import COMMENT, VERSION
from blackbox.fleet.send import Access, EngineConnection, EngineError
from tests.clickhouse_rig import PASSWORD, WRITER, ClickHouse
from tests.fleet_recordings import MINUTE, SECRETS, machine_events, machine_moments
from tests.fleet_rig import MINUTES, START, Ship, expected, shipped
from tests.recordings import recorded
from tests.waiting import PATIENCE_SECONDS

KILLS = 200
RETRY_SECONDS = 100.0
"""Longer than any back-off."""


class Killed(BaseException):
    """Ends the shipper where no `except Exception` holds it, as a signal would."""


@pytest.fixture(scope="module")
def whole_recording(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("recording") / "data"
    with recorded(directory, machine_moments(START, MINUTES), machine_events(START)):
        pass
    return directory


@pytest.fixture
def directory(whole_recording: Path, tmp_path: Path) -> Path:
    """Eleven closed minutes of a machine of its own."""
    return Path(shutil.copytree(whole_recording, tmp_path / "data"))


def on_shard(directory: Path, node: ClickHouse, shard: int) -> str:
    """Gives the recording an identity that lies on this shard (0 or 1); returns the machine's."""
    while True:
        machine = machine_of(CursorFile(directory).read().recording)
        if node.value(f"SELECT cityHash64('{machine}') % 2") == shard:
            return machine
        (directory / "fleet.json").unlink()


def stored(nodes: list[ClickHouse], table: str, machine: str) -> int:
    """Rows as they lie there, repeats counted."""
    return sum(
        int(node.value(f"SELECT count() FROM blackbox.{table}_local WHERE machine = '{machine}'")) for node in nodes
    )


def test_a_shipper_killed_at_two_hundred_points(
    directory: Path, nodes: list[ClickHouse], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before a request, after it and before its answer is read, and around the write of the cursor."""
    chance = random.Random(16)
    left = {"calls": 0, "kills": 0}
    execute, write = EngineConnection.execute, CursorFile.write

    def dying(call: Callable[..., Any]) -> Callable[..., Any]:
        def wrapped(*arguments: Any, **named: Any) -> Any:
            left["calls"] -= 1
            dies = left["calls"] < 0 and left["kills"] < KILLS
            if dies and chance.random() < 0.5:
                raise Killed
            result = call(*arguments, **named)
            if dies:
                raise Killed
            return result

        return wrapped

    CursorFile(directory).read()
    monkeypatch.setattr(EngineConnection, "execute", dying(execute))
    monkeypatch.setattr(CursorFile, "write", dying(write))
    while True:
        left["calls"] = chance.randrange(9)
        with Ship(directory, nodes[0], batch_minutes=1) as ship:
            try:
                ship.steps(40)
            except Killed:
                left["kills"] += 1
                continue
            if ship.shipper.status().shipped_until == START + MINUTES * MINUTE:
                break
    assert left["kills"] > 20
    assert shipped(nodes[1], ship.machine) == expected(MINUTES)
    events = nodes[0].value(f"SELECT count() FROM blackbox.event FINAL WHERE machine = '{ship.machine}'")
    assert events == len(machine_events(START))
    assert stored(nodes, "process", ship.machine) == len(expected(MINUTES)), "not even before they are merged"


def test_a_process_killed_by_a_signal(directory: Path, nodes: list[ClickHouse]) -> None:
    program = f"""
import sys, time
from pathlib import Path
from blackbox.fleet.send import Access
from blackbox.fleet.shipper import FleetOptions, Shipper
from blackbox.recorder import Recording
access = Access({nodes[0].url!r}, {WRITER!r}, {PASSWORD!r})
options = FleetOptions(access=access, host="h", version="1", batch_minutes=1)
shipper = Shipper(Recording(Path({str(directory)!r})), options)
shipper.start()
print("begun", flush=True)
while shipper.status().shipped_until != {START + MINUTES * MINUTE}: time.sleep(0.01)
print("done", flush=True)
"""
    machine = machine_of(CursorFile(directory).read().recording)
    chance = random.Random(9)
    for attempt in range(20):
        process = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        assert process.stdout.readline() == "begun\n"
        try:
            process.wait(chance.random() if attempt < 4 else PATIENCE_SECONDS)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            process.wait(PATIENCE_SECONDS)
        rest = process.stdout.read()
        process.stdout.close()
        if rest == "done\n":
            break
    assert shipped(nodes[0], machine) == expected(MINUTES)


def test_a_shard_that_is_killed_twice_holds_up_its_own_machines_alone(
    directory: Path, whole_recording: Path, tmp_path: Path, nodes: list[ClickHouse]
) -> None:
    other = Path(shutil.copytree(whole_recording, tmp_path / "other"))
    here, there = on_shard(other, nodes[0], 0), on_shard(directory, nodes[0], 1)
    with Ship(directory, nodes[0], batch_minutes=1) as dead, Ship(other, nodes[0], batch_minutes=1) as living:
        for _ in range(2):
            nodes[1].kill()
            try:
                before = dead.shipper.status().shipped_until
                dead.steps(3)
                living.steps(3)
                status = dead.shipper.status()
                assert (status.state, status.shipped_until) == ("waiting", before)
                assert (living.shipper.status().state, living.shipper.status().reason) == ("shipping", None)
            finally:
                nodes[1].start()
            dead.clock.advance(RETRY_SECONDS)
            dead.steps(4)
        dead.steps()
        living.steps()
    assert shipped(nodes[0], here) == expected(MINUTES)
    assert shipped(nodes[1], there) == expected(MINUTES)


def test_an_engine_that_is_away_is_waited_for(directory: Path, nodes: list[ClickHouse]) -> None:
    with Ship(directory, nodes[0]) as ship:
        ship.steps(2)
        nodes[0].kill()
        try:
            ship.steps(6)
            status = ship.shipper.status()
            assert status.state == "waiting"
            assert "does not answer" in (status.reason or "")
        finally:
            nodes[0].start()
        ship.steps()
        assert ship.shipper.status().state == "shipping"
    assert shipped(nodes[0], ship.machine) == expected(10)


def test_a_batch_that_is_stored_by_half_is_whole_in_the_end(
    directory: Path, nodes: list[ClickHouse], monkeypatch: pytest.MonkeyPatch
) -> None:
    execute = EngineConnection.execute
    failed: list[str] = []

    def failing(self: EngineConnection, query: str, *arguments: Any, **named: Any) -> Any:
        if query.startswith("INSERT INTO gpu") and len(failed) < 2:
            failed.append(query)
            raise EngineError("passing", "the shard is away")
        return execute(self, query, *arguments, **named)

    monkeypatch.setattr(EngineConnection, "execute", failing)
    with Ship(directory, nodes[0]) as ship:
        ship.steps()
    assert len(failed) == 2
    assert shipped(nodes[0], ship.machine) == expected(10)
    assert stored(nodes, "process", ship.machine) == len(expected(10)), "the token keeps repeats away"
    hours = nodes[0].value(f"SELECT count() FROM blackbox.process_hour_local WHERE machine = '{ship.machine}'")
    assert hours <= 2 * 6


@pytest.mark.edge(3)
def test_rows_that_are_taken_and_not_there_are_sent_under_another_token(
    directory: Path, nodes: list[ClickHouse], monkeypatch: pytest.MonkeyPatch
) -> None:
    execute = EngineConnection.execute
    swallowed: list[str] = []

    def swallowing(self: EngineConnection, query: str, *arguments: Any, **named: Any) -> Any:
        if query.startswith("INSERT INTO process ") and not swallowed:
            swallowed.append(named["settings"]["insert_deduplication_token"])
            return None
        return execute(self, query, *arguments, **named)

    monkeypatch.setattr(EngineConnection, "execute", swallowing)
    with Ship(directory, nodes[0]) as ship:
        ship.steps(2)
        assert "not there" in (ship.shipper.status().reason or "")
        ship.steps()
    assert shipped(nodes[0], ship.machine) == expected(10)


@pytest.mark.edge(1)
def test_one_bad_row_is_set_aside_and_told_of(nodes: list[ClickHouse]) -> None:
    origin = Origin("bad-row", "host")
    common = origin.where | {"ts": whole_time(START), "present": True, "gpu_uuid": "GPU-0", "start_ms": 1}
    rows = [common | {"pid": pid} for pid in range(8)] + [common | {"pid": "no number"}]
    delivery = Delivery(make_batch("test/bad-row", [{"process": rows}]), origin)
    connection = EngineConnection(Access(nodes[0].url, WRITER, PASSWORD))
    delivery.deliver(connection)
    connection.close()
    assert [(lost.table, lost.rows) for lost in delivery.set_aside] == [("process", 1)]
    assert nodes[0].value("SELECT count() FROM blackbox.process FINAL WHERE machine = 'bad-row'") == 8


def test_where_no_row_is_taken_the_rows_are_not_at_fault(nodes: list[ClickHouse]) -> None:
    origin = Origin("bad-rows", "host")
    rows = [origin.where | {"ts": whole_time(START), "pid": "no number"} for _ in range(3)]
    connection = EngineConnection(Access(nodes[0].url, WRITER, PASSWORD))
    with pytest.raises(EngineError, match="no row of process") as raised:
        Delivery(make_batch("test/bad-rows", [{"process": rows}]), origin).deliver(connection)
    connection.close()
    assert raised.value.kind == "setup"


def test_minutes_that_were_deleted_before_they_were_shipped_are_a_gap(
    directory: Path, nodes: list[ClickHouse], caplog: pytest.LogCaptureFixture
) -> None:
    cursor = CursorFile(directory)
    cursor.write(structs.replace(cursor.read(), shipped_until=START - 3000))
    with Ship(directory, nodes[0]) as ship:
        ship.steps()
        assert ship.shipper.status().gaps_total == 1
    mine = f"machine = '{ship.machine}' AND kind = 'gap'"
    (gap,) = nodes[0].rows(f"SELECT ts, detail FROM blackbox.event FINAL WHERE {mine}")
    assert f'"since":"{whole_time(START - 3000)[:-1]}' in gap["detail"]
    assert "no longer in the recording" in caplog.text
    assert shipped(nodes[0], ship.machine) == expected(10)


def test_a_wrong_password_is_told_once_and_tried_once_a_minute(
    directory: Path, nodes: list[ClickHouse], caplog: pytest.LogCaptureFixture
) -> None:
    with Ship(directory, nodes[0], access=Access(nodes[0].url, WRITER, "wr0ng")) as ship:
        ship.steps(1)
        assert ship.shipper.status().state == "stopped"
        ship.steps(3)
        assert "password is incorrect" in (ship.shipper.status().reason or "")
        assert ship.shipper.seconds_to_retry >= 30
    errors = [record for record in caplog.records if record.levelno >= logging.ERROR]
    assert len(errors) == 1
    assert "wr0ng" not in caplog.text
    assert PASSWORD not in caplog.text


@pytest.mark.parametrize("broken", ["older", "column", "none"])
@pytest.mark.edge(4)
def test_tables_that_will_not_do_stop_it_until_they_are_mended(
    broken: str, directory: Path, nodes: list[ClickHouse]
) -> None:
    try:
        for node in nodes:
            for statement in {
                "older": [f"ALTER TABLE blackbox.machine MODIFY COMMENT '{COMMENT} {VERSION - 1}'"],
                "column": [
                    "ALTER TABLE blackbox.gpu DROP COLUMN power_watts_max",
                    "ALTER TABLE blackbox.gpu_local DROP COLUMN power_watts_max",
                ],
                "none": ["RENAME TABLE blackbox.machine TO blackbox.away"],
            }[broken]:
                assert node.ask(statement).status == 200
        with Ship(directory, nodes[0]) as ship:
            ship.steps(4)
            status = ship.shipper.status()
            assert status.state == "stopped"
            told = {"older": "run 'blackbox fleet init'", "column": "power_watts_max", "none": "there are no tables"}
            assert told[broken] in (status.reason or "")
    finally:
        for node in nodes:
            for statement in {
                "older": [f"ALTER TABLE blackbox.machine MODIFY COMMENT '{COMMENT} {VERSION}'"],
                "column": [
                    "ALTER TABLE blackbox.gpu_local ADD COLUMN power_watts_max Nullable(Float32)",
                    "ALTER TABLE blackbox.gpu ADD COLUMN power_watts_max Nullable(Float32)",
                ],
                "none": ["RENAME TABLE blackbox.away TO blackbox.machine"],
            }[broken]:
                assert node.ask(statement).status == 200
    with Ship(directory, nodes[0]) as ship:
        ship.steps()
    assert shipped(nodes[0], ship.machine) == expected(10)


def test_the_wire_has_no_secret(directory: Path, nodes: list[ClickHouse], monkeypatch: pytest.MonkeyPatch) -> None:
    execute = EngineConnection.execute
    wire: list[bytes] = []

    def listening(
        self: EngineConnection, query: str, body: Iterable[bytes] | None = None, *rest: Any, **named: Any
    ) -> Any:
        pieces = None if body is None else list(body)
        wire.append(query.encode() + b"".join(pieces or ()) + repr((rest, named)).encode())
        return execute(self, query, pieces, *rest, **named)

    monkeypatch.setattr(EngineConnection, "execute", listening)
    with Ship(directory, nodes[0]) as ship:
        ship.steps()
    sent = b"".join(wire)
    assert b"u-" in sent
    assert [secret for secret in SECRETS if secret.encode() in sent] == []
    (directory / "fleet.json").unlink()
    wire.clear()
    with Ship(directory, nodes[0], users="name") as ship:
        ship.steps()
    assert b'"someone"' in b"".join(wire), "where the settings say so"


@pytest.mark.edge(5)
def test_an_unknown_newest_value_is_not_hidden_by_an_older_one(nodes: list[ClickHouse]) -> None:
    """`argMax` skips NULL, so questions put the value into a tuple."""
    origin = Origin("unknown-newest", "host")
    common = origin.where | {"present": True, "gpu_uuid": "GPU-0", "start_ms": 1, "pid": 1}
    rows = [
        common | {"ts": whole_time(START), "used_bytes": 5},
        common | {"ts": whole_time(START + MINUTE), "used_bytes": None},
    ]
    connection = EngineConnection(Access(nodes[0].url, WRITER, PASSWORD))
    Delivery(make_batch("test/unknown-newest", [{"process": rows}]), origin).deliver(connection)
    connection.close()
    (row,) = nodes[0].rows(
        "SELECT argMax(used_bytes, ts) AS wrong, argMax(tuple(used_bytes), ts).1 AS right "
        "FROM blackbox.process FINAL WHERE machine = 'unknown-newest'"
    )
    assert row == {"wrong": 5, "right": None}
