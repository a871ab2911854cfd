"""Delivering a batch: its INSERTs, rows that no table takes set aside, and a look whether all of it is there."""

import logging
from collections.abc import Mapping
from typing import NamedTuple

from blackbox.fleet.batch import Batch, Part
from blackbox.fleet.rows import Origin, key_columns
from blackbox.fleet.schema import LIFE, hours
from blackbox.fleet.send import EngineConnection, EngineError
from blackbox.fleet.setup import INSERT_SETTINGS

SET_ASIDE_MAX = 20
"""Rows of one batch that are looked for one by one; with more, all that is left of the table is set aside at once."""


LOOK_SETTINGS: dict[str, object] = {"optimize_skip_unused_shards": 1}
"""Ask the shard of this machine alone: others may be away."""

log = logging.getLogger(__name__)


class SetAside(NamedTuple):
    """Rows that the engine will never take."""

    table: str
    rows: int
    reason: str


class Delivery:
    """One batch on its way. `deliver` may be called again after a passing error: the same bytes go out, under the same
    tokens, unless they were looked for and not found."""

    def __init__(self, batch: Batch, origin: Origin) -> None:
        self.batch = batch
        self.set_aside: list[SetAside] = []
        self._origin = origin
        self._looked = 0
        """Times that not all of it was found. A token whose rows are not there would keep them away for good."""
        self._missing: dict[str, int] = {}
        """Table -> rows that are not expected there, having been set aside."""

    def deliver(self, connection: EngineConnection, *, hopeless: bool = False) -> None:
        """Inserts all of it, and sees it arrive. Raises `EngineError`; with `hopeless`, an error that nobody knows is
        taken for one of the rows."""
        self.insert(connection, hopeless=hopeless)
        self._verify(connection)

    def insert(self, connection: EngineConnection, *, hopeless: bool = False) -> None:
        """The same without a look. Raises `EngineError`; of kind `setup`, too, where not one of several rows is taken:
        then the fault is not in the rows."""
        self.set_aside, self._missing = [], {}
        for part in self.batch.parts:
            self._insert(connection, part, hopeless)
            lost = [rows for rows in self.set_aside if rows.table == part.table.name]
            if part.rows > 1 and sum(rows.rows for rows in lost) == part.rows:
                raise EngineError("setup", f"no row of {part.table.name} is taken: {lost[0].reason}")

    def _insert(self, connection: EngineConnection, part: Part, hopeless: bool) -> None:
        try:
            connection.execute(
                f"INSERT INTO {part.table.name} ({', '.join(part.columns)}) FORMAT JSONCompactEachRow",
                part.pieces,
                settings=INSERT_SETTINGS | {"insert_deduplication_token": self._token(part)},
            )
        except EngineError as error:
            if error.kind != "batch" and not (hopeless and error.kind == "unknown"):
                raise
            self._split(connection, part, error, hopeless)

    def _split(self, connection: EngineConnection, part: Part, error: EngineError, hopeless: bool) -> None:
        """Sends the halves, down to the row that is at fault."""
        count = part.rows
        if count == 1 or len(self.set_aside) >= SET_ASIDE_MAX:
            self.set_aside.append(SetAside(part.table.name, count, _reason(error)))
            self._missing[part.table.name] = self._missing.get(part.table.name, 0) + part.expected
            return
        middle = count // 2
        for start, end in ((0, middle), (middle, count)):
            self._insert(connection, part.slice(start, end), hopeless)

    def _token(self, part: Part) -> str:
        return f"{part.token}/{self._looked}" if self._looked else part.token

    def _verify(self, connection: EngineConnection) -> None:
        """Raises `EngineError`."""
        questions = [self._question(part) for part in self.batch.parts]
        if not questions:
            return
        parameters: dict[str, object] = {"tenant": self._origin.tenant, "machine": self._origin.machine}
        parameters |= {"batch": self.batch.digest}
        query = " UNION ALL ".join(questions)
        found = {row["t"]: row["n"] for row in connection.rows(query, parameters, LOOK_SETTINGS)}
        missing = {
            part.table.name: self._expected(part) - found.get(part.table.name, 0)
            for part in self.batch.parts
            if found.get(part.table.name, 0) < self._expected(part)
        }
        if missing:
            self._looked += 1
            told = ", ".join(f"{count} of {table}" for table, count in missing.items())
            raise EngineError("passing", f"rows were taken and are not there: {told}")

    def _expected(self, part: Part) -> int:
        return part.expected - self._missing.get(part.table.name, 0)

    def _question(self, part: Part) -> str:
        table, columns = part.table, ", ".join(key_columns(part.table))
        mine = "tenant = {tenant:String} AND machine = {machine:String}"
        if table.name == LIFE.name:  # an aggregate has no batch; all that were seen since then are at least these
            return (
                f"SELECT '{table.name}' AS t, uniqExact({columns}) AS n FROM {table.name} "  # noqa: S608 - no input
                f"WHERE {mine} AND last_seen >= parseDateTimeBestEffort('{part.since}')"
            )
        first, last = _time(part.since), _time(part.until)
        within = f"ts >= {first} AND ts <= {last}"
        if "toStartOfHour(ts)" in table.order:
            within += f" AND {hours(first, last)}"
        return (
            f"SELECT '{table.name}' AS t, uniqExact({columns}) AS n FROM {table.name} "  # noqa: S608 - no input
            f"WHERE {mine} AND {within} AND batch = {{batch:UInt64}}"
        )


def set_aside_detail(rows: SetAside) -> Mapping[str, object]:
    """What a `gap` says of them."""
    return {"table": rows.table, "rows": rows.rows}


def _time(text: str) -> str:
    return f"parseDateTime64BestEffort('{text}', 3, 'UTC')"


def _reason(error: EngineError) -> str:
    """Without what the row holds, which the engine's words repeat."""
    return f"the engine refuses it: error {error.code}"
