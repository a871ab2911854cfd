"""The moments of a dump that may come from anyone, for a server that plays it: read by a child process, within limits
of memory and time, moment by moment."""

import selectors
import struct
import subprocess
import sys
from collections.abc import Generator
from contextlib import closing
from pathlib import Path
from typing import IO

from blackbox.errors import FailureError
from blackbox.model.moment import Moment
from blackbox.recorder.storage.compression import DamageError
from blackbox.recorder.storage.frames import to_moment

MEMORY_BYTES_MAX = 2 << 30
"""Address space of the child: a moment of 64 processes with 100,000 blocks each takes half of it."""
CPU_SECONDS_MAX = 3600
"""Of the child: hours of a busy machine take minutes."""
MOMENT_BYTES_MAX = 64 << 20
"""Of one moment as it is handed over: 8 GPUs with 100,000 blocks each take a third."""
STALL_SECONDS_MAX = 60.0
"""For the next moment: the largest takes a second, on a machine that is not busy."""
LENGTH = struct.Struct("<I")


def played_moments(path: Path) -> Generator[Moment, None, None]:
    """The moments, oldest first; those that cannot be shown are left out. Close it to end the child. Raises
    `FailureError` at once where the file is no dump, and later where it cannot be read further."""
    path = path.absolute()
    command = [sys.executable, "-P", "-m", "blackbox.recorder.dumps", str(path)]
    child = subprocess.Popen(
        [*command, str(MEMORY_BYTES_MAX), str(CPU_SECONDS_MAX)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        bufsize=0,
    )
    moments = _moments(child, path)
    next(moments)
    return _whole(moments)


def _whole(moments: Generator[Moment | None, None, None]) -> Generator[Moment, None, None]:
    with closing(moments):
        yield from (moment for moment in moments if moment is not None)


def _moments(child: subprocess.Popen[bytes], path: Path) -> Generator[Moment | None, None, None]:
    """None once it is known that the file is a dump, then the moments."""
    out, errors = child.stdout, child.stderr
    assert out is not None
    assert errors is not None
    try:
        while head := _read(out, LENGTH.size, path):
            (length,) = LENGTH.unpack(head)
            if length > MOMENT_BYTES_MAX:
                raise FailureError(f"{path}: a moment of {length >> 20} MiB")
            yield to_moment(_read(out, length, path)) if length else None
        if child.wait(STALL_SECONDS_MAX) != 0:
            lines = errors.read(4096).decode(errors="replace").strip().splitlines()
            told = lines[-1] if child.returncode > 0 and lines else "reading it took too much memory or time"
            raise FailureError(told if told.startswith(str(path)) else f"{path}: {told}")
    except (DamageError, subprocess.TimeoutExpired, struct.error):
        raise FailureError(f"{path}: reading it failed") from None
    finally:
        child.kill()
        child.wait()
        out.close()
        errors.close()


def _read(out: IO[bytes], size: int, path: Path) -> bytes:
    """So many bytes, or as many as there are until the end. Raises `FailureError` where the child stalls."""
    found = bytearray()
    with selectors.DefaultSelector() as selector:
        selector.register(out, selectors.EVENT_READ)
        while len(found) < size:
            if not selector.select(STALL_SECONDS_MAX):
                raise FailureError(f"{path}: no moment was read within {STALL_SECONDS_MAX:g} s")
            piece = out.read(size - len(found))
            if not piece:
                break
            found += piece
    return bytes(found)
