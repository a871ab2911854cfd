"""How child processes end: with the server that started them, or by a signal."""

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1


def live_with_parent(parent_pid: int) -> None:
    """What such a process does first: signals to the whole group are meant for its parent, whose end is its own."""
    for ignored in (signal.SIGINT, signal.SIGUSR1, signal.SIGUSR2):
        signal.signal(ignored, signal.SIG_IGN)
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent_pid:  # it was gone before the line above
        sys.exit(1)


def signal_name(number: int) -> str:
    """`SIGKILL`, or its number where it has no name here."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
