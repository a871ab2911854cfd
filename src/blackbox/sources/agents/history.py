"""The history in a failed allocation: its stacks written out, its steps and segments checked."""

from blackbox.sources.agents.checks import check, require
from blackbox.wire.message import STACKS_CHARS_MAX, OomHeader
from blackbox.wire.report import Oom

STEPS_MAX = 50_000
"""Steps before a failure: ten times what fits the header when each has an address."""
FAILURE_STACKS_MAX = 20_000
"""Distinct stacks of those steps."""
SEGMENTS_MAX = 20_000
"""Of one device: a full GPU in pieces of 20 MiB has some thousands."""
SCOPES_MAX = 10_000
"""Beginnings and ends of scopes; five times what agents send."""
INTERVALS_MAX = 64
"""Sizes with divisions of their own: one for each power of two."""
NAME_CHARS_MAX = 1024
"""Of a scope or a note; agents cut theirs to a tenth."""


def with_frames(header: OomHeader) -> Oom:
    """With the stacks that are told by the numbers of their frames, written out."""
    if not header.stacks:
        return header.oom
    frames, places = header.frames, [place for stack in header.stacks for place in stack]
    require(not header.oom.stacks, "stacks told twice")
    require(all(0 <= place < len(frames) for place in places), "stack without its frame")
    require(sum(len(frames[place]) + 1 for place in places) <= STACKS_CHARS_MAX, "too long stacks")
    return header.oom._replace(stacks=tuple(tuple(frames[place] for place in stack) for stack in header.stacks))


def check_history(oom: Oom) -> None:
    """Raises `RefusedReportError` where something in it cannot be."""
    require(len(oom.trace) <= STEPS_MAX and len(oom.stacks) <= FAILURE_STACKS_MAX, "too long a history")
    for step in oom.trace:
        check("address", step.address)
        check("bytes", step.size)
        check("stream", step.stream)
        check("time_us", step.time_us)
        require(step.stack is None or 0 <= step.stack < len(oom.stacks), "step without its stack")
        check("count", *(step.pool or ()))
        require(len(step.tag or "") <= NAME_CHARS_MAX, "too long a note")
    require(len(oom.segments) <= SEGMENTS_MAX, "too many segments")
    for segment in oom.segments:
        check("address", segment.address, segment.address + segment.size)
        check("bytes", segment.size)
        check("stream", segment.stream)
        check("count", *(segment.pool or ()))
    check("bytes", sum(segment.size for segment in oom.segments))
    if oom.settings is not None:
        check("bytes", oom.settings.max_split_bytes)
        require(len(oom.settings.divisions) <= INTERVALS_MAX, "too many divisions")
        check("count", *oom.settings.divisions)
        require(0 < (oom.settings.memory_fraction or 1) <= 1, "no share of a whole")
    require(len(oom.scopes) <= SCOPES_MAX, "too many scopes")
    for scope in oom.scopes:
        require(len(scope.name) <= NAME_CHARS_MAX, "too long a scope")
        check("time_us", scope.time_us)
