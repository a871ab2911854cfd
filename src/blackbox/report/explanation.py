"""The cause of a failed allocation in sentences, each with its numbers."""

from collections.abc import Iterator

from blackbox.analysis.diagnosis import (
    SIGNIFICANT_SHARE,
    AllocatorCache,
    FailedAllocation,
    FailedRequest,
    UsageChange,
    cause_of,
    is_kept_back,
    steady_growth,
)
from blackbox.analysis.stacks import own_frame
from blackbox.analysis.trace.moments import KEPT_BACK, OTHER_SIZE, OTHER_STREAM, PRIVATE_POOL
from blackbox.model.text import size

WHY_UNUSABLE = {
    PRIVATE_POOL: "inside private pools (of CUDA graphs, or a MemPool), which nobody else may use",
    OTHER_STREAM: "that belongs to other streams",
    OTHER_SIZE: "in segments that serve requests of another size alone (up to 1 MiB, or above)",
    KEPT_BACK: "in pieces that max_split_size_mb keeps from smaller requests",
}
"""Why free memory could not serve a request."""


def explain(failure: FailedAllocation) -> Iterator[str]:
    """The sentences: the request, what grew before it, the largest stack."""
    request, cache = failure.request, failure.cache
    if request is not None:
        yield from _explain_request(failure, request, cache)
    grown = steady_growth(failure)
    if grown is not None:
        yield (
            f"Before that, {grown.what} grew by {size(grown.rise_bytes)}, from {size(grown.before_bytes)} to "
            f"{size(grown.after_bytes)}, {_without_falling(grown)}: that is what a leak looks like."
        )
    elif request is not None:
        yield from _process_growth(failure)
    yield from _largest_stack(failure)


def _explain_request(failure: FailedAllocation, request: FailedRequest, cache: AllocatorCache | None) -> Iterator[str]:
    asked = size(request.requested_bytes)
    if request.device_free_bytes is None:
        yield f"It asked for {asked}; nobody told how much was free."
        return
    free = size(request.device_free_bytes)
    match cause_of(failure):
        case "limit" if cache is not None and is_kept_back(failure):
            yield (
                f"It asked for {asked}; {free} were free on the GPU{_in_cache(cache)}. "
                f"{size(cache.unusable[KEPT_BACK])} more lay free there in pieces that max_split_size_mb keeps from "
                "smaller requests."
            )
        case "limit":
            yield (
                f"It asked for {asked} and {free} were free on the GPU: not the device refused, but a limit (a memory "
                "fraction of the process, a memory pool) or something that held the memory for a moment only."
            )
        case "fragmentation" if cache is not None:
            hole = cache.largest_hole_bytes
            pieces = f", but in pieces of at most {size(hole)}" if hole is not None else ""
            yield (
                f"It asked for {asked} in one piece. {free} were free on the GPU{_in_cache(cache)}{pieces}: enough in "
                "all, nowhere enough at once."
            )
        case "neighbour":
            largest = failure.others[0]
            yield (
                f"It asked for {asked}, {free} were free on the GPU. Other processes hold "
                f"{size(request.others_bytes or 0)} there, the largest is {largest.label} "
                f"with {size(largest.used_bytes)}."
            )
        case "unknown" if cache is not None:
            yield (
                f"It asked for {asked}, and a free piece of {size(cache.largest_hole_bytes or 0)} lay in its own "
                "cache: why that did not serve it is not told."
            )
        case _:
            process = failure.failed_process
            holds = f" It held {size(process.used_bytes)} itself." if process is not None else ""
            yield (
                f"It asked for {asked}; {free} were free on the GPU{_in_cache(cache)}: too little, in whatever "
                f"pieces.{holds}"
            )
            yield from _unusable(cache)


def _in_cache(cache: AllocatorCache | None) -> str:
    """What was free beside the GPU's own memory; for this request where that is known."""
    if cache is None:
        return ""
    whose = "" if cache.usable_bytes is None else " for this request"
    return f" and {size(cache.free_for_request_bytes)} in its own cache{whose}"


def _unusable(cache: AllocatorCache | None) -> Iterator[str]:
    for reason, free in (cache.unusable if cache is not None else {}).items():
        yield f"{size(free)} more lay free in its cache {WHY_UNUSABLE[reason]}."


def _process_growth(failure: FailedAllocation) -> Iterator[str]:
    if failure.gpu is None:
        return
    grown = max(failure.processes, key=lambda process: process.change.rise_bytes, default=None)
    if grown is not None and grown.change.rise_bytes >= SIGNIFICANT_SHARE * failure.gpu.total_bytes:
        yield f"Before that, {grown.change.what} grew by {size(grown.change.rise_bytes)}."


def _largest_stack(failure: FailedAllocation) -> Iterator[str]:
    growth = failure.growth
    if growth is None:
        return
    known = [share for share in growth.shares if share.frames]
    if known and known[0].bytes >= SIGNIFICANT_SHARE * growth.live_bytes:
        share = known[0]
        yield f"{size(share.bytes)} of what lives,{share.blocks}, were allocated at {own_frame(share.frames)}."


def _without_falling(change: UsageChange) -> str:
    return "and never fell" if change.fell_bytes == 0 else f"and never fell by more than {size(change.fell_bytes)}"
