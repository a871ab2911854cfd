"""Hands a running program what to do, and waits for its word: see `remote` for the one and `inside` for the other."""

import contextlib
import math
import os
import selectors
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Literal, NamedTuple, cast

from blackbox.injection.inside import STATUS_BYTES
from blackbox.injection.program import Program

Task = Literal["attach", "detach"]
OutcomeKind = Literal["connected", "attached", "detached", "absent", "failed", "refused", "taken-back", "ended"]

FOLDER = Path(__file__).parents[2]
"""Where the package lies, for a Python that has it not installed."""
TAKE_BACK_SECONDS = 5.0
"""For the child to take a request back once it is asked to."""
LOOK_SECONDS = 0.05
SLOW_SECONDS = 1.0
"""A program whose main thread runs Python has answered by then; one that waits in a library's code may take long."""


class Outcome(NamedTuple):
    """What came of a request."""

    kind: OutcomeKind
    details: str
    """Sources that report, separated by commas, or what went wrong."""
    seconds: float
    """From the request to the program's word."""


def ask(
    program: Program,
    task: Task,
    socket: str,
    wait_seconds: float,
    on_wait: Callable[[], None] = lambda: None,
) -> Outcome:
    """Has the program do it at its next safe point; takes the request back after `wait_seconds`, or when interrupted.
    `on_wait` is called once, where the program has not answered after `SLOW_SECONDS`.

    The child that asks runs as the program's user: root never runs another user's interpreter as root.
    """
    began = time.monotonic()
    try:
        line, child = _answer(program, letter(task, socket), began + wait_seconds, on_wait)
        if (
            not line and child.returncode < 0
        ):  # killed: the program would look for a script that is gone, and print that
            _take_back(program, child.pid)
            line = "refused the process that asked it was killed; the request was taken back"
    except OSError as error:
        line = f"refused {error.strerror}"
    seconds = time.monotonic() - began
    kind, _, details = line.partition(" ")
    if not kind:
        return Outcome("refused", f"its interpreter, {program.executable}, does not run here", seconds)
    return Outcome(cast(OutcomeKind, kind), details, seconds)


def letter(task: Task, socket: str) -> bytes:
    """The script that the program runs: a first line for its answer, then one statement that starts a thread.

    It binds no name in the program's `__main__`, in which Python runs it.
    """
    work = f"{_source('inside')}\nwork('@LETTER@', {str(FOLDER)!r}, {socket!r}, {task!r})\n"
    start = f"__import__('_thread').start_new_thread(exec, ({work!r}, {{'__name__': 'blackbox_letter'}}))"
    return f"#{' ' * STATUS_BYTES}\ntry:\n    {start}\nexcept BaseException:\n    pass\n".encode()


def _source(module: str) -> str:
    return Path(__file__).with_name(f"{module}.py").read_text()


def _take_back(program: Program, killed: int) -> None:
    """Has another child take back what one that was killed has asked for."""
    with _start(program, f"0, {killed}") as child, contextlib.suppress(subprocess.TimeoutExpired):
        child.wait(TAKE_BACK_SECONDS)
        return
    child.kill()


def _answer(
    program: Program, text: bytes, until: float, on_wait: Callable[[], None]
) -> "tuple[str, subprocess.Popen[bytes]]":
    """The line of the child that asks, empty where it said none; and the child, which has ended."""
    slow = time.monotonic() + SLOW_SECONDS
    with _start(program, str(len(text))) as child:
        assert child.stdin is not None
        assert child.stdout is not None
        with contextlib.suppress(BrokenPipeError):
            child.stdin.write(text)
            child.stdin.flush()
        with selectors.DefaultSelector() as selector:
            selector.register(child.stdout, selectors.EVENT_READ)
            while not selector.select(LOOK_SECONDS):
                if time.monotonic() >= slow:
                    on_wait()
                    slow = math.inf
                if time.monotonic() < until:
                    continue
                if child.stdin.closed:
                    child.kill()
                child.stdin.close()
                until += TAKE_BACK_SECONDS
        line = child.stdout.readline().decode(errors="replace").strip()
    return line, child


def _start(program: Program, task: str) -> "subprocess.Popen[bytes]":
    """The program's own interpreter, in isolation: nothing of its environment, no folder of its packages."""
    ids = program.ids if program.ids.uid != os.geteuid() else None
    return subprocess.Popen(
        [program.executable, "-I", "-S", "-B", "-c", f"{_source('remote')}\nmain({program.pid}, {task})\n"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        cwd="/",
        env={},
        start_new_session=True,
        user=None if ids is None else ids.uid,
        group=None if ids is None else ids.gid,
        extra_groups=None if ids is None else ids.groups,
    )
