"""Programs around other people's tools, each printing one number: CPU milliseconds of a snapshot at 2 Hz.

Called at the rate at which Blackbox samples, so that what they cache between calls helps them as it does in use.
"""

import json
import statistics
import sys
import time
from collections.abc import Callable

INTERVAL_SECONDS = 0.5
WARM_UP = 2


def report_cost(snapshot: Callable[[], object]) -> None:
    """Takes snapshots for as many seconds as the command line says and prints the median cost."""
    for _ in range(WARM_UP):
        snapshot()
    costs: list[float] = []
    deadline = time.monotonic() + float(sys.argv[1])
    while time.monotonic() < deadline:
        started = time.process_time()
        snapshot()
        costs.append(time.process_time() - started)
        time.sleep(INTERVAL_SECONDS)
    print(json.dumps(statistics.median(costs) * 1e3))
