"""The first sentence on a screen: which GPU fills, how soon, who grew, who else is hit. It rests on the server's own
predictions; where there are none it says so."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from blackbox.model.forecast import Forecast, Outlook
from blackbox.model.query import NumberedEvent
from blackbox.model.snapshot import Process
from blackbox.model.text import size
from blackbox.terminal import figures
from blackbox.terminal.ledger import GpuLedger, gpu_label, process_label
from blackbox.terminal.purposes import LOOK_OF

ALARM_SECONDS_MAX = 1800
"""Fuller later than this is told in the calm line, not as an alarm."""


class Verdict(NamedTuple):
    """The most urgent prediction, and whom it concerns."""

    ledger: GpuLedger
    outlook: Outlook
    """Of the GPU, or of the process that fills it, whichever comes first."""
    full_in_seconds: float
    process: Process | None
    """The process that grows; None where the GPU fills and no single process does."""
    others: tuple[Process, ...]
    """On the same GPU: they are hit too."""
    earlier: tuple[NumberedEvent, ...]
    """Refusals on the same GPU before, the newest last."""

    @property
    def is_alarm(self) -> bool:
        """Soon enough to act now."""
        return self.full_in_seconds <= ALARM_SECONDS_MAX


def filling(forecast: Forecast | None, gpu_uuid: str, pid: int | None = None) -> Outlook | None:
    """The soonest prediction for a GPU, or for a process on it; None where there is none."""
    if forecast is None:
        return None
    rows = forecast.processes if pid is not None else (*forecast.gpus, *forecast.processes)
    found = [
        row
        for row in rows
        if row.full_in_seconds is not None and row.gpu_uuid == gpu_uuid and (pid is None or row.pid == pid)
    ]
    return min(found, key=lambda row: row.full_in_seconds or 0.0, default=None)


def verdict(forecast: Forecast | None, leaves: Sequence[GpuLedger], events: Sequence[NumberedEvent]) -> Verdict | None:
    """The most urgent; None where nothing fills, or nobody can tell."""
    candidates = [(found, leaf) for leaf in leaves if (found := filling(forecast, leaf.gpu.uuid)) is not None]
    if not candidates or forecast is None:
        return None
    outlook, leaf = min(candidates, key=lambda one: one[0].full_in_seconds or 0.0)
    processes = tuple(one.process for one in leaf.processes)
    grower = outlook.pid if outlook.pid is not None else outlook.grower.pid if outlook.grower is not None else None
    process = next((one for one in processes if one.pid == grower), processes[0] if len(processes) == 1 else None)
    return Verdict(
        leaf,
        outlook,
        outlook.full_in_seconds or 0.0,
        process,
        tuple(one for one in processes if one is not process),
        tuple(one for one in events if one.kind == "oom" and one.gpu_uuid == leaf.gpu.uuid),
    )


def headline(found: Verdict) -> str:
    """`GPU 2 / MIG 1 is full in about 50 s (45 s to 55 s, at +10.7 GiB/min)`."""
    low, high = found.outlook.full_in_seconds_min, found.outlook.full_in_seconds_max
    between = "" if low is None or high is None else f"{figures.between(low, found.full_in_seconds, high)}, "
    rate = found.outlook.evidence.rate_bytes_per_second if found.outlook.evidence else 0.0
    when = figures.about(found.full_in_seconds)
    return f"{gpu_label(found.ledger.gpu)} is full in {when} ({between}at {figures.per_minute(rate)})"


def who_grew(found: Verdict, now: float) -> str:
    """`python 49070, bob: +22.8 GiB in 2 min 8 s, since 17:12:02, for activations, at layers.py:52 attention`."""
    if found.process is None:
        return f"{figures.ABSENT}: more than one process grows, or none that is listed"
    one = found.process
    text = process_label(one.name, one.pid) + (f", {one.user}" if one.user else "")
    grower = found.outlook.grower
    rise = found.outlook.evidence
    if rise is not None:
        since = grower.since if grower is not None else found.outlook.since or rise.from_
        grown = f"{figures.change(rise.rise_bytes)} in {figures.span(rise.rise_seconds)}"
        text += f": {grown}, since {figures.clock(since, now)}"
    origin = grower.origin if grower is not None else None
    if origin is None or origin.purpose is None:
        return f"{text}; what for is {figures.ABSENT}: no allocator reports from it"
    stack = f", at {origin.frames[0]}" if origin.frames else ""
    return f"{text}, for {LOOK_OF[origin.purpose].name if origin.purpose in LOOK_OF else origin.purpose}{stack}"


def seen_before(found: Verdict, now: float) -> str | None:
    """Failures of the same stack, or refusals on the same GPU; None without any."""
    origin = found.outlook.grower.origin if found.outlook.grower is not None else None
    earlier = origin.earlier_failures if origin is not None else None
    if earlier is not None:
        times = f"{figures.plural(earlier.count, 'time')}, last" if earlier.count > 1 else "once,"
        return f"the same stack ran out of memory {times} at {figures.clock(earlier.last_at, now)}"
    if not found.earlier:
        return None
    *before, last = found.earlier
    times = f"{len(before) + 1} times, last" if before else "once,"
    return f"memory was refused here {times} at {figures.clock(last.timestamp, now)}"


def if_nothing_is_done(found: Verdict, now: float) -> str:
    """Who is refused memory at about what time, and who else is hit. A prediction."""
    who = process_label(found.process.name, found.process.pid) if found.process is not None else "the next to ask"
    last = found.earlier[-1].pid if found.earlier else None
    ends = f" and likely ends, as {last} did" if last is not None else ""
    place = "GPU" if found.ledger.gpu.mig is None else "slice"
    hit = (
        f"Nobody else is on this {place}, so nobody else is hit."
        if not found.others
        else f"Hit as well: {', '.join(process_label(one.name, one.pid) for one in found.others)}."
    )
    full = figures.clock(now + found.full_in_seconds, now)
    return f"{who} is refused memory at about {full}{ends}. {hit}"


def calm(
    forecast: Forecast | None, leaves: Sequence[GpuLedger], found: Verdict | None, unknown: str | None = None
) -> str:
    """`3 GPUs, none has a trend that fills it. Highest: GPU 0, 68.1 of 79.6 GiB.` `unknown`: why nobody can tell."""
    if not leaves:
        return "No GPU that Blackbox can see."
    measured = [leaf for leaf in leaves if leaf.gpu.unknown.keys().isdisjoint(("used_bytes", "total_bytes"))]
    highest = max(measured, key=lambda leaf: leaf.gpu.used_percent, default=None)
    if forecast is None:
        soonest = f"whether one fills is not known: {unknown or 'the forecast has not come yet'}"
    else:
        others = untold(forecast, {leaf.gpu.uuid: gpu_label(leaf.gpu) for leaf in leaves})
        if found is None:
            soonest = others or ("no trend fills it" if len(leaves) == 1 else "none has a trend that fills it")
        else:
            first = "the first" if others is None else "the first of those that are known"
            soonest = f"{first}, {gpu_label(found.ledger.gpu)}, fills in {figures.about(found.full_in_seconds)}"
    count = len({leaf.gpu.parent_uuid or leaf.gpu.uuid for leaf in leaves})
    told = f"{figures.plural(count, 'GPU')}, {soonest}."
    if highest is None:
        return told
    used, total = figures.gib(highest.gpu.used_bytes), size(highest.gpu.total_bytes)
    return f"{told} Highest: {gpu_label(highest.gpu)}, {used} of {total}."


def untold(forecast: Forecast, labels: Mapping[str, str]) -> str | None:
    """Of which GPUs of `labels` (by UUID) nobody can tell whether they fill, and why or until when; None where that is
    known of all."""
    outlooks = [one for one in forecast.gpus if one.gpu_uuid in labels]
    found = [one for one in outlooks if "full_in_seconds" in one.unknown]
    early = [one.predictable_from for one in found if one.predictable_from is not None]
    if not found:
        return None
    if len(early) == len(outlooks):
        which, whys = "it" if len(outlooks) == 1 else "one", {one.unknown["full_in_seconds"] for one in found}
        at = figures.clock(min(early), forecast.timestamp)
        why = whys.pop() if len(whys) == 1 else "too little is recorded yet"
        return f"whether {which} fills cannot be told before {at}: {why}"
    told = "; ".join(
        f"whether {labels[one.gpu_uuid]} fills is not known{_why(one, forecast.timestamp)}" for one in found
    )
    return told if len(found) == len(outlooks) else f"no trend fills those that are known; {told}"


def _why(outlook: Outlook, now: float) -> str:
    before = "" if outlook.predictable_from is None else f" before {figures.clock(outlook.predictable_from, now)}"
    return f"{before}: {outlook.unknown['full_in_seconds']}"
