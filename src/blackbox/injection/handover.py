"""Hands a running program what to do, and waits for its word: see `remote` for the one and `inside` for the other."""

import contextlib
import math
import os
import selectors
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Literal, NamedTuple, cast

from blackbox.injection.inside import STATUS_BYTES
from blackbox.injection.program import Ids, Program
from blackbox.model.text import printable

Task = Literal["attach", "detach"]
Mechanism = Literal["remote", "detour"]
"""Python's own remote debugging, or a detour of its main thread (`detour`)."""
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
    stopped_seconds: float = 0.0
    """The longest that a thread of it was stopped."""


def ask(
    program: Program,
    task: Task,
    socket: str,
    wait_seconds: float,
    on_wait: Callable[[], None] = lambda: None,
    mechanism: Mechanism = "remote",
) -> Outcome:
    """Has the program do it at its next safe point; takes the request back after `wait_seconds`, or when interrupted.
    `on_wait` is called once, where the program has not answered after `SLOW_SECONDS`.

    The child that asks by remote debugging runs as the program's user: root never runs another user's interpreter as
    root. The one that makes a detour runs our own, as we do.
    """
    began = time.monotonic()
    try:
        line = (_by_remote if mechanism == "remote" else _by_detour)(
            program, task, socket, began + wait_seconds, on_wait
        )
    except OSError as error:
        line = f"refused {error.strerror}"
    seconds = time.monotonic() - began
    line, _, stopped = line.partition("\t")
    kind, _, details = line.partition(" ")
    return Outcome(cast(OutcomeKind, kind), printable(details), seconds, float(stopped or 0))


def _by_remote(program: Program, task: Task, socket: str, until: float, on_wait: Callable[[], None]) -> str:
    text = letter(task, socket)
    line, child = _answer(_start(program, str(len(text))), text, until, on_wait)
    if line:
        return line
    if child.returncode < 0:  # killed: the program would look for a script that is gone, and print that
        _take_back(program, child.pid)
        return "refused the process that asked it was killed; the request was taken back"
    return f"refused its interpreter, {program.executable}, does not run here"


def _by_detour(program: Program, task: Task, socket: str, until: float, on_wait: Callable[[], None]) -> str:
    text = errand(task, socket, elsewhere=not {"mnt", "root"}.isdisjoint(program.namespaces))
    code = f"import sys; sys.path.append({str(FOLDER)!r}); from blackbox.injection.detour.child import main"
    folder = os.path.dirname(socket)  # noqa: PTH120 - a string
    version = ".".join(map(str, program.version or ()))
    arguments = map(str, (program.pid, program.start_ticks, version, len(text), folder))
    command = [sys.executable, "-I", "-S", "-c", f"{code}; main(*sys.argv[1:])", *arguments]
    line, _ = _answer(_child(command), text, until, on_wait)
    return line or "refused the process that asked it was killed; the program runs nothing of it"


def errand(task: Task, socket: str, elsewhere: bool) -> bytes:
    """What the program runs on a thread of its own, in which `door` is its connection to the child."""
    folder, place = ("", os.path.basename(socket)) if elsewhere else (str(FOLDER), socket)  # noqa: PTH119 - a string
    return f"{_source('inside')}\nwork(door, {folder!r}, {place!r}, {task!r})\n".encode()


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
    started: "subprocess.Popen[bytes]", text: bytes, until: float, on_wait: Callable[[], None]
) -> "tuple[str, subprocess.Popen[bytes]]":
    """The line of the child that asks, empty where it said none; and the child, which has ended."""
    slow = time.monotonic() + SLOW_SECONDS
    with started as child:
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
    code = f"{_source('remote')}\nmain({program.pid}, {task})\n"
    return _child([program.executable, "-I", "-S", "-B", "-c", code], program.ids)


def _child(command: list[str], ids: Ids | None = None) -> "subprocess.Popen[bytes]":
    """In a session of its own, so that Ctrl-C does not reach it; as another user where `ids` are not ours."""
    if ids is not None and ids.uid == os.geteuid():
        ids = None
    return subprocess.Popen(
        command,
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
