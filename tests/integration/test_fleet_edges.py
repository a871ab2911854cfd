"""Edges of the engine that a shipper relies on, or must not fall over (the constants of `fleet.send`, the settings of
every INSERT, the tokens): asked of real ClickHouse nodes, since what they do is the engine's to say."""

import http.client
import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlencode

import pytest

from blackbox.fleet.batch import Batch, make_batch
from blackbox.fleet.deliver import Delivery
from blackbox.fleet.rows import Origin, whole_time
from blackbox.fleet.send import Access, EngineConnection, EngineError, ErrorKind, error_kind
from blackbox.fleet.setup import INSERT_SETTINGS
from tests.clickhouse_rig import HOST, PASSWORD, WRITER, ClickHouse
from tests.fleet_rig import START


@pytest.fixture
def connection(nodes: list[ClickHouse]) -> Iterator[EngineConnection]:
    made = EngineConnection(Access(nodes[0].url, WRITER, PASSWORD))
    yield made
    made.close()


def batch_of(machine: str, name: str, pids: list[int], used_bytes: int = 5) -> tuple[Batch, Origin]:
    origin = Origin(machine, "host")
    common = origin.where | {"ts": whole_time(START), "present": True, "gpu_uuid": "GPU-0", "start_ms": 1}
    return make_batch(name, [{"process": [common | {"pid": pid, "used_bytes": used_bytes} for pid in pids]}]), origin


def raw_rows(nodes: list[ClickHouse], table: str, machine: str) -> int:
    """As they lie there, repeats counted."""
    query = f"SELECT count() FROM blackbox.{table}_local WHERE machine = '{machine}'"
    return sum(int(node.value(query)) for node in nodes)


BASE = {"machine": "m", "host": "h", "gpu_uuid": "g", "ts": whole_time(START), "pid": 1, "start_ms": 1, "present": True}
REFUSED: dict[str, tuple[dict[str, Any], ErrorKind]] = {
    "text for a number": ({"pid": "one"}, "batch"),
    "a point in a whole number": ({"used_bytes": 1.5}, "batch"),
    "a whole number written with a point": ({"used_bytes": 1.0}, "batch"),
    "a time that is none": ({"ts": "soon"}, "batch"),
    "a column that older tables lack": ({"of_tomorrow": 1}, "setup"),
}


@pytest.mark.parametrize("why", REFUSED)
@pytest.mark.edge(2)
def test_what_a_column_does_not_take_is_known_for_what_it_is(why: str, nodes: list[ClickHouse]) -> None:
    """And nothing of it is stored."""
    change, kind = REFUSED[why]
    row = BASE | {"machine": f"refused-{len(why)}"} | change
    body = ",".join(f'"{key}":{json.dumps(value)}' for key, value in row.items())
    query = f"INSERT INTO blackbox.process ({', '.join(row)}) FORMAT JSONEachRow"
    answer = nodes[0].ask(query, body=f"{{{body}}}".encode(), **INSERT_SETTINGS)
    assert answer.status >= 400
    assert error_kind(answer.status, answer.code) == kind, answer.text
    assert raw_rows(nodes, "process", row["machine"]) == 0


PASSING_OR_SETUP: dict[str, tuple[str, dict[str, Any], ErrorKind]] = {
    "no memory for it": ("SELECT uniqExact(number) FROM numbers(9000000)", {"max_memory_usage": 1000}, "passing"),
    "it takes too long": ("SELECT sleep(1) FROM numbers(3)", {"max_execution_time": 0.1}, "passing"),
    "no such table": ("SELECT 1 FROM blackbox.nothing", {}, "setup"),
    "no such database": ("SELECT 1 FROM nowhere.process", {}, "setup"),
    "a user who is not who he says": ("SELECT 1", {"user": WRITER, "password": "wr0ng"}, "setup"),
    "a user whom nobody knows": ("SELECT 1", {"user": "nobody", "password": "x"}, "setup"),
    "the default user with a password": ("SELECT 1", {"user": "default", "password": "wr0ng"}, "setup"),
    "a user who may not": ("SELECT user FROM blackbox.event", {"user": WRITER, "password": PASSWORD}, "setup"),
}


@pytest.mark.parametrize("why", PASSING_OR_SETUP)
@pytest.mark.edge(1)
def test_trouble_that_passes_and_trouble_for_people_are_told_apart(why: str, nodes: list[ClickHouse]) -> None:
    query, settings, kind = PASSING_OR_SETUP[why]
    answer = nodes[0].ask(query, **settings)
    assert error_kind(answer.status, answer.code) == kind, answer.text


