"""What 'blackbox attach' and 'blackbox detach' share: looking at a program, asking first, telling what came of it."""

import os
import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Sequence

from blackbox.cli.common import parsers
from blackbox.cli.common.agent_socket import listens
from blackbox.cli.common.paragraphs import say
from blackbox.errors import FailureError, UsageError
from blackbox.injection import handover
from blackbox.injection import program as programs
from blackbox.injection.objections import Objection, Refused, not_permitted, refuse
from blackbox.injection.program import Program
from blackbox.model.text import printable

WAIT_SECONDS = 10.0
"""A main thread that waits in a library's code lets a script in only when it next runs Python."""
_DOING = {
    "S": "its main thread sleeps in a call, such as time.sleep, queue.get or a read",
    "D": "its main thread waits for the kernel, such as for a disk or a driver",
    "T": "it was stopped meanwhile",
}
"""By the state that the kernel shows of it."""
_MECHANISMS: dict[handover.Mechanism, str] = {
    "remote": "remote debugging of Python 3.14 (PEP 768): the program is not stopped",
    "detour": "a detour of its main thread by ptrace (experimental): that thread is stopped for about a millisecond",
}
EXPERIMENTAL = "Attaching is experimental: it has not been tried on a program that uses a GPU."


def add_flags(parser: ArgumentParser) -> None:
    """Adds the pid, and the flags that both commands have."""
    parser.add_argument("pid", metavar="PID", nargs="?", help="the program")
    parser.add_argument(
        "--wait", metavar="DURATION", help=f"for the program to run Python (default: {WAIT_SECONDS:g}s)"
    )
    parser.add_argument(
        "--experimental",
        action="store_true",
        help="by a detour of the program's main thread, which is stopped for about a millisecond: for Python 3.9 and "
        "newer on x86-64, for programs that sleep, and (root) for those in containers",
    )
    parser.add_argument("--yes", action="store_true", help="do not ask first")
    parser.add_argument(
        "--dry-run", action="store_true", help="say what would be done or refused, and why; nothing is written"
    )


def wait_seconds(arguments: Namespace) -> float:
    """Raises `UsageError`."""
    return WAIT_SECONDS if arguments.wait is None else parsers.named("--wait", parsers.duration_seconds, arguments.wait)


def look(number: int) -> Program | Refused:
    """The program, or why it cannot be looked at."""
    try:
        return programs.look(number)
    except ProcessLookupError:
        return Refused(Objection.GONE, Objection.GONE.sentence(pid=number))
    except PermissionError:
        return not_permitted(number, as_root=os.geteuid() == 0)
    except (OSError, ValueError, KeyError, IndexError) as error:
        raise FailureError(f"process {number}: what the kernel shows of it cannot be read: {error}") from error


def chosen(arguments: Namespace, rules: Callable[[Program, bool, bool], Sequence[Refused]]) -> Program | Refused | None:
    """The program that the pid names, or what speaks against it most; None where that was only to be looked at."""
    seen = look(parsers.named("PID", parsers.count, arguments.pid))
    if isinstance(seen, Refused):
        return seen
    found = rules(seen, arguments.experimental, os.geteuid() == 0)
    if arguments.dry_run:
        print(describe(seen, found, mechanism(arguments)))
    if found:
        return found[0]
    return None if arguments.dry_run else seen


def still_the_same(program: Program) -> bool:
    """Whether its pid names the same program as when it was looked at."""
    seen = look(program.pid)
    return isinstance(seen, Program) and seen.start_ticks == program.start_ticks


def find_socket(asked: str | None) -> str | Refused:
    """Where this user's server listens for agents."""
    from blackbox.wire.address import agent_paths

    paths = (os.path.abspath(asked),) if asked else agent_paths(os.environ, os.getuid())  # noqa: PTH100 - a string
    found = next(filter(listens, paths), None)
    if found is not None:
        return found
    return Refused(Objection.NO_SERVER, Objection.NO_SERVER.sentence(socket=" or ".join(paths)))


def mechanism(arguments: Namespace) -> handover.Mechanism:
    """How the program is reached."""
    return "detour" if arguments.experimental else "remote"


def describe(program: Program, against: Sequence[Refused], by: handover.Mechanism) -> str:
    """Lines for `--dry-run`."""
    version = "unknown" if program.version is None else ".".join(map(str, program.version))
    rows = [
        ("process", f"{program.pid} ({program.name}), started {program.age_seconds:.0f} s ago, state {program.state}"),
        ("user", str(program.ids.uid)),
        ("Python", f"{version}, {program.executable}"),
        ("mechanism", _MECHANISMS[by]),
        ("frameworks", ", ".join(program.frameworks) or "none that the agent knows"),
        (
            "namespaces",
            f"{', '.join(program.namespaces)}: another than here" if program.namespaces else "those of here",
        ),
        *(("refused", refused.sentence) for refused in against),
    ]
    if not against:
        rows.append(("", "nothing speaks against it"))
    return "\n".join(printable(f"{name:<11} {value}".strip()) for name, value in rows)


def confirm(lines: Sequence[str], yes: bool, ask: Callable[[str], str] = input) -> bool:
    """Says what will be done, and asks, unless `yes`. Raises `UsageError` where nobody can be asked."""
    print("\n".join(lines), file=sys.stderr)
    if yes:
        return True
    if not sys.stdin.isatty():
        raise UsageError("nobody to ask here: --yes goes on without asking, --dry-run only looks")
    sys.stderr.write("Continue? [y/N] ")
    sys.stderr.flush()
    try:
        return ask("").strip().lower() in ("y", "yes")
    except EOFError:
        return False


def what_it_does(program: Program) -> str:
    """Why its main thread does not run Python, as far as the kernel shows."""
    seen = look(program.pid)
    state = seen.state if isinstance(seen, Program) else ""
    return _DOING.get(state, "its main thread is in a library's code")


def stop(outcome: handover.Outcome, by: handover.Mechanism) -> str:
    """How long the program was stopped, in words."""
    if by == "remote":
        return "the program was not stopped"
    return f"one thread of it was stopped for {outcome.stopped_seconds * 1e3:.2f} ms"


def on_wait(program: Program, wait: float, by: handover.Mechanism) -> Callable[[], None]:
    """What to say where it takes long."""
    risk = ", and until then a signal sent to it may be lost" if by == "remote" else ""
    return lambda: say(
        f"process {program.pid}: {what_it_does(program)}; waiting up to {wait:g} s until that returns{risk} "
        "(Ctrl-C here takes the request back)",
        sys.stderr,
    )


def failed(program: Program, kind: str, details: str, wait: float) -> Refused:
    """Why a request came to nothing."""
    if kind == "taken-back":
        return refuse(Objection.NOT_RUN, program, wait=wait, doing=what_it_does(program))
    if kind == "ended":
        return refuse(Objection.ENDED, program)
    if kind == "refused" and "not enabled" in details:
        return refuse(Objection.DEBUGGING_OFF, program)
    return refuse(
        Objection.KERNEL if kind == "refused" else Objection.FAILED, program, reason=details or "no reason given"
    )
