"""Take the agent out of a program that goes on running: blackbox detach PID

Its thread and connection end; hooks that a framework cannot give back stay and do nothing. The same programs can be
reached as by 'blackbox attach', however the agent came in.
"""

import sys
from argparse import ArgumentParser, Namespace

from blackbox.cli.common import attaching
from blackbox.cli.common.paragraphs import say
from blackbox.errors import UsageError
from blackbox.injection import handover
from blackbox.injection.objections import Refused, objections_to_detach


def configure(parser: ArgumentParser) -> None:
    """Which program."""
    attaching.add_flags(parser)


def run(arguments: Namespace) -> int:
    """Looks, asks, detaches, tells."""
    if arguments.pid is None:
        raise UsageError("which program? blackbox detach PID")
    wait = attaching.wait_seconds(arguments)
    seen = attaching.chosen(arguments, objections_to_detach)
    if seen is None:
        return 0
    if isinstance(seen, Refused):
        return _refused(seen)
    lines = [
        f"This writes into the memory of process {seen.pid} ({seen.name}), so that its Python ends the agent's thread.",
        attaching.EXPERIMENTAL,
    ]
    if not attaching.confirm(lines, arguments.yes):
        return 1
    by = attaching.mechanism(arguments)
    outcome = handover.ask(seen, "detach", "", wait, attaching.on_wait(seen, wait, by), by)
    if outcome.kind not in ("detached", "absent"):
        return _refused(attaching.failed(seen, outcome.kind, outcome.details, wait))
    words = "the agent is out" if outcome.kind == "detached" else "no agent was in"
    print(f"process {seen.pid}: {words} (after {outcome.seconds:.1f} s, {attaching.stop(outcome, by)})")
    return 0


def _refused(refused: Refused) -> int:
    say(f"blackbox detach: {refused.sentence}", sys.stderr)
    return refused.objection.exit_code
