"""How cut up the allocators' memory is."""

from collections.abc import Iterable

from blackbox.merge.process_memory import Holding
from blackbox.model.sample import Allocator
from blackbox.model.snapshot import Fragmentation

RATIO_DECIMALS = 4


def fragmentation_ratio(held: Iterable[Holding]) -> float:
    """Inactive split bytes / reserved bytes over the allocators that tell both; 0 when none does."""
    telling = [allocator for allocator in _allocators(held) if allocator.inactive_split_bytes is not None]
    stranded = sum(allocator.inactive_split_bytes or 0 for allocator in telling)
    return _share(stranded, sum(allocator.reserved_bytes for allocator in telling)) or 0.0


def fragmentation_unknown(held: Iterable[Holding]) -> str | None:
    """Why nobody could tell the ratio; None where somebody does."""
    allocators = _allocators(held)
    if not allocators:
        return "no allocator reports"
    if all(allocator.inactive_split_bytes is None for allocator in allocators):
        return "no allocator that reports tells it"
    return None


def fragmentation(held: Iterable[Holding]) -> Fragmentation | None:
    """The other measures; None when no allocator reports."""
    allocators = _allocators(held)
    if not allocators:
        return None
    reserved = sum(allocator.reserved_bytes for allocator in allocators)
    allocated = sum(allocator.allocated_bytes for allocator in allocators)
    largest = max(
        (allocator.largest_free_bytes for allocator in allocators if allocator.largest_free_bytes is not None),
        default=None,
    )
    requested = [allocator.requested_bytes for allocator in allocators if allocator.requested_bytes is not None]
    asked = sum(requested) if len(requested) == len(allocators) else None
    free = reserved - allocated
    return Fragmentation(
        external_ratio=None if largest is None or free == 0 else _share(max(0, free - largest), free),
        internal_ratio=None if asked is None else _share(max(0, allocated - asked), allocated),
        cached_ratio=_share(free, reserved),
        largest_free_bytes=largest,
    )


def _allocators(held: Iterable[Holding]) -> list[Allocator]:
    return [allocator for holding in held for allocator in holding.allocators]


def _share(part: int, whole: int) -> float | None:
    return round(part / whole, RATIO_DECIMALS) if whole else None
