"""Fragmentation of the memory that allocators hold."""

from blackbox.merge.process_rows import ProcessRows
from blackbox.model.snapshot import Fragmentation

RATIO_DECIMALS = 4


def fragmentation_ratio(rows: ProcessRows) -> float:
    """Inactive split bytes / reserved bytes, over the allocators that report both; 0 when none does."""
    reporting = [allocator for allocator in rows.allocators if allocator.inactive_split_bytes is not None]
    stranded = sum(allocator.inactive_split_bytes or 0 for allocator in reporting)
    return _share(stranded, sum(allocator.reserved_bytes for allocator in reporting)) or 0.0


def fragmentation_unknown(rows: ProcessRows) -> str | None:
    """Why the ratio is unknown; None when at least one allocator reports it."""
    allocators = rows.allocators
    if not allocators:
        return "no allocator reports"
    if all(allocator.inactive_split_bytes is None for allocator in allocators):
        return "no allocator that reports tells it"
    return None


def fragmentation(rows: ProcessRows) -> Fragmentation | None:
    """The other measures of fragmentation; None when no allocator reports."""
    allocators = rows.allocators
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


def _share(part: int, whole: int) -> float | None:
    return round(part / whole, RATIO_DECIMALS) if whole else None
