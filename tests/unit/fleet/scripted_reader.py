"""A reader whose database says what a test wants: rows by a piece of the question."""

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from blackbox.fleet.reader import FleetReader, FleetShards
from blackbox.fleet.send import Access

T = TypeVar("T")
NOW = 1_790_000_000.0


class ScriptedReader(FleetReader):
    """Answers with the rows of the first key that stands in the question; with none where none does."""

    def __init__(self, rows: Mapping[str, list[dict[str, Any]]], shards: FleetShards = FleetShards(1)) -> None:  # noqa: B008
        super().__init__(Access("http://localhost:1"), lambda: NOW)
        self.scripted = rows
        self.shards = shards
        self.asked: list[tuple[str, dict[str, object]]] = []

    def ask(self, question: Callable[[FleetReader], T]) -> tuple[T, FleetShards]:
        return question(self), self.shards

    def rows(self, query: str, parameters: Mapping[str, object] | None = None) -> list[dict[str, Any]]:
        self.asked.append((query, dict(parameters or {})))
        return next((rows for key, rows in self.scripted.items() if key in query), [])


def machine(host: str, shipped: float | None = NOW) -> dict[str, Any]:
    """A row of the machines."""
    return {
        "tenant": "",
        "machine": f"id-{host}",
        "host": host,
        "version": "1.0",
        "simulated": False,
        "gaps": 0,
        "shipped": shipped,
        "ahead_from": None,
        "ahead_to": None,
        "recorded": shipped,
        "updated_at": NOW,
    }
