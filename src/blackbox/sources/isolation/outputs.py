"""What a child process says, taken up to a bound: its own limits keep it from swelling, not from going on to write."""

import contextlib
import os
import selectors
import subprocess
import time
from collections.abc import Callable
from typing import IO, NamedTuple

SAID_BYTES_MAX = 64 * 1024
"""Of stderr, the end, in which its last line stands."""
PIECE_BYTES = 1 << 20
"""Read or written at once."""
EVERY_SECONDS = 0.2
"""Between two looks at the clock."""


class TooMuchWrittenError(Exception):
    """The child has written more than it may, and was killed."""


class Outputs(NamedTuple):
    """What a child wrote that has ended."""

    written: bytes
    """On stdout."""
    said: bytes
    """The end of what it wrote on stderr."""


def outputs_of(
    child: "subprocess.Popen[bytes]",
    bytes_max: int,
    seconds: float,
    given: bytes = b"",
    tick: Callable[[], None] = lambda: None,
) -> Outputs:
    """What it writes on its pipes until it ends, with `given` on its stdin where that is one; `tick` is called from
    time to time. Raises `TooMuchWrittenError`, `subprocess.TimeoutExpired`; whatever is raised, it is killed."""
    try:
        return _until_it_ends(child, bytes_max, seconds, given, tick)
    except BaseException:
        child.kill()
        raise


def _until_it_ends(
    child: "subprocess.Popen[bytes]", bytes_max: int, seconds: float, given: bytes, tick: Callable[[], None]
) -> Outputs:
    left = memoryview(given)
    found = {file: bytearray() for file in (child.stdout, child.stderr) if file is not None}
    give_up_at = time.monotonic() + seconds
    tick_at = time.monotonic() + EVERY_SECONDS
    with selectors.DefaultSelector() as selector:
        for file in found:
            selector.register(file, selectors.EVENT_READ)
        if child.stdin is not None:
            os.set_blocking(child.stdin.fileno(), False)
            selector.register(child.stdin, selectors.EVENT_WRITE)
        while selector.get_map():
            for key, _ in selector.select(EVERY_SECONDS):
                if child.stdin is not None and key.fileobj is child.stdin:
                    left = _give(selector, child.stdin, left)
                else:
                    _take(selector, key.fileobj, found)
            _bound(child, found, bytes_max)
            now = time.monotonic()
            if now > give_up_at:
                raise subprocess.TimeoutExpired(child.args, seconds)
            if now > tick_at:
                tick()
                tick_at = now + EVERY_SECONDS
    child.wait(max(0.0, give_up_at - time.monotonic()))
    written, said = (b"" if file is None else bytes(found[file]) for file in (child.stdout, child.stderr))
    return Outputs(written, said)


def _give(selector: selectors.BaseSelector, file: "IO[bytes]", left: memoryview) -> memoryview:
    """Writes a piece; returns what is left of it. A child that reads no more is given no more."""
    with contextlib.suppress(BlockingIOError):
        try:
            left = left[os.write(file.fileno(), left[:PIECE_BYTES]) :]
        except BrokenPipeError:
            left = left[:0]
    if not left:
        selector.unregister(file)
        with contextlib.suppress(BrokenPipeError):
            file.close()
    return left


def _take(selector: selectors.BaseSelector, file: object, found: "dict[IO[bytes], bytearray]") -> None:
    for one, taken in found.items():
        if one is file:
            piece = os.read(one.fileno(), PIECE_BYTES)
            taken += piece
            if not piece:
                selector.unregister(one)


def _bound(child: "subprocess.Popen[bytes]", found: "dict[IO[bytes], bytearray]", bytes_max: int) -> None:
    """Raises `TooMuchWrittenError`."""
    if child.stderr is not None:
        del found[child.stderr][:-SAID_BYTES_MAX]
    if child.stdout is not None and len(found[child.stdout]) > bytes_max:
        raise TooMuchWrittenError
