"""Evidence to report. Pure: every number is in the evidence, or is a difference of two that are."""

from collections.abc import Iterable, Sequence
from itertools import accumulate, pairwise

from blackbox.analysis.advice import advise
from blackbox.analysis.diagnosis import (
    AllocatorCache,
    FailedAllocation,
    FailedRequest,
    ProcessShare,
    UsageChange,
    uses_of_moment,
)
from blackbox.analysis.stacks import StackGrowth, growth_by_stack, growth_of_moment, live_by_stack
from blackbox.analysis.usage import (
    GpuSummary,
    ProcessOnGpu,
    SnapshotSummary,
    use_of,
)
from blackbox.analysis.verdict import verdict_of
from blackbox.merge.blocks import block_rows
from blackbox.model.parts import Allocator, BlockState
from blackbox.model.snapshot import Block, Snapshot, Stack
from blackbox.report.evidence import Evidence, lacks_history, refusal_of, told_device
from blackbox.report.explanation import explain, tell
from blackbox.report.limits import limit_of
from blackbox.report.report_data import Report
from blackbox.report.subject import ReportSubject, process_name, subject_of
from blackbox.report.titles import is_crash, largest_hole, title_of

THIRDS_MIN = 4
"""Instants known: of fewer no third of the time has a beginning and an end of its own."""
INACTIVE: BlockState = "inactive"


def build_report(evidence: Evidence) -> Report:
    """The report of the evidence."""
    subject = subject_of(evidence)
    uuid = subject.key.gpu_uuid if subject else _gpu_in_question(evidence)
    event = evidence.failure or evidence.about
    gpu = evidence.summaries[-1].gpus.get(uuid) if uuid else None
    processes = tuple(_processes(evidence, uuid, subject))
    cache = _cache(evidence, subject)
    request = _request(evidence, gpu, subject)
    uses = _uses(evidence, subject)
    blocks = _blocks(evidence, subject)
    growth = _growth(evidence, subject, blocks)
    failure = FailedAllocation(
        request=request,
        cache=cache,
        processes=processes,
        uses=uses,
        growth=growth,
        gpu=gpu,
        engines=evidence.last.engines,
        limit=limit_of(evidence, subject),
        trace_growth=_trace_growth(evidence),
        step_peaks=() if evidence.replayed is None else evidence.replayed.told.step_peaks,
    )
    found = verdict_of(failure)
    causes = tell(failure, found)
    return Report(
        title=title_of(evidence, request, subject, gpu),
        origin=evidence.origin,
        host=evidence.last.host,
        simulated=evidence.last.simulated,
        time=event.timestamp if event else evidence.summaries[-1].time,
        since=evidence.summaries[0].time,
        gpu_uuid=uuid,
        gpu=gpu,
        request=request,
        causes=causes,
        why=tuple(explain(failure, causes)),
        cache=cache,
        subject=process_name(subject.held.name, subject.key.pid) if subject else None,
        processes=processes,
        uses=uses,
        growth=growth,
        advice=() if is_crash(evidence) else tuple(advise(failure, found)),
        blocks=blocks,
        summaries=evidence.summaries,
        subject_pid=subject.key.pid if subject else None,
        engines=evidence.last.engines,
        events=evidence.events,
        last=evidence.last,
        traced=() if evidence.replayed is None else evidence.replayed.devices,
        traced_gpu=None if evidence.replayed is None else evidence.replayed.told.device,
        told=None if evidence.replayed is None else evidence.replayed.told,
        others=() if evidence.replayed is None else evidence.replayed.others,
        notes=(*evidence.notes, *_unknowns(evidence, subject, growth)),
    )


def _gpu_in_question(evidence: Evidence) -> str | None:
    """That of the event, or else the fullest."""
    summary, about = evidence.summaries[-1], evidence.about
    if about is not None and about.gpu_uuid is not None:
        return about.gpu_uuid
    return max(summary.gpus, key=lambda uuid: summary.gpus[uuid].used_bytes, default=None)


