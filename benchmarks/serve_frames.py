"""Blackbox's server over made-up moments: what it costs without a driver, and with blocks that only agents tell.

`python -m benchmarks.serve_frames PORT GPUS PROCESSES PAGES INTERVAL`
"""

import asyncio
import sys
import threading
import time

import uvloop
from msgspec import structs

from benchmarks.moments import moment
from blackbox.hub import Hub
from blackbox.model.moment import Moment
from blackbox.server import Server
from blackbox.settings import LOOPBACK, Settings


def publish_forever(hub: Hub, first: Moment, interval: float) -> None:
    """A new moment at every interval, as the sampler's thread does."""
    due = time.monotonic()
    seq = first.seq
    while True:
        seq += 1
        due += interval
        time.sleep(max(0.0, due - time.monotonic()))
        hub.publish(structs.replace(first, seq=seq, timestamp=time.time()))


async def main() -> None:
    """Serves until killed."""
    port, gpus, processes, pages = map(int, sys.argv[1:5])
    hub = Hub(time.monotonic)
    first = moment(1, gpus, processes, pages)
    hub.publish(first)
    await Server(hub, Settings(port=port, hosts=LOOPBACK[:1])).start()
    publisher = threading.Thread(target=publish_forever, args=(hub, first, float(sys.argv[5])), daemon=True)
    publisher.start()
    await asyncio.get_running_loop().create_future()


uvloop.run(main())
