"""Runs inside the program, on a thread of its own: brings the agent in or out, and writes what came of it.

Not imported there but sent, as text, to a Python that may have no Blackbox installed. Standard library alone. It prints
nothing, raises nothing, and leaves `sys.path` and `os.environ` as they are.
"""

from typing import Any

CONNECT_SECONDS = 3.0
"""How long the agent may take to reach the server before that is told as not done."""
LOOK_SECONDS = 0.01
DESCRIPTOR_MIN = 250
"""Programs may rely on small descriptor numbers for the files they open."""
STATUS_BYTES = 200
"""In the letter's first line, for the answer."""


def work(letter: Any, folder: str, socket: str, task: str) -> None:
    """`task` is `attach` or `detach`; `letter` takes the answer (the path of a file, or a connection), `folder` is
    where Blackbox lies, `socket` where the server listens. With an empty `folder` both come through the connection,
    and `socket` is but the last part of the path. Never raises.
    """
    try:
        if task == "attach" and not folder:
            folder, socket = handed(letter, socket)
        answer = detach() if task == "detach" else attach(folder, socket)
    except BaseException as error:
        answer = f"failed {type(error).__name__}: {error}".partition("\n")[0]
    try:  # noqa: SIM105 - the less is imported there, the better
        tell(letter, answer)
    except BaseException:  # noqa: S110 - nobody waits for it any more
        pass


def tell(letter: Any, answer: str) -> None:
    """Says the answer: through the connection, which is closed, or in a file behind the `#` of its first line.

    Raises `OSError`.
    """
    import os

    if not isinstance(letter, str):
        try:
            letter.sendall(answer.encode()[:STATUS_BYTES])
        finally:
            letter.close()
        return
    file = os.open(letter, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.pwrite(file, answer.encode()[:STATUS_BYTES].ljust(STATUS_BYTES), 1)
    finally:
        os.close(file)


def attach(folder: str, socket: str) -> str:
    """Starts or wakes the agent; its answer tells which frameworks it sees, and whether the server has taken it."""
    import _thread
    import time

    if not isinstance(_thread.start_new_thread, type(len)):
        return "failed Python's threads are replaced in it (by gevent, eventlet, a debugger): that was not tried"
    if not hasattr(package(folder), "__path__"):
        return "failed it has a module of its own named blackbox"
    from blackbox.agent import bootstrap

    if not hasattr(bootstrap, "detach"):
        return "failed an older Blackbox is installed there, whose agent cannot come late"
    from blackbox.agent import runtime  # what it needs may be missing, as in programs frozen into one file

    bootstrap.attach(socket)
    until = time.monotonic() + CONNECT_SECONDS
    while True:
        sources, connected = runtime.state()
        if connected or not sources or time.monotonic() >= until:
            return f"{'connected' if connected else 'attached'} {','.join(sources)}"
        time.sleep(LOOK_SECONDS)


def handed(door: Any, name: str) -> "tuple[str, str]":
    """Where two folders lie that come through the connection: Blackbox's, and the one with the socket of this name.
    What an earlier one brought is closed. Raises `OSError`.
    """
    import os
    import struct
    import sys
    from fcntl import F_DUPFD_CLOEXEC, fcntl

    _, messages, _, _ = door.recvmsg(1, 64)
    came = struct.unpack("2i", messages[0][2])
    kept = [fcntl(one, F_DUPFD_CLOEXEC, DESCRIPTOR_MIN) for one in came]
    before = getattr(sys, "_blackbox_handed", None)
    for one in came:
        os.close(one)
    if before:
        os.close(before.pop())
        os.close(kept.pop(0))
        kept.insert(0, before.pop())
    sys._blackbox_handed = kept  # pyright: ignore
    return f"/proc/self/fd/{kept[0]}", f"/proc/self/fd/{kept[1]}/{name}"


def detach() -> str:
    """Ends the agent, where there is one."""
    import sys

    bootstrap = sys.modules.get("blackbox.agent.bootstrap")
    if bootstrap is None:
        return "absent"
    bootstrap.detach()
    return "detached"


def package(folder: str) -> Any:
    """`blackbox`, with `folder` never on `sys.path`: what else lies there is not the program's business."""
    import sys
    from importlib import util

    if "blackbox" not in sys.modules:
        place = f"{folder}/blackbox"
        spec = util.spec_from_file_location("blackbox", f"{place}/__init__.py", submodule_search_locations=[place])
        if spec is None or spec.loader is None:
            raise ImportError(place)
        module = util.module_from_spec(spec)
        sys.modules["blackbox"] = module
        spec.loader.exec_module(module)
    return sys.modules["blackbox"]
