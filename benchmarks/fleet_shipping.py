"""`python -m benchmarks.fleet_shipping RECORDING URL`: ships a recording and prints what that cost, as JSON."""

import gc
import json
import os
import sys
import time
from pathlib import Path

from benchmarks.harness import memory
from blackbox.heap import trimmer
from blackbox.recorder import Recording

PATIENCE_SECONDS = 500.0
AWAY_TRIES = 100
trim = trimmer()


def rss_mib(*, trimmed: bool = True) -> float:
    """Of this process; `trimmed`, after what is free has gone back to the system, as a server does twice a minute."""
    gc.collect()
    if trimmed and trim is not None:
        trim()
    return memory(os.getpid()).rss / (1 << 20)


def main() -> None:
    """First to an engine that is not there, then to the one that is."""
    directory, url = Path(sys.argv[1]), sys.argv[2]
    recording = Recording(directory)
    newest = max(float(span[1]) for span in [recording.span()] if span is not None)
    before = rss_mib()
    from blackbox.fleet.send import Access
    from blackbox.fleet.shipper import FleetOptions, Shipper

    imported = rss_mib()
    away = Shipper(recording, FleetOptions(access=Access("http://127.0.0.1:1"), host="bench", version="1"))
    away.step()
    one = rss_mib()
    for _ in range(AWAY_TRIES):
        away.step()
    away_mib = rss_mib() - one
    away.close(0)
    options = FleetOptions(access=Access(url), host="bench", version="1")
    shipper = Shipper(recording, options, wall_clock=lambda: newest)
    began = time.monotonic()
    shipper.start()
    last = -1
    while time.monotonic() - began < PATIENCE_SECONDS:
        time.sleep(0.2)
        status = shipper.status()
        if status.batches_total >= 12 and status.batches_total == last:
            break
        last = status.batches_total
    drained = time.monotonic() - began
    status = shipper.status()
    shipper.close(5)
    told = {
        "cpu_seconds": status.cpu_seconds,
        "batches": status.batches_total,
        "rows": status.rows_total,
        "drain_seconds": drained,
        "import_mib": imported - before,
        "untrimmed_mib": rss_mib(trimmed=False) - before,
        "growth_mib": rss_mib() - before,
        "away_mib": away_mib,
    }
    print(json.dumps(told))


if __name__ == "__main__":
    main()
