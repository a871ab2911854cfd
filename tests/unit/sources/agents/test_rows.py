"""Rows of a report that stand for those of the next are the ones that would be made."""

from array import array
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from blackbox.merge import merge
from blackbox.model.block_arrays import ListedBlocks
from blackbox.model.moment import Moment
from blackbox.model.parts import AllocatorBlock
from blackbox.sources.agents import rows as rows_module
from blackbox.sources.agents.decode import Columns
from blackbox.sources.agents.rows import block_rows
from blackbox.wire.report import NO_THREAD, NOT_KNOWN
from tests.moments import GIB, allocator, device, moment, process, sample

Block = tuple[int, int, int, int, int]
"""Size in units, state, type, label, thread."""
UNIT = 512
LABELS = (("norm", "module"), (None, "stack"), ("bias", "module"))
BLOCKS = st.lists(
    st.tuples(
        st.integers(1, 3), st.integers(0, 2), st.integers(0, 3), st.integers(0, 2), st.sampled_from((NO_THREAD, 1))
    ),
    min_size=1,
    max_size=300,
)
CHANGES = st.lists(st.tuples(st.sampled_from(("change", "insert", "remove")), st.integers(0, 299)), max_size=4)


def ids() -> Any:
    """Of a program whose threads have the ids that it tells."""
    return SimpleNamespace(outer=lambda thread_id: thread_id)  # pyright: ignore


def columns_of(blocks: Sequence[Block], labels: tuple[tuple[str | None, str | None], ...] = LABELS) -> Columns:
    sizes = [block[0] * UNIT for block in blocks]
    starts = [sum(sizes[:place]) for place in range(len(sizes))]
    return Columns(
        address=array("Q", [(1 << 45) + start for start in starts]),
        size=array("Q", sizes),
        state=array("B", [block[1] for block in blocks]),
        type=array("B", [block[2] for block in blocks]),
        requested=array("Q", [NOT_KNOWN if not block[1] else block[0] * UNIT - 1 for block in blocks]),
        stream=array("Q", bytes(8 * len(blocks))),
        thread=array("I", [block[4] for block in blocks]),
        label=array("B", [block[3] for block in blocks]),
        labels=labels,
        stack=None,
        starts=array("B", [place % 50 == 0 for place in range(len(blocks))]),
        pool=None,
        allocated_ms=array("Q", starts),
    )


def changed(blocks: list[Block], changes: list[tuple[str, int]]) -> list[Block]:
    found = list(blocks)
    for what, place in changes:
        place %= len(found)
        size, state, *rest = found[place]
        if what == "change":
            found[place] = (size, (state + 1) % 3, *rest)  # type: ignore[assignment]
        elif what == "insert":
            found.insert(place, (1, 1, 0, 0, 1))
        elif len(found) > 1:
            del found[place]
    return found


def told(blocks: tuple[AllocatorBlock, ...], held: int) -> Moment:
    report = allocator(4711, reserved_bytes=held, allocated_bytes=held, blocks=blocks)
    return moment(sample((device(0),), (process(4711, used_bytes=GIB),), allocators=(report,)))


@given(BLOCKS, CHANGES, st.booleans())
def test_rows_beside_an_earlier_report_are_those_made_anew(
    blocks: list[Block], changes: list[tuple[str, int]], relabelled: bool
) -> None:
    """So is the snapshot of them; and the report as plain rows gives the same, too."""
    before = block_rows(columns_of(blocks), ids())
    merge(told(before, sum(block.size for block in before)))
    columns = columns_of(changed(blocks, changes), LABELS[::-1] if relabelled else LABELS)
    found, anew = block_rows(columns, ids(), before), block_rows(columns, ids())
    assert found == anew
    assert isinstance(found, ListedBlocks)
    assert isinstance(anew, ListedBlocks)
    assert found.arrays == anew.arrays
    assert [chunk.rows for chunk in found.chunks] == [chunk.rows for chunk in anew.chunks]
    held = sum(columns.size)
    snapshot = merge(told(found, held))
    assert snapshot == merge(told(tuple(anew), held))
    assert sum(block.size for block in snapshot.blocks if block.pid == 4711) == GIB


def test_a_block_less_leaves_the_rows_of_all_chunks_but_its_own() -> None:
    columns = columns_of([(1 + place % 3, 1, 0, 0, 1) for place in range(3000)])._replace(starts=None)
    split = columns._make(
        None if column is None else column if isinstance(column, tuple) else column[:1500] + column[1501:]
        for column in columns
    )
    one = block_rows(columns, ids())
    two = block_rows(split, ids(), one)
    assert isinstance(one, ListedBlocks)
    assert isinstance(two, ListedBlocks)
    kept = {id(chunk.rows) for chunk in one.chunks} & {id(chunk.rows) for chunk in two.chunks}
    assert len(kept) == len(one.chunks) - 1 > 5


def test_without_marks_chunks_have_an_end() -> None:
    addresses = array("Q", [61 * place + 1 for place in range(2500)])
    parts = list(rows_module._parts(addresses))
    assert [part.start for part in parts] == [0, *(part.stop for part in parts[:-1])]
    assert parts[-1].stop == len(addresses)
    assert max(part.stop - part.start for part in parts) <= rows_module.CHUNK_ROWS_MAX
