"""What would have helped, each with the memory it would have made available."""

from collections.abc import Iterator

from blackbox.model.text import size
from blackbox.report.diagnosis import Failed, cause_of, steady_growth
from blackbox.report.readings import OUTSIDE
from blackbox.report.report_data import Remedy, Request
from blackbox.report.stacks import own_frame

NEIGHBOURS_MAX = 3
"""Processes worth naming."""
KV_USAGE_LOW_RATIO = 0.4
"""A KV cache used less than this is larger than its load needs."""
LARGE_SHARE = 0.25
"""A use that holds this much of the process is worth an advice of its own."""
BY_USE = {
    "activations": "Smaller batches or sequences, or activation checkpointing, hold fewer activations at once.",
    "weights": "A smaller number format, or sharding over several GPUs, shrinks the weights.",
    "optimizer state": "A sharded or 8-bit optimizer, or one without momentum, keeps less state.",
    "gradient": "Clearing gradients to none before the forward pass, or accumulating in a smaller format, keeps fewer.",
    "KV cache in use": "Fewer concurrent requests, or shorter contexts, take fewer pages.",
}


def remedies(failed: Failed) -> Iterator[Remedy]:
    """The most effective first."""
    found = list(_all(failed))
    missing = failed.request.missing_bytes if failed.request else None
    yield from sorted(found, key=lambda remedy: missing is not None and (remedy.bytes or 0) < missing)


def _all(failed: Failed) -> Iterator[Remedy]:
    yield from _stop_the_leak(failed)
    if failed.request is None:
        yield from _smaller_kv_pools(failed)
        return
    yield from _fragments(failed)
    yield from _neighbours(failed)
    yield from _ask_for_less(failed, failed.request)
    yield from _smaller_kv_pools(failed)
    yield from _by_use(failed)


def _stop_the_leak(failed: Failed) -> Iterator[Remedy]:
    grown = steady_growth(failed)
    if grown is None:
        return
    shares = failed.growth.shares if failed.growth else ()
    culprit = next((share for share in shares if share.frames and grown.what in share.uses), None)
    where = f" Most of it was allocated at {own_frame(culprit.frames)} and never freed." if culprit else ""
    yield Remedy(
        title=f"Let go of the {grown.what} that pile up",
        text=f"Something keeps a reference: a list of losses that hold their graphs (use .item() or .detach()), "
        f"a cache without a limit, outputs collected on the GPU.{where}",
        bytes=grown.rise_bytes,
    )


def _fragments(failed: Failed) -> Iterator[Remedy]:
    cache = failed.cache
    if cache is None or cause_of(failed) != "fragmentation":
        return
    yield Remedy(
        title="Let the allocator join its pieces",
        text="PYTORCH_CUDA_ALLOC_CONF=expandable_segments:True lets PyTorch's free pieces be used together, whatever "
        "lives between them.",
        bytes=cache.stranded_bytes if cache.stranded_bytes is not None else cache.free_bytes,
    )


def _neighbours(failed: Failed) -> Iterator[Remedy]:
    for party in failed.others[:NEIGHBOURS_MAX]:
        yield Remedy(
            title=f"Move {party.label} elsewhere",
            text=f"It holds {size(party.used_bytes)} on the same GPU"
            + (f", {size(party.change.rise_bytes)} more than before." if party.change.rise_bytes > 0 else "."),
            bytes=party.used_bytes,
        )


def _ask_for_less(failed: Failed, request: Request) -> Iterator[Remedy]:
    cache = failed.cache
    best = max(request.device_free_bytes or 0, (cache.largest_hole_bytes or 0) if cache else 0)
    if request.device_free_bytes is None or best >= request.requested_bytes:
        return
    yield Remedy(
        title=f"Ask for {size(request.requested_bytes - best)} less",
        text=f"A request of {size(best)} would have been served.",
        bytes=None,
    )


def _smaller_kv_pools(failed: Failed) -> Iterator[Remedy]:
    pids = {party.pid for party in failed.parties}
    for engine in failed.engines:
        if engine.pid in pids and engine.kv_usage_ratio is not None and engine.kv_usage_ratio < KV_USAGE_LOW_RATIO:
            yield Remedy(
                title=f"Give {engine.kind} a smaller KV cache",
                text=f"{engine.kv_usage_ratio:.0%} of its pages were in use at that instant; vLLM: a lower "
                "--gpu-memory-utilization.",
                bytes=None,
            )


def _by_use(failed: Failed) -> Iterator[Remedy]:
    party = failed.failed_party
    if party is None:
        return
    for use, held in party.uses.items():
        if use != OUTSIDE and use in BY_USE and held >= LARGE_SHARE * party.used_bytes:
            yield Remedy(
                title=f"Hold fewer {use}" if use.endswith("s") else f"Less {use}", text=BY_USE[use], bytes=None
            )
