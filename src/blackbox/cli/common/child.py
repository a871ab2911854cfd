"""A program that a command starts and waits for: the terminal is the program's, signals reach it, its end is told."""

import signal
import subprocess
from collections.abc import Mapping, Sequence
from types import FrameType

EXIT_SIGNAL_BASE = 128
_FORWARDED = (signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2)
_OF_THE_TERMINAL = (signal.SIGINT, signal.SIGQUIT)


class Ended:
    """How the program ended: its pid, and its exit code, which is minus the number of the signal that ended it."""

    def __init__(self, pid: int, code: int) -> None:
        self.pid = pid
        self.code = code


def run_to_end(command: Sequence[str], environ: Mapping[str, str]) -> Ended:
    """Runs the program to its end. Raises `OSError` where it cannot be started, `ValueError` for words that no program
    can be given."""
    child: subprocess.Popen[bytes] | None = None
    early: list[int] = []

    def forward(number: int, _: FrameType | None) -> None:
        if child is None:
            early.append(number)
        else:
            child.send_signal(number)

    for number in _FORWARDED:
        signal.signal(number, forward)
    for number in _OF_THE_TERMINAL:
        signal.signal(number, _leave_it_to_the_program)
    child = subprocess.Popen(command, env=environ)
    for number in early:
        child.send_signal(number)
    return Ended(child.pid, child.wait())


def _leave_it_to_the_program(_number: int, _frame: FrameType | None) -> None:
    """Does nothing: the terminal sends the signal to the program as well."""
