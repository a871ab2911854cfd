"""KV pools of all agents: each layout with the states of its engine, which another process may have told."""

from collections import Counter
from collections.abc import Iterable
from typing import NamedTuple

from blackbox.model.parts import KvPool
from blackbox.sources.agents.connection import AgentConnection
from blackbox.sources.agents.kv_pages import KvMismatchError, pool_of
from blackbox.wire.report import KvLayout

USER_ROWS_MAX = 200_000
"""Rows of pages of one user's engines: two of the largest, 50 MB."""


class Joined(NamedTuple):
    """The KV cache of an engine on one device."""

    layout: KvLayout
    source: str
    """The probe that told the layout."""
    taken_at: float
    """When the layout was told."""
    pool: KvPool | None
    reason: str | None
    """Why there is no pool."""


class _Made(NamedTuple):
    layout: KvLayout
    states: bytes
    """Kept with the layout, so that the identity of both stays theirs."""
    pool: KvPool | None
    reason: str | None


class Pools:
    """Makes pools, anew only where layout or states have changed: an idle engine costs nothing."""

    def __init__(self) -> None:
        self._made: dict[tuple[int, int], _Made] = {}
        """Of the layouts in the newest reports, which are bounded."""
        self._rows: Counter[int] = Counter()
        """User -> rows of pages in the newest join."""

    def join(self, connections: Iterable[AgentConnection]) -> dict[AgentConnection, list[Joined]]:
        """The pools of every agent that told a layout."""
        connections = tuple(connections)
        states = {
            (_realm(connection), reported.engine): reported.states
            for connection in connections
            for probe in connection.probes.values()
            for reported in probe.report.kv_states or ()
        }
        before, self._made = self._made, {}
        self._rows.clear()
        return {
            connection: [
                self._joined(
                    connection.peer.uid,
                    layout,
                    probe.report.source,
                    probe.taken_at,
                    states.get((_realm(connection), layout.engine)),
                    before,
                )
                for probe in connection.probes.values()
                for layout in probe.report.kv_layouts or ()
            ]
            for connection in connections
        }

    def _joined(
        self,
        uid: int,
        layout: KvLayout,
        source: str,
        taken_at: float,
        states: bytes | None,
        before: dict[tuple[int, int], _Made],
    ) -> Joined:
        if states is None:
            return Joined(layout, source, taken_at, None, "the engine does not tell what its pages hold")
        key = id(layout), id(states)
        made = before.get(key) or _make(layout, states)
        rows = 0 if made.pool is None else len(made.pool.pages)
        if self._rows[uid] + rows > USER_ROWS_MAX:
            made = _Made(layout, states, None, f"its user has over {USER_ROWS_MAX} pages")
        else:
            self._rows[uid] += rows
        self._made[key] = made
        return Joined(layout, source, taken_at, made.pool, made.reason)


def workers_of(connections: Iterable[AgentConnection]) -> dict[AgentConnection, tuple[int, ...]]:
    """The agent of an engine that tells page states -> the pids of all that tell where such pages lie."""
    connections = tuple(connections)
    holders: dict[tuple[tuple[int, int], str], set[int]] = {}
    for connection in connections:
        for probe in connection.probes.values():
            for layout in probe.report.kv_layouts or ():
                holders.setdefault((_realm(connection), layout.engine), set()).add(connection.peer.pid)
    return {
        connection: tuple(sorted(found))
        for connection in connections
        if (
            found := {
                pid
                for probe in connection.probes.values()
                for reported in probe.report.kv_states or ()
                for pid in holders.get((_realm(connection), reported.engine), ())
            }
        )
    }


def _make(layout: KvLayout, states: bytes) -> _Made:
    try:
        return _Made(layout, states, pool_of(layout, states), None)
    except KvMismatchError as error:
        return _Made(layout, states, None, str(error))


def _realm(connection: AgentConnection) -> tuple[int, int]:
    """Engines are named within it: one user's processes in one pid namespace."""
    return connection.peer.uid, connection.peer.pid_namespace
