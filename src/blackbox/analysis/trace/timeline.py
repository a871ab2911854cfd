"""A trace over time: what was held at up to some thousand of its steps, by category and by stack, exact at each.

Of a long trace the highest and the lowest step of every stretch are told, so that no peak is lost.
"""

from array import array
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate

from msgspec import Struct

from blackbox.analysis.trace.bands import HeldBlocks, KindSums
from blackbox.analysis.trace.device_findings import Context
from blackbox.analysis.trace.entries import ACTIONS, ALLOC, FREE_COMPLETED, FREE_REQUESTED, NO_STACK
from blackbox.analysis.trace.moments import highest, refusals
from blackbox.analysis.trace.replay import Replay

POINTS_WHOLE = 8000
"""Steps up to which each is told: a few per pixel of a wide screen, so that zooming in finds single steps."""
STRETCHES = 1000
"""Of a longer trace, each of which tells two steps."""
BANDS_MAX = 16
"""Stacks, and categories, told by themselves, largest first; the rest are one band, so that the sum stays exact."""
REFUSALS_MAX = 200
"""Marked, the last ones: more than that are one line on a screen."""
STACKS_MAX = 200
"""Stacks of the steps told, most frequent first."""
FRAMES_MAX = 6
"""Of such a stack: as many as a card beside the pointer has room for."""
SCOPES_MAX = 400
"""Told of each kind, longest first: shorter ones are narrower than a pixel."""
DEPTH_MAX = 3
"""Scopes inside each other that are told apart."""
OTHERS = ""
"""The name of the band that sums up the rest."""
_Name = tuple[str, tuple[str, ...]]
"""Of a band: its category, or its frames."""
ACTION_NAMES = {code: name for name, code in ACTIONS.items()}


class Band(Struct, frozen=True, kw_only=True):
    """What is held for one purpose, or by one stack, as changes from point to point."""

    name: str
    """The category; empty of a stack, and of the rest."""
    frames: tuple[str, ...] = ()
    """Innermost first; empty where no stack was recorded."""
    parts: int = 1
    """More than 1: the band sums up so many."""
    at: tuple[int, ...]
    """The points where it changes, ascending."""
    bytes: tuple[int, ...]
    """By how much at each of these."""
    blocks: tuple[int, ...]
    """The same in blocks."""


class TimelineScope(Struct, frozen=True):
    """A scope that the program went through, or a part of a training step, in entries replayed."""

    name: str
    start: int
    end: int
    depth: int
    """Scopes around it."""


class StepTold(Struct, frozen=True):
    """The entry that led to a point."""

    action: str
    """As PyTorch names it; empty before the first entry."""
    bytes: int
    """By how much it changed what is allocated; of a refusal what was asked for, of segments their size."""
    stack: int | None
    """Which of the stacks told: of who allocated, also where the step frees; None: none was recorded, or told."""


class Timeline(Struct, frozen=True, kw_only=True):
    """One device over its trace. All columns have one value a point; both lists of bands sum to what is allocated."""

    gpu: int
    first: int
    """Entries before those that were replayed."""
    steps: int
    """Entries in the file."""
    done: tuple[int, ...]
    """Entries replayed at each point, from 0 to all of them."""
    seconds: tuple[float, ...] | None
    """Since the first entry replayed; None where entries have no times."""
    reserved: tuple[int, ...]
    by_category: tuple[Band, ...]
    by_stack: tuple[Band, ...]
    told: tuple[StepTold, ...]
    stacks: tuple[tuple[str, ...], ...]
    peak: int
    """The point where the most was allocated, for the first time."""
    moment: int
    """The point that the report is about."""
    refusals: tuple[int, ...]
    """The points where a request was refused."""
    scopes: tuple[TimelineScope, ...]
    """Annotations of the program and of PyTorch (`record_function`), by their beginning."""
    parts: tuple[TimelineScope, ...]
    """Parts of a training step, as stacks and scopes tell."""


