"""What the C library keeps of freed memory, in a process of its own: here others allocate."""

import asyncio
import subprocess
import sys

import pytest

from blackbox import heap

PROGRAM = """
import ctypes, os
from blackbox.heap import trimmer

def resident_bytes():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")

libc = ctypes.CDLL(None)
libc.malloc.argtypes, libc.malloc.restype = (ctypes.c_size_t,), ctypes.c_void_p
libc.free.argtypes, libc.free.restype = (ctypes.c_void_p,), None
pieces = [libc.malloc(100_000) for _ in range(640)]
for piece in pieces:
    ctypes.memset(piece, 1, 100_000)
# above them all, so that the heap's end cannot sink by itself; a small one may find room below
last = libc.malloc(100_000)
for piece in pieces:
    libc.free(piece)
before = resident_bytes()
trimmer()()
print(before - resident_bytes())
"""
SHARED = """
import ctypes, os, threading
from blackbox import heap

heap.keep_small()
libc = ctypes.CDLL(None)
barrier = threading.Barrier(8)

def allocate():
    barrier.wait()
    pieces.append(ctypes.create_string_buffer(1000))
    barrier.wait()

pieces = []
threads = [threading.Thread(target=allocate) for _ in range(8)]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
libc.fdopen.restype = ctypes.c_void_p
out = ctypes.c_void_p(libc.fdopen(1, b"w"))
libc.malloc_info(0, out)
libc.fflush(out)
"""
LARGE = """
import ctypes, sys
from blackbox import heap

class Heap(ctypes.Structure):
    _fields_ = [(name, ctypes.c_int) for name in (
        "arena", "ordblks", "smblks", "hblks", "hblkhd", "usmblks", "fsmblks", "uordblks", "fordblks", "keepcost")]

heap.keep_small()
libc = ctypes.CDLL(None)
libc.malloc.argtypes, libc.malloc.restype = (ctypes.c_size_t,), ctypes.c_void_p
libc.free.argtypes, libc.free.restype = (ctypes.c_void_p,), None
libc.mallinfo.restype = Heap
libc.free(libc.malloc(16 * heap.LARGE_BYTES))
before = libc.mallinfo().hblkhd
for _ in range(32):
    libc.malloc(int(sys.argv[1]))
print(libc.mallinfo().hblkhd - before)
"""
THOUSAND_EVENTS_BYTES = 250_000
"""JSON of the shortest list that is answered without a limit."""
needs_trim = pytest.mark.skipif(heap.trimmer() is None, reason="this C library gives memory back in its own ways")


@needs_trim
def test_freed_pages_go_back_to_the_system() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True)
    assert int(done.stdout) > 32_000_000, "of 64 million bytes that were written to and freed"


@needs_trim
def test_threads_share_one_heap() -> None:
    done = subprocess.run([sys.executable, "-c", SHARED], capture_output=True, text=True, check=True)
    assert done.stdout.count("<heap nr=") == heap.HEAPS


@needs_trim
@pytest.mark.parametrize("size", [heap.LARGE_BYTES, THOUSAND_EVENTS_BYTES])
def test_large_blocks_lie_outside_of_the_heap_also_after_a_larger_one_was_freed(size: int) -> None:
    done = subprocess.run([sys.executable, "-c", LARGE, str(size)], capture_output=True, text=True, check=True)
    assert int(done.stdout) > 16 * size, "of 32: the first may find room that imports have left"


def test_it_is_done_again_and_again_until_cancelled(monkeypatch: pytest.MonkeyPatch) -> None:
    trims = 0

    def trim() -> None:
        nonlocal trims
        trims += 1

    async def run() -> None:
        trimming = asyncio.create_task(heap.keep_trimmed(0.0, 0.0))
        while trims < 3:
            await asyncio.sleep(0.001)
        trimming.cancel()
        with pytest.raises(asyncio.CancelledError):
            await trimming

    monkeypatch.setattr(heap, "trimmer", lambda: trim)
    asyncio.run(run())


def test_a_c_library_without_the_call_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(heap, "trimmer", lambda: None)
    asyncio.run(heap.keep_trimmed(0.0, 0.0))
