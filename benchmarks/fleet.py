"""What a fleet costs: bytes of a row in the engine, rows that a question reads, and what shipping takes."""

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

from benchmarks import fleet_rows
from benchmarks.fleet_rows import MIXED, RESTLESS, START, Mix
from benchmarks.harness import BrokenRunError
from benchmarks.lifelike import INTERVAL_SECONDS, LifelikeMachine
from benchmarks.plan import Benchmark, Plan, Row
from blackbox.fleet.ddl import TableLayout
from blackbox.fleet.questions.at import at, top
from blackbox.fleet.questions.cover import FleetScope
from blackbox.fleet.questions.lives import ooms, where
from blackbox.fleet.questions.waste import waste
from blackbox.fleet.reader import FleetReader
from blackbox.fleet.send import Access, EngineAnswer, EngineConnection
from blackbox.fleet.setup import make_tables
from blackbox.recorder.storage.store import Store
from tests.clickhouse_rig import ClickHouse, running

MACHINES, MACHINES_LONG = 12, 250
"""A machine and day is 115,200 rows of `process`; 28.8 million take the engine a quarter of an hour to make."""
RESTLESS_MACHINES = 2
BYTES_MAX = 14.0
ONE_MACHINE_ROWS_MAX = 250_000
FLEET_SHARE_MAX, FEW_SHARE_MAX = 0.08, 0.02
ASKED = START + 3 * 3600 + 12 * 60 + 30.0
"""03:12."""
SHIPPED_GPUS, SHIPPED_PROCESSES = 8, 32
SHIPPED_SECONDS = 3600.0 + 120
RECORDED_EVERY = 20
"""Moments of the recording that is shipped: one in so many of those at 2 Hz."""
CORE_PERCENT_MAX, MEMORY_MIB_MAX, AWAY_MIB_MAX = 0.2, 5.0, 8.0
DRAIN_SECONDS_MAX, DRAIN_PERCENT_MAX = 60.0, 10.0
CHILD_SECONDS_MAX = 580.0
TOP_COLUMNS = 4


def run_rows(plan: Plan) -> list[Row]:
    """Sizes and questions."""
    machines = MACHINES_LONG if plan.long else MACHINES
    with tempfile.TemporaryDirectory() as folder, running(Path(folder)) as (node,):
        make_tables([Access(node.url)], TableLayout(), lambda _: None)
        found = _sizes(node, RESTLESS_MACHINES, RESTLESS, judged=False)
        fleet_rows.empty(node)
        found += _sizes(node, machines, MIXED, judged=True)
        return found + _questions(node)


def run_shipping(_plan: Plan) -> list[Row]:
    """What a server that ships costs."""
    with tempfile.TemporaryDirectory() as folder, running(Path(folder, "engine")) as (node,):
        make_tables([Access(node.url)], TableLayout(), lambda _: None)
        return _shipping(node, Path(folder))


def _sizes(node: ClickHouse, machines: int, mix: Mix, *, judged: bool) -> list[Row]:
    rows = fleet_rows.fill(node, machines, mix)
    size = node.value("SELECT sum(bytes_on_disk) FROM system.parts WHERE active AND table = 'process'") / rows
    columns = node.rows(
        "SELECT column, sum(column_data_compressed_bytes) AS bytes FROM system.parts_columns "
        f"WHERE active AND table = 'process' GROUP BY column ORDER BY bytes DESC LIMIT {TOP_COLUMNS}"
    )
    dearest = ", ".join(f"{one['column']} {one['bytes'] / rows:.2f}" for one in columns)
    note = f"{rows / 1e6:.3g} million rows of {machines} machines and a day, 12 numbers and 11 attributes each: "
    return [
        Row(
            figure=f"a row of `process`; {mix.name}", unit="bytes on disk", ours=size,
            target=f"≤ {BYTES_MAX:g}" if judged else "", met=size <= BYTES_MAX if judged else None,
            note=f"{note}{dearest}",
        )
    ]  # fmt: skip


def _questions(node: ClickHouse) -> list[Row]:
    day: int = node.value("SELECT count() FROM blackbox.process")
    one, all_ = FleetScope(machine="gpu-node-3"), FleetScope()
    reader = FleetReader(Access(node.url))
    asked: list[tuple[str, Callable[[], Any], float, str]] = [
        ("`fleet at` of one machine", lambda: at(reader, ASKED, one), ONE_MACHINE_ROWS_MAX, ""),
        ("`fleet at` of all", lambda: at(reader, ASKED, all_), FLEET_SHARE_MAX * day, "8 %"),
        ("`fleet top` of all", lambda: top(reader, ASKED, "workload", all_), FLEET_SHARE_MAX * day, "8 %"),
        ("`fleet where` of a pod", lambda: where(reader, "train-3-7-0", START, START + 86_400.0), FEW_SHARE_MAX * day,
         "2 %"),
        ("`fleet ooms` of a week", lambda: ooms(reader, START - 6 * 86_400.0, START + 86_400.0), FEW_SHARE_MAX * day,
         "2 %"),
    ]  # fmt: skip
    found = [_question(day, *question) for question in asked]
    read, seconds = _read(lambda: waste(reader, START, START + 86_400.0, "workload", all_))
    reader.close()
    note = f"of hours; {seconds:.2g} s"
    return [*found, Row(figure="`fleet waste` of a day", unit="rows read", ours=read, note=note)]


