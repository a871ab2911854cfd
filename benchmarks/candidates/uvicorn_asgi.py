"""Bare ASGI on uvicorn with httptools and uvloop: a coroutine per client wakes for every frame."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import Any

import uvicorn

from benchmarks.candidates.task import STREAM_HEADERS, event, task

TASK = task()
Send = Callable[[dict[str, Any]], Awaitable[None]]
JSON_HEADERS = [(b"content-type", b"application/json"), (b"content-length", str(len(TASK.body)).encode())]
HEADERS = [(name.lower().encode(), value.encode()) for name, value in STREAM_HEADERS.items()]


class Ticker:
    """The newest frame, and the future that the next one resolves."""

    def __init__(self) -> None:
        self.seq = 0
        self.frame = event(0, TASK.body)
        self.next = asyncio.get_running_loop().create_future()

    async def run(self) -> None:
        loop = asyncio.get_running_loop()
        due = loop.time()
        while True:
            due += TASK.interval
            await asyncio.sleep(max(0.0, due - loop.time()))
            self.seq += 1
            self.frame = event(self.seq, TASK.body)
            waking, self.next = self.next, loop.create_future()
            waking.set_result(None)


ticker: Ticker


async def app(scope: dict[str, Any], receive: Callable[[], Awaitable[dict[str, Any]]], send: Send) -> None:
    if scope["type"] == "lifespan":
        await lifespan(receive, send)
    elif scope["path"] == "/stream":
        await send({"type": "http.response.start", "status": 200, "headers": HEADERS})
        await send({"type": "http.response.body", "body": ticker.frame, "more_body": True})
        while True:
            await asyncio.shield(ticker.next)
            await send({"type": "http.response.body", "body": ticker.frame, "more_body": True})
    else:
        await send({"type": "http.response.start", "status": 200, "headers": JSON_HEADERS})
        await send({"type": "http.response.body", "body": TASK.body})


async def lifespan(receive: Callable[[], Awaitable[dict[str, Any]]], send: Send) -> None:
    global ticker
    await receive()
    ticker = Ticker()
    running = asyncio.create_task(ticker.run())
    await send({"type": "lifespan.startup.complete"})
    await receive()
    running.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await running
    await send({"type": "lifespan.shutdown.complete"})


uvicorn.run(
    app, port=TASK.port, http="httptools", loop="uvloop", log_level="error", access_log=False, backlog=4096,
    timeout_graceful_shutdown=1,
)  # fmt: skip
