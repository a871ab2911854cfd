"""granian's RSGI, HTTP in Rust on one thread: a coroutine per client wakes for every frame."""

import asyncio
from typing import Any

from granian import Granian
from granian.constants import Interfaces, Loops

from benchmarks.candidates.task import STREAM_HEADERS, event, task

TASK = task()
HEADERS = [(name.lower(), value) for name, value in STREAM_HEADERS.items()]


class App:
    """The application, in granian's own interface."""

    def __rsgi_init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.frame = event(0, TASK.body)
        self.next: asyncio.Future[None] = loop.create_future()
        self.running = loop.create_task(self.tick(loop))

    async def tick(self, loop: asyncio.AbstractEventLoop) -> None:
        due = loop.time()
        seq = 0
        while True:
            due += TASK.interval
            await asyncio.sleep(max(0.0, due - loop.time()))
            seq += 1
            self.frame = event(seq, TASK.body)
            waking, self.next = self.next, loop.create_future()
            waking.set_result(None)

    async def __rsgi__(self, scope: Any, protocol: Any) -> None:
        if scope.path != "/stream":
            protocol.response_bytes(200, [("content-type", "application/json")], TASK.body)
            return
        transport = protocol.response_stream(200, HEADERS)
        await transport.send_bytes(self.frame)
        while True:
            await asyncio.shield(self.next)
            await transport.send_bytes(self.frame)


app = App()

if __name__ == "__main__":
    Granian(
        f"{__package__}.granian_rsgi:app",
        address="127.0.0.1",
        port=TASK.port,
        interface=Interfaces.RSGI,
        loop=Loops.uvloop,
        workers=1,
        runtime_threads=1,
        backlog=4096,
        log_access=False,
        log_enabled=False,
    ).serve()
