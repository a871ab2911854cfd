"""When a stopped thread may be borrowed, and how it goes on afterwards."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import cast

import pytest

from blackbox.injection.detour import thread as threads
from blackbox.injection.detour.cave import Cave, Names
from blackbox.injection.detour.elf import Function
from blackbox.injection.detour.pending import Queue, QueueLayout
from blackbox.injection.detour.thread import RESTART_SYSCALL, BusyError, asleep, borrow, resumed
from blackbox.injection.detour.tracing import REGISTERS, Thread

NAMES = Names(*(Function(0x10000 * place, 0x100) for place in range(1, 7)))
CAVE = Cave(0x700000, bytes(224))
LAYOUT = QueueLayout(None, 0, lock=0, calls=16, places=32, place_bytes=16, limits=8)
QUEUE = Queue(lambda address, size: bytes(size), 0, LAYOUT)
STACK = range(0x1000, 0x200000)
RUNNING = dict.fromkeys(REGISTERS, 7) | {
    "orig_rax": 2**64 - 1,
    "rip": 0x400000,
    "rsp": 0x100008,
    "cs": 0x33,
    "rax": 5,
}


class Stopped:
    """A thread with these registers."""

    def __init__(self, **changed: int) -> None:
        self.seen = RUNNING | changed
        self.written: dict[str, int] = {}

    def registers(self) -> dict[str, int]:
        return self.seen

    def set_registers(self, values: dict[str, int]) -> None:
        self.written = values

    def restartable_sequence(self) -> int:
        return 0x2000


@pytest.fixture
def memory(tmp_path: Path) -> Iterator[int]:
    file = tmp_path / "memory"
    file.write_bytes(bytes(0x200000))
    descriptor = os.open(file, os.O_RDWR)
    yield descriptor
    os.close(descriptor)


def sent(
    stopped: Stopped, memory: int, way: threads.Way = "pending call", queue: Queue | None = QUEUE
) -> dict[str, int]:
    borrow(cast(Thread, stopped), memory, way, CAVE, NAMES, queue, [STACK])
    return stopped.written


def words(memory: int, at: int) -> list[int]:
    data = os.pread(memory, 40, at)
    return [int.from_bytes(data[place : place + 8], "little") for place in range(0, 40, 8)]


def test_a_running_thread_calls_and_comes_back(memory: int) -> None:
    written = sent(Stopped(), memory)
    place = RUNNING["rsp"] - threads.RED_ZONE_BYTES - 40
    assert written == RUNNING | {"rip": CAVE.code, "rsp": place, "orig_rax": -1}
    assert words(memory, place) == [0x10000, 0x20000, CAVE.address, 0x60000, RUNNING["rip"]]
    assert place + 32 + 8 + 128 == RUNNING["rsp"], "what the code adds"


def test_a_thread_of_our_own_is_started_only_where_it_sleeps(memory: int) -> None:
    with pytest.raises(BusyError, match="not asleep"):
        sent(Stopped(), memory, "thread")
    sleeping = Stopped(orig_rax=35, rax=2**64 - 516)
    written = sent(sleeping, memory, "thread")
    assert words(memory, written["rsp"]) == [0x30000, CAVE.thread, CAVE.table, 0x60000, RUNNING["rip"] - 2]
    assert written["rax"] == RESTART_SYSCALL


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({"cs": 0x23}, "stack of its own"),
        ({"rsp": 0x300000}, "stack of its own"),
        ({"rsp": 0x2000}, "stack of its own"),
        ({"rip": CAVE.code + 3}, "would be called"),
        ({"rip": 0x10020}, "would be called"),
    ],
)
def test_one_that_may_not_be_borrowed_is_left(memory: int, changed: dict[str, int], why: str) -> None:
    stopped = Stopped(**changed)
    with pytest.raises(BusyError, match=why):
        sent(stopped, memory)
    assert stopped.written == {}
    assert not any(os.pread(memory, 0x200000, 0)), "nothing was written"


def test_a_detour_that_is_under_way_is_waited_for(memory: int) -> None:
    os.pwrite(memory, (CAVE.code + 99).to_bytes(8, "little"), RUNNING["rsp"] + 40)
    with pytest.raises(BusyError, match="would be called"):
        sent(Stopped(), memory)


def test_the_lock_of_the_queue_may_not_be_its_own(memory: int) -> None:
    locked = QUEUE._replace(read=lambda address, size: b"\1".ljust(size, b"\0"))
    with pytest.raises(BusyError, match="may hold the lock"):
        sent(Stopped(), memory, queue=locked)
    with pytest.raises(BusyError, match="may hold the lock"):
        sent(Stopped(), memory, queue=None)
    assert not any(os.pread(memory, 0x200000, 0)), "nothing was written"
    sent(Stopped(orig_rax=35, rax=2**64 - 516), memory, queue=None)


def test_a_restartable_sequence_is_left_alone(memory: int) -> None:
    os.pwrite(memory, (0x3000).to_bytes(8, "little"), 0x2008)
    row = bytes(8) + (0x400000 - 4).to_bytes(8, "little") + (8).to_bytes(8, "little") + bytes(8)
    os.pwrite(memory, row, 0x3000)
    with pytest.raises(BusyError, match="restartable"):
        sent(Stopped(), memory)
    sent(Stopped(rip=0x400004), memory)


@pytest.mark.parametrize(
    ("call", "result", "rsi", "slept"),
    [
        (35, -516, 0, True),
        (232, -4, 0, True),
        (7, -516, 0, True),
        (202, -512, 0x189, True),
        (202, -512, 0x80, False),
        (202, -512, 0x86, False),
        (9, -512, 0, False),
        (35, 0, 0, False),
        (-1, -512, 0, False),
    ],
    ids=["nanosleep", "epoll", "poll", "semaphore", "lock", "pi lock", "mmap", "just ended", "no call"],
)
def test_who_sleeps_holds_no_lock(call: int, result: int, rsi: int, slept: bool) -> None:
    assert asleep(RUNNING | {"orig_rax": call % 2**64, "rax": result % 2**64, "rsi": rsi}) is slept


@pytest.mark.parametrize(
    ("call", "result", "rax", "moved"),
    [
        (230, -514, 230, 2),
        (0, -512, 0, 2),
        (1, -513, 1, 2),
        (35, -516, RESTART_SYSCALL, 2),
        (232, -4, -4, 0),
        (-1, -512, -512, 0),
    ],
)
def test_an_interrupted_call_is_made_again(call: int, result: int, rax: int, moved: int) -> None:
    back = resumed(RUNNING | {"orig_rax": call % 2**64, "rax": result % 2**64})
    assert back["rax"] == rax % 2**64
    assert back["rip"] == RUNNING["rip"] - moved
    assert back["orig_rax"] == -1, "the kernel would make it again, too, and at the wrong place"
