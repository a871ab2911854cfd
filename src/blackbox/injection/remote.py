"""Run by the program's own interpreter, as the program's own user: hands it a letter by `sys.remote_exec` (PEP 768).

Not imported there but sent, as text (`python -c`), since that Python may have no Blackbox. Its standard input has the
letter, with `@LETTER@` where the letter's own path goes; its end takes the request back. It prints one line.

The letter is a file in memory that goes with this process, so nothing is left behind, however that ends. Of a script
that is gone Python would print a traceback, so a request is taken back by emptying the path where Python keeps it: with
an empty one it runs nothing. An empty script would not do: what a signal handler raises while one is run is lost.
"""

import contextlib
import fcntl
import os
import select
import sys
import time
from collections.abc import Generator

LOOK_SECONDS = 0.01
DATA_BYTES_MAX = 64 << 20
"""Of an interpreter; it has about one MiB."""
PATH_COLUMN = 5
"""Of a mapped file, in the list of a program's mappings."""
STATUS = slice(1, 201)
"""Place of the answer in the letter."""
UNANSWERED = b" "


def main(pid: int, size: int, killed: int = 0) -> None:
    """Reads a letter of `size` bytes, hands it over, and prints what came of it; or takes back the letter of another
    such process, which was `killed`."""
    if killed:
        with turn(pid, waits=False) as mine:
            print(take_back(pid, f"/proc/{killed}/fd/".encode()) if mine else "taken-back", flush=True)
        return
    text = b""
    while len(text) < size:
        more = os.read(0, size - len(text))
        if not more:
            return
        text += more
    with turn(pid) as mine:
        print(hand_over(pid, text) if mine else "refused another process is attaching to it, or detaching", flush=True)


@contextlib.contextmanager
def turn(pid: int, waits: bool = True) -> Generator[bool]:
    """While the block lasts, nobody else asks this program: one request would take the place of the other. False where
    another does, and it is not waited for, or this request is taken back meanwhile.
    """
    try:
        memory = open(f"/proc/{pid}/mem", "rb", 0)  # noqa: PTH123, SIM115 - started anew for each
    except OSError:
        yield True  # Python will say the same
        return
    with memory:
        while True:
            try:
                fcntl.flock(memory, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if waits and not select.select([0], [], [], LOOK_SECONDS)[0]:
                    continue
                yield False
                return
            break
        yield True


def hand_over(pid: int, text: bytes) -> str:
    """What the program answered; or `refused` and why, `ended`, `taken-back`."""
    letter = os.memfd_create("blackbox-letter")
    path = f"/proc/{os.getpid()}/fd/{letter}"
    os.write(letter, text.replace(b"@LETTER@", path.encode()))
    try:
        remote_exec(pid, path)
    except (OSError, RuntimeError) as error:
        return f"refused {type(error).__name__}: {error}".partition("\n")[0]
    while not select.select([0], [], [], LOOK_SECONDS)[0]:
        if os.pread(letter, 1, STATUS.start) != UNANSWERED:
            return os.pread(letter, STATUS.stop - STATUS.start, STATUS.start).decode(errors="replace").strip()
        try:
            os.kill(pid, 0)
        except OSError:
            return "ended"
    kind = take_back(pid, path.encode())
    time.sleep(LOOK_SECONDS)  # the program may be running it at this very moment
    answer = os.pread(letter, STATUS.stop - STATUS.start, STATUS.start).decode(errors="replace").strip()
    return answer or kind


def take_back(pid: int, path: bytes) -> str:
    """Empties the path of a request, which begins so; where it is not found, has an empty script run instead."""
    if not _emptied(pid, path):
        with contextlib.suppress(OSError, RuntimeError):
            remote_exec(pid, os.devnull)
    return "taken-back"


def _emptied(pid: int, path: bytes) -> bool:
    """Whether the path lay in the data of the program's interpreter, where the state of its main thread is, and its
    first byte is 0 now."""
    with contextlib.suppress(OSError, ValueError), open(f"/proc/{pid}/mem", "r+b", 0) as memory:  # noqa: PTH123
        for start, end in _data(pid):
            memory.seek(start)
            place = memory.read(end - start).find(path)
            if place >= 0:
                memory.seek(start + place)
                return memory.write(b"\0") == 1
    return False


def _data(pid: int) -> list[tuple[int, int]]:
    """Where the writable data of its interpreter lies, and of its `libpython`."""
    found: list[tuple[int, int]] = []
    with open(f"/proc/{pid}/maps", errors="replace") as lines:  # noqa: PTH123 - started anew for each
        for columns in map(str.split, lines):
            if len(columns) > PATH_COLUMN and columns[1].startswith("rw") and "python" in columns[PATH_COLUMN]:
                start, end = (int(part, 16) for part in columns[0].split("-"))
                found += [(start, end)] if end - start <= DATA_BYTES_MAX else []
    return found


def remote_exec(pid: int, path: str) -> None:
    """Asks the program to run this file. Raises `OSError`, `RuntimeError` where that is switched off."""
    sys.remote_exec(pid, path)  # pyright: ignore - of 3.14