def _request(evidence: Evidence, gpu: GpuSummary | None, subject: ReportSubject | None) -> FailedRequest | None:
    failure = evidence.failure
    oom = failure.oom if failure is not None else None
    if failure is None or oom is None:
        return None
    refusal = refusal_of(evidence)
    asked = oom.requested_bytes if refusal is None else refusal.requested_size
    free = oom.device_free_bytes if oom.device_free_bytes is not None else (gpu.free_bytes if gpu else None)
    others = None
    if gpu is not None and subject is not None:
        others = sum(
            held.used_bytes
            for key, held in evidence.summaries[-1].processes.items()
            if key.gpu_uuid == subject.key.gpu_uuid and key != subject.key
        )
    return FailedRequest(
        time=failure.timestamp,
        requested_bytes=asked,
        device_free_bytes=free,
        missing_bytes=None if free is None else max(0, asked - free),
        others_bytes=others,
        thread=_thread(evidence, oom.thread_id),
    )


def _thread(evidence: Evidence, thread_id: int | None) -> str | None:
    if thread_id is None:
        return None
    inside = evidence.inside
    threads = (inside.allocator.threads or ()) if inside else ()
    name = next((thread.name for thread in threads if thread.thread_id == thread_id), None)
    return f"{name} ({thread_id})" if name else str(thread_id)


def _allocator(evidence: Evidence) -> Allocator | None:
    return evidence.inside.allocator if evidence.inside else None


def _cache(evidence: Evidence, subject: ReportSubject | None) -> AllocatorCache | None:
    allocator = _allocator(evidence)
    if allocator is not None:
        refusal = refusal_of(evidence)
        return AllocatorCache(
            reserved_bytes=allocator.reserved_bytes,
            allocated_bytes=allocator.allocated_bytes,
            free_bytes=allocator.reserved_bytes - allocator.allocated_bytes,
            stranded_bytes=allocator.inactive_split_bytes,
            largest_hole_bytes=largest_hole(allocator) if refusal is None else refusal.free_certain.largest_bytes,
            usable_bytes=None if refusal is None else refusal.free_certain.bytes,
            unusable={} if refusal is None else {why: free.bytes for why, free in refusal.free_elsewhere.items()},
            expandable=None if evidence.replayed is None else evidence.replayed.told.expandable,
        )
    row = _row(evidence.last, subject)
    if row is None:
        return None
    reserved, allocated = row
    holes = [block.size for block in _blocks(evidence, subject) if not block.allocated and block.type != "kv_cache"]
    return AllocatorCache(
        reserved_bytes=reserved,
        allocated_bytes=allocated,
        free_bytes=reserved - allocated,
        stranded_bytes=None,
        largest_hole_bytes=max(holes, default=None),
    )


def _row(last: Snapshot, subject: ReportSubject | None) -> tuple[int, int] | None:
    for row in last.processes:
        if subject and (row.pid, row.gpu_uuid) == (subject.key.pid, subject.key.gpu_uuid):
            return None if row.allocated_bytes is None else (row.reserved_bytes, row.allocated_bytes)
    return None


def _blocks(evidence: Evidence, subject: ReportSubject | None) -> tuple[Block, ...]:
    """Those of the moment, with the pages of KV caches; where an answer left out some, all that the agent told."""
    shown = _shown_blocks(evidence, subject)
    allocator = _allocator(evidence)
    if allocator is None or allocator.blocks is None or (shown and not evidence.last.blocks_omitted):
        return shown
    gpu = next((row.gpu for row in evidence.last.processes if row.pid == allocator.pid), 0)
    return tuple(block_rows(allocator.pid, gpu, allocator))


def _shown_blocks(evidence: Evidence, subject: ReportSubject | None) -> tuple[Block, ...]:
    if subject is None:
        return ()
    gpu = evidence.summaries[-1].gpus.get(subject.key.gpu_uuid)
    return tuple(
        block
        for block in evidence.last.blocks
        if block.pid == subject.key.pid and block.subtype != "opaque" and (gpu is None or block.gpu == gpu.index)
    )


def _growth(evidence: Evidence, subject: ReportSubject | None, blocks: Iterable[Block]) -> StackGrowth | None:
    device, inside = told_device(evidence), evidence.inside
    if device is not None and evidence.replayed is not None and not lacks_history(evidence):
        told, refusal = evidence.replayed.told, refusal_of(evidence)
        moment = device.peak if refusal is None else refusal.moment
        return growth_of_moment(moment, told.recent_bytes, told.freed_bytes, told.steps, told.seconds, told.levels)
    if inside is None or not inside.trace:
        return None if subject is None else live_by_stack(_stacks_of(evidence, subject))
    return growth_by_stack(inside.trace, inside.stacks, {block.address: use_of(block) for block in blocks})


