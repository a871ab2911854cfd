"""An engine in memory: it takes rows, remembers tokens, answers what a shipper asks, and fails as it is told."""

import re
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec
import pytest

from blackbox.fleet.schema import COMMENT, LIFE, VERSION
from blackbox.fleet.send import EngineAnswer, EngineConnection, EngineError

INSERT = re.compile(r"INSERT INTO (\w+) \(([^)]+)\)")
LOOK = re.compile(r"SELECT '(\w+)' AS t, uniqExact\(([^)]+)\)")


class MemoryEngine:
    """Stands in for every `EngineConnection` of a test."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.rows: dict[str, list[dict[str, Any]]] = {}
        self.tokens: set[str] = set()
        self.requests: list[str] = []
        self.version: int | None = VERSION
        self.errors: list[EngineError] = []
        """Raised by the next inserts, one each."""
        self.refuses: dict[str, int] = {}
        """Table -> code for rows whose `pid` is below 0."""
        self.loses: set[str] = set()
        """Tables that say they took rows, once."""
        patch.setattr(EngineConnection, "execute", self._execute)

    def _execute(
        self,
        query: str,
        body: Iterable[bytes] | None = None,
        parameters: Mapping[str, Any] | None = None,
        settings: Mapping[str, Any] | None = None,
    ) -> EngineAnswer:
        self.requests.append(query)
        if body is not None:
            self._insert(query, b"".join(body), (settings or {}).get("insert_deduplication_token", ""))
            return EngineAnswer(b"", 0)
        if "system.tables" in query:
            found = [] if self.version is None else [{"comment": f"{COMMENT} {self.version}"}]
        else:
            found = [self._count(table, keys, parameters or {}) for table, keys in LOOK.findall(query)]
        return EngineAnswer(b"\n".join(map(msgspec.json.encode, found)), 0)

    def _insert(self, query: str, body: bytes, token: str) -> None:
        if self.errors:
            raise self.errors.pop(0)
        match = INSERT.match(query)
        assert match is not None
        table, names = match[1], match[2].split(", ")
        rows = [dict(zip(names, msgspec.json.decode(line), strict=True)) for line in body.splitlines()]
        if table in self.refuses and any((row.get("pid") or 0) < 0 for row in rows):
            raise EngineError("batch" if self.refuses[table] == 27 else "unknown", "refused", self.refuses[table])
        if table in self.loses:
            self.loses.discard(table)
        elif token not in self.tokens:
            self.rows.setdefault(table, []).extend(rows)
        self.tokens.add(token)

    def _count(self, table: str, keys: str, parameters: Mapping[str, Any]) -> dict[str, Any]:
        names = keys.split(", ")
        mine = [
            row
            for row in self.rows.get(table, [])
            if row["machine"] == parameters["machine"] and (table == LIFE.name or row["batch"] == parameters["batch"])
        ]
        return {"t": table, "n": len({tuple(row[name] for name in names) for row in mine})}
