"""The causes of a failed allocation in sentences, each with its numbers."""

from collections.abc import Iterator, Sequence

from blackbox.analysis.diagnosis import SIGNIFICANT_SHARE, FailedAllocation, KnownLimit, UsageChange, steady_growth
from blackbox.analysis.stacks import own_frame
from blackbox.analysis.trace.moments import KEPT_BACK, OTHER_SIZE, OTHER_STREAM, PRIVATE_POOL
from blackbox.analysis.verdict import FoundCause, ToldCause
from blackbox.model.text import size

WHY_UNUSABLE = {
    PRIVATE_POOL: "inside private pools (of CUDA graphs, or a MemPool), which nobody else may use",
    OTHER_STREAM: "that belongs to other streams",
    OTHER_SIZE: "in segments that serve requests of another size alone (up to 1 MiB, or above)",
    KEPT_BACK: "in pieces that max_split_size_mb keeps from smaller requests",
}
"""Why free memory could not serve a request."""


_WHOSE_LIMIT = {"cgroup": "its cgroup", "mig": "its MIG instance", "fraction": "its memory fraction"}


def tell(failure: FailedAllocation, causes: Sequence[FoundCause]) -> tuple[ToldCause, ...]:
    """The causes in sentences."""
    return tuple(ToldCause(found.cause, tuple(_sentences(failure, found)), found.figures) for found in causes)


def explain(failure: FailedAllocation, causes: Sequence[ToldCause]) -> Iterator[str]:
    """All that is said: what it broke on first, then what led there, then the largest stack."""
    for cause in sorted(causes, key=lambda cause: cause.cause == "leak"):
        yield from cause.why
    grown = steady_growth(failure)
    if failure.request is None and grown is not None:
        yield _leak(grown)
    elif failure.request is not None and grown is None:
        yield from _process_growth(failure)
    yield from _largest_stack(failure)


def _sentences(failure: FailedAllocation, found: FoundCause) -> Iterator[str]:
    match found.cause:
        case "leak":
            grown = steady_growth(failure)
            if grown is not None:
                yield _leak(grown)
        case "spike":
            yield _spike(found.figures)
        case _:
            yield _immediate(failure, found)
            yield from _unusable(failure, found)


def _immediate(failure: FailedAllocation, found: FoundCause) -> str:
    figures = found.figures
    asked = f"It asked for {size(figures['requested_bytes'])}"
    if "free_bytes" not in figures:
        return f"{asked}; nobody told how much was free."
    there = f"{size(figures['device_free_bytes'])} were free on the GPU{_in_cache(failure, figures)}"
    match found.cause:
        case "limit" if "kept_back_bytes" in figures:
            return (
                f"{asked}; {there}. {size(figures['kept_back_bytes'])} more lay free there in pieces that "
                "max_split_size_mb keeps from smaller requests."
            )
        case "limit" if "limit_used_bytes" in figures and failure.limit is not None:
            return (
                f"{asked}; {_allowed(failure.limit, figures)}, while {size(figures['whole_free_bytes'])} were free on "
                "the whole GPU: that limit refused, not the device."
            )
        case "limit":
            return (
                f"{asked} and {size(figures['device_free_bytes'])} were free on the GPU: not the device refused, but a "
                "limit (a memory fraction of the process, a memory pool) or something that held the memory for a "
                "moment only."
            )
        case "fragmentation":
            largest = figures.get("largest_free_bytes")
            pieces = f", the latter in pieces of at most {size(largest)}" if largest is not None else ""
            return f"{asked} in one piece. {there}{pieces}: enough in all, nowhere enough at once."
        case "neighbour":
            largest_other = failure.others[0]
            return (
                f"{asked}, {size(figures['device_free_bytes'])} were free on the GPU. Other processes hold "
                f"{size(figures['others_bytes'])} there, the largest is {largest_other.label} with "
                f"{size(largest_other.used_bytes)}."
            )
        case "unknown":
            return (
                f"{asked}, and a free piece of {size(figures['largest_free_bytes'])} lay in its own cache: why that "
                "did not serve it is not told."
            )
        case _:
            holds = f" It held {size(figures['held_bytes'])} itself." if "held_bytes" in figures else ""
            return f"{asked}; {there}: too little, in whatever pieces.{holds}"


def _allowed(limit: KnownLimit, figures: dict[str, int]) -> str:
    held = size(figures["limit_used_bytes"])
    if limit.share is None:
        return f"{_WHOSE_LIMIT[limit.kind]} may hold {size(figures['limit_bytes'])} and held {held}"
    of_bytes = f" ({size(figures['limit_bytes'])})" if "limit_bytes" in figures else ""
    return (
        f"its memory fraction (torch.cuda.set_per_process_memory_fraction) lets it hold {limit.share:.4g} of the GPU"
        f"{of_bytes}, and it had reserved {held}"
    )


def _in_cache(failure: FailedAllocation, figures: dict[str, int]) -> str:
    """What was free beside the GPU's own memory; for this request where that is known."""
    if failure.cache is None:
        return ""
    whose = "" if failure.cache.usable_bytes is None else " for this request"
    return f" and {size(figures['cache_free_bytes'])} in its own cache{whose}"


def _unusable(failure: FailedAllocation, found: FoundCause) -> Iterator[str]:
    """What was free, and of no use."""
    if found.cause == "shortage" and failure.cache is not None:
        for reason, free in failure.cache.unusable.items():
            yield f"{size(free)} more lay free in its cache {WHY_UNUSABLE[reason]}."


def _leak(grown: UsageChange) -> str:
    fell = "and never fell" if grown.fell_bytes == 0 else f"and never fell by more than {size(grown.fell_bytes)}"
    return (
        f"Before that, {grown.what} grew by {size(grown.rise_bytes)}, from {size(grown.before_bytes)} to "
        f"{size(grown.after_bytes)}, {fell}: that is what a leak looks like."
    )


def _spike(figures: dict[str, int]) -> str:
    if "earlier_bytes" in figures:
        return (
            f"That step needed {size(figures['needed_bytes'])}; none of the {figures['steps']} steps before it needed "
            f"more than {size(figures['earlier_bytes'])}: a spike."
        )
    return (
        f"That one request was for as much as all that was held ({size(figures['allocated_bytes'])}), or more: a spike."
    )


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
