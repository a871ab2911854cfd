"""Making and upgrading the tables, and looking whether they do what a server relies on."""

import time
from collections.abc import Callable, Sequence

from blackbox.errors import FailureError
from blackbox.fleet.ddl import TableLayout, statements
from blackbox.fleet.schema import COMMENT, EVENT, MACHINE, VERSION
from blackbox.fleet.send import TIMEOUT_SECONDS, Access, EngineConnection, EngineError

PROBE_MACHINE, PROBE_KIND = "blackbox", "probe"
"""The row that `fleet init` leaves: one a day at most."""
DAY_SECONDS = 86_400
NEWEST_PROBE = "WHERE kind = {kind:String} AND machine = {machine:String} ORDER BY ts DESC LIMIT 1"
PROBE_FRACTION = 0.125
"""Of a second, in the time of the probe: it comes back where the engine reads times as they are meant."""


def version_of(connection: EngineConnection, database: str) -> int | None:
    """Version of the tables that are there; None without any. Raises `EngineError`."""
    found = connection.rows(
        "SELECT comment FROM system.tables WHERE database = {database:String} AND name = {name:String}",
        {"database": database, "name": MACHINE.name},
        {"database": "default"},
    )
    if not found:
        return None
    comment: str = found[0]["comment"]
    number = comment.removeprefix(COMMENT).strip()
    return int(number) if comment.startswith(COMMENT) and number.isdecimal() else 0


def make_tables(accesses: Sequence[Access], layout: TableLayout, told: Callable[[str], None]) -> None:
    """Makes the tables or upgrades them, at each of `accesses`, then writes a row and reads it back. Raises
    `FailureError`."""
    for access in accesses:
        connection = EngineConnection(access)
        try:
            before = version_of(connection, layout.database)
            if before is not None and before > VERSION:
                raise FailureError(
                    f"{access.url}: the tables are of version {before}, made by a newer Blackbox; this one knows "
                    f"{VERSION} and changes nothing"
                )
            for statement in () if before == VERSION else statements(layout):
                connection.execute(statement, settings={"database": "default"})
            told(f"{access.url}: {_what_was_done(before)}")
        except EngineError as error:
            raise FailureError(_with_advice(error, layout)) from None
        finally:
            connection.close()
    probe(accesses[0], layout)
    told(f"{accesses[0].url}: wrote a row and read it back")


def probe(access: Access, layout: TableLayout, timeout_seconds: float = TIMEOUT_SECONDS) -> None:
    """Writes a row as servers do and reads it back. Raises `FailureError` where another one comes back."""
    connection = EngineConnection(access, timeout_seconds)
    day = time.time() // DAY_SECONDS * DAY_SECONDS + PROBE_FRACTION
    stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(day)) + f"{day % 1:.3f}"[1:] + "Z"
    row = (
        f'{{"machine":"{PROBE_MACHINE}","kind":"{PROBE_KIND}","ts":"{stamp}","start_ms":null,"event_id":1,"batch":1}}\n'
    )
    try:
        connection.execute(
            f"INSERT INTO {layout.asked(EVENT)} (machine, kind, ts, start_ms, event_id, batch) FORMAT JSONEachRow",
            [row.encode()],
            settings=INSERT_SETTINGS,
        )
        found = connection.rows(
            f"SELECT toUnixTimestamp64Milli(ts) AS ms, start_ms FROM {layout.asked(EVENT)} FINAL {NEWEST_PROBE}",  # noqa: S608 - no input
            {"kind": PROBE_KIND, "machine": PROBE_MACHINE},
        )
    except EngineError as error:
        raise FailureError(f"the tables cannot be used: {error}") from None
    finally:
        connection.close()
    expected = {"ms": round(day * 1000), "start_ms": None}
    if found != [expected]:
        raise FailureError(f"{access.url}: a row was written as {expected} and came back as {found}")


INSERT_SETTINGS: dict[str, object] = {
    "async_insert": 0,
    "date_time_input_format": "best_effort",
    "distributed_foreground_insert": 1,
    "deduplicate_blocks_in_dependent_materialized_views": 1,
    "input_format_skip_unknown_fields": 0,
    "input_format_null_as_default": 0,
    "input_format_parallel_parsing": 0,
    "insert_deduplicate": 1,
}
"""Of every INSERT: what is answered 200 is stored, on its shard, in one piece; a column that is not there is an error,
not silence. A null where none belongs is stored as 0 all the same: rows must have none there."""


def _what_was_done(before: int | None) -> str:
    if before is None:
        return f"made the tables, version {VERSION}"
    return f"the tables are of version {VERSION}" if before == VERSION else f"upgraded from version {before}"


def _with_advice(error: EngineError, layout: TableLayout) -> str:
    if layout.on_cluster and error.code in NO_CLUSTER_STATEMENTS:
        return (
            f"{error}; a cluster without Keeper has no ON CLUSTER and no replicas: --not-replicated, with a --url of "
            "every node, makes plain tables on each"
        )
    return str(error)


NO_CLUSTER_STATEMENTS = (139, 170, 392, 701)
"""No element in the configuration, no such cluster, not allowed."""
