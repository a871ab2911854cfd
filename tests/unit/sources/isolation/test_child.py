"""A source's own process, where it is the same hour after hour; in a process of its own, since others free tuples."""

import subprocess
import sys

PROGRAM = """
import gc, msgspec, socket, sys, threading, time
from blackbox import wire
from blackbox.model.sample import Sample
from blackbox.sources.isolation import child
from blackbox.sources.isolation.breadcrumbs import Breadcrumbs

class Source:
    name, samples, blocks = "churning", 0, []

    def sample(self):
        # a tuple made of what has no length takes room for ten first: Python keeps it as another when it is freed
        tuple(number for number in range(self.samples % 20))
        self.samples += 1
        if self.samples % 2000 == 0:
            self.blocks.append(sys.getallocatedblocks())
        return Sample(source=self.name, taken_at=0.0, state="ok")

    def clock(self):
        return self.samples / 5

def ask(channel, times):
    request = wire.pack(wire.FrameKind.REQUEST, msgspec.msgpack.encode(child.SampleRequest()))
    for _ in range(times):
        channel.sendall(request)
        channel.recv(child.RECEIVE_BYTES)
    channel.close()

source, (here, there) = Source(), socket.socketpair()
asking = threading.Thread(target=ask, args=(there, 10_000))
asking.start()
child.serve(here, source, Breadcrumbs.create()[0], source.clock)
asking.join()
print(source.blocks[-1] - source.blocks[0])
"""


def test_a_source_asked_for_hours_keeps_no_freed_tuples() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True)
    assert int(done.stdout) < 1000, "of 8,000 tuples made and freed"
