"""The C library's heap: one for all threads, of which what was freed goes back to the system now and then, for it keeps
most of it by itself."""

import ctypes
from collections.abc import Callable

TRIM_SECONDS = 30.0
"""Between two looks. Each takes some milliseconds of a thread beside the event loop. Without them, answers and frames
of all sizes on a dozen threads leave more free than is in use, in pieces between what lives."""
FIRST_SECONDS = 5.0
"""After the start: what imports have left free."""
HEAPS = 1
"""That threads share. By default each has one of its own, and each keeps free what its thread needed once."""
LARGE_BYTES = 128 * 1024
"""What is as large lies outside of the heap, and goes back when it is freed, for a tenth of a millisecond: answers and
lists that live for milliseconds. Within the heap each peak of theirs moves its end up, what lives on comes to lie
there, and what a trim gives back below is in use again within seconds. By default the limit rises to the largest that
was ever freed, up to 32 MiB: from then on, what packs or unpacks a minute of the recording lies within."""
_M_MMAP_THRESHOLD = -3
_M_ARENA_MAX = -8


def keep_small() -> None:
    """Bounds what this process keeps free, where the C library can be told (glibc): before there is another thread."""
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):  # musl
        return
    mallopt.argtypes = (ctypes.c_int, ctypes.c_int)
    mallopt(_M_ARENA_MAX, HEAPS)
    mallopt(_M_MMAP_THRESHOLD, LARGE_BYTES)


def trimmer() -> Callable[[], object] | None:
    """What gives the free pages of all arenas back (`malloc_trim` of glibc); None where the C library has no such
    call."""
    try:
        trim = ctypes.CDLL(None).malloc_trim
    except (OSError, AttributeError):  # musl
        return None
    trim.argtypes, trim.restype = (ctypes.c_size_t,), ctypes.c_int
    return lambda: trim(0)


async def keep_trimmed(every_seconds: float = TRIM_SECONDS, first_seconds: float = FIRST_SECONDS) -> None:
    """Gives back what is free, until it is cancelled."""
    import asyncio  # not in the processes of sources, which give back once

    trim = trimmer()
    await asyncio.sleep(first_seconds)
    while trim is not None:
        await asyncio.to_thread(trim)
        await asyncio.sleep(every_seconds)
