"""Which snapshot of a file is told, where it holds several: one of each rank of a job, mostly."""

from collections.abc import Sequence

from msgspec import structs

from blackbox.analysis.rules import NO_RULES, CategoryRules
from blackbox.sources.memory_snapshot.contents import Beside, Contents, contents
from blackbox.sources.memory_snapshot.nested import Nested
from blackbox.sources.memory_snapshot.parts import SnapshotParts


def contents_of_file(found: Sequence[Nested], parts: SnapshotParts, rules: CategoryRules = NO_RULES) -> Contents:
    """The one with the last refusal, else the one that held most, and the figures of the others. Raises what `contents`
    does."""
    if len(found) == 1:
        return structs.replace(contents(found[0].snapshot, parts, rules), place=found[0].place)
    figures = [contents(one.snapshot, "end" if parts == "end" else "figures", rules) for one in found]
    first = _first(figures)
    told = figures[first] if parts in ("end", "figures") else contents(found[first].snapshot, parts, rules)
    return structs.replace(
        told,
        place=found[first].place,
        beside=tuple(
            Beside(one.place, () if known.replayed is None else known.replayed.devices)
            for number, (one, known) in enumerate(zip(found, figures, strict=True))
            if number != first
        ),
    )


def chosen(found: Sequence[Nested], rules: CategoryRules = NO_RULES) -> Nested:
    """The same one."""
    if len(found) == 1:
        return found[0]
    return found[_first([contents(one.snapshot, "figures", rules) for one in found])]


def _first(figures: Sequence[Contents]) -> int:
    return max(range(len(figures)), key=lambda number: _rank(figures[number]))


def _rank(known: Contents) -> tuple[bool, float, int]:
    if known.replayed is None:
        return False, 0.0, sum(one.allocated_bytes or 0 for one in known.sample.allocators)
    told = known.replayed.told
    refused = told.kind == "refusal"
    return refused, (told.time or 0.0) if refused else 0.0, told.allocator.allocated_bytes or 0
