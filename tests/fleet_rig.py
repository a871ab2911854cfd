"""Two ClickHouse nodes with the tables of a fleet, a recording, and a shipper that is stepped by hand."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from blackbox.fleet.ddl import TableLayout, writer_grants
from blackbox.fleet.send import Access
from blackbox.fleet.setup import make_tables
from blackbox.fleet.shipper import FleetOptions, Shipper
from blackbox.recorder import Recording
from tests.clickhouse_rig import CLUSTER, PASSWORD, WRITER, ClickHouse, running
from tests.clocks import ManualClock
from tests.fleet_recordings import MINUTE, SHIPPED_PROCESSES, expected_processes, machine_moments

ON_NODES = TableLayout(cluster=CLUSTER, replicated=False)
MINUTES = 11
START = time.time() // 300 * 300 - 3600
"""A whole batch's start, an hour ago."""


@contextmanager
def fleet_nodes(folder: Path) -> Iterator[list[ClickHouse]]:
    """Two shards with the tables, and a user who may no more than a server needs."""
    grants = {WRITER: [f"GRANT {grant}" for grant in writer_grants(ON_NODES)]}
    with running(folder, 2, grants) as nodes:
        make_tables([Access(node.url) for node in nodes], ON_NODES, lambda _: None)
        yield nodes


class Ship:
    """A shipper on a recording, stepped by hand."""

    def __init__(self, directory: Path, node: ClickHouse, **options: Any) -> None:
        self.clock = ManualClock()
        given: dict[str, Any] = {"host": "host-0", "version": "1", "batch_minutes": 5}
        given |= {"access": Access(node.url, WRITER, PASSWORD)} | options
        self.shipper = Shipper(Recording(directory), FleetOptions(**given), clock=self.clock)

    def __enter__(self) -> "Ship":
        return self

    def __exit__(self, *_: object) -> None:
        self.shipper.close(0)

    def steps(self, count: int = 20) -> None:
        for _ in range(count):
            self.shipper.step()

    @property
    def machine(self) -> str:
        machine = self.shipper.status().machine
        assert machine is not None
        return machine


def shipped(node: ClickHouse, machine: str) -> list[dict[str, Any]]:
    return node.rows(SHIPPED_PROCESSES.format(machine=machine))


def expected(minutes: int, number: int = 0) -> list[dict[str, Any]]:
    """Rows of `process` of so many minutes of that machine, worked out from its moments."""
    rows = expected_processes(machine_moments(START, MINUTES, number))
    return [row for row in rows if row["ts"] < START + minutes * MINUTE]
