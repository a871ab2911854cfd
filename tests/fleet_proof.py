"""What the engine must hold of a recording, row by row: worked out from the recording, and read from the engine."""

import json
import struct
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from itertools import chain
from pathlib import Path
from typing import Any

from blackbox.fleet.cursor import CursorFile, machine_of
from blackbox.fleet.events import event_rows
from blackbox.fleet.minutes import ClosedMinutes
from blackbox.fleet.rows import Origin, Rows, TableRow, minute_rows
from blackbox.fleet.schema import ENGINE, EVENT, GPU, LIFE, PROCESS
from blackbox.fleet.table import Table
from blackbox.recorder import Recording
from tests.clickhouse_rig import ClickHouse

EVENTS_MAX = 10_000
LIFE_KEY = ("tenant", "machine", "gpu_uuid", "pid", "start_ms")
WHOLE_TABLES = (PROCESS, GPU, ENGINE, LIFE)
"""Those whose rows are all there once a recording is shipped."""


def recorded_rows(directory: Path, host: str) -> tuple[str, Rows]:
    """The machine, and its rows of all that its cursor says was shipped; lives as they are once they are merged."""
    cursor = CursorFile(directory).read()
    assert cursor.shipped_until is not None
    origin = Origin(machine_of(cursor.recording), host)
    recording, minutes = Recording(directory), ClosedMinutes(directory)
    first = minutes.first()
    assert first is not None
    read = [minutes.read(since, until) for since, until in ((first, cursor.shipped_until), *cursor.ahead)]
    found = together(minute_rows(chain.from_iterable(read), origin))
    events = [event for event in recording.events_after(0, EVENTS_MAX) if event.id <= cursor.event_id]
    happened = event_rows(events, origin, recording.moment_at)
    found[EVENT.name] = happened[EVENT.name]
    found[LIFE.name] = merged_lives(found[LIFE.name] + happened[LIFE.name])
    return origin.machine, found


def together(slices: Iterable[Rows]) -> Rows:
    """All rows of a batch, which come minute by minute."""
    found: Rows = {table.name: [] for table in WHOLE_TABLES}
    for rows in slices:
        for table, some in rows.items():
            found[table] += some
    return found


def merged_lives(rows: Iterable[TableRow]) -> list[TableRow]:
    """One row a life: the earliest first, the most of all else that anybody knew."""
    lives: dict[tuple[Any, ...], list[TableRow]] = defaultdict(list)
    for row in rows:
        lives[tuple(row[key] for key in LIFE_KEY)].append(row)
    return [
        {key: _best(key, [row[key] for row in alike if row[key] is not None]) for key in alike[0]}
        for alike in lives.values()
    ]


def _best(key: str, values: list[Any]) -> Any:
    best: Callable[..., Any] = min if key == "first_seen" else max
    return best(values, default=None)


def stored_rows(node: ClickHouse, table: Table, machine: str) -> list[TableRow]:
    """Of one machine, repeats taken away as questions do."""
    names = [column.name for column in table.shipped if column.name != "batch"]
    where = f"WHERE machine = '{machine}'"
    if table is LIFE:
        keys = ", ".join(LIFE_KEY)
        rest = [name for name in names if name not in LIFE_KEY]
        merged = [f"{'min' if name == 'first_seen' else 'max'}({name}) AS {name}" for name in rest]
        query = f"SELECT {keys}, {', '.join(merged)} FROM blackbox.{table.name} {where} GROUP BY {keys}"
    else:
        query = f"SELECT {', '.join(names)} FROM blackbox.{table.name} FINAL {where}"
    return node.rows(query, date_time_output_format="iso", max_rows_to_read=0)


def comparable(table: Table, rows: Iterable[Mapping[str, Any]]) -> list[str]:
    """The same rows are the same texts, in one order."""
    names = sorted(column.name for column in table.shipped if column.name != "batch")
    return sorted(json.dumps([_told(row.get(name)) for name in names]) for row in rows)


def _told(value: Any) -> Any:
    """Numbers with a point have the four bytes that the engine has, which tells whole ones without it."""
    if not isinstance(value, float):
        return value
    stored = struct.unpack("f", struct.pack("f", value))[0]
    return int(stored) if stored.is_integer() else stored
