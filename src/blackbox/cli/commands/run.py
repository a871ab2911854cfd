"""Run a program with the agent in it, so that the server sees inside: blackbox run -- python train.py

The program's exit code, output and signals are its own; every Python it starts gets the agent as well. At a terminal
a line on stderr tells before it whether a server listens, and one after it what was recorded (not with --quiet).
BLACKBOX_AGENT=0 keeps the agent out, here and everywhere.
"""

import os
import sys
from argparse import REMAINDER, ArgumentParser, Namespace

from blackbox import launch
from blackbox.errors import UsageError


def configure(parser: ArgumentParser) -> None:
    """What the agent should do, and the program."""
    parser.add_argument("--socket", metavar="PATH", help="the server's agent socket (default: found by itself)")
    parser.add_argument(
        "--extras", metavar="NAMES", help=f"what costs more, separated by commas: {', '.join(launch.EXTRAS)}"
    )
    parser.add_argument("-q", "--quiet", action="store_true", help="say nothing, not even at a terminal")
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
    _refuse_unknown_extras(arguments.extras)
    sys.stdout.flush()
    changed = launch.environment(os.environ, arguments.socket, arguments.extras)
    if arguments.ncu:
        from blackbox.cli.commands import run_ncu

        return run_ncu.run(program, changed)
    try:
        if launch.is_watched(is_quiet=arguments.quiet):
            from blackbox.cli.commands import run_watched

            return run_watched.run(program, changed)
        return launch.become(program, changed)
    except ValueError as error:
        raise UsageError(f"{program[0]!r}: {error}") from None


def _refuse_unknown_extras(text: str | None) -> None:
    """Raises `UsageError`. A probe of the user's own may know others, which the variable takes."""
    from blackbox.model.text import did_you_mean

    for word in filter(None, (part.strip().lower() for part in (text or "").split(","))):
        if word not in launch.EXTRAS:
            hint = did_you_mean(word, launch.EXTRAS)
            raise UsageError(f"--extras: {word!r} is none of {', '.join(launch.EXTRAS)}{hint}")


def _attach(arguments: Namespace, program: list[str]) -> int:
    if program or not arguments.ncu or arguments.attach <= 0:
        raise UsageError("--attach PID goes with --ncu and without a program: blackbox run --ncu --attach PID")
    from blackbox.cli.commands import run_ncu

    return run_ncu.attach(arguments.attach, os.environ)
