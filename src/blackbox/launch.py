"""Becoming a program with the agent in it. `blackbox run` gets here before the command line is even imported, so this
imports nothing that an interpreter has not imported anyway."""

import os
import sys

TYPE_CHECKING = False  # `typing` takes 5 ms to import
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

EXIT_NOT_EXECUTABLE, EXIT_NOT_FOUND = 126, 127
"""The codes that shells, `env` and `nice` use, too."""
SHIM = os.path.join(os.path.dirname(os.path.abspath(__file__)), "agent", "shim")  # noqa: PTH100, PTH118, PTH120
"""On `PYTHONPATH` it brings the agent into Pythons that have no Blackbox installed."""
OPTIONS = ("--socket", "--extras")
"""Of `blackbox run`: what needs no more than an environment."""
QUIET = ("--quiet", "-q")
EXTRAS = ("threads", "history", "cupti")
"""What `--extras` may name. `BLACKBOX_AGENT_EXTRAS` is taken as it is: probes of the user's own may know others."""


class PlainRun:
    """A command line of `blackbox run` that asks for nothing but a program and its environment."""

    __slots__ = ("extras", "is_quiet", "program", "socket")

    def __init__(
        self, program: "Sequence[str]", socket: "str | None", extras: "str | None", *, is_quiet: bool = False
    ) -> None:
        self.is_quiet = is_quiet
        self.program = program
        self.socket = socket
        self.extras = extras


def plain_run(words: "Sequence[str]") -> PlainRun | None:
    """What these words behind `blackbox` ask for; None where only the whole command line understands them."""
    if not words or words[0] != "run":
        return None
    given: dict[str, str] = {}
    is_quiet = False
    left = list(words[1:])
    while left and left[0].startswith("-"):
        word = left.pop(0)
        if word == "--":
            break
        if word in QUIET:
            is_quiet = True
            continue
        name, is_joined, value = word.partition("=")
        if name not in OPTIONS:
            return None
        if not is_joined:
            value = left.pop(0) if left else ""
        if not value or value.startswith("-"):
            return None
        given[name] = value
    if any(word.strip().lower() not in (*EXTRAS, "") for word in given.get("--extras", "").split(",")):
        return None
    return PlainRun(left, given.get("--socket"), given.get("--extras"), is_quiet=is_quiet) if left else None


def is_watched(*, is_quiet: bool) -> bool:
    """Whether somebody at a terminal wants to hear what is recorded."""
    return not is_quiet and os.isatty(2)


def become(program: "Sequence[str]", environ: "Mapping[str, str] | None" = None) -> int:
    """Becomes the program, with our own environment where none is given; returns an exit code where that cannot be
    done. Raises `ValueError` for words that no program can be given."""
    try:
        if environ is None:
            os.execvp(program[0], list(program))  # noqa: S606 - there is no shell on purpose
        os.execvpe(program[0], list(program), dict(environ))  # noqa: S606
    except OSError as error:
        print(f"blackbox run: {program[0]}: {error.strerror}", file=sys.stderr)
        return EXIT_NOT_FOUND if isinstance(error, FileNotFoundError) else EXIT_NOT_EXECUTABLE


def environment(environ: "Mapping[str, str]", socket: "str | None", extras: "str | None") -> dict[str, str]:
    """The program's environment."""
    return {**environ, **changes(environ, socket, extras)}


def changes(environ: "Mapping[str, str]", socket: "str | None", extras: "str | None") -> dict[str, str]:
    """What is different in the program's environment."""
    python_path = [SHIM, *filter(None, [environ.get("PYTHONPATH")])]
    changed = {"PYTHONPATH": os.pathsep.join(python_path)}
    changed["BLACKBOX_AGENT"] = environ.get("BLACKBOX_AGENT") or "1"
    if socket is not None:
        changed["BLACKBOX_AGENT_SOCKET"] = os.path.abspath(socket)  # noqa: PTH100 - the program may change folder
    if extras is not None:
        changed["BLACKBOX_AGENT_EXTRAS"] = extras
    return changed


def end(code: int) -> int:
    """Ends this process at once with that exit code, where nobody waits for its end: Python would first take apart all
    that it has imported, which takes as long as importing some of it. Else returns the code."""
    if sys.gettrace() is not None or sys.getprofile() is not None or sys.flags.inspect or _others_wait():
        return code
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    except (OSError, ValueError, AttributeError):
        return code
    os._exit(code)


def _others_wait() -> bool:
    """Whether something is to be called at the end, or other threads are to end first."""
    import atexit

    threading = sys.modules.get("threading")
    called = atexit._ncallbacks()  # pyright: ignore[reportPrivateUsage] - nothing else tells it
    return called > 0 or (threading is not None and threading.active_count() > 1)
