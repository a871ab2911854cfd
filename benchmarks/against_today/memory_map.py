"""Blocks that an agent tells, from its columns to JSON, by the share of them that changed since its last report."""

from benchmarks.against_today.builds import builds, compare, row
from benchmarks.plan import Benchmark, Plan, Row

BLOCKS = (14_400, 100_000)
RATIOS = {"0": 0.15, "1": 0.15, "10": 0.3, "100": 0.7}
"""Percent changed -> the design's figure."""
PROGRAMS, PROGRAM_BLOCKS = 100, 15_000
MEMORY_RATIO = 0.5
LEFT = (
    "left: the JSON of what changed, half of the time where all did; the marks and keys by which equal chunks are "
    "found; where nothing changed, of 0.45 ms in a row without a pause 0.16 for one copy of the whole JSON, 0.13 for "
    "the merge, both more where caches are cold"
)
"""Why the ratio is not met, where it is not."""


def run(plan: Plan) -> list[Row]:
    """CPU milliseconds per moment."""
    rows: list[Row] = []
    with builds() as both:
        for count in BLOCKS:
            sides = compare(plan.rounds, both, lambda build, n=count: build.probe("blocks", str(n)))
            rows += [
                row(f"{count + 1:,} blocks, {percent} % changed", "ms CPU", sides[percent], ratio, LEFT)
                for percent, ratio in RATIOS.items()
            ]
    return rows


def memory(plan: Plan) -> list[Row]:
    """MiB that a server grows by."""
    with builds() as both:
        sides = compare(plan.rounds, both, lambda build: build.probe("agents", str(PROGRAMS), str(PROGRAM_BLOCKS)))
    figure = f"{PROGRAMS} programs with {PROGRAM_BLOCKS:,} blocks each"
    return [row(figure, "MiB RSS more", sides["grown"], MEMORY_RATIO)]


BENCHMARKS = (
    Benchmark(
        "against-today/blocks",
        "A moment with the blocks that an agent tells, from its columns to JSON: with 0 % the report is that of the "
        "moment before; else it is new, and runs of 64 blocks in it have changed.",
        run,
    ),
    Benchmark(
        "against-today/agents",
        "Memory for the blocks of many programs: three reports of each, all blocks changed, the newest moment in JSON "
        "and in the recording's form.",
        memory,
    ),
)
