"""Tell which programs report from inside, what each one tells, and why not more.

Beside them: the recording, the inference engines found, and the sources that fail. --json prints what each process
tells as JSON ('GET /vram/coverage').
"""

import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from blackbox.cli.common import query_arguments, server_arguments
from blackbox.cli.common.paragraphs import say

if TYPE_CHECKING:
    from blackbox.model.about import ProcessCoverage
    from blackbox.model.snapshot import Snapshot

SUBJECT_WIDTH = 10


def configure(parser: ArgumentParser) -> None:
    """Of what, and whom to ask."""
    parser.add_argument("--gpu", metavar="GPU", help="one GPU only: its index or UUID")
    query_arguments.add_json_flags(parser)
    server_arguments.add_server_flags(parser)


def run(arguments: Namespace) -> int:
    """Prints a line per process and what it does not tell."""
    from blackbox.client import StatusError
    from blackbox.client.queries import answer, coverage, snapshot
    from blackbox.model.about import Coverage
    from blackbox.model.snapshot import Snapshot

    body = query_arguments.ask(arguments, coverage(arguments.gpu))
    if arguments.json:
        query_arguments.print_json(body, compact=True)
        return 0
    newest = answer(query_arguments.ask(arguments, snapshot(arguments.gpu, "none")), Snapshot)
    try:
        reach = query_arguments.reach(arguments)
        recording = "empty" if reach is None else _since(*reach)
    except StatusError as error:
        recording = f"none: {error}"
    for line in lines(newest, answer(body, Coverage).processes, recording):
        say(line, sys.stdout, hang=2)
    return 0


def lines(snapshot: "Snapshot", processes: "Sequence[ProcessCoverage]", recording: str) -> Iterator[str]:
    """The answer for people."""
    from blackbox.terminal.figures import plural
    from blackbox.terminal.ledger import gpu_labels, place_label

    gpus = sum(gpu.parent_uuid is None for gpu in snapshot.gpus)
    demo = " (DEMO: simulated)" if snapshot.simulated else ""
    yield _line("server", f"sees {plural(gpus, 'GPU')}{demo}, sample {snapshot.seq}")
    yield _line("recording", recording)
    reporting = sum(bool(one.sources) for one in processes)
    yield _line("agents", f"{reporting} of {plural(len(processes), 'process', 'processes')} on GPUs report from inside")
    for engine in snapshot.engines:
        why = "; ".join(f"{key}: {reason}" for key, reason in engine.unknown.items())
        yield _line("engine", f"{engine.kind} {engine.model or ''} (pid {engine.pid})" + (f"; {why}" if why else ""))
    for source in snapshot.sources:
        if source.state != "ok":
            yield _line("source", f"{source.name}: {source.state}: {source.reason or 'no reason told'}")
    labels = gpu_labels(snapshot)
    for one in processes:
        yield ""
        by = f", by {', '.join(one.sources)}" if one.sources else ""
        place = place_label(labels, one.gpu_uuid, one.gpu)
        yield f"{one.name} {one.pid} on {place} tells {', '.join(one.told) or 'nothing'}{by}"
        for parts, reason in _by_reason(one.missing):
            yield f"  {parts}: n/a: {reason}"


def _by_reason(missing: dict[str, str]) -> Iterator[tuple[str, str]]:
    """What is missing for the same reason stands together."""
    for reason in dict.fromkeys(missing.values()):
        yield ", ".join(part for part, why in missing.items() if why == reason), reason


def _line(subject: str, text: str) -> str:
    return f"{subject:<{SUBJECT_WIDTH}} {text}"


def _since(start: float, end: float) -> str:
    from blackbox.model.times import local_text
    from blackbox.terminal.figures import span

    return f"reaches from {local_text(start)} to {local_text(end)} ({span(end - start)})"
