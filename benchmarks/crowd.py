"""One load of event-stream clients, run in a process of its own on its own core."""

import subprocess

import msgspec

from benchmarks.harness import LOAD_CORE, ROOT, BrokenRunError, python
from benchmarks.load import Delivery, Load

EXTRA_SECONDS_MAX = 90.0
"""Beyond the window: connecting 10,000 clients and waiting for their first events."""


def deliver(load: Load) -> Delivery:
    """Holds the clients for the load's time. Raises `BrokenRunError`."""
    command = ["taskset", "-c", str(LOAD_CORE), *map(str, python("-m", "benchmarks.load"))]
    try:
        done = subprocess.run(
            [*command, msgspec.json.encode(load).decode()],
            cwd=ROOT,
            capture_output=True,
            check=True,
            timeout=load.seconds + EXTRA_SECONDS_MAX,
        )
    except subprocess.SubprocessError as error:
        raise BrokenRunError(f"load on port {load.port}: {error} {error.stderr!r}") from error
    delivery = msgspec.json.decode(done.stdout, type=Delivery)
    if delivery.events == 0:
        raise BrokenRunError(f"not one event arrived from port {load.port}: {delivery}")
    return delivery
