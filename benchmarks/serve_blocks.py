"""Blackbox's server over one process with many blocks, some of which change with every sample.

`python -m benchmarks.serve_blocks PORT BLOCKS INTERVAL`
"""

import asyncio
import sys
import threading
import time
from array import array
from itertools import cycle
from random import Random

import uvloop
from msgspec import structs

from benchmarks.columns import lifelike, with_blocks
from benchmarks.moments import moment
from blackbox.hub import BLOCKS_MAX, Hub
from blackbox.model.block_arrays import STATES, BlockArrays, ListedBlocks
from blackbox.model.moment import Moment
from blackbox.model.parts import OwningStack
from blackbox.server import Server
from blackbox.settings import LOOPBACK, Settings

SEGMENT_BYTES = 64 << 20
STACKS = 40
CHANGED_SHARE = 0.01
VARIANTS = 4
"""Reports that are told in turns: each sample differs from the one before."""
AGE_SECONDS_MAX = 7200


def told(arrays: BlockArrays, random: Random) -> BlockArrays:
    """The blocks with all that an allocator may tell of them."""
    live = [state == STATES.index("active") for state in arrays.state]
    now_ms = int(time.time() * 1000)
    return arrays._replace(
        stack=array("I", [1 + random.randrange(STACKS) if is_live else 0 for is_live in live]),
        segment=array("Q", [address - address % SEGMENT_BYTES for address in arrays.address]),
        pool=array("B", bytes(len(live))),
        allocated_ms=array("Q", [now_ms - random.randrange(AGE_SECONDS_MAX * 1000) if one else 0 for one in live]),
    )


def changed(arrays: BlockArrays, random: Random) -> BlockArrays:
    """The same with some blocks freed, or taken again."""
    state = array("B", arrays.state)
    for place in random.sample(range(len(state)), int(len(state) * CHANGED_SHARE)):
        state[place] = STATES.index("inactive" if state[place] == STATES.index("active") else "active")
    return arrays._replace(state=state)


def stacks() -> tuple[OwningStack, ...]:
    """Of the blocks."""
    return tuple(
        OwningStack(
            id=number,
            frames=(f"layer{number}.py:{number} forward", "model.py:83 forward", "train.py:88 <module>"),
            type="activation",
            subtype=None,
            allocated_bytes=0,
            blocks=0,
        )
        for number in range(STACKS)
    )


def publish_forever(hub: Hub, variants: list[Moment], interval: float) -> None:
    """A new moment at every interval, as the sampler's thread does."""
    due = time.monotonic()
    for seq, variant in enumerate(cycle(variants), 2):
        due = max(due + interval, time.monotonic())
        time.sleep(max(0.0, due - time.monotonic()))
        hub.publish(structs.replace(variant, seq=seq, timestamp=time.time()))


async def main() -> None:
    """Serves until killed."""
    random = Random(1)
    arrays = lifelike(int(sys.argv[2]), random)
    arrays = told(arrays, random)
    first = moment(1, processes=1)
    variants = []
    for _ in range(VARIANTS):
        seen = with_blocks(first, arrays)
        (sample,) = seen.samples
        allocator = structs.replace(sample.allocators[0], blocks=ListedBlocks(changed(arrays, random)), stacks=stacks())
        variants.append(structs.replace(seen, samples=(structs.replace(sample, allocators=(allocator,)),)))
    hub = Hub(time.monotonic, BLOCKS_MAX)
    hub.publish(variants[0])
    await Server(hub, Settings(port=int(sys.argv[1]), hosts=LOOPBACK[:1])).start()
    publisher = threading.Thread(target=publish_forever, args=(hub, variants, float(sys.argv[3])), daemon=True)
    publisher.start()
    await asyncio.get_running_loop().create_future()


if __name__ == "__main__":
    uvloop.run(main())
