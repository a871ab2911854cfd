"""One snapshot of 14,401 blocks into the bytes that go on the wire."""

import json
import time
import zlib
from collections.abc import Callable

from benchmarks.harness import in_turns, median
from benchmarks.moments import moment
from benchmarks.plan import Benchmark, Plan, Row
from blackbox.merge import merge
from blackbox.model.codec import compress, to_json

PAGES = 14_400
BLOCKS = PAGES + 1
"""The pages, and one block for what the process holds beside them."""
RUNS_PER_ROUND = 10
PEER_GZIP_LEVEL = 6
"""zlib's default, and what most servers leave."""


def run(plan: Plan) -> list[Row]:
    """Milliseconds of CPU, and sizes."""
    seen = moment(1, processes=1, pages=PAGES)
    snapshot = merge(seen)
    body = to_json(snapshot)
    data = json.loads(body)
    works: dict[str, Callable[[], bytes]] = {
        "json": lambda: to_json(snapshot),
        "json of the standard library": lambda: json.dumps(data, separators=(",", ":")).encode(),
        "zstd": lambda: compress(body, "zstd"),
        "gzip": lambda: compress(body, "gzip"),
        "gzip level 6": lambda: zlib.compress(body, PEER_GZIP_LEVEL),
    }
    rounds = in_turns(plan.rounds, *(lambda work=work: milliseconds(work) for work in works.values()))
    cost = {name: median(results) for name, results in zip(works, rounds, strict=True)}
    size = {name: len(work()) for name, work in works.items()}
    merging = median([milliseconds(lambda: merge(seen)) for _ in range(plan.rounds)])
    note = f"{size['json']:,} bytes"
    return [
        _row("to JSON", cost["json"], "json", cost["json of the standard library"], "≤ 2 ms", cost["json"] <= 2, note),
        _row(
            "JSON to zstd", cost["zstd"], "gzip level 6", cost["gzip level 6"], "≤ 2 ms", cost["zstd"] <= 2,
            f"{size['zstd']:,} bytes; gzip level 6 {size['gzip level 6']:,}",
        ),
        _row(
            "JSON to gzip (level 1)", cost["gzip"], "gzip level 6", cost["gzip level 6"], "", None,
            f"{size['gzip']:,} bytes",
        ),
        Row(
            figure="smaller on the wire (zstd)", unit="×", ours=size["json"] / size["zstd"], peer="gzip level 6",
            theirs=size["json"] / size["gzip level 6"], target="≥ 16 ×", met=size["json"] >= 16 * size["zstd"],
        ),
        _row("merge, before it", merging, "", None, "", None, "once per sample, while somebody asks for blocks"),
    ]  # fmt: skip


def _row(figure: str, ours: float, peer: str, theirs: float | None, target: str, met: bool | None, note: str) -> Row:
    return Row(figure=figure, unit="ms CPU", ours=ours, peer=peer, theirs=theirs, target=target, met=met, note=note)


def milliseconds(work: Callable[[], object]) -> float:
    """CPU time of this thread, the median of some runs."""
    costs: list[float] = []
    for _ in range(RUNS_PER_ROUND):
        started = time.thread_time()
        work()
        costs.append((time.thread_time() - started) * 1e3)
    return median(costs)


BENCHMARK = Benchmark("encode", f"{BLOCKS:,} blocks to JSON and to zstd.", run)
