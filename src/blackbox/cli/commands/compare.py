"""Print what is new, gone, grown or shrunk between two times, by process, by type of block and by stack.

A and B can be memory snapshots of PyTorch instead (.pickle): then it is told between their peaks, by category and by
stack. A folder of such files, one of each rank of a job, or a file that holds them all, gives one table: who holds how
much, who was refused first.

examples:
  blackbox compare 2h 1h
  blackbox compare before.pickle after.pickle --html difference.html
  blackbox compare ranks/
"""

from argparse import ArgumentParser, Namespace
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from blackbox.cli.common import parsers, query_arguments, server_arguments, snapshot_arguments
from blackbox.cli.common.screen import screen_of
from blackbox.errors import UsageError
from blackbox.paths import SNAPSHOT_SUFFIXES

if TYPE_CHECKING:
    from blackbox.model.query import Comparison, ProcessChange, StackChange

TYPES_MAX = 5
"""Types of blocks per process; the largest differences come first, and --json has all."""
STACKS_MAX = 5
"""Stacks per process, likewise."""


def configure(parser: ArgumentParser) -> None:
    """What to compare, and whom to ask."""
    parser.epilog = query_arguments.TIMES
    parser.add_argument("a", metavar="A", help="the earlier time; or a .pickle, or a folder of them")
    parser.add_argument("b", nargs="?", metavar="B", help="the later time (default: now); or a .pickle")
    parser.add_argument("--gpu", metavar="GPU", help="of times: one GPU only, its index or UUID")
    parser.add_argument("--json", action="store_true", help="print everything as JSON, on one line")
    parser.add_argument("--html", metavar="PAGE", help="of two .pickle: also write a page with both over time")
    snapshot_arguments.add_rules_flag(parser)
    server_arguments.add_server_flags(parser)


def run(arguments: Namespace) -> int:
    """Prints the differences."""
    if _is_of_files(arguments):
        from blackbox.cli.commands import compare_files

        return compare_files.run(arguments)
    from blackbox.client.queries import answer, compare
    from blackbox.model.query import Comparison

    before = query_arguments.time_text("A", arguments.a) or ""
    after = query_arguments.time_text("B", arguments.b)
    body = query_arguments.ask(arguments, compare(before, after, arguments.gpu))
    screen = screen_of(arguments)
    if screen is not None:
        from blackbox.cli.screens import difference

        found = answer(body, Comparison)
        screen = screen.below_demo(found.simulated)
        screen.show(difference.lines(found, query_arguments.gpu_labels(arguments), screen))
    elif arguments.json:
        query_arguments.print_json(body, compact=True)
    else:
        print("\n".join(lines(answer(body, Comparison), query_arguments.gpu_labels(arguments))))
    return 0


def _is_of_files(arguments: Namespace) -> bool:
    """Whether snapshot files are to be compared. Raises `UsageError` where only half of what was said is of files."""
    a, b = arguments.a, arguments.b
    if snapshot_arguments.is_pickle(a) and snapshot_arguments.is_pickle(b):
        return True
    if b is None and (snapshot_arguments.is_pickle(a) or (not query_arguments.is_time(a) and parsers.path(a).is_dir())):
        return True
    if snapshot_arguments.is_pickle(a) or snapshot_arguments.is_pickle(b):
        raise UsageError("two snapshots are compared, or a folder of them: a snapshot and a time cannot be")
    if arguments.rules is not None or arguments.html is not None:
        flag = "--html" if arguments.rules is None else "--rules"
        raise UsageError(f"{flag} is for PyTorch snapshots ({', '.join(SNAPSHOT_SUFFIXES)})")
    return False


def lines(found: "Comparison", labels: Mapping[str, str]) -> Iterator[str]:
    """The comparison for people. `labels`: what GPUs are called, by UUID."""
    from blackbox.model.text import signed, size
    from blackbox.terminal.demo import DEMO

    if found.simulated:
        yield DEMO
    yield f"{found.a.timestamp} to {found.b.timestamp}: used {size(found.a.used_bytes)}, then " + (
        f"{size(found.b.used_bytes)} ({signed(found.delta_bytes)})"
    )
    for change in found.processes:
        yield from _change(change, labels)
    yield f"{found.unchanged} unchanged"


def _change(change: "ProcessChange", labels: Mapping[str, str]) -> Iterator[str]:
    from blackbox.model.text import signed, size, who
    from blackbox.terminal.ledger import place_label

    sides = f"{size(change.before_bytes)}, then {size(change.after_bytes)}"
    place = f"{place_label(labels, change.gpu_uuid, change.gpu)}  {who(change.name, change.pid)}"
    yield f"{signed(change.delta_bytes):>12}  {change.change:<7}  {place}: {sides}"
    for reason in dict.fromkeys(reason for key, reason in change.unknown.items() if key != "stacks"):
        yield f"{'':>12}  not measured: {reason}"
    if change.change in ("new", "gone"):
        return
    for kind in change.types[:TYPES_MAX]:
        name = kind.type if kind.subtype is None else f"{kind.type} ({kind.subtype})"
        yield f"{signed(kind.delta_bytes):>24}  {name}, {kind.before_blocks} blocks, then {kind.after_blocks}"
    for stack in change.stacks[:STACKS_MAX]:
        delta = "not known" if "delta_bytes" in stack.unknown else signed(stack.delta_bytes)
        sides = f"{_side(stack, 'before_bytes')}, then {_side(stack, 'after_bytes')}"
        yield f"{delta:>24}  {_origin(stack)}: {sides}"


def _side(stack: "StackChange", key: str) -> str:
    from blackbox.model.text import size

    return "not told" if key in stack.unknown else size(getattr(stack, key))


def _origin(stack: "StackChange") -> str:
    """What for, and the line of the program's own code."""
    from blackbox.analysis.stacks import own_frame

    what = stack.type if stack.subtype is None else f"{stack.type} ({stack.subtype})"
    return f"{what}, from {own_frame(stack.frames)}" if stack.frames else "from unknown stacks"
