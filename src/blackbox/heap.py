"""The C library's heap: what was freed goes back to the system now and then, for it keeps most of it by itself."""

import ctypes
from collections.abc import Callable

TRIM_SECONDS = 30.0
"""Between two looks. Each takes some milliseconds of a thread beside the event loop. Without them, answers and frames
of all sizes on a dozen threads leave more free than is in use, in pieces between what lives."""


def trimmer() -> Callable[[], object] | None:
    """What gives the free pages of all arenas back (`malloc_trim` of glibc); None where the C library has no such
    call."""
    try:
        trim = ctypes.CDLL(None).malloc_trim
    except (OSError, AttributeError):  # musl
        return None
    trim.argtypes, trim.restype = (ctypes.c_size_t,), ctypes.c_int
    return lambda: trim(0)


async def keep_trimmed(every_seconds: float = TRIM_SECONDS) -> None:
    """Gives back what is free, until it is cancelled."""
    import asyncio  # not in the processes of sources, which give back once

    trim = trimmer()
    while trim is not None:
        await asyncio.sleep(every_seconds)
        await asyncio.to_thread(trim)
