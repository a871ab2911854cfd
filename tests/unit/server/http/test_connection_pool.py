"""The pool of connections: what goes wrong in one of them costs that one."""

import asyncio
from collections.abc import Callable

from blackbox.model.status import ServerStats
from blackbox.server.http.connection_pool import ConnectionLimits, ConnectionPool
from blackbox.server.http.limits import Limits


class Connection:
    """Notes what is asked of it."""

    def __init__(self, pool: ConnectionPool) -> None:
        self.seen: list[str] = []
        self._pool = pool
        pool.add(self)

    def check_deadline(self, now: float) -> None:
        self.seen.append(f"checked at {now:g}")

    def end(self) -> None:
        self.seen.append("ended")
        self._pool.remove(self)

    def abort(self) -> None:
        self.seen.append("aborted")
        self._pool.remove(self)


class FaultyConnection(Connection):
    """Of which only an abrupt end is to be had."""

    def check_deadline(self, now: float) -> None:
        raise RuntimeError(f"a fault at {now:g}")

    def end(self) -> None:
        raise RuntimeError("a fault at the end")


def with_pool(act: Callable[[ConnectionPool], None]) -> None:
    """Does it on a loop, and stops the pool."""

    async def run() -> None:
        pool = ConnectionPool(Limits(), ServerStats(), ConnectionLimits(10, 1))
        act(pool)
        await pool.shutdown()

    asyncio.run(run())


def test_a_fault_at_a_deadline_costs_its_own_connection_and_the_others_are_looked_at() -> None:
    made: list[Connection] = []

    def act(pool: ConnectionPool) -> None:
        made.extend(kind(pool) for kind in (Connection, FaultyConnection, Connection))
        pool.sweep(7)

    with_pool(act)
    assert [one.seen for one in made] == [["checked at 7", "ended"], ["aborted"], ["checked at 7", "ended"]]


def test_a_fault_at_the_end_costs_its_own_connection_and_the_others_end_in_peace() -> None:
    made: list[Connection] = []
    with_pool(lambda pool: made.extend(kind(pool) for kind in (Connection, FaultyConnection, Connection)))
    assert [one.seen for one in made] == [["ended"], ["aborted"], ["ended"]]
