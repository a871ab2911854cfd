"""Bring the agent into a program that already runs, so that the server sees inside: blackbox attach PID

For programs of Python 3.14 and newer, of the same user (root: of any), on this machine. The program is not stopped: its
Python runs a line when it next can. With --experimental also for Python 3.9 and newer: one thread of it is stopped for
about a millisecond. 'blackbox detach PID' takes the agent out again. All of it is experimental: not tried on a GPU.
"""

import os
import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Mapping

from blackbox.cli.common import attaching, server_arguments
from blackbox.cli.common.paragraphs import say
from blackbox.errors import UsageError
from blackbox.injection import handover
from blackbox.injection.handover import Mechanism
from blackbox.injection.objections import OTHER_WAYS, Objection, Refused, objections
from blackbox.injection.program import Program

NOT_SEEN = (
    "Not seen: the stacks of memory that was allocated before (unless the program recorded them), and children that "
    "start later."
)


def configure(parser: ArgumentParser) -> None:
    """Which program, and how carefully."""
    attaching.add_flags(parser)
    parser.add_argument(
        "--all-gpu", action="store_true", help="all programs on a GPU that can be attached to, as the server lists them"
    )
    parser.add_argument("--socket", metavar="PATH", help="the server's agent socket (default: found by itself)")
    server_arguments.add_server_flags(parser)


def run(arguments: Namespace) -> int:
    """Looks, asks, attaches, tells."""
    if (arguments.pid is None) == (not arguments.all_gpu):
        raise UsageError("which program? blackbox attach PID, or blackbox attach --all-gpu")
    wait = attaching.wait_seconds(arguments)
    if arguments.all_gpu:
        return _all_gpu(arguments, wait)
    seen = attaching.chosen(arguments, _with_server(arguments) if arguments.dry_run else objections)
    if seen is None:
        return 0
    if isinstance(seen, Refused):
        return _refused(seen)
    socket = attaching.find_socket(arguments.socket)
    if isinstance(socket, Refused):
        return _refused(socket)
    by = attaching.mechanism(arguments)
    if not attaching.confirm(_what_will_be_done([seen], by), arguments.yes):
        return 1
    return _attach(seen, socket, wait, by)


def _with_server(arguments: Namespace) -> Callable[[Program, bool, bool], tuple[Refused, ...]]:
    """All that is looked at before anything is done, and so all that `--dry-run` tells."""
    socket = attaching.find_socket(arguments.socket)
    more = (socket,) if isinstance(socket, Refused) else ()
    return lambda program, experimental, as_root: objections(program, experimental, as_root) + more


def _all_gpu(arguments: Namespace, wait: float) -> int:
    seen = [attaching.look(number) for number in _on_gpus(arguments, os.environ)]
    left_alone = [one for one in seen if isinstance(one, Refused)]
    chosen: list[Program] = []
    for one in seen:
        if isinstance(one, Program):
            against = objections(one, arguments.experimental, os.geteuid() == 0)
            left_alone += against[:1]
            chosen += [] if against else [one]
    for refused in left_alone:
        say(f"left alone: {refused.sentence}", sys.stderr)
    if not chosen:
        say("no program on a GPU can be attached to", sys.stderr)
        return Objection.NO_FRAMEWORK.exit_code
    if arguments.dry_run:
        by = attaching.mechanism(arguments)
        print("\n\n".join(attaching.describe(program, (), by) for program in chosen))
        return 0
    socket = attaching.find_socket(arguments.socket)
    if isinstance(socket, Refused):
        return _refused(socket)
    by = attaching.mechanism(arguments)
    if not attaching.confirm(_what_will_be_done(chosen, by), arguments.yes):
        return 1
    return max(_attach(program, socket, wait, by) for program in chosen)


def _on_gpus(arguments: Namespace, environ: Mapping[str, str]) -> list[int]:
    snapshot = server_arguments.client(arguments, environ).snapshot(blocks="none")
    return sorted({process.pid for process in snapshot.processes})


def _what_will_be_done(chosen: list[Program], by: Mechanism) -> list[str]:
    programs = [f"  {program.pid:>7}  {program.name}  ({', '.join(program.frameworks)})" for program in chosen]
    return [
        "This writes into the memory of",
        *programs,
        *(["and stops its main thread for about a millisecond,"] if by == "detour" else []),
        "so that its Python starts the agent's thread when it next can. A fault here can end the program.",
        attaching.EXPERIMENTAL,
    ]


def _attach(program: Program, socket: str, wait: float, by: Mechanism) -> int:
    if not attaching.still_the_same(program):
        return _refused(Refused(Objection.GONE, Objection.GONE.sentence(pid=program.pid)))
    say(f"asked process {program.pid}; it is in when the program next runs Python", sys.stderr)
    outcome = handover.ask(program, "attach", socket, wait, attaching.on_wait(program, wait, by), by)
    if outcome.kind not in ("connected", "attached"):
        return _refused(attaching.failed(program, outcome.kind, outcome.details, wait))
    took = f"after {outcome.seconds:.1f} s, {attaching.stop(outcome, by)}"
    if not outcome.details:
        say(f"process {program.pid}: the agent is in ({took}), and found nothing there that uses a GPU", sys.stdout)
    elif outcome.kind == "attached":
        say(
            f"process {program.pid}: the agent is in ({took}), but has not reached the server at {socket} yet",
            sys.stdout,
        )
    else:
        say(f"process {program.pid}: the agent is in ({took}) and reports {outcome.details} to {socket}", sys.stdout)
        say("Seen from now on: the allocator's blocks and totals, purposes of tensors, KV pages.", sys.stdout)
    say(NOT_SEEN, sys.stdout)
    return 0


def _refused(refused: Refused) -> int:
    say(f"blackbox attach: {refused.sentence}\n{OTHER_WAYS}", sys.stderr)
    return refused.objection.exit_code