def _trace_growth(evidence: Evidence) -> UsageChange | None:
    """What was held from step to step, the first left out: it makes what all others find."""
    if evidence.replayed is None:
        return None
    told = evidence.replayed.told
    levels = list(told.step_levels[1:])
    what = (
        "step to step" if told.steps_are_marked else f"round to round of its work ({len(levels)}, which nothing marks)"
    )
    return _change(f"memory held from {what}", levels[:-1], levels[-1]) if len(levels) >= THIRDS_MIN else None


def _stacks_of(evidence: Evidence, subject: ReportSubject) -> Iterable[Stack]:
    gpus = {row.gpu for row in evidence.last.processes if row.gpu_uuid == subject.key.gpu_uuid}
    return [stack for stack in evidence.last.stacks or () if stack.pid == subject.key.pid and stack.gpu in gpus]


def _processes(evidence: Evidence, uuid: str | None, subject: ReportSubject | None) -> list[ProcessShare]:
    processes = {key: held for key, held in evidence.summaries[-1].processes.items() if key.gpu_uuid == uuid}
    if subject is not None:
        processes.setdefault(subject.key, subject.held)
    processes = [
        ProcessShare(
            pid=key.pid,
            name=held.name,
            label=process_name(held.name, key.pid),
            user=held.user,
            used_bytes=held.used_bytes,
            uses=held.uses,
            change=_change(process_name(held.name, key.pid), _levels(evidence.summaries, key), held.used_bytes),
            is_failed=evidence.failure is not None and subject is not None and key == subject.key,
        )
        for key, held in processes.items()
    ]
    return sorted(processes, key=lambda process: -process.used_bytes)


def _levels(summaries: Sequence[SnapshotSummary], key: ProcessOnGpu) -> list[int | None]:
    """Bytes held at each reading; None while the process was not there."""
    return [held.used_bytes if (held := summary.processes.get(key)) else None for summary in summaries]


def _uses(evidence: Evidence, subject: ReportSubject | None) -> tuple[UsageChange, ...]:
    if subject is None:
        return ()
    device, inside = told_device(evidence), evidence.inside
    rows = [summary.processes.get(subject.key) for summary in evidence.summaries]
    seen = [row for row in rows if row is not None and row.uses]
    if device is not None and inside is not None and len(seen) <= 1 and not lacks_history(evidence):
        refusal = refusal_of(evidence)
        moment = device.peak if refusal is None else refusal.moment
        if moment.bytes == inside.allocator.allocated_bytes:  # else the report is of the end, which was no peak
            return uses_of_moment(moment)
    names = dict.fromkeys(name for row in (subject.held, *seen) for name in row.uses)
    changes = [_change(name, [row.uses.get(name, 0) for row in seen], subject.held.uses.get(name, 0)) for name in names]
    return tuple(sorted(changes, key=lambda change: (-change.after_bytes, -change.before_bytes)))


def _change(what: str, levels: Sequence[int | None], after: int) -> UsageChange:
    seen = [*(level for level in levels if level is not None), after]
    thirds = [seen[place * (len(seen) - 1) // 3] for place in range(4)]
    return UsageChange(
        what=what,
        before_bytes=seen[0],
        after_bytes=after,
        fell_bytes=max(peak - level for peak, level in zip(accumulate(seen, max), seen, strict=True)),
        rises=tuple(later - earlier for earlier, later in pairwise(thirds)) if len(seen) >= THIRDS_MIN else (),
        is_new=bool(levels) and levels[0] is None,
    )


def _unknowns(evidence: Evidence, subject: ReportSubject | None, growth: StackGrowth | None) -> Iterable[str]:
    failure = evidence.failure
    if failure is not None and failure.oom is None and not is_crash(evidence):
        yield "what was asked for, and the allocator's state: no agent told of it, or not to everyone who asks"
    elif subject is not None and _cache(evidence, subject) is None:
        yield f"no agent looked inside {process_name(subject.held.name, subject.key.pid)}: only the driver's view"
    if subject is not None and growth is None:
        yield "no allocation history: memory cannot be told by stack"
    if len(evidence.summaries) == 1 and not _has_history(evidence):
        yield "one instant only: what grew before it is not known"


def _has_history(evidence: Evidence) -> bool:
    """A trace tells what was held before the moment in question."""
    return evidence.replayed is not None and evidence.replayed.told.kind != "end" and not lacks_history(evidence)
