"""What a truthful reader of a trace has to add to its figures, in sentences."""

from collections.abc import Iterator
from typing import NamedTuple

from blackbox.analysis.trace.entries import (
    ACTIONS,
    ALLOC,
    DEFAULT_POOL,
    FREE_COMPLETED,
    FREE_REQUESTED,
    OOM,
    OTHER,
    SEGMENT_ALLOC,
    SEGMENT_FREE,
    SEGMENT_MAP,
    SEGMENT_UNMAP,
    SNAPSHOT,
    Trace,
)
from blackbox.analysis.trace.layout import Layout, is_default
from blackbox.analysis.trace.moments import FreeFor, highest
from blackbox.analysis.trace.race import lacks_kinds
from blackbox.analysis.trace.replay import Replay
from blackbox.model.text import plural, size

BOTH = "blocks or segments"
HISTORY_MIN = 2
"""Entries: a list with fewer is what PyTorch keeps where nobody asked for a history."""
NO_TRACE = (
    "this file cannot have a trace: it is of PyTorch 1.13 or older, its history of the GPU was switched off, or its "
    "allocator is not PyTorch's own; only the end is known"
)


COUNTERPARTS = (
    (FREE_REQUESTED, FREE_COMPLETED),
    (SEGMENT_ALLOC, SEGMENT_FREE),
    (SEGMENT_MAP, SEGMENT_UNMAP),
)
NAMES = {code: name for name, code in ACTIONS.items()}


class Facts(NamedTuple):
    """What the file tells beside the trace."""

    unrecorded_frees: bool = False
    """Up to PyTorch 2.0: what was allocated before the recording is freed without an entry."""
    recorded_blocks: frozenset[int] = frozenset()
    """Addresses of live blocks with a stack: their allocation was recorded."""
    one_pool: bool = False
    """Only the segments of one pool were written, and the entries of all."""
    memory_fraction: float | None = None
    """Of the GPU's memory, that the program may have; None: all, or the file does not tell."""
    settings_are_told: bool = True
    """How the allocator rounds and cuts its blocks: False before PyTorch 2.3."""


def situations(replayed: Replay, facts: Facts) -> tuple[str, ...]:
    """What holds of this trace."""
    return (
        *_history(replayed, facts),
        *_order(replayed),
        *_beginning(replayed, facts),
        *_reserved_before(replayed),
        *_open_sizes(replayed),
        *_pending(replayed),
        *_pools(replayed),
        *_checks(replayed, facts),
    )


def of_refusal(needed: int, device_free: int | None, free: FreeFor, fraction: float | None = None) -> tuple[str, ...]:
    """What has to be told of a refusal beside its figures."""
    found: list[str] = []
    usable, certain = free.usable, free.certain
    if certain.largest_bytes >= needed:
        found.append(
            f"a free block of {size(certain.largest_bytes)}, large enough for the {size(needed)} refused, existed at "
            "that moment: a free that completed during the refusal can leave one"
        )
    elif usable.bytes:
        found.append(
            f"{size(usable.bytes)} were free for this request, in {plural(usable.pieces, 'piece')} of at most "
            f"{size(usable.largest_bytes)}"
        )
    if certain != usable:
        found.append(
            f"{size(usable.bytes - certain.bytes)} of what was free for this request may be part of blocks from before "
            "the first step, whose size the file leaves open: it is not counted on"
        )
    if device_free is not None and device_free > needed:
        why = "a limit on this process, the size of pages, or another process in between; which, the file does not tell"
        if fraction is not None:
            why = f"the process may have {fraction:.4g} of the GPU's memory, by its settings"
        found.append(f"the driver told of {size(device_free)} free, more than the {size(needed)} refused: {why}")
    found.append(
        "what NCCL, cuBLAS, the CUDA context, other processes and tensors received from them hold is not in the file"
    )
    return tuple(found)


def _history(replayed: Replay, facts: Facts) -> Iterator[str]:
    trace = replayed.trace
    if trace.steps < HISTORY_MIN:
        yield "no usable history: the file holds the end, and no steps that led to it"
        return
    if facts.one_pool:
        yield "only the segments of one pool are in the file, and the steps of all: they cannot be rolled back"
        return
    if replayed.first and not replayed.steps:
        yield (
            f"none of the {trace.steps} steps agrees with the list of segments ({replayed.problem}): only the end is "
            "told"
        )
    elif replayed.first:
        yield (
            f"steps {replayed.first + 1} to {trace.steps} of {trace.steps} agree with each other and the end; the step "
            f"before contradicts them ({replayed.problem}), and nothing is told of what came before it"
        )
    if lacks_kinds(trace, replayed.end):
        yield (
            "some kinds of steps are missing from the file: it was recorded without them, and what was held before the "
            "end may be other than told"
            if ALLOC in trace.action
            else "no step of the file allocates anything: nothing was allocated in that time, or it was recorded "
            "without such steps, and no more than told was held before the end"
        )
    elif replayed.first and (alone := _without_counterpart(trace)):
        yield f"the file may have been recorded without some kinds of steps: {', '.join(alone)}"
    if trace.action.count(OTHER):
        yield f"notes, and steps of a kind unknown here, changed nothing: {plural(trace.action.count(OTHER), 'step')}"


def _without_counterpart(trace: Trace) -> list[str]:
    """What is in a trace without the other half of it."""
    found: list[str] = []
    for pair in COUNTERPARTS:
        there = [code for code in pair if code in trace.action]
        if len(there) == 1:
            (lacking,) = set(pair) - set(there)
            found.append(f"{NAMES[there[0]]} is among them and {NAMES[lacking]} is not")
    return found


