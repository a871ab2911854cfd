"""The inside of a source's own process: makes the source, answers requests over a socket, and dies with its parent.

    python -c LAUNCH FACTORY SOCKET_FD BREADCRUMBS_FD PARENT_PID

(`process.LAUNCH`). Imports little, since its memory counts towards the daemon's.
"""

import gc
import importlib
import os
import socket
import sys
import time
from collections.abc import Callable
from typing import Any

import msgspec

from blackbox import wire
from blackbox.heap import trimmer
from blackbox.model.sample import Sample
from blackbox.sources.base import Source
from blackbox.sources.isolation.answer import AnswerPacker
from blackbox.sources.isolation.breadcrumbs import Breadcrumbs, Call
from blackbox.sources.isolation.lifetime import live_with_parent

RECEIVE_BYTES = 65536
COLLECT_SECONDS = 30.0
"""Between two full collections. Of freed tuples Python keeps up to 2,000 of each length below 21, some MiB in all, and
forgets them in a full collection alone, to which a process that does the same again and again never comes by itself."""


class SampleRequest(msgspec.Struct, frozen=True):
    """What the parent asks: a sample that leaves out the calls in quarantine."""

    quarantine: tuple[tuple[str, int, str], ...] = ()
    """(function, device index, reason)"""


def main() -> int:
    factory, socket_fd, breadcrumbs_fd, parent_pid = sys.argv[1], *map(int, sys.argv[2:5])
    live_with_parent(parent_pid)
    breadcrumbs = Breadcrumbs(breadcrumbs_fd)
    os.close(breadcrumbs_fd)
    with socket.socket(fileno=socket_fd) as channel:
        source = _make_or_explain(factory, breadcrumbs)
        gc.freeze()  # what is there by now stays: collections pass it by, and take 0.1 ms instead of 4
        _give_back()
        try:
            serve(channel, source, breadcrumbs)
        finally:
            source.close()
    return 0


def make_source(factory: str, breadcrumbs: Breadcrumbs) -> Source:
    """Calls `module:callable`, with a `breadcrumb` to drop before each driver call where it takes one."""
    module, _, name = factory.partition(":")
    make: Callable[..., Source] = getattr(importlib.import_module(module), name)
    if not _takes_breadcrumb(make):
        return make()
    source = make(breadcrumb=breadcrumbs.mark)
    breadcrumbs.classify(
        slow=getattr(source, "slow_calls", frozenset()), vital=getattr(source, "vital_calls", frozenset())
    )
    return source


def _takes_breadcrumb(make: Callable[..., Source]) -> bool:
    """Whether a function or class takes an argument `breadcrumb`. Without `inspect`, which is 2 MiB."""
    function: Any = make.__init__ if isinstance(make, type) else make
    code = getattr(function, "__code__", None)  # none where an `__init__` is inherited from `object`
    return code is not None and "breadcrumb" in code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]


class _Unimportable:
    """In the place of a source whose packages cannot be imported: says so, as often as it is asked."""

    def __init__(self, name: str, reason: str) -> None:
        self.name = name
        self._reason = reason

    def sample(self) -> Sample:
        return Sample(source=self.name, taken_at=time.monotonic(), state="failed", reason=self._reason)

    def close(self) -> None:
        """Nothing to release."""


def _make_or_explain(factory: str, breadcrumbs: Breadcrumbs) -> Source:
    """The source. What keeps it from being imported will not change while this process lives."""
    try:
        return make_source(factory, breadcrumbs)
    except ImportError as error:
        return _Unimportable(factory.partition(":")[0].split(".")[-2], str(error))


def _give_back() -> None:
    """Gives back what imports have left free, most where they had to be compiled first."""
    trim = trimmer()
    if trim is not None:
        trim()


def serve(
    channel: socket.socket, source: Any, breadcrumbs: Breadcrumbs, clock: Callable[[], float] = time.monotonic
) -> None:
    """Answers until the other side closes its end, and keeps little of what it has freed meanwhile."""
    collect_at = clock() + COLLECT_SECONDS
    unpacker = wire.Unpacker()
    decoder = msgspec.msgpack.Decoder(SampleRequest)
    answering = _Answering(source)
    has_quarantine = hasattr(source, "quarantine")
    while data := channel.recv(RECEIVE_BYTES):
        for frame in unpacker.feed(data):
            request = decoder.decode(frame.payload)
            if has_quarantine:
                source.quarantine = {Call(function, device): reason for function, device, reason in request.quarantine}
            answer = answering.frame()
            breadcrumbs.clear()
            channel.sendall(answer)
        if clock() >= collect_at:  # after the answer, for which nobody has to wait
            collect_at = clock() + COLLECT_SECONDS
            gc.collect()


class _Answering:
    """Turns samples into frames."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._encoder = msgspec.msgpack.Encoder()
        self._packer = AnswerPacker()

    def frame(self) -> bytes:
        """A sample, packed; an empty failed one where the source or the packing raised."""
        try:
            return self._pack(self._source.sample())
        except Exception as error:  # a bug in the source, which must not cost the process
            import traceback  # not before there is a bug

            traceback.print_exc()
            self._packer.forget()
            reason = f"fault in the source: {type(error).__name__}: {error}"
            return self._pack(
                Sample(source=self._source.name, taken_at=time.monotonic(), state="failed", reason=reason)
            )

    def _pack(self, sample: Sample) -> bytes:
        return wire.pack(wire.FrameKind.SAMPLE, self._encoder.encode(self._packer.pack(sample)))
