"""Why an allocation failed: fragmentation, another process, or too little memory for what the program wants."""

from collections.abc import Iterator

from msgspec import Struct

from blackbox.model.snapshot import Engine
from blackbox.model.text import size
from blackbox.report.readings import FREE_IN_CACHE, GpuReading
from blackbox.report.report_data import Cache, Cause, Change, Party, Request
from blackbox.report.stacks import Growth, own_frame

SIGNIFICANT_SHARE = 0.05
"""Of the GPU: smaller changes do not explain why it is full."""
STEADY_FALL_SHARE = 0.1
"""Growth that never fell by more than this share of its rise is called steady."""


class Failed(Struct, frozen=True, kw_only=True):
    """What is known of a failure."""

    request: Request | None
    cache: Cache | None
    parties: tuple[Party, ...]
    uses: tuple[Change, ...]
    growth: Growth | None
    gpu: GpuReading | None
    engines: tuple[Engine, ...]

    @property
    def failed_party(self) -> Party | None:
        return next((party for party in self.parties if party.is_failed), None)

    @property
    def others(self) -> list[Party]:
        """Other processes on the GPU, largest first."""
        return [party for party in self.parties if not party.is_failed]


def cause_of(failed: Failed) -> Cause | None:
    """The immediate cause; None when nothing failed."""
    request, cache = failed.request, failed.cache
    if request is None:
        return None
    if request.missing_bytes is None:
        return "unknown"
    if request.missing_bytes == 0:
        return "limit"
    if cache is not None and cache.free_bytes >= request.missing_bytes:
        return "fragmentation"
    short = request.missing_bytes - (cache.free_bytes if cache is not None else 0)
    return "neighbour" if _others_are_to_blame(failed, short) else "shortage"


def steady_growth(failed: Failed) -> Change | None:
    """The use of memory that grew the most, and grew only: what a leak looks like. None when there is none."""
    if failed.gpu is None:
        return None
    least = SIGNIFICANT_SHARE * failed.gpu.total_bytes
    grown = [use for use in failed.uses if use.what != FREE_IN_CACHE and use.rise_bytes >= least]
    steady = [use for use in grown if use.fell_bytes <= STEADY_FALL_SHARE * use.rise_bytes]
    return max(steady, key=lambda use: use.rise_bytes, default=None)


def why(failed: Failed) -> Iterator[str]:
    """The cause in sentences."""
    request, cache = failed.request, failed.cache
    if request is not None:
        yield from _immediately(failed, request, cache)
    grown = steady_growth(failed)
    if grown is not None:
        yield (
            f"Before that, {grown.what} grew by {size(grown.rise_bytes)}, from {size(grown.before_bytes)} to "
            f"{size(grown.after_bytes)}, {_without_falling(grown)}: that is what a leak looks like."
        )
    elif request is not None:
        yield from _party_growth(failed)
    yield from _largest_stack(failed)


def _immediately(failed: Failed, request: Request, cache: Cache | None) -> Iterator[str]:
    asked = size(request.requested_bytes)
    if request.device_free_bytes is None:
        yield f"It asked for {asked}; nobody told how much was free."
        return
    free = size(request.device_free_bytes)
    match cause_of(failed):
        case "limit":
            yield (
                f"It asked for {asked} and {free} were free on the GPU: not the device refused, but a limit (a memory "
                "fraction of the process, a memory pool) or something that held the memory for a moment only."
            )
        case "fragmentation" if cache is not None:
            hole = cache.largest_hole_bytes
            pieces = f", but in pieces of at most {size(hole)}" if hole is not None else ""
            yield (
                f"It asked for {asked} in one piece. {free} were free on the GPU and {size(cache.free_bytes)} in its "
                f"own cache{pieces}: enough in all, nowhere enough at once."
            )
        case "neighbour":
            largest = failed.others[0]
            yield (
                f"It asked for {asked}, {free} were free on the GPU. Other processes hold "
                f"{size(request.others_bytes or 0)} there, the largest is {largest.label} "
                f"with {size(largest.used_bytes)}."
            )
        case _:
            own = f" and {size(cache.free_bytes)} in its own cache" if cache is not None else ""
            party = failed.failed_party
            holds = f" It held {size(party.used_bytes)} itself." if party is not None else ""
            yield (f"It asked for {asked}; {free} were free on the GPU{own}: too little, in whatever pieces.{holds}")


def _party_growth(failed: Failed) -> Iterator[str]:
    if failed.gpu is None:
        return
    grown = max(failed.parties, key=lambda party: party.change.rise_bytes, default=None)
    if grown is not None and grown.change.rise_bytes >= SIGNIFICANT_SHARE * failed.gpu.total_bytes:
        yield f"Before that, {grown.change.what} grew by {size(grown.change.rise_bytes)}."


def _largest_stack(failed: Failed) -> Iterator[str]:
    growth = failed.growth
    if growth is None:
        return
    known = [share for share in growth.shares if share.frames]
    if known and known[0].bytes >= SIGNIFICANT_SHARE * growth.live_bytes:
        share = known[0]
        yield f"{size(share.bytes)} of what lives,{share.blocks}, were allocated at {own_frame(share.frames)}."


def _without_falling(change: Change) -> str:
    return "and never fell" if change.fell_bytes == 0 else f"and never fell by more than {size(change.fell_bytes)}"


def _others_are_to_blame(failed: Failed, short: int) -> bool:
    """Others have what was missing, and either more than the program itself or took it just now."""
    others = failed.others
    held = sum(party.used_bytes for party in others)
    own = failed.failed_party
    if held < short:
        return False
    return own is None or held > own.used_bytes or max(party.change.rise_bytes for party in others) >= short