@pytest.mark.edge(2)
def test_text_with_z_is_the_only_time_that_is_sent_and_means_utc(
    nodes: list[ClickHouse], connection: EngineConnection
) -> None:
    batch, origin = batch_of("times", "times/1", [1])
    Delivery(batch, origin).deliver(connection)
    assert nodes[1].value("SELECT toUnixTimestamp(ts) FROM blackbox.process WHERE machine = 'times'") == START
    assert all(
        f'"{whole_time(START)}"'.encode() in line
        for part in batch.parts
        for piece in part.pieces
        for line in piece.splitlines()
    )


@pytest.mark.edge(3)
def test_a_repeat_is_refused_by_its_token_after_a_kill_and_counts_once_in_the_roll_up(
    nodes: list[ClickHouse], connection: EngineConnection
) -> None:
    batch, origin = batch_of("token", "token/1", [1, 2, 3])
    Delivery(batch, origin).deliver(connection)
    for node in nodes:
        node.kill()
        node.start()
    Delivery(batch, origin).deliver(connection)
    assert raw_rows(nodes, "process", "token") == 3
    assert raw_rows(nodes, "process_hour", "token") == 3


@pytest.mark.edge(3)
def test_other_rows_are_never_sent_under_a_token_that_was_used(
    nodes: list[ClickHouse], connection: EngineConnection
) -> None:
    """The engine would answer 200 and throw them away."""
    first, origin = batch_of("bytes", "bytes/1", [1, 2])
    other, _ = batch_of("bytes", "bytes/1", [1, 2], used_bytes=6)
    assert first.parts[0].token != other.parts[0].token
    Delivery(first, origin).deliver(connection)
    Delivery(other, origin).deliver(connection)
    assert nodes[0].value("SELECT sum(used_bytes) FROM blackbox.process FINAL WHERE machine = 'bytes'") == 2 * 6


@pytest.mark.edge(3)
def test_a_body_that_is_cut_off_stores_nothing(nodes: list[ClickHouse]) -> None:
    """As when a server is killed while it sends."""
    lines = b"".join(b'["cut",%d,"%s"]\n' % (pid, whole_time(START).encode()) for pid in range(5000))
    query = "INSERT INTO blackbox.process (machine, pid, ts) FORMAT JSONCompactEachRow"
    target = "/?" + urlencode({"query": query} | INSERT_SETTINGS)
    cut = http.client.HTTPConnection(HOST, nodes[0].port)
    cut.putrequest("POST", target)
    cut.putheader("Content-Length", str(2 * len(lines)))
    cut.endheaders(lines)
    cut.close()
    whole = nodes[0].ask(query, body=lines.replace(b'"cut"', b'"all"'), **INSERT_SETTINGS)
    assert whole.status == 200, whole.text
    assert raw_rows(nodes, "process", "all") == 5000
    assert raw_rows(nodes, "process", "cut") == 0


@pytest.mark.edge(3)
def test_one_bad_row_keeps_all_of_its_batch_away(nodes: list[ClickHouse]) -> None:
    """So that what is set aside is known to the row."""
    rows = [f'["one-bad",{pid},"{whole_time(START)}"]' for pid in (*range(50), '"no number"')]
    query = "INSERT INTO blackbox.process (machine, pid, ts) FORMAT JSONCompactEachRow"
    assert (
        nodes[0].ask(query, body="\n".join(rows[:1]).replace("one-bad", "good").encode(), **INSERT_SETTINGS).status
        == 200
    )
    assert raw_rows(nodes, "process", "good") == 1
    answer = nodes[0].ask(query, body="\n".join(rows).encode(), **INSERT_SETTINGS)
    assert error_kind(answer.status, answer.code) == "batch"
    assert raw_rows(nodes, "process", "one-bad") == 0


@pytest.mark.edge(6)
def test_inserts_are_never_left_to_a_later_moment(nodes: list[ClickHouse], monkeypatch: pytest.MonkeyPatch) -> None:
    """With `async_insert`, which is the default of newer engines, a 200 may come before the row is stored."""
    sent: list[object] = []
    execute = EngineConnection.execute

    def listening(self: EngineConnection, query: str, *rest: Any, **named: Any) -> Any:
        if query.startswith("INSERT"):
            sent.append(named["settings"]["async_insert"])
        return execute(self, query, *rest, **named)

    monkeypatch.setattr(EngineConnection, "execute", listening)
    made = EngineConnection(Access(nodes[0].url, WRITER, PASSWORD))
    batch, origin = batch_of("sync", "sync/1", [1])
    Delivery(batch, origin).deliver(made)
    made.close()
    assert sent == [0]


@pytest.mark.edge(1)
def test_an_error_that_nobody_knows_is_said_to_be_one(connection: EngineConnection) -> None:
    with pytest.raises(EngineError) as raised:
        connection.execute("SELECT throwIf(1, 'what is this')")
    assert raised.value.kind == "unknown"
