"""What a Python pays for the agent at its start, and `blackbox run` before the program."""

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from msgspec import structs

from benchmarks.against_today.builds import Build, builds, compare, row
from benchmarks.harness import SERVER_CORE
from benchmarks.plan import Benchmark, Plan, Row

RUNS = 15
"""Per round."""
RUN_RATIO = 0.3
ON_MS_MAX = 2.0
RUN_LEFT = (
    "left: an interpreter that does nothing but become another one costs 10.1 of 11.4 ms, by the least of 25 "
    "runs, about 0.30 of today's alone, and 8.5 without its site packages; the rest is what the agent and "
    "`blackbox run` import; the installed script's import of `re` is not counted"
)


def run(plan: Plan) -> list[Row]:
    """CPU milliseconds beyond those of the bare interpreter."""
    with builds() as both:
        sides = compare(plan.rounds, both, _starts)
    on = row("`python -c pass` with BLACKBOX_AGENT=1: beyond without", "ms CPU", sides["on"])
    return [
        row("`blackbox run -- python -c pass`: beyond `python -c pass`", "ms CPU", sides["run"], RUN_RATIO, RUN_LEFT),
        structs.replace(on, target=f"≤ {ON_MS_MAX:g} ms", met=sides["on"][0] <= ON_MS_MAX),
        row("`python -c pass`, the variable unset: beyond without", "ms CPU", sides["off"], note="target: 0"),
        row("`import blackbox`", "ms CPU", sides["import"]),
    ]


def _starts(build: Build) -> dict[str, float]:
    """Each the least of runs taken in turns: others on the machine add to a run, and take nothing away."""
    pth = next(iter((build.root / "src").glob("*.pth"))).read_text().strip()
    python, own = [sys.executable, "-c"], build.environment
    variable = "BLACKBOX_AGENT"
    works: dict[str, tuple[Sequence[str | Path], Mapping[str, str]]] = {
        "bare": ([*python, "import os"], own),
        "run": (build.command("run", "--", sys.executable, "-c", "import os"), own),
        "on": ([*python, pth], {**own, variable: "1"}),
        "off": ([*python, pth], own),
        "import": ([*python, "import os, blackbox"], own),
    }
    costs: dict[str, list[float]] = {name: [] for name in works}
    for _ in range(RUNS):
        for name, (command, environment) in works.items():
            costs[name].append(_cpu_milliseconds(command, environment))
    bare = min(costs.pop("bare"))
    return {name: min(found) - bare for name, found in costs.items()}


def _cpu_milliseconds(command: Sequence[str | Path], environment: Mapping[str, str]) -> float:
    inherited = {name: value for name, value in os.environ.items() if name != "BLACKBOX_AGENT"}
    started = subprocess.Popen(
        ["taskset", "-c", str(SERVER_CORE), *map(str, command)], env={**inherited, **environment}
    )
    _, status, usage = os.wait4(started.pid, 0)
    started.returncode = os.waitstatus_to_exitcode(status)
    if started.returncode:
        raise subprocess.CalledProcessError(started.returncode, command)
    return (usage.ru_utime + usage.ru_stime) * 1e3


BENCHMARK = Benchmark(
    "against-today/start",
    f"Interpreters with and without the agent, each the least of {RUNS} runs in turns.",
    run,
)
