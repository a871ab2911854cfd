"""Frames: a moment as an event in one format. Those of kept moments, for clients that resume, are made once for all."""

import asyncio
from collections import OrderedDict
from concurrent.futures import Executor
from typing import NamedTuple

from blackbox.hub import HISTORY_MOMENTS_MAX, Published
from blackbox.model.view import Shape
from blackbox.server.http.offload import off_loop
from blackbox.server.http.sse import Framing, event

INLINE_BYTES = 64 * 1024
"""A body up to this size is framed on the event loop, in less time than handing it to a thread takes."""
KEPT_BYTES_MAX = 8 * 1024 * 1024
"""Frames kept for the next client that resumes, beyond the one made last. Those that clients wait for count in the
budget of what waits."""


class StreamFormat(NamedTuple):
    """What a stream carries, and how. Streams of one format share every byte."""

    shape: Shape
    framing: Framing


FrameKey = tuple[int, StreamFormat]
"""Number of the moment, and the format."""


def make_frame(published: Published, stream_format: StreamFormat) -> bytes:
    """The moment's event in one format. Raises `UnknownGpuError`. Any thread."""
    return stream_format.framing.piece(*event(published.moment.seq, published.pieces(stream_format.shape)))


class FrameCache:
    """The frames made lately for clients that come, or come back. Lives on the event loop."""

    def __init__(self, workers: Executor) -> None:
        self._workers = workers
        self._kept: OrderedDict[FrameKey, bytes] = OrderedDict()
        self._kept_bytes = 0
        self._newest = 0
        """Number of the newest moment that a frame was kept of."""
        self._making: dict[FrameKey, asyncio.Future[bytes]] = {}

    def ready(self, published: Published, stream_format: StreamFormat) -> bytes | None:
        """The frame where that takes no more time than the event loop can spare, else None."""
        key = published.moment.seq, stream_format
        if (kept := self._kept.get(key)) is not None:
            self._kept.move_to_end(key)
            return kept
        pieces = published.made_pieces(stream_format.shape)
        if pieces is None or sum(map(len, pieces)) > INLINE_BYTES:
            return None
        return self._keep(key, make_frame(published, stream_format))

    async def make(self, published: Published, stream_format: StreamFormat) -> bytes:
        """The frame, made on a thread, once for all who wait for it. Raises `UnknownGpuError`."""
        key = published.moment.seq, stream_format
        making = self._making.get(key)
        if making is None:
            making = self._making[key] = asyncio.ensure_future(
                off_loop(self._workers, make_frame, published, stream_format)
            )
            making.add_done_callback(lambda done: self._made(key, done))
        made = await asyncio.shield(making)
        return self._kept.get(key) or self._keep(key, made)

    def _made(self, key: FrameKey, done: asyncio.Future[bytes]) -> None:
        del self._making[key]
        if not done.cancelled():
            done.exception()  # seen here, should nobody wait for it any more

    def _keep(self, key: FrameKey, frame: bytes) -> bytes:
        if key[0] > self._newest:
            self._newest = key[0]
            self._forget_older(self._newest - HISTORY_MOMENTS_MAX)
        self._kept[key] = frame
        self._kept_bytes += len(frame)
        while self._kept_bytes > KEPT_BYTES_MAX and len(self._kept) > 1:
            self._kept_bytes -= len(self._kept.popitem(last=False)[1])
        return frame

    def _forget_older(self, seq: int) -> None:
        """The frames of moments up to this one, which the hub keeps no more, so that nobody can ask for them."""
        for key in [key for key in self._kept if key[0] <= seq]:
            self._kept_bytes -= len(self._kept.pop(key))
