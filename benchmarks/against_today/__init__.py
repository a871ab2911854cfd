"""This build beside that of the commit that the figures of the design call "today", in turns, on the same work.

`./run bench against-today` runs all parts, `./run bench against-today/tick` one of them.
"""

from benchmarks.against_today import memory_map, recording, serving, starting
from benchmarks.plan import Benchmark

BENCHMARKS: tuple[Benchmark, ...] = (
    *serving.BENCHMARKS,
    recording.BENCHMARK,
    *memory_map.BENCHMARKS,
    starting.BENCHMARK,
)
