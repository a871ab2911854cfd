"""The queue of Python's pending calls, as it lies in the program: whether its lock is free, and what waits in it.

Whoever adds a call takes the queue's lock, and so does the main thread when it fetches one. If it were borrowed while
it holds that lock, it would wait for itself for ever. So the lock is looked at where it lies, which differs between
versions. What is found there has to look like a queue, or it is not believed.
"""

import struct
from typing import NamedTuple

from blackbox.injection.detour.elf import Read

RUNTIME = "_PyRuntime"
"""What Python exports its state as."""
_POINTER = struct.Struct("<Q")
_ENDS = struct.Struct("<2i")
_LIMITS = struct.Struct("<2i")
_LOCKED = 1
"""Of the byte of a `PyMutex`; the other bit tells that somebody waits."""
_SEMAPHORE_WAITERS_MAX = 1 << 16
_CALLS_MAX = 32
"""Of the main thread's queue, in every version."""
_PROGRAM_END = 1 << 47
SHIFT_BYTES_MAX = 512
"""By which releases of one version differ: 3.13.18 keeps it 24 bytes behind 3.13.0."""


class QueueLayout(NamedTuple):
    """Where things lie, in bytes. `tests/unit/injection/detour/test_pending.py` asks each Python at hand."""

    interpreter: int | None
    """In `_PyRuntime`, the pointer to the interpreter that has the queue; None where `_PyRuntime` has it itself."""
    queue: int
    """In the one or the other."""
    lock: int
    """In the queue: a pointer to a semaphore, or a byte where `limits` tells how many calls there may be."""
    calls: int
    places: int
    """For calls; the numbers of the first, and of the one behind the last, follow."""
    place_bytes: int
    limits: int | None = None


LAYOUTS = {
    "3.9": QueueLayout(40, 80, lock=0, calls=16, places=32, place_bytes=16),
    "3.10": QueueLayout(40, 80, lock=0, calls=16, places=32, place_bytes=16),
    "3.11": QueueLayout(48, 112, lock=0, calls=16, places=32, place_bytes=16),
    "3.12": QueueLayout(None, 2016, lock=8, calls=24, places=32, place_bytes=16),
    "3.13": QueueLayout(None, 2640, lock=8, calls=24, places=300, place_bytes=24, limits=16),
    "3.14": QueueLayout(None, 2848, lock=8, calls=24, places=300, place_bytes=24, limits=16),
    "3.15": QueueLayout(None, 2976, lock=8, calls=24, places=300, place_bytes=24, limits=16),
}


class Queue(NamedTuple):
    """The one of a program's main thread."""

    read: Read
    address: int
    layout: QueueLayout

    def is_locked(self) -> bool:
        """Raises `OSError`."""
        lock = self.address + self.layout.lock
        if self.layout.limits is not None:
            return bool(_exactly(self.read, lock, 1)[0] & _LOCKED)
        value, _ = _ENDS.unpack(_exactly(self.read, _word(self.read, lock), _ENDS.size))
        return value == 0

    def holds(self, function: int, argument: int) -> bool:
        """Whether this call waits in it. Raises `OSError`."""
        first, end = self._ends()
        for place in range(first, end if end >= first else end + self.layout.places):
            start = self.address + self.layout.calls + place % self.layout.places * self.layout.place_bytes
            if (_word(self.read, start), _word(self.read, start + 8)) == (function, argument):
                return True
        return False

    def seems_one(self) -> bool:
        """Whether what lies there may be a queue."""
        try:
            within = all(0 <= end < self.layout.places for end in self._ends())
            if self.layout.limits is not None:
                lock = _exactly(self.read, self.address + self.layout.lock, 4)
                limits = _LIMITS.unpack(_exactly(self.read, self.address + self.layout.limits, _LIMITS.size))
                return within and lock[0] <= 3 and not any(lock[1:]) and limits == (_CALLS_MAX, 0)
            semaphore = _word(self.read, self.address + self.layout.lock)
            value, waiters = _ENDS.unpack(_exactly(self.read, semaphore, _ENDS.size))
        except OSError:
            return False
        return within and value in (0, 1) and 0 <= waiters < _SEMAPHORE_WAITERS_MAX and semaphore < _PROGRAM_END

    def _ends(self) -> tuple[int, int]:
        at = self.address + self.layout.calls + self.layout.places * self.layout.place_bytes
        return _ENDS.unpack(_exactly(self.read, at, _ENDS.size))


def find(read: Read, runtime: int, version: str) -> Queue | None:
    """The queue of a program whose `_PyRuntime` lies there; None for a Python that is built in a way not known.

    Where nothing like a queue lies in its place, the one nearby is taken, if there is but one.
    """
    layout = LAYOUTS.get(version)
    if layout is None:
        return None
    try:
        owner = runtime if layout.interpreter is None else _word(read, runtime + layout.interpreter)
    except OSError:
        return None
    usual = Queue(read, owner + layout.queue, layout)
    if usual.seems_one():
        return usual
    shifts = range(-min(SHIFT_BYTES_MAX, layout.queue), SHIFT_BYTES_MAX, _POINTER.size)
    nearby = [one for shift in shifts if (one := usual._replace(address=usual.address + shift)).seems_one()]
    return nearby[0] if len(nearby) == 1 else None


def has_several_interpreters(read: Read, runtime: int, version: str) -> bool:
    """Whether a call may be put into the queue of another than the main one: up to 3.11 that is the queue of whichever
    interpreter runs at this moment. Raises `OSError`.
    """
    layout = LAYOUTS.get(version)
    if layout is None or layout.interpreter is None:
        return False
    main = runtime + layout.interpreter
    return _word(read, main - _POINTER.size) != _word(read, main)  # the newest, and the first


def _word(read: Read, address: int) -> int:
    return _POINTER.unpack(_exactly(read, address, _POINTER.size))[0]


def _exactly(read: Read, address: int, size: int) -> bytes:
    data = read(address, size)
    if len(data) < size:  # of memory that is gone the kernel gives nothing, and no error
        raise OSError("it has ended, or runs another program by now")
    return data
