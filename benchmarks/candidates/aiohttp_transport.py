"""aiohttp, frames written to each stream's public `request.transport`: a coroutine per client sleeps, none wakes."""

import asyncio

import uvloop
from aiohttp import web

from benchmarks.candidates.task import STREAM_HEADERS, UNSENT_BYTES_MAX, event, task

TASK = task()
streams: set[asyncio.Transport] = set()


async def frame(_: web.Request) -> web.Response:
    return web.Response(body=TASK.body, content_type="application/json")


async def stream(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse(headers=STREAM_HEADERS)
    await response.prepare(request)
    await response.write(event(0, TASK.body))
    transport = request.transport
    assert transport is not None
    streams.add(transport)
    try:
        await asyncio.get_running_loop().create_future()
    finally:
        streams.discard(transport)
    return response


async def main() -> None:
    app = web.Application()
    app.router.add_get("/frame", frame)
    app.router.add_get("/stream", stream)
    runner = web.AppRunner(app, access_log=None, handler_cancellation=True)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", TASK.port, backlog=4096).start()
    loop = asyncio.get_running_loop()
    due = loop.time()
    seq = 0
    while True:
        due += TASK.interval
        await asyncio.sleep(max(0.0, due - loop.time()))
        seq += 1
        body = event(seq, TASK.body)
        chunk = b"%x\r\n%s\r\n" % (len(body), body)
        for transport in tuple(streams):
            if transport.get_write_buffer_size() <= UNSENT_BYTES_MAX:
                transport.write(chunk)


uvloop.run(main())
