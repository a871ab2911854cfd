"""Run by the program's own interpreter, as the program's own user: hands it a letter by `sys.remote_exec` (PEP 768).

Not imported there but sent, as text (`python -c`), since that Python may have no Blackbox. Its standard input has the
letter, with `@LETTER@` where the letter's own path goes; its end takes the request back. It prints one line.

The letter is a file in memory that goes with this process, so nothing is left behind, however that ends. Taken back, a
request becomes one to run `/dev/null`: of a script that is gone Python would print a traceback.
"""

import contextlib
import os
import select
import sys

LOOK_SECONDS = 0.01
STATUS = slice(1, 201)
"""Place of the answer in the letter."""
UNANSWERED = b" "


def main(pid: int, size: int) -> None:
    """Reads a letter of `size` bytes, hands it over, and prints what came of it."""
    text = b""
    while len(text) < size:
        more = os.read(0, size - len(text))
        if not more:
            return
        text += more
    print(hand_over(pid, text), flush=True)


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
    with contextlib.suppress(OSError, RuntimeError):
        remote_exec(pid, os.devnull)
    return "taken-back"


def remote_exec(pid: int, path: str) -> None:
    """Asks the program to run this file. Raises `OSError`, `RuntimeError` where that is switched off."""
    sys.remote_exec(pid, path)  # pyright: ignore - of 3.14
