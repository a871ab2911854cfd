"""httptools (llhttp) inside an `asyncio.Protocol` on uvloop: one write per client and frame, no coroutine each."""

import asyncio
from typing import cast

import httptools
import uvloop

from benchmarks.candidates.task import STREAM_HEADERS, UNSENT_BYTES_MAX, event, task

TASK = task()
STREAM_HEAD = b"HTTP/1.1 200 OK\r\n%s\r\n" % b"".join(
    f"{name}: {value}\r\n".encode() for name, value in STREAM_HEADERS.items()
)
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s" % (
    len(TASK.body),
    TASK.body,
)
streams: set[asyncio.Transport] = set()


class Connection(asyncio.Protocol):
    """One connection."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self.parser = httptools.HttpRequestParser(self)
        self.url = b""

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        streams.discard(self.transport)

    def data_received(self, data: bytes) -> None:
        self.parser.feed_data(data)

    def on_url(self, url: bytes) -> None:
        self.url = url

    def on_message_complete(self) -> None:
        if self.url == b"/stream":
            self.transport.write(STREAM_HEAD + event(0, TASK.body))
            streams.add(self.transport)
        else:
            self.transport.write(ANSWER)


async def main() -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(Connection, "127.0.0.1", TASK.port, backlog=4096)
    due = loop.time()
    seq = 0
    async with server:
        while True:
            due += TASK.interval
            await asyncio.sleep(max(0.0, due - loop.time()))
            seq += 1
            frame = event(seq, TASK.body)
            for transport in tuple(streams):
                if transport.get_write_buffer_size() <= UNSENT_BYTES_MAX:
                    transport.write(frame)


uvloop.run(main())