def timeline(
    context: Context,
    moment: int,
    scopes: Iterable[tuple[str, int, int | None]],
    parts: Iterable[tuple[str, int, int]],
    share: int = 1,
) -> Timeline:
    """The device over time; one of `share` that together take as much room as a single one may.

    `moment` has the entries replayed at the moment of the report, `scopes` names with their times in Unix microseconds,
    `parts` names with the positions of entries.
    """
    run = context.replayed
    peak = highest(run).done
    refused = [place + 1 - run.first for place in refusals(run)[-(REFUSALS_MAX // share or 1) :]]
    done = _points(run, {0, run.steps, peak, moment, *refused}, share)
    times = run.trace.time_us
    point_of = {entries: point for point, entries in enumerate(done)}
    by_category, by_stack = _bands(context, done)
    told, stacks = _told(context, done)
    return Timeline(
        gpu=context.gpu,
        first=run.first,
        steps=run.trace.steps,
        done=tuple(done),
        seconds=None if times is None else tuple(_seconds(run, times, entries) for entries in done),
        reserved=tuple(run.reserved[entries] for entries in done),
        by_category=by_category,
        by_stack=by_stack,
        told=told,
        stacks=stacks,
        peak=point_of[peak],
        moment=point_of[moment],
        refusals=tuple(point_of[entries] for entries in refused),
        scopes=_longest(_nested(run, scopes), SCOPES_MAX // share),
        parts=_longest(_within(run, parts), SCOPES_MAX // share),
    )


def levels(bands: Iterable[Band], points: int) -> list[int]:
    """The sum of the bands at each point."""
    changes = [0] * points
    for band in bands:
        for at, change in zip(band.at, band.bytes, strict=True):
            changes[at] += change
    return list(accumulate(changes))


def _points(run: Replay, wanted: set[int], share: int) -> list[int]:
    """Entries replayed, ascending: all, or the highest and the lowest of each stretch and those wanted."""
    if run.steps <= POINTS_WHOLE // share:
        return list(range(run.steps + 1))
    found = set(wanted)
    length = -(-(run.steps + 1) // (STRETCHES // share or 1))
    found.update(run.passes.extremes(run.allocated, length))
    return sorted(found)


def _bands(context: Context, done: Sequence[int]) -> tuple[tuple[Band, ...], tuple[Band, ...]]:
    run = context.replayed
    held = lives(run, done)
    names, of_name = context.names(held.block)
    frames, of_frames = context.frames(held.block)
    by_name = run.passes.sums(held, run.size, of_name, len(names), len(done))
    by_frames = run.passes.sums(held, run.size, of_frames, len(frames), len(done))
    return (
        tuple(_ranked([(name, ()) for name in names], by_name)),
        tuple(_ranked([("", one) for one in frames], by_frames)),
    )


def lives(run: Replay, done: Sequence[int]) -> HeldBlocks:
    """Blocks with the first point at which each is held, and the first at which it is not any more; `done` is the
    entries replayed at each point, ascending.

    What comes and goes between two points, as most blocks of a long trace do, is at none of them.
    """
    first, end = run.first, len(done)
    after = _points_after(done, run.steps)
    waits = run.start.pending
    held = HeldBlocks(array("q"), array("i"), array("i"))
    for block in run.start_blocks():
        if run.address_of(block) not in waits:
            gone = run.freed[block]
            until = end if gone == run.trace.steps else after[gone - first]
            if until:
                held.block.append(block)
                held.since.append(0)
                held.until.append(until)
    for column, more in zip(held, run.passes.lives(run.trace.action, run.freed, first, after, end), strict=True):
        column.extend(more)
    return held


def _points_after(done: Sequence[int], steps: int) -> "array[int]":
    """By entry replayed, from 0, and after the last: the first point that has it."""
    found: array[int] = array("i")
    for point, entries in enumerate((*done, steps)):
        found += array("i", [point]) * (entries - len(found))
    found.append(len(done))
    return found


def _ranked(names: Sequence[_Name], sums: KindSums) -> Iterator[Band]:
    """Those that held the most at any point, largest first, and the rest in one."""
    most = sums.most()
    ranked = sorted(range(len(names)), key=lambda kind: (-most[kind], names[kind]))
    bands = [BANDS_MAX] * len(names)
    for rank, kind in enumerate(ranked[:BANDS_MAX]):
        bands[kind] = rank
    changes = sums.bands(bands, min(len(names), BANDS_MAX + 1))
    for kind, one in zip(ranked[:BANDS_MAX], changes, strict=False):
        name, frames = names[kind]
        yield Band(name=name, frames=frames, at=one.at, bytes=one.bytes, blocks=one.blocks)
    for one in changes[BANDS_MAX:]:
        yield Band(name=OTHERS, parts=len(names) - BANDS_MAX, at=one.at, bytes=one.bytes, blocks=one.blocks)


def _told(context: Context, done: Sequence[int]) -> tuple[tuple[StepTold, ...], tuple[tuple[str, ...], ...]]:
    stacks = [_stack(context.replayed, entries) for entries in done]
    frames = {stack: context.stacks[stack][:FRAMES_MAX] for stack in dict.fromkeys(stacks) if stack != NO_STACK}
    used = Counter(shown for stack in stacks if (shown := frames.get(stack)))
    number = {shown: place for place, (shown, _) in enumerate(used.most_common(STACKS_MAX))}
    numbers = {stack: number.get(shown) for stack, shown in frames.items()}
    told = zip(done, stacks, strict=True)
    return tuple(_step(context.replayed, entries, numbers.get(stack)) for entries, stack in told), tuple(number)


def _step(run: Replay, entries: int, stack: int | None) -> StepTold:
    if not entries:
        return StepTold("", 0, None)
    place = run.first + entries - 1
    code = run.trace.action[place]
    change = run.allocated[entries] - run.allocated[entries - 1]
    size = change if code in (ALLOC, FREE_REQUESTED, FREE_COMPLETED) else run.trace.size[place]
    return StepTold(ACTION_NAMES.get(code, "other"), size, stack)


def _stack(run: Replay, entries: int) -> int:
    """Of the entry that led there; where it frees, of who allocated."""
    if not entries:
        return NO_STACK
    place = run.first + entries - 1
    frees = run.trace.action[place] in (FREE_REQUESTED, FREE_COMPLETED)
    return run.stack_of(run.block[place]) if frees else run.trace.stack[place]


def _seconds(run: Replay, times: Sequence[int], entries: int) -> float:
    return (times[run.first + max(0, entries - 1)] - times[run.first]) / 1e6 if run.steps else 0.0


def _nested(run: Replay, scopes: Iterable[tuple[str, int, int | None]]) -> Iterator[TimelineScope]:
    """Those that entries lie in."""
    times = run.trace.time_us
    begun = sorted(scopes, key=lambda scope: scope[1])
    if times is None or not begun or not run.has_order_of_time():
        return
    ends: list[int] = []
    last = run.trace.steps
    for name, start_us, end_us in begun:
        start = bisect_right(times, start_us - 1)
        end = last if end_us is None else bisect_right(times, end_us)
        while ends and ends[-1] <= start_us:
            ends.pop()
        if run.first <= start < end and len(ends) < DEPTH_MAX:
            yield TimelineScope(name, start - run.first, end - run.first, len(ends))
        ends.append(end_us if end_us is not None else times[-1] + 1)


def _within(run: Replay, parts: Iterable[tuple[str, int, int]]) -> Iterator[TimelineScope]:
    for name, start, end in parts:
        if end > run.first:
            yield TimelineScope(name, max(0, start - run.first), end - run.first, 0)


def _longest(scopes: Iterable[TimelineScope], count: int) -> tuple[TimelineScope, ...]:
    found = sorted(scopes, key=lambda scope: scope.start - scope.end)[:count]
    return tuple(sorted(found, key=lambda scope: (scope.start, scope.depth)))
