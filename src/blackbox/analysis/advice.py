"""Advice on a failed allocation: what would have helped, each with the memory it would have made available."""

from collections.abc import Iterator, Sequence

from msgspec import Struct

from blackbox.analysis.diagnosis import FailedAllocation, FailedRequest, steady_growth
from blackbox.analysis.stacks import own_frame
from blackbox.analysis.trace.moments import PRIVATE_POOL
from blackbox.analysis.usage import OUTSIDE
from blackbox.analysis.verdict import FoundCause
from blackbox.model.text import size

NEIGHBOURS_MAX = 3
"""Other processes named in the advice, the largest first: more would only repeat it."""
KV_USAGE_LOW_RATIO = 0.4
"""A KV cache whose used share is below this is larger than its load needs."""
LARGE_SHARE = 0.25
"""A use of memory that holds this share of the process gets an advice of its own."""
BY_USE = {
    "activations": "Smaller batches or sequences, or activation checkpointing, hold fewer activations at once.",
    "weights": "A smaller number format, or sharding over several GPUs, shrinks the weights.",
    "optimizer state": "A sharded or 8-bit optimizer, or one without momentum, keeps less state.",
    "gradient": "Clearing gradients to none before the forward pass, or accumulating in a smaller format, keeps fewer.",
    "KV cache in use": "Fewer concurrent requests, or shorter contexts, take fewer pages.",
}


class FailureAdvice(Struct, frozen=True, kw_only=True):
    """One change that would have helped."""

    title: str
    text: str
    bytes: int | None
    """Memory it would have made available; None where that is not known."""


def advise(failure: FailedAllocation, causes: Sequence[FoundCause]) -> Iterator[FailureAdvice]:
    """What would have helped, the most effective first; nothing that brings no byte."""
    found = [item for item in _all(failure, causes) if item.bytes is None or item.bytes > 0]
    missing = failure.request.missing_bytes if failure.request else None
    yield from sorted(found, key=lambda item: missing is not None and (item.bytes or 0) < missing)


def _all(failure: FailedAllocation, causes: Sequence[FoundCause]) -> Iterator[FailureAdvice]:
    yield from _stop_the_leak(failure)
    if failure.request is None:
        yield from _smaller_kv_pools(failure)
        return
    for found in causes:
        if found.cause == "fragmentation":
            yield from _fragments(failure)
        yield from _kept_back(found)
        yield from _fraction(failure, found)
    yield from _private_pools(failure)
    yield from _neighbours(failure)
    yield from _ask_for_less(failure, failure.request)
    yield from _smaller_kv_pools(failure)
    yield from _by_use(failure)


def _stop_the_leak(failure: FailedAllocation) -> Iterator[FailureAdvice]:
    grown = steady_growth(failure)
    if grown is None:
        return
    shares = failure.growth.shares if failure.growth else ()
    culprit = next((share for share in shares if share.frames and grown.what in share.uses), None)
    where = f" Most of it was allocated at {own_frame(culprit.frames)} and never freed." if culprit else ""
    yield FailureAdvice(
        title=f"Let go of the {grown.what} that {'pile' if grown.what.endswith('s') else 'piles'} up",
        text=f"Something keeps a reference: a list of losses that hold their graphs (use .item() or .detach()), "
        f"a cache without a limit, outputs collected on the GPU.{where}",
        bytes=grown.rise_bytes,
    )


def _fragments(failure: FailedAllocation) -> Iterator[FailureAdvice]:
    cache = failure.cache
    if cache is None or cache.expandable:
        return
    stranded = cache.stranded_bytes
    usable = cache.free_for_request_bytes
    yield FailureAdvice(
        title="Let the allocator join its pieces",
        text="PYTORCH_CUDA_ALLOC_CONF=expandable_segments:True lets PyTorch's free pieces be used together, whatever "
        "lives between them." + ("" if cache.expandable is not None else " Whether that is set already is not known."),
        bytes=usable if stranded is None else min(stranded, usable),
    )


def _kept_back(found: FoundCause) -> Iterator[FailureAdvice]:
    kept = found.figures.get("kept_back_bytes", 0)
    if kept:
        yield FailureAdvice(
            title="Leave out max_split_size_mb, or raise it",
            text="Free pieces as large as it, or larger, are neither split nor given to smaller requests.",
            bytes=kept,
        )


def _fraction(failure: FailedAllocation, found: FoundCause) -> Iterator[FailureAdvice]:
    limit = failure.limit
    if found.cause == "limit" and limit is not None and limit.share is not None and "limit_used_bytes" in found.figures:
        yield FailureAdvice(
            title="Raise the program's memory fraction",
            text=f"torch.cuda.set_per_process_memory_fraction, or per_process_memory_fraction in "
            f"PYTORCH_CUDA_ALLOC_CONF, lets it hold {limit.share:.4g} of the GPU; so much was free beside it.",
            bytes=limit.whole_free_bytes,
        )


def _private_pools(failure: FailedAllocation) -> Iterator[FailureAdvice]:
    free = failure.cache.unusable.get(PRIVATE_POOL, 0) if failure.cache is not None else 0
    if free:
        yield FailureAdvice(
            title="Give back what lies free in private pools",
            text="Only their own CUDA graphs (or MemPool) may use it: reset graphs that are no longer replayed, and "
            "let graphs that never run at once share one pool (`pool=` of torch.cuda.graph).",
            bytes=free,
        )


def _neighbours(failure: FailedAllocation) -> Iterator[FailureAdvice]:
    for process in failure.others[:NEIGHBOURS_MAX]:
        yield FailureAdvice(
            title=f"Move {process.label} elsewhere",
            text=f"It holds {size(process.used_bytes)} on the same GPU"
            + (f", {size(process.change.rise_bytes)} more than before." if process.change.rise_bytes > 0 else "."),
            bytes=process.used_bytes,
        )


def _ask_for_less(failure: FailedAllocation, request: FailedRequest) -> Iterator[FailureAdvice]:
    cache = failure.cache
    best = max(request.device_free_bytes or 0, (cache.largest_hole_bytes or 0) if cache else 0)
    if request.device_free_bytes is None or not 0 < best < request.requested_bytes:
        return
    yield FailureAdvice(
        title=f"Ask for {size(request.requested_bytes - best)} less",
        text=f"A request of {size(best)} would have been served.",
        bytes=None,
    )


def _smaller_kv_pools(failure: FailedAllocation) -> Iterator[FailureAdvice]:
    pids = {process.pid for process in failure.processes}
    for engine in failure.engines:
        if engine.pid in pids and engine.kv_usage_ratio is not None and engine.kv_usage_ratio < KV_USAGE_LOW_RATIO:
            yield FailureAdvice(
                title=f"Give {engine.kind} a smaller KV cache",
                text=f"{engine.kv_usage_ratio:.0%} of its pages were in use at that instant; vLLM: a lower "
                "--gpu-memory-utilization.",
                bytes=None,
            )


def _by_use(failure: FailedAllocation) -> Iterator[FailureAdvice]:
    process = failure.failed_process
    if process is None:
        return
    for use, held in process.uses.items():
        if use != OUTSIDE and use in BY_USE and held >= LARGE_SHARE * process.used_bytes:
            yield FailureAdvice(
                title=f"Hold fewer {use}" if use.endswith("s") else f"Less {use}", text=BY_USE[use], bytes=None
            )
