"""Attaches to every kind of program on every Python at hand, many times: python -m tests.attach_matrix [--rounds N]

Takes an hour or more; one program at a time. Prints a line for each; exit code 1 where a program noticed.
"""

import argparse
import sys
import tempfile
import traceback
from pathlib import Path

from blackbox.injection.handover import Mechanism
from tests.agent_rig import AgentServer
from tests.attach_rig import KINDS, PYTORCH, go_round
from tests.python314_environment import python as python314

PYTHONS = ("3.9", "3.10", "3.11", "3.12", "3.13", "3.14")
ROUNDS = 50


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.attach_matrix", description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--kind", action="append", choices=[*KINDS, PYTORCH], help="(default: all)")
    parser.add_argument("--python", action="append", metavar="PATH", help="an interpreter (default: those of pyenv)")
    parser.add_argument("--remote", action="store_true", help="by remote debugging, for 3.14 (default: by the detour)")
    arguments = parser.parse_args()
    mechanism: Mechanism = "remote" if arguments.remote else "detour"
    pythons = [Path(one) for one in arguments.python or ()] or at_hand()
    noticed = 0
    for python in pythons:
        for kind in arguments.kind or KINDS:
            noticed += not one(python, kind, arguments.rounds, mechanism)
    return 1 if noticed else 0


def at_hand() -> list[Path]:
    """Interpreters of pyenv, and the 3.14 that the tests unpack."""
    versions = Path.home() / ".pyenv" / "versions"
    found = [path for version in PYTHONS for path in sorted(versions.glob(f"{version}.*/bin/python{version}"))]
    return [*found, python314()]


def one(python: Path, kind: str, rounds: int, mechanism: Mechanism) -> bool:
    """Whether the program did not notice; prints a row of a table."""
    with tempfile.TemporaryDirectory() as folder, AgentServer(Path(folder)) as server:
        try:
            outcomes = go_round(python, Path(folder), server, kind, rounds, mechanism)
        except AssertionError as error:
            where = traceback.extract_tb(error.__traceback__)[-1]
            print(f"| {python.name} | {kind} | NOTICED: {where.line}: {error} |", flush=True)
            return False
    stops = sorted(outcome.stopped_seconds * 1e3 for outcome in outcomes)
    figures = f"{stops[len(stops) // 2]:.2f} | {stops[int(len(stops) * 0.95)]:.2f} | {stops[-1]:.2f}"
    print(f"| {python.name} | {kind} | {rounds} of {rounds} | {len(outcomes)} | {figures} |", flush=True)
    return True


if __name__ == "__main__":
    sys.exit(main())
