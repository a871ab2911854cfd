"""Blocks summed up in cells."""

from hypothesis import given
from hypothesis import strategies as st

from blackbox.terminal.purposes import RANK
from blackbox.tui.block_map import FINEST_ROW_BYTES, MappedBlock, block_map

MIB = 1 << 20
purposes = st.sampled_from(["weight", "activation", "kv_used", "cached", "kv_cached"])


@st.composite
def blocks(draw: st.DrawFn) -> list[MappedBlock]:
    """By address, none over another, with gaps."""
    found: list[MappedBlock] = []
    at = draw(st.integers(0, 64)) * MIB
    for _ in range(draw(st.integers(1, 20))):
        size = draw(st.integers(1, 8 * MIB))
        found.append(MappedBlock(at, size, draw(purposes)))
        at += size + draw(st.sampled_from([0, 0, 512, 40 * MIB]))
    return found


@given(blocks(), st.sampled_from([16, 64]), st.integers(4, 40))
def test_every_block_is_counted_and_has_its_row(found: list[MappedBlock], width: int, rows: int) -> None:
    made = block_map(found, width, rows, RANK)
    assert sum(size for size, _ in made.sums.values()) == sum(block.size for block in found)
    assert sum(count for _, count in made.sums.values()) == made.blocks == len(found)
    assert all(len(row.cells) == width for row in made.rows)
    assert len(made.rows) <= rows
    held = {row.address for row in made.rows}
    assert all(block.address // made.row_bytes * made.row_bytes in held for block in found)
    addresses = [row.address for row in made.rows]
    assert addresses == sorted(set(addresses))


def test_a_cell_takes_what_lives_before_what_is_free() -> None:
    cell = FINEST_ROW_BYTES // 16
    free, live = MappedBlock(0, cell - 512, "cached"), MappedBlock(cell - 512, 512, "weight")
    made = block_map([free, live, MappedBlock(cell, cell, "cached")], 16, 8, RANK)
    assert made.rows[0].cells[:3] == ("weight", "cached", None)
    assert made.hidden == 2
    assert made.largest_free == (cell, cell)


def test_memory_far_away_begins_a_row_that_says_so() -> None:
    far = 1 << 40
    made = block_map([MappedBlock(0, MIB, "weight"), MappedBlock(far, MIB, "weight")], 16, 8, RANK)
    assert [row.begins_range for row in made.rows] == [False, True]
    assert made.rows[1].address == far
