"""The least that Python can do: a Protocol on uvloop that sends bytes that it was given, and looks at nothing.

`python -m benchmarks.against_today.least PORT ANSWER_FILE EVENT_BYTES INTERVAL`
"""

import asyncio
import sys
from pathlib import Path
from typing import cast

import uvloop

PORT, EVENT_BYTES, INTERVAL = int(sys.argv[1]), int(sys.argv[3]), float(sys.argv[4])
ANSWER = Path(sys.argv[2]).read_bytes()
STREAM_REQUEST = b"GET /vram/stream"
STREAM_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
streams: set[asyncio.Transport] = set()


def chunk(seq: int) -> bytes:
    """An event of that number and that size, in its chunk."""
    event = (b"id: %d\ndata: " % seq).ljust(EVENT_BYTES - 2, b"x") + b"\n\n"
    return b"%x\r\n%b\r\n" % (len(event), event)


class Connection(asyncio.Protocol):
    """One connection."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        streams.discard(self.transport)

    def data_received(self, data: bytes) -> None:
        if data.startswith(STREAM_REQUEST):
            self.transport.write(STREAM_HEAD + chunk(0))
            streams.add(self.transport)
        else:
            self.transport.write(ANSWER)


async def main() -> None:
    """Serves until killed."""
    loop = asyncio.get_running_loop()
    due, seq = loop.time(), 0
    async with await loop.create_server(Connection, "127.0.0.1", PORT, backlog=4096):
        while True:
            due += INTERVAL
            await asyncio.sleep(max(0.0, due - loop.time()))
            seq += 1
            made = chunk(seq)
            for transport in tuple(streams):
                transport.write(made)


uvloop.run(main())
