"""Clients of a Blackbox server, for programs: `Client` blocks, `AsyncClient` awaits.

    client = blackbox.Client()
    print(client.snapshot().used_percent)
    for event in client.stream(blocks="none"):
        print(event.snapshot.used_bytes, event.missed)

Both put their sockets around the same two parts: `exchange` (one HTTP request and its answer, parsed by httptools)
and `sse` (the event stream). So the asynchronous client needs neither threads nor another dependency.
"""

from blackbox.client.aio import AsyncClient, AsyncStream
from blackbox.client.blocking import Client, Stream
from blackbox.client.errors import AnswerError, ClientError, StatusError, UnreachableError
from blackbox.client.resume import Loss, StreamEvent

__all__ = [
    "AnswerError",
    "AsyncClient",
    "AsyncStream",
    "Client",
    "ClientError",
    "Loss",
    "StatusError",
    "Stream",
    "StreamEvent",
    "UnreachableError",
]