def _order(replayed: Replay) -> Iterator[str]:
    if replayed.resorted:
        yield (
            "the steps were not in the order of their times, as happens where the length of the history is changed "
            "while it is recorded: they were sorted by time"
        )
    if replayed.vanished and SEGMENT_FREE not in replayed.trace.action:
        yield (
            f"freed by no step, and not in the list of segments: {plural(replayed.vanished, 'segment')} that steps "
            "made; it was recorded without such steps, and less than told may have been reserved, or the program freed "
            "them while the file was written"
        )
    elif replayed.races:
        yield (
            f"the program went on while the file was written: {plural(replayed.races, 'block or segment', BOTH)} "
            f"changed between the last step ({size(replayed.allocated[-1])} allocated) and the list of segments"
        )


def _beginning(replayed: Replay, facts: Facts) -> Iterator[str]:
    if facts.one_pool or replayed.trace.steps < HISTORY_MIN:
        return
    if facts.unrecorded_frees:
        yield (
            "this release of PyTorch frees what was allocated before the recording without a step: what was held "
            "early on is a lower bound"
        )
    if replayed.unsure_until > replayed.first:
        yield (
            f"until step {replayed.unsure_until} memory was in use of which the file has no step: figures before it "
            "are lower bounds"
        )
    if not replayed.first and replayed.start_address:
        lost = sum(replayed.start_address[place] in facts.recorded_blocks for place in _lasting(replayed))
        if lost:
            yield (
                "steps before the first one are missing (overwritten, or cleared): "
                f"{plural(lost, 'live block')} with a stack, and no step that allocated them"
            )
        else:
            yield "recording began after the program had allocated, or earlier steps were overwritten"


def _reserved_before(replayed: Replay) -> Iterator[str]:
    """What no step made."""
    if not replayed.first and not replayed.start_address and replayed.steps >= HISTORY_MIN and replayed.reserved[0]:
        yield (
            f"before the first step nothing was allocated and {size(replayed.reserved[0])} were reserved: in the cache "
            "from before, or the steps that reserved it were not recorded"
        )


def _lasting(replayed: Replay) -> Iterator[int]:
    lasting = replayed.start.lasting
    return (place for place, address in enumerate(replayed.start_address) if address in lasting)


def _open_sizes(replayed: Replay) -> Iterator[str]:
    if not replayed.size_max:
        return
    peak = highest(replayed)
    wide = sum(most - replayed.size[block] for block, most in replayed.size_max.items())
    blocks = plural(len(replayed.size_max), "block")
    text = f"{blocks} from before the first step may be up to {size(wide)} larger than told"
    yield text + (f": the peak is {peak.bytes:,} to {peak.bytes_max:,} bytes" if peak.bytes_max > peak.bytes else "")


def _pending(replayed: Replay) -> Iterator[str]:
    end: Layout = replayed.end
    waiting = [held for held, waits in zip(end.size, end.pending, strict=True) if waits]
    if waiting:
        yield (
            f"at the end {size(sum(waiting))} in {plural(len(waiting), 'block')} were freed by the program and still "
            "in use by the GPU: active, neither allocated nor free"
        )
    if replayed.start.pending:
        waited = plural(len(replayed.start.pending), "block was", "blocks were")
        yield f"{waited} waiting to be freed before the first step; who allocated them is not known"


def _pools(replayed: Replay) -> Iterator[str]:
    segments = (*replayed.end.segments.values(), *replayed.start.segments.at.values())
    private = any(not is_default(segment.pool) for segment in segments)
    if replayed.trace.pool is None and private:
        yield (
            "before PyTorch 2.12 steps do not name their pool: it is known of memory that was there at the end alone, "
            "and requests are taken to be of the default pool"
        )
    if replayed.trace.pool is not None and _overflowed(replayed):
        yield "some blocks lie in another pool than their segment's: a pool that may use others' memory when it is full"
    if any(segment.expandable for segment in segments):
        yield "expandable segments: each mapped stretch is told; the address room reserved behind it is not in the file"


def _overflowed(replayed: Replay) -> bool:
    pools = replayed.trace.pool or ()
    segments = replayed.end.segments
    made = {replayed.trace.address[place]: place for place in replayed.trace.places_of(ALLOC, replayed.first)}
    for start, segment in segments.items():
        place = made.get(start)
        if place is not None and segment.pool is not None and pools[place] not in (segment.pool, DEFAULT_POOL):
            return True
    return False


def _checks(replayed: Replay, facts: Facts) -> Iterator[str]:
    trace = replayed.trace
    if replayed.off_rule:
        yield (
            f"not as large as PyTorch's rules make them (a setting that the file does not tell): "
            f"{plural(replayed.off_rule, 'block')}: blocks that are gone may have been other than told too"
        )
    elif not facts.settings_are_told and trace.action.count(FREE_REQUESTED, replayed.first):
        yield (
            "the file does not tell the allocator's settings, as before PyTorch 2.3: blocks that are gone are taken to "
            "have been as large as its defaults make them"
        )
    wrong = [
        place
        for place in trace.places_of(SNAPSHOT, max(replayed.first, replayed.unsure_until))
        if trace.size[place] != replayed.active[place - replayed.first]
    ]
    if wrong:
        yield (
            f"at {plural(len(wrong), 'step')} PyTorch noted another sum of active bytes than the replay finds, first "
            f"at step {wrong[0] + 1}"
        )
    if trace.action.count(OOM, 0, replayed.first):
        yield f"before the steps that can be replayed: {plural(trace.action.count(OOM, 0, replayed.first), 'refusal')}"
