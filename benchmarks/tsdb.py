"""Prometheus' time series database, fed the numbers of a recording."""

import json
import subprocess
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path

from benchmarks.harness import SERVER_CORE, PeerMissingError, free_port, process, script, wait_for_port
from blackbox.model.identity import StartTimes
from blackbox.recorder.storage.layout import SeriesKey
from blackbox.recorder.storage.rows import Run

PREFIX = "blackbox_"
BACKFILL_SECONDS_MAX = 600
QUERIES = 5


def backfill(runs: list[Run], directory: Path) -> int:
    """Blocks of everything in `runs`, made by Prometheus' own tool; returns how many samples that is.

    Raises `PeerMissingError`.
    """
    tool = script("promtool")
    if tool is None:
        raise PeerMissingError("promtool")
    text = directory / "samples.om"
    with text.open("w") as file:
        samples = sum(1 for line in _lines(runs) if file.write(line) and line[0] != "#")
    blocks = directory / "blocks"
    command = [tool, "tsdb", "create-blocks-from", "openmetrics", str(text), str(blocks)]
    subprocess.run(command, check=True, capture_output=True, timeout=BACKFILL_SECONDS_MAX)
    text.unlink()
    return samples


def block_bytes(directory: Path) -> int:
    """Disk the blocks take."""
    return sum(path.stat().st_size for path in (directory / "blocks").rglob("*") if path.is_file())


def query_milliseconds(directory: Path, question: str, since: float, until: float, points: int) -> float:
    """Best time of a range query over HTTP. Raises `PeerMissingError`."""
    server = script("prometheus")
    if server is None:
        raise PeerMissingError("prometheus")
    port = free_port()
    config = directory / "prometheus.yml"
    config.write_text("scrape_configs: []\n")
    command = [
        server,
        f"--config.file={config}",
        f"--storage.tsdb.path={directory / 'blocks'}",
        "--storage.tsdb.retention.time=100y",
        f"--web.listen-address=127.0.0.1:{port}",
    ]
    fields = {"query": question, "start": since, "end": until, "step": (until - since) / points}
    url = f"http://127.0.0.1:{port}/api/v1/query_range?{urllib.parse.urlencode(fields)}"
    with process(command, SERVER_CORE) as started:
        wait_for_port(port, started)
        return min(_asked(url) for _ in range(QUERIES))


def labels(key: SeriesKey) -> str:
    """The series in Prometheus' words."""
    subject = key.subject
    named = {"holder": subject.kind, "gpu": subject.gpu_uuid, "pid": subject.pid}
    return ",".join(f'{name}="{value}"' for name, value in named.items() if value is not None)


def _asked(url: str) -> float:
    began = time.perf_counter()
    for _ in range(100):
        try:
            with urllib.request.urlopen(url, timeout=10) as answer:
                found = json.load(answer)["data"]["result"]
        except OSError:
            time.sleep(0.1)  # not ready yet
            began = time.perf_counter()
            continue
        assert found, "Prometheus has no such series"
        break
    return (time.perf_counter() - began) * 1e3


def _lines(runs: list[Run]) -> Iterator[str]:
    starts = StartTimes()
    by_name = sorted(
        {(key.metric.key, key.identity(starts)): key for run in runs for key in run.layout.keys}.values(),
        key=lambda key: key.metric.key,
    )
    for name, keys in groupby(by_name, key=lambda key: key.metric.key):
        yield f"# TYPE {PREFIX}{name} gauge\n"
        for key in keys:
            yield from _series(runs, key)
    yield "# EOF\n"


def _series(runs: list[Run], key: SeriesKey) -> Iterator[str]:
    head = f"{PREFIX}{key.metric.key}{{{labels(key)}}}"
    for run in runs:
        place = {one: place for place, one in enumerate(run.layout.keys)}.get(key)
        if place is None:
            continue
        for time_, number in zip(run.times, run.column(place), strict=True):
            if number == number:
                yield f"{head} {number!r} {time_:.3f}\n"
