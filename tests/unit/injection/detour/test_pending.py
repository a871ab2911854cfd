"""The queue of pending calls is where each Python at hand keeps it, and what is no queue is not taken for one."""

import os
import struct
import subprocess
from collections.abc import Callable

import pytest

from blackbox.injection.detour import pending
from blackbox.injection.detour.pending import LAYOUTS, Queue, QueueLayout
from blackbox.injection.program import look
from tests.attach_rig import python_of
from tests.waiting import PATIENCE_SECONDS, until

SEMAPHORE = QueueLayout(0, 16, lock=0, calls=16, places=4, place_bytes=16)
MUTEX = QueueLayout(None, 8, lock=8, calls=24, places=4, place_bytes=24, limits=16)
ADDS_ONE = """
import ctypes, os, sys, threading, _thread
api = ctypes.PyDLL(None)
api.Py_AddPendingCall.argtypes = [ctypes.c_void_p, ctypes.c_void_p]
address = lambda function: ctypes.cast(function, ctypes.c_void_p).value
main = _thread.allocate_lock()
main.acquire()
def work():
    runtime = ctypes.addressof(ctypes.c_char.in_dll(api, "_PyRuntime"))
    function = address(api.PyErr_CheckSignals)
    print(os.getpid(), runtime, function, flush=True)
    sys.stdin.readline()
    api.Py_AddPendingCall(function, 4711)
    print("added", flush=True)
    sys.stdin.readline()
    main.release()
threading.Thread(target=work).start()
main.acquire()
"""
"""Its main thread waits, so that the call stays in the queue."""


@pytest.mark.skipif(os.uname().machine != "x86_64", reason="the layouts are those of x86-64")
@pytest.mark.parametrize("version", LAYOUTS)
def test_each_python_keeps_it_there(version: str) -> None:
    with subprocess.Popen(
        [python_of(version), "-c", ADDS_ONE], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as program:
        assert program.stdin is not None
        assert program.stdout is not None
        pid, runtime, function = map(int, program.stdout.readline().split())
        with open(f"/proc/{pid}/mem", "rb", 0) as memory:  # noqa: PTH123
            queue = pending.find(lambda at, size: os.pread(memory.fileno(), size, at), runtime, version)
            assert queue is not None
            assert not queue.is_locked()
            assert not queue.holds(function, 4711)
            until(lambda: look(pid).state == "S")  # while the other thread reads, nothing else keeps the main one
            program.stdin.write("\n")
            program.stdin.flush()
            assert program.stdout.readline() == "added\n"
            assert queue.holds(function, 4711)
            assert not queue.holds(function, 4712)
            program.stdin.write("\n")
            program.stdin.flush()
            assert program.wait(PATIENCE_SECONDS) == 0


def in_memory(data: bytes, layout: QueueLayout, address: int) -> Queue:
    return Queue(lambda at, size: data[at : at + size], address, layout)


def semaphore(value: int = 1, waiters: int = 0, first: int = 0, end: int = 0, pointer: int = 0) -> Queue:
    calls = struct.pack("<8Q", 0, 0, 7, 8, 0, 0, 9, 10)
    return in_memory(
        struct.pack("<2i", value, waiters) + bytes(8) + struct.pack("<Q", pointer) + bytes(8) + calls
        + struct.pack("<2i", first, end),
        SEMAPHORE, 16,
    )  # fmt: skip


def mutex(bits: int = 0, maximum: int = 32, per_round: int = 0) -> Queue:
    return in_memory(bytes(16) + struct.pack("<B3x3i", bits, 0, maximum, per_round) + bytes(96 + 8), MUTEX, 8)


def test_a_lock_that_is_taken_shows() -> None:
    assert not semaphore().is_locked()
    assert semaphore(0).is_locked()
    assert semaphore(0, waiters=2).is_locked()
    assert [mutex(bits).is_locked() for bits in range(4)] == [False, True, False, True]


def test_what_waits_lies_between_its_ends() -> None:
    assert not semaphore(first=1, end=1).holds(7, 8)
    assert semaphore(first=1, end=2).holds(7, 8)
    assert not semaphore(first=2, end=3).holds(7, 8)
    assert semaphore(first=3, end=2).holds(9, 10)
    assert semaphore(first=3, end=2).holds(7, 8), "behind the last place comes the first"


@pytest.mark.parametrize(
    "queue",
    [
        semaphore(value=2),
        semaphore(waiters=-1),
        semaphore(first=4),
        semaphore(end=-1),
        semaphore(pointer=1 << 40),
        mutex(bits=4),
        mutex(maximum=0),
        mutex(per_round=1),
    ],
)
def test_what_is_no_queue_is_not_believed(queue: Queue) -> None:
    assert not queue.seems_one()


def test_what_is_one_is() -> None:
    assert semaphore().seems_one()
    assert semaphore(value=0, waiters=1, first=3).seems_one()
    assert mutex().seems_one()
    assert mutex(bits=3).seems_one()


def release(*places: int) -> Callable[[int, int], bytes]:
    """Memory of a Python that keeps queues there, as 3.14 makes them."""
    memory = bytearray(16 << 10)
    for place in places:
        struct.pack_into("<B3x3i", memory, place + 8, 0, 0, 32, 0)
    return lambda at, size: bytes(memory[at : at + size])


def test_another_release_may_keep_it_nearby() -> None:
    usual = LAYOUTS["3.14"].queue
    found = [pending.find(release(place), 0, "3.14") for place in (usual - 24, usual, usual + 48)]
    assert [queue and queue.address for queue in found] == [usual - 24, usual, usual + 48]
    beside = pending.find(release(usual, usual + 24), 0, "3.14")
    assert beside is not None
    assert beside.address == usual


def test_of_two_nearby_none_is_believed() -> None:
    usual = LAYOUTS["3.14"].queue
    assert pending.find(release(usual - 24, usual + 24), 0, "3.14") is None
    assert pending.find(release(usual + pending.SHIFT_BYTES_MAX), 0, "3.14") is None, "too far"


def test_a_version_that_is_not_known_has_none() -> None:
    assert pending.find(lambda at, size: bytes(size), 0, "3.99") is None


@pytest.mark.parametrize("layout", [SEMAPHORE, MUTEX])
def test_of_a_program_that_runs_another_by_now_nothing_is_told(layout: QueueLayout) -> None:
    """Its memory is gone: the kernel gives no byte of it."""
    gone = in_memory(b"", layout, 16)
    with pytest.raises(OSError, match="another program"):
        gone.is_locked()
    with pytest.raises(OSError, match="another program"):
        gone.holds(7, 8)
    assert not gone.seems_one()
