"""Reading a fleet's database, with the shards that do not answer known: a sum without them is never told as a whole."""

import re
import time
from collections.abc import Callable, Iterable, Mapping
from collections.abc import Set as AbstractSet
from typing import Any, NamedTuple, TypeVar

from blackbox.errors import FailureError
from blackbox.fleet.schema import MACHINE
from blackbox.fleet.send import Access, EngineConnection, EngineError

T = TypeVar("T")
QUERY_SECONDS_MAX = 25
"""Of one query in the engine: below what the connection waits for."""
SHARD_SETTINGS: Mapping[str, object] = {
    "handshake_timeout_ms": 2000,
    "connections_with_failover_max_tries": 1,
    "receive_timeout": 10,
}
"""Until a shard counts as one that does not answer. By the engine's own defaults a node that accepts and says nothing
holds a query for 25 to 30 s, whatever `max_execution_time` says; one that computes tells of progress every 0.1 s."""
ACCESS_DENIED = 497
OLDER_TABLES = frozenset((47, 60))
"""Codes of the engine for a column and for a table that it does not know: some of the tables are there, or no question
is asked."""
_DISTRIBUTED = re.compile(r"Distributed\(\s*'?([^',)]+)'?\s*,")


class FleetShards(NamedTuple):
    """The shards of the database."""

    total: int | None
    """None where the database does not tell: then every one must answer, or a question fails."""
    missing: tuple[str, ...] = ()
    """Those that did not answer, by number and address."""


class FleetReader:
    """Asks the engine. For one thread; it connects at the first question."""

    def __init__(self, access: Access, clock: Callable[[], float] = time.time) -> None:
        """`clock` tells Unix seconds."""
        self.clock = clock
        self._access = access
        self._connection = EngineConnection(access)
        self._may_skip = False
        """A shard is known to be away, and will be named: it fails no question."""

    def ask(self, question: Callable[["FleetReader"], T]) -> tuple[T, FleetShards]:
        """What the question comes to, and the shards: one that was away before it or after it counts as missing. The
        question may be asked twice. Raises `EngineError`, `FailureError`."""
        addresses = self._addresses()
        missing = self._missing(addresses)
        try:
            answer = self._answer(question, missing)
        except EngineError:
            if missing:
                raise
            missing = self._missing(addresses)
            if not missing:
                raise
            answer = self._answer(question, missing)  # one went away meanwhile
        if missing and addresses is not None:
            missing |= self._missing(addresses)
            told = tuple(f"{one} ({addresses[one]})" for one in sorted(missing))
            return answer, FleetShards(len(addresses), told)
        return answer, FleetShards(None if addresses is None else len(addresses))

    def rows(self, query: str, parameters: Mapping[str, object] | None = None) -> list[dict[str, Any]]:
        """The rows of a SELECT, of every shard that answers. Raises `EngineError`."""
        settings: dict[str, object] = {
            "skip_unavailable_shards": int(self._may_skip),
            "max_execution_time": QUERY_SECONDS_MAX,
        }
        try:
            return self._connection.rows(query, parameters, {**settings, **SHARD_SETTINGS})
        except EngineError as error:
            if error.code not in OLDER_TABLES:
                raise
            told = f"{self._access.url}: the tables are of an older version: run 'blackbox fleet init'"
            raise EngineError("setup", told, error.code) from None

    def close(self) -> None:
        """Lets go of the connection."""
        self._connection.close()

    def _answer(self, question: Callable[["FleetReader"], T], missing: AbstractSet[int]) -> T:
        """While all shards are there none may be skipped: one that is away for a moment is no smaller sum."""
        self._may_skip = bool(missing)
        return question(self)

    def _addresses(self) -> dict[int, str] | None:
        """Number of a shard -> where it is; None where the database does not tell. Raises `FailureError` where there
        are no tables."""
        cluster = self._cluster()
        if cluster is None:
            return {1: self._access.url}
        query = (
            "SELECT shard_num, any(host_name) AS host, any(port) AS port FROM system.clusters "
            "WHERE cluster = {cluster:String} GROUP BY shard_num"
        )
        try:
            found = self._connection.rows(query, {"cluster": cluster})
        except EngineError as error:
            if error.code == ACCESS_DENIED:
                return None
            raise
        return {row["shard_num"]: f"{row['host']}:{row['port']}" for row in found} or None

    def _cluster(self) -> str | None:
        """That the tables are spread over; None on one node."""
        found = self._connection.rows(
            "SELECT engine_full FROM system.tables WHERE database = {database:String} AND name = {name:String}",
            {"database": self._access.database, "name": MACHINE.name},
            {"database": "default"},
        )
        if not found:
            raise FailureError(
                f"{self._access.url}: no tables of Blackbox in the database {self._access.database!r}, or none that "
                "may be read ('blackbox fleet init' makes them)"
            )
        match = _DISTRIBUTED.search(found[0]["engine_full"])
        return None if match is None else match[1]

    def _missing(self, addresses: Mapping[int, str] | None) -> set[int]:
        """Shards that do not answer now."""
        if addresses is None or len(addresses) == 1:
            return set()
        # without merging, every shard that is there gives a row, one without machines too
        query = f"SELECT shardNum() AS shard, count() FROM {MACHINE.name}"  # noqa: S608 - no input
        settings = {"distributed_group_by_no_merge": 1, "skip_unavailable_shards": 1, **SHARD_SETTINGS}
        return set(addresses) - {row["shard"] for row in self._connection.rows(query, None, settings)}


def array(values: Iterable[str]) -> str:
    """As the engine reads a parameter."""
    return f"[{', '.join(values)}]"


def quoted(text: str) -> str:
    """A text in an array."""
    escaped = text.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"