def _question(day: int, figure: str, ask: Callable[[], Any], most: float, share: str) -> Row:
    read, seconds = _read(ask)
    target = f"≤ {share} of the day's {day:,}" if share else f"≤ {most:,.0f}"
    note = f"{100 * read / day:.2g} % of the day's rows; {seconds:.2g} s"
    return Row(figure=figure, unit="rows read", ours=read, target=target, met=read <= most, note=note)


def _read(ask: Callable[[], Any]) -> tuple[int, float]:
    """Rows that the engine read, as it counts them, in all queries of a question; and the time."""
    read: list[int] = []
    execute = EngineConnection.execute

    def counting(self: EngineConnection, *arguments: Any, **named: Any) -> EngineAnswer:
        answer = execute(self, *arguments, **named)
        read.append(answer.read_rows)
        return answer

    EngineConnection.execute = counting
    began = time.monotonic()
    try:
        ask()
    finally:
        EngineConnection.execute = execute
    return sum(read), time.monotonic() - began


def _shipping(node: ClickHouse, folder: Path) -> list[Row]:
    machine = LifelikeMachine(SHIPPED_GPUS, SHIPPED_PROCESSES)
    with closing(Store(folder / "data")) as store:
        for number in range(round(SHIPPED_SECONDS / INTERVAL_SECONDS)):
            moment = machine.moment()
            if number % RECORDED_EVERY == 0:
                store.append(moment)
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.fleet_shipping", folder / "data", node.url],
        capture_output=True, text=True, timeout=CHILD_SECONDS_MAX, check=False,
    )  # fmt: skip
    if done.returncode != 0:
        raise BrokenRunError(done.stderr[-500:])
    told = json.loads(done.stdout)
    size = f"{SHIPPED_GPUS} GPUs × {SHIPPED_PROCESSES} processes"
    core = 100 * told["cpu_seconds"] / (told["batches"] * 300)
    percent = 100 * told["cpu_seconds"] / told["drain_seconds"]
    return [
        Row(
            figure=f"shipping, {size}", unit="% of a core", ours=core, target=f"≤ {CORE_PERCENT_MAX:g}",
            met=core <= CORE_PERCENT_MAX,
            note=f"{1e3 * told['cpu_seconds'] / told['batches']:.0f} ms a batch of five minutes and"
            f" {told['rows'] / told['batches']:.0f} rows",
        ),
        Row(
            figure=f"shipping, {size}", unit="MiB RSS", ours=told["growth_mib"], target=f"≤ {MEMORY_MIB_MAX:g} more",
            met=told["growth_mib"] <= MEMORY_MIB_MAX,
            note=f"of a process that has the recorder's modules, trimmed as a server does twice a minute;"
            f" {told['untrimmed_mib']:.1f} before that; {told['import_mib']:.1f} of it are modules",
        ),
        Row(
            figure="engine away, a hundred tries", unit="MiB RSS", ours=told["away_mib"],
            target=f"≤ {AWAY_MIB_MAX:g} more", met=told["away_mib"] <= AWAY_MIB_MAX,
        ),
        Row(
            figure="an hour's backlog is there", unit="s", ours=told["drain_seconds"],
            target=f"≤ {DRAIN_SECONDS_MAX:g} at ≤ {DRAIN_PERCENT_MAX:g} % of a core",
            met=told["drain_seconds"] <= DRAIN_SECONDS_MAX and percent <= 1.1 * DRAIN_PERCENT_MAX,
            note=f"{percent:.3g} % of a core",
        ),
    ]  # fmt: skip


BENCHMARKS = (
    Benchmark(
        "fleet/rows",
        "A day of generated machines with 8 GPUs × 10 processes in one real ClickHouse 26.7: size on disk once all is"
        " merged, rows read as the engine counts them. `--long` makes 28.8 million rows.",
        run_rows,
    ),
    Benchmark(
        "fleet/shipping",
        "A recorded hour that a process of its own ships to a real ClickHouse 26.7, as fast as a backlog may.",
        run_shipping,
    ),
)
