"""Run a program with the agent in it, so that the server sees inside: blackbox run -- python train.py

The program's exit code, output and signals are its own; every Python it starts gets the agent as well.
BLACKBOX_AGENT=0 keeps the agent out, here and everywhere.
"""

import os
import sys
from argparse import REMAINDER, ArgumentParser, Namespace
from collections.abc import Mapping
from pathlib import Path

from blackbox.errors import UsageError

EXIT_NOT_EXECUTABLE, EXIT_NOT_FOUND = 126, 127
"""The codes that shells, `env` and `nice` use, too."""
SHIM = Path(__file__).parents[2] / "agent" / "shim"
"""On `PYTHONPATH` it brings the agent into Pythons that have no Blackbox installed."""


def configure(parser: ArgumentParser) -> None:
    """What the agent should do, and the program."""
    parser.add_argument("--socket", metavar="PATH", help="the server's agent socket (default: found by itself)")
    parser.add_argument(
        "--extras", metavar="NAMES", help="what costs more, separated by commas: threads, history, cupti"
    )
    parser.add_argument("--ncu", action="store_true", help="under Nsight Compute, which counts in every kernel (slow)")
    parser.add_argument(
        "--attach",
        type=int,
        metavar="PID",
        help="with --ncu: instead of starting a program, measure this one, which runs already (ncu 2026.2.1 and newer)",
    )
    parser.add_argument("program", nargs=REMAINDER, metavar="-- PROGRAM ...", help="the program and its arguments")


def run(arguments: Namespace) -> int:
    """Becomes the program."""
    program: list[str] = arguments.program
    if program[:1] == ["--"]:
        program = program[1:]
    if arguments.attach is not None:
        return _attach(arguments, program)
    if not program:
        raise UsageError("which program? blackbox run -- PROGRAM ...")
    sys.stdout.flush()
    changed = environment(os.environ, arguments.socket, arguments.extras)
    if arguments.ncu:
        from blackbox.cli.commands import run_ncu

        return run_ncu.run(program, changed)
    try:
        os.execvpe(program[0], program, changed)  # noqa: S606 - there is no shell on purpose
    except OSError as error:
        print(f"blackbox run: {program[0]}: {error.strerror}", file=sys.stderr)
        return EXIT_NOT_FOUND if isinstance(error, FileNotFoundError) else EXIT_NOT_EXECUTABLE
    except ValueError as error:
        raise UsageError(f"{program[0]!r}: {error}") from None


def _attach(arguments: Namespace, program: list[str]) -> int:
    if program or not arguments.ncu or arguments.attach <= 0:
        raise UsageError("--attach PID goes with --ncu and without a program: blackbox run --ncu --attach PID")
    from blackbox.cli.commands import run_ncu

    return run_ncu.attach(arguments.attach, os.environ)


def environment(environ: Mapping[str, str], socket: str | None, extras: str | None) -> dict[str, str]:
    """The program's environment."""
    python_path = [str(SHIM), *filter(None, [environ.get("PYTHONPATH")])]
    changed = {"PYTHONPATH": os.pathsep.join(python_path)}
    changed["BLACKBOX_AGENT"] = environ.get("BLACKBOX_AGENT") or "1"
    if socket is not None:
        changed["BLACKBOX_AGENT_SOCKET"] = os.path.abspath(socket)  # noqa: PTH100 - the program may change folder
    if extras is not None:
        changed["BLACKBOX_AGENT_EXTRAS"] = extras
    return {**environ, **changed}
