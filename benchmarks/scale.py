"""How cost grows with what there is to tell, and with those who are told: an exponent is fitted to each."""

import time
from array import array
from collections.abc import Callable, Sequence
from math import log
from random import Random

from benchmarks.columns import ACTIVE, lifelike, with_blocks
from benchmarks.crowd import deliver
from benchmarks.fake_machine import fake_machine
from benchmarks.harness import (
    SERVER_CORE,
    SETTLE_SECONDS,
    blackbox,
    free_port,
    median,
    process,
    wait_for_sample,
)
from benchmarks.load import Delivery, Load
from benchmarks.moments import moment
from benchmarks.plan import Benchmark, Plan, Row
from benchmarks.report import number
from blackbox.hub import Hub
from blackbox.merge.known_blocks import ROWS_KEPT_MAX
from blackbox.model.block_arrays import NO_REQUEST, STATES, BlockArrays
from blackbox.model.view import Shape

GPUS = (1, 8, 16)
PROCESSES_A_GPU = 8
PROCESSES = (10, 100, 1_000)
"""On one GPU."""
BLOCKS = (1_000, 10_000, 100_000, 500_000)
"""Of one program: the last are more than are kept from one report to the next."""
AGENTS = (1, 10, 100)
AGENT_BLOCKS = 1_500
CLIENTS = (10, 100, 1_000)
REPORTS = 5
RUN_BLOCKS = 64
CHANGED_SHARE = 0.1
PENDING = STATES.index("pending_free")
EXPONENT_MAX = 1.05
"""Linear, and what two measurements of one thing differ by."""


def run(plan: Plan) -> list[Row]:
    """The exponent of each, with the costs that it is fitted to."""
    each = f"each with {PROCESSES_A_GPU} processes: ms CPU per tick"
    agents = f"each with {AGENT_BLOCKS:,} blocks: ms CPU from their reports to JSON, a tenth of them new"
    blocks = "of one program: ms CPU from a report to JSON, a tenth of it new"
    return [
        _row("GPUs", each, GPUS, lambda size: _tick(plan, size, PROCESSES_A_GPU)),
        _row("processes", "on one GPU: ms CPU per tick", PROCESSES, lambda size: _tick(plan, 1, size)),
        _row("blocks", blocks, BLOCKS, lambda size: _told(1, size)),
        _row("agents", agents, AGENTS, lambda size: _told(size, AGENT_BLOCKS)),
        _row("clients", "of one event stream: ms CPU per tick", CLIENTS, lambda size: _streamed(plan, size)),
    ]


def exponent(sizes: Sequence[float], costs: Sequence[float]) -> float:
    """Of the power of the size that is closest to the costs, by least squares of their logarithms."""
    x, y = [log(size) for size in sizes], [log(cost) for cost in costs]
    middle_x, middle_y = sum(x) / len(x), sum(y) / len(y)
    apart = sum((one - middle_x) ** 2 for one in x)
    return sum((one - middle_x) * (other - middle_y) for one, other in zip(x, y, strict=True)) / apart


def _row(what: str, of: str, sizes: Sequence[int], cost: Callable[[int], float]) -> Row:
    costs = [cost(size) for size in sizes]
    fitted = exponent(sizes, costs)
    return Row(
        figure=f"{what}, {of}",
        unit="exponent",
        ours=fitted,
        target=f"≤ {EXPONENT_MAX:g}",
        met=fitted <= EXPONENT_MAX,
        note=note(sizes, costs),
    )


def note(sizes: Sequence[int], costs: Sequence[float]) -> str:
    """The costs, and where they grow fastest: fixed costs make the exponent of all sizes less than that."""
    told = ", ".join(f"{size:,}: {number(cost)}" for size, cost in zip(sizes, costs, strict=True))
    steps = [exponent(sizes[at : at + 2], costs[at : at + 2]) for at in range(len(sizes) - 1)]
    return f"{told}; the steepest step has {max(steps):.2f}"


def _tick(plan: Plan, gpus: int, processes: int) -> float:
    with fake_machine(gpus, processes) as machine:
        got = _served(plan, machine.environment, 1)
    return got.server_cpu_seconds / max(1, got.events) * 1e3


def _streamed(plan: Plan, clients: int) -> float:
    with fake_machine(1, PROCESSES_A_GPU) as machine:
        got = _served(plan, machine.environment, clients)
    return got.server_cpu_seconds / max(1, got.events) * clients * 1e3


def _served(plan: Plan, environment: dict[str, str], clients: int) -> Delivery:
    port = free_port()
    with process(blackbox("serve", str(port), "--no-record"), SERVER_CORE, environment) as started:
        wait_for_sample(port, started)
        time.sleep(SETTLE_SECONDS)
        return deliver(
            Load(port=port, path="/vram/stream", clients=clients, seconds=plan.seconds, server_pid=started.pid)
        )


def _told(programs: int, blocks: int) -> float:
    """CPU milliseconds of a moment in which every program has made a new report."""
    random = Random(1)
    reports = [lifelike(blocks, random) for _ in range(programs)]
    hub = Hub(lambda: 0.0, blocks_max=(programs + 1) * (blocks + 1))
    hub.demand(Shape(), "identity")
    costs: list[float] = []
    for seq in range(REPORTS):
        reports = [changed(one, random) for one in reports]
        seen = with_blocks(moment(seq + 1, processes=programs), *reports)
        began = time.process_time()
        hub.publish(seen)
        if seq:
            costs.append((time.process_time() - began) * 1e3)
    return median(costs)


def changed(report: BlockArrays, random: Random) -> BlockArrays:
    """The next report: in a tenth of the runs of blocks, some live ones wait to be freed."""
    states, requested = array("B", report.state), report.requested
    assert requested is not None
    runs = range(0, len(states), RUN_BLOCKS)
    for start in random.sample(runs, max(1, round(len(runs) * CHANGED_SHARE))):
        for place in range(start, min(start + RUN_BLOCKS, len(states))):
            if requested[place] != NO_REQUEST:
                states[place] = random.choice((ACTIVE, PENDING))
    return report._replace(state=states)


BENCHMARK = Benchmark(
    "scale",
    "How cost grows: the exponent of the power of the size that fits best; 1 is linear, and fixed costs make it less. "
    f"Of more than {ROWS_KEPT_MAX:,} blocks nothing is kept from report to report, and each is encoded anew.",
    run,
)
