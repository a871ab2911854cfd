"""What a fleet holds, on one screen: at a time, by holder, and in vain."""

from collections.abc import Iterator

from blackbox.cli.common.screen import Screen
from blackbox.cli.screens.fleet_cover import amount, cover_lines, hours, more, table
from blackbox.model.fleet import FleetAt, FleetHolder, FleetMachineAt, FleetProcess, FleetTop, FleetWaste
from blackbox.model.text import size
from blackbox.model.times import local_text
from blackbox.terminal.figures import ABSENT, clock, gib, percent, plural
from blackbox.terminal.layout import EMPTY, Fragment, TextLine, spread, wrapped
from blackbox.terminal.looks import palette

MACHINE_SHARE = 3
"""One line of so many is for machines; the processes on them have the others."""
LINES_MIN = 3
"""Of each table, however low the screen."""
HOLDER_HEADS = {"slurm_job": "JOB", "name": "PROGRAM", "host": "MACHINE"}
UNKNOWN_HOLDER = "(not known)"


def at_lines(found: FleetAt, screen: Screen) -> Iterator[TextLine]:
    """Machines, the fullest first, and the largest processes."""
    top = [*_head("FLEET", found.asked, found, screen), *_unmeasured(found, screen), *cover_lines(found.cover, screen)]
    yield from top
    if not found.machines:
        return
    room = max(2 * LINES_MIN, screen.height - len(top) - 5)
    machines = found.machines[: max(LINES_MIN, room // MACHINE_SHARE)]
    heads = ("MACHINE", " GPUS", " USED GiB", " OF GiB", " SHARE", " PROCESSES", "AS OF")
    yield from table(heads, (_machine(one, found.asked) for one in machines), screen)
    yield from more(len(found.machines) - len(machines), "machine", "--json or --machine shows them", screen)
    yield EMPTY
    processes = found.processes[: max(LINES_MIN, room - len(machines))]
    heads = ("MACHINE", " GPU", " PID", "PROGRAM", "USER", "JOB OR POD", " USED GiB", " RESERVED", " LIVE")
    yield from table(heads, map(_process, processes), screen)
    rest = len(found.processes) - len(processes) + found.processes_omitted
    yield from more(rest, "process", "--json or --machine shows them", screen, "processes")


def top_lines(found: FleetTop, screen: Screen) -> Iterator[TextLine]:
    """The largest holders, and all of them together."""
    words = palette(screen.depth)
    left = (Fragment("FLEET", words.strong), Fragment(f"  {local_text(found.asked)}", words.soft))
    yield spread(left, (Fragment(f"{amount(found.all.used_bytes)} GiB used by processes"),), screen.width)
    yield from cover_lines(found.cover, screen)
    head = HOLDER_HEADS.get(found.by, found.by.upper())
    heads = (head, " MACHINES", " GPUS", " PROCESSES", " USED GiB", " RESERVED", " LIVE")
    rows = [_holder(one.name or UNKNOWN_HOLDER, one) for one in found.holders]
    yield from table(heads, [*rows, _holder("all", found.all)], screen)
    if found.all.silent:
        text = f"{plural(found.all.silent, 'process tells', 'processes tell')} nothing of an allocator: "
        yield EMPTY
        for line in wrapped(text + "they are in neither RESERVED nor LIVE.", screen.width, 2):
            yield (Fragment(line, words.soft),)


def waste_lines(found: FleetWaste, screen: Screen) -> Iterator[TextLine]:
    """What was reserved and never used, and GPUs that were given to a job or a pod and left empty."""
    words = palette(screen.depth)
    yield (
        Fragment("WASTE", words.strong),
        Fragment(f"  {local_text(found.since)} to {local_text(found.until)}", words.soft),
    )
    yield from cover_lines(found.cover, screen)
    yield (Fragment("Reserved and never used, at least (GiB times hours):", words.strong),)
    head = HOLDER_HEADS.get(found.by, found.by.upper())
    rows = [
        (
            one.name or UNKNOWN_HOLDER,
            f"{one.machines:,}",
            f"{one.processes:,}",
            hours(one.held_byte_hours),
            hours(one.never_used_byte_hours),
            percent(100 * one.never_used_byte_hours / one.held_byte_hours),
        )
        for one in found.wasters
    ]
    if rows:
        yield from table((head, " MACHINES", " PROCESSES", " HELD", " NEVER USED", " SHARE"), rows, screen)
    else:
        yield (Fragment("None, of processes whose allocators tell.", words.soft),)
    if found.silent_processes:
        told = plural(found.silent_processes, "process tells", "processes tell")
        for line in wrapped(f"{told} nothing of an allocator ('blackbox run' makes it tell).", screen.width, 2):
            yield (Fragment(line, words.soft),)
    yield EMPTY
    yield (Fragment("Given to a job or a pod, and empty:", words.strong),)
    yield from _empty(found, screen)


def _empty(found: FleetWaste, screen: Screen) -> Iterator[TextLine]:
    soft = palette(screen.depth).soft
    if not found.allocations:
        told = "No scheduler tells this database what it gives, and no kubelet does (docs/fleet.md)."
        for line in wrapped(told, screen.width, 2):
            yield (Fragment(line, soft),)
    elif not found.empty:
        yield (Fragment(f"None of {plural(found.allocations, 'GPU')}.", soft),)
    else:
        rows = [
            (
                one.host,
                one.gpu_uuid,
                f"{one.scheduler} {one.job}",
                one.user or ABSENT,
                f"{one.empty_minutes:,}",
                f"{one.seen_minutes:,}",
            )
            for one in found.empty
        ]
        yield from table(("MACHINE", "GPU", "JOB", "USER", " EMPTY min", " OF min"), rows, screen)


def _head(word: str, asked: float, found: FleetAt, screen: Screen) -> Iterator[TextLine]:
    words, ledger = palette(screen.depth), found.ledger
    share = percent(100 * ledger.used_bytes / ledger.total_bytes) if ledger.total_bytes else ABSENT
    right = f"{size(ledger.used_bytes)} of {size(ledger.total_bytes)} used, {share}"
    left = (Fragment(word, words.strong), Fragment(f"  {local_text(asked)}", words.soft))
    yield spread(left, (Fragment(right),), screen.width)


def _unmeasured(found: FleetAt, screen: Screen) -> Iterator[TextLine]:
    """What is missing in the sum above it, where something is."""
    if count := found.ledger.unmeasured_gpus:
        text = f"Of {plural(count, 'GPU')} nobody measured the memory: in no sum here."
        yield (Fragment(text, palette(screen.depth).warn),)


def _machine(one: FleetMachineAt, today: float) -> tuple[str, ...]:
    ledger = one.ledger
    share = percent(100 * ledger.used_bytes / ledger.total_bytes) if ledger.total_bytes else ABSENT
    used, total = gib(ledger.used_bytes), gib(ledger.total_bytes)
    return one.host, f"{one.gpus}", used, total, share, f"{one.processes:,}", clock(one.timestamp, today)


def _process(one: FleetProcess) -> tuple[str, ...]:
    gpu = ABSENT if one.gpu is None else str(one.gpu)
    held = (amount(one.used_bytes), amount(one.reserved_bytes), amount(one.allocated_bytes))
    return one.host, gpu, str(one.pid), one.name or ABSENT, one.user or ABSENT, workload(one), *held


def workload(one: FleetProcess) -> str:
    """Slurm job or pod, whichever is known."""
    if one.slurm_job is not None:
        return f"slurm {one.slurm_job}"
    if one.pod is not None:
        return one.pod if one.namespace is None else f"{one.namespace}/{one.pod}"
    return ABSENT if one.pod_uid is None else f"pod {one.pod_uid}"


def _holder(name: str, one: FleetHolder) -> tuple[str, ...]:
    counts = (f"{one.machines:,}", f"{one.gpus:,}", f"{one.processes:,}")
    return name, *counts, amount(one.used_bytes), amount(one.reserved_bytes), amount(one.allocated_bytes)
