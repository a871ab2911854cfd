"""Lives, out-of-memories and machines of a fleet, a line each."""

from collections.abc import Iterator

from blackbox.cli.common.screen import Screen
from blackbox.cli.screens.fleet import workload
from blackbox.cli.screens.fleet_cover import amount, cover_lines, more, table
from blackbox.model.fleet import FleetLife, FleetMachine, FleetMachines, FleetOom, FleetOoms, FleetWhere
from blackbox.model.text import signal_name
from blackbox.model.times import local_text
from blackbox.terminal.figures import ABSENT, clock, plural, span
from blackbox.terminal.layout import Fragment, TextLine
from blackbox.terminal.looks import palette

MATCHED = {"pod": "pod", "pod_uid": "uid of a pod", "slurm_job": "Slurm job", "user": "user", "container": "container"}
MINUTE_SECONDS = 60


def where_lines(found: FleetWhere, screen: Screen) -> Iterator[TextLine]:
    """Every life, the last seen first."""
    words = palette(screen.depth)
    as_what = " and ".join(MATCHED[key] for key in found.matched)
    yield (
        Fragment(found.what, words.strong),
        Fragment(f"  {as_what or 'nothing by that name'}, {_range(found.since, found.until)}", words.soft),
    )
    yield from cover_lines(found.cover, screen)
    if not found.matched:
        text = "No pod, job, user or container of that name held GPU memory. Names of users may be hashes."
        yield (Fragment(text, words.soft),)
        return
    heads = ("MACHINE", " GPU", " PID", "PROGRAM", "USER", "JOB OR POD", "FROM", "TO", " PEAK GiB", "END")
    yield from table(heads, (_life(one, found.until) for one in found.lives), screen)
    yield from more(found.omitted, "process", "--limit shows them", screen, "processes")


def oom_lines(found: FleetOoms, screen: Screen) -> Iterator[TextLine]:
    """Every out-of-memory, the newest first."""
    words = palette(screen.depth)
    count = len(found.ooms) + found.omitted
    yield (
        Fragment(plural(count, "out-of-memory", "out-of-memories"), words.strong if count else words.good),
        Fragment(f"  {_range(found.since, found.until)}", words.soft),
    )
    yield from cover_lines(found.cover, screen)
    if not found.ooms:
        return
    heads = ("WHEN", "MACHINE", " PID", "PROGRAM", "USER", "JOB OR POD", " ASKED GiB", " FREE", " OF", " EVENT")
    yield from table(heads, (_oom(one, found.until) for one in found.ooms), screen)
    yield from more(found.omitted, "out-of-memory", "--limit shows them", screen, "out-of-memories")


def machine_lines(found: FleetMachines, screen: Screen) -> Iterator[TextLine]:
    """Every machine, those that are behind first."""
    words = palette(screen.depth)
    yield (Fragment("MACHINES", words.strong), Fragment(f"  {local_text(found.asked)}", words.soft))
    yield from cover_lines(found.cover, screen)
    if not found.machines:
        return
    heads = ("MACHINE", "STATE", " BEHIND", " GAPS", "VERSION", "IDENTITY", "TENANT")
    yield from table(heads, (_machine(one, found.asked) for one in found.machines), screen)
    yield from more(found.cover.machines - len(found.machines), "machine", "--limit shows them", screen)


def _range(since: float, until: float) -> str:
    return f"{local_text(since)} to {local_text(until)}"


def _life(one: FleetLife, today: float) -> tuple[str, ...]:
    gpu = ABSENT if one.gpu is None else str(one.gpu)
    last = one.last_seen + MINUTE_SECONDS if one.ended_at is None else one.ended_at
    end = "" if one.ended is None else one.ended if one.signal is None else f"{one.ended} ({signal_name(one.signal)})"
    who = (one.host, gpu, str(one.pid), one.name or ABSENT, one.user or ABSENT, workload(one))
    start = one.first_seen if one.start_time is None else one.start_time
    return *who, clock(start, today), clock(last, today), amount(one.used_bytes), end


def _oom(one: FleetOom, today: float) -> tuple[str, ...]:
    if one.slurm_job is not None:
        work = f"slurm {one.slurm_job}"
    else:
        work = ABSENT if one.pod is None else f"{one.namespace or ''}/{one.pod}"
    who = (one.host, ABSENT if one.pid is None else str(one.pid), one.name or ABSENT, one.user or ABSENT, work)
    sizes = (amount(one.requested_bytes), amount(one.device_free_bytes), amount(one.device_total_bytes))
    return clock(one.timestamp, today), *who, *sizes, str(one.event_id)


def _machine(one: FleetMachine, now: float) -> tuple[str, ...]:
    behind = "never shipped" if one.shipped_until is None else span(now - one.shipped_until)
    if one.ahead_until is not None:
        behind += f", newest {span(now - one.ahead_until)}"
    host = f"{one.host} (simulated)" if one.simulated else one.host
    return host, one.state, behind, f"{one.gaps:,}", one.version, one.machine, one.tenant
