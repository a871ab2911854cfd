"""Why an allocation failed: causes, each with the figures that make it; a leak comes before what it broke on."""

from collections.abc import Iterator
from typing import Literal

from msgspec import Struct

from blackbox.analysis.diagnosis import FailedAllocation, FailedRequest, KnownLimit, steady_growth
from blackbox.analysis.trace.moments import KEPT_BACK
from blackbox.analysis.trace.rounding import LARGE_SEGMENT_BYTES

Cause = Literal["leak", "fragmentation", "neighbour", "shortage", "limit", "unknown", "spike"]
"""`leak`: memory grew steadily, and what it broke on last was chance; `fragmentation`: enough was free for the request,
in pieces too small; `neighbour`: another process holds what was missing; `shortage`: less was free than requested, in
whatever pieces; `limit`: the device had enough free, something else refused the request, or a setting kept free memory
from it; `unknown`: how much was free is not known, or enough was in one piece; `spike`: the request, or the step that
made it, needed far more than all before."""
SPIKE_SHARE_MAX = 0.75
"""Steps before that needed at most this share of what was needed now are no reason to expect it."""
SPIKE_STEPS_MIN = 3
"""Of these there have to be so many."""


class FoundCause(Struct, frozen=True):
    """A cause."""

    cause: Cause
    figures: dict[str, int]
    """Bytes, by what they are of; those that make it the cause."""


class ToldCause(Struct, frozen=True):
    """A cause, for people and programs."""

    cause: Cause
    why: tuple[str, ...]
    """In sentences."""
    figures: dict[str, int]


def verdict_of(failure: FailedAllocation) -> tuple[FoundCause, ...]:
    """The causes, the first the one to act on; empty where nothing failed."""
    request = failure.request
    if request is None:
        return ()
    return (*_leak(failure), _immediate(failure, request), *_spike(failure, request))


def _leak(failure: FailedAllocation) -> Iterator[FoundCause]:
    grown = steady_growth(failure)
    if grown is not None:
        yield FoundCause(
            "leak",
            {
                "before_bytes": grown.before_bytes,
                "after_bytes": grown.after_bytes,
                "rise_bytes": grown.rise_bytes,
                "fell_bytes": grown.fell_bytes,
            },
        )


def _immediate(failure: FailedAllocation, request: FailedRequest) -> FoundCause:
    """What it broke on."""
    cache = failure.cache
    asked, on_device = request.requested_bytes, request.device_free_bytes
    figures = {"requested_bytes": asked}
    if on_device is None:
        return FoundCause("unknown", figures)
    in_cache = 0 if cache is None else cache.free_for_request_bytes
    largest = 0 if cache is None else cache.largest_hole_bytes
    free = on_device + in_cache
    figures |= {"free_bytes": free, "device_free_bytes": on_device, "cache_free_bytes": in_cache}
    if largest is not None:
        figures["largest_free_bytes"] = largest
    limit = _limit_figures(failure)
    if on_device >= asked:
        return FoundCause("limit", figures | limit)
    if (largest or 0) >= asked:
        return FoundCause("unknown", figures)
    if free >= asked:
        return FoundCause("fragmentation", figures)
    kept = 0 if cache is None else cache.unusable.get(KEPT_BACK, 0)
    if kept and free + kept >= asked:
        return FoundCause("limit", figures | {"kept_back_bytes": kept})
    if _is_of_cgroup(failure) and limit and limit["whole_free_bytes"] >= asked:
        return FoundCause("limit", figures | limit)  # others do not count: they hold nothing of what it may have
    others = sum(process.used_bytes for process in failure.others)
    if _others_are_to_blame(failure, asked - free):
        return FoundCause("neighbour", figures | {"others_bytes": others})
    if limit and limit["whole_free_bytes"] >= asked:
        return FoundCause("limit", figures | limit)
    own = failure.failed_process
    return FoundCause("shortage", figures | ({} if own is None else {"held_bytes": own.used_bytes}))


def _is_of_cgroup(failure: FailedAllocation) -> bool:
    return failure.limit is not None and failure.limit.kind == "cgroup"


def _limit_figures(failure: FailedAllocation) -> dict[str, int]:
    """Of a limit whose rest was too little for the request; empty where there is none, or it had enough left."""
    limit, request = failure.limit, failure.request
    if limit is None or request is None or limit.used_bytes is None or limit.whole_free_bytes is None:
        return {}
    known = {"limit_used_bytes": limit.used_bytes, "whole_free_bytes": limit.whole_free_bytes}
    if limit.limit_bytes is None:
        return known if _may_be_spent(limit, request.requested_bytes) else {}
    if limit.limit_bytes - limit.used_bytes >= request.requested_bytes:
        return {}
    return {"limit_bytes": limit.limit_bytes, **known}


def _may_be_spent(limit: KnownLimit, asked: int) -> bool:
    """Of a share of a GPU whose size is not known: it has at least what the program held and what was free."""
    least = (limit.share or 0) * ((limit.used_bytes or 0) + (limit.whole_free_bytes or 0))
    return (limit.used_bytes or 0) + asked + LARGE_SEGMENT_BYTES > least


def _spike(failure: FailedAllocation, request: FailedRequest) -> Iterator[FoundCause]:
    """One request for more than all that was held, or a step that needed far more than the steps before it."""
    cache, peaks = failure.cache, failure.step_peaks
    if cache is None:
        return
    needed = cache.allocated_bytes + request.requested_bytes
    if len(peaks) >= SPIKE_STEPS_MIN and max(peaks) <= SPIKE_SHARE_MAX * needed and steady_growth(failure) is None:
        yield FoundCause("spike", {"needed_bytes": needed, "earlier_bytes": max(peaks), "steps": len(peaks)})
    elif 0 < cache.allocated_bytes <= request.requested_bytes:
        yield FoundCause(
            "spike", {"requested_bytes": request.requested_bytes, "allocated_bytes": cache.allocated_bytes}
        )


def _others_are_to_blame(failure: FailedAllocation, short: int) -> bool:
    """Whether other processes hold what was missing, and either hold more than the program itself or took as much as
    was missing within the time reported."""
    others = failure.others
    held = sum(process.used_bytes for process in others)
    own = failure.failed_process
    if not others or held < short:
        return False
    return own is None or held > own.used_bytes or max(process.change.rise_bytes for process in others) >= short
