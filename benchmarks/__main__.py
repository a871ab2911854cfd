"""`python -m benchmarks [NAME...]`: measures, prints, and updates RESULTS.md."""

import argparse
import os
import sys
from datetime import UTC, datetime

from benchmarks import (
    against_today,
    agents,
    columns,
    dashboard,
    encode,
    endurance,
    fanout,
    faults,
    fleet,
    get,
    gpu,
    http_libraries,
    idle,
    recording,
    report,
    scale,
    silent_clients,
    snapshot,
    soak,
    startup,
    tick,
    top,
    training,
    vllm,
)
from benchmarks.harness import BrokenRunError, PeerMissingError
from benchmarks.machine import describe
from benchmarks.plan import Benchmark, Plan, Row

BENCHMARKS: tuple[Benchmark, ...] = (
    fanout.BENCHMARK,
    get.BENCHMARK,
    tick.BENCHMARK,
    scale.BENCHMARK,
    encode.BENCHMARK,
    columns.BENCHMARK,
    dashboard.BENCHMARK,
    idle.BENCHMARK,
    faults.BENCHMARK,
    silent_clients.BENCHMARK,
    endurance.KILL_LOOP,
    endurance.FUZZ,
    startup.BENCHMARK,
    top.BENCHMARK,
    agents.BENCHMARK,
    training.BENCHMARK,
    recording.BENCHMARK,
    vllm.BENCHMARK,
    gpu.BENCHMARK,
    http_libraries.BENCHMARK,
    snapshot.BENCHMARK,
    *fleet.BENCHMARKS,
    *against_today.BENCHMARKS,
)
ON_THE_PAGE = (*BENCHMARKS, soak.BENCHMARK)
"""The soak takes hours: `./run soak` runs it."""


def main() -> int:
    """Runs the named benchmarks, or all; 1 when one could not run."""
    parser = argparse.ArgumentParser(
        prog="./run bench", description="Measure the figures of the design beside their peers."
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(one.name for one in BENCHMARKS))
    parser.add_argument("--rounds", type=int, default=3, help="rounds of each side, taken in turns (default 3)")
    parser.add_argument("--seconds", type=float, default=5.0, help="length of a round (default 5)")
    parser.add_argument("--long", action="store_true", help="also the sizes that take minutes")
    arguments = parser.parse_args()
    unknown = [name for name in arguments.names if not any(is_called(one, name) for one in BENCHMARKS)]
    if unknown:
        parser.error(f"no such benchmark: {', '.join(sorted(unknown))}")
    plan = Plan(rounds=arguments.rounds, seconds=arguments.seconds, long=arguments.long)
    chosen = [one for one in BENCHMARKS if not arguments.names or any(is_called(one, name) for name in arguments.names)]
    failures = [one.name for one in chosen if not measure(one, plan)]
    if failures:
        print(f"could not run: {', '.join(failures)}", file=sys.stderr)
    return 1 if failures else 0


def is_called(benchmark: Benchmark, name: str) -> bool:
    """Whether the name is the benchmark's, or that of the group it belongs to."""
    return name in (benchmark.name, benchmark.name.partition("/")[0])


def measure(benchmark: Benchmark, plan: Plan) -> bool:
    """Runs one benchmark and puts its rows in the table; False when it could not run."""
    print(f"## {benchmark.name}\n{benchmark.figure}", flush=True)
    load_average = os.getloadavg()[0]
    try:
        rows = benchmark.run(plan)
    except PeerMissingError as missing:
        rows = [Row(figure=benchmark.name, unit="", note=f"peer not installed: {missing}")]
    except BrokenRunError as error:
        print(error, file=sys.stderr)
        return False
    print(report.table(rows), flush=True)
    part = report.Part(
        measured_on=f"{datetime.now(UTC):%Y-%m-%d}",
        rounds=plan.rounds,
        seconds=plan.seconds,
        load_average=load_average,
        machine=describe(),
        rows=rows,
    )
    parts = report.keep(benchmark.name, part, replace=plan.long)
    report.TABLE.write_text(report.render(parts, ON_THE_PAGE))
    return True


if __name__ == "__main__":
    sys.exit(main())
