"""What every candidate serves."""

import sys
from pathlib import Path
from typing import NamedTuple

STREAM_HEADERS = {"Content-Type": "text/event-stream", "Cache-Control": "no-store"}
UNSENT_BYTES_MAX = 0
"""A client with unsent bytes is passed over: it gets the next frame."""


class Task(NamedTuple):
    """The command line."""

    port: int
    body: bytes
    interval: float


def task() -> Task:
    """Reads the command line."""
    port, body_file, interval = sys.argv[1:]
    return Task(int(port), Path(body_file).read_bytes(), float(interval))


def event(seq: int, body: bytes) -> bytes:
    """One event of the stream."""
    return b"id: %d\ndata: %s\n\n" % (seq, body)
