"""Pages of an engine's KV cache: they tile its tensors, whatever the layout, or are not shown at all."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from blackbox.sources.agents import kv_pages as kv
from blackbox.sources.agents.kv_pages import KvMismatchError, pool_of
from blackbox.wire.report import PAGE_CACHED, PAGE_IN_USE, KvLayout, KvPiece

BASE, PAGE = 0x7F00_0000_0000, 4096
states_of = st.lists(st.sampled_from([0, PAGE_IN_USE, PAGE_CACHED, PAGE_IN_USE | PAGE_CACHED]), min_size=1, max_size=40)


def layer_by_layer(pages: int, layers: int) -> KvLayout:
    """All pages of a layer, then the next layer."""
    pieces = tuple(KvPiece(BASE + layer * pages * PAGE, PAGE, PAGE) for layer in range(layers))
    return KvLayout("0", "GPU-0", ((BASE, pages * layers * PAGE),), pages, pieces)


def page_by_page(pages: int, layers: int) -> KvLayout:
    """All layers of a page, then the next page."""
    pieces = tuple(KvPiece(BASE + layer * PAGE, layers * PAGE, PAGE) for layer in range(layers))
    return KvLayout("0", "GPU-0", ((BASE, pages * layers * PAGE),), pages, pieces)


@given(states_of, st.integers(1, 4), st.sampled_from([layer_by_layer, page_by_page]))
def test_pages_fill_the_tensor_without_gap_or_overlap(states: list[int], layers: int, lay: object) -> None:
    layout: KvLayout = lay(len(states), layers)  # type: ignore[operator]
    pool = pool_of(layout, bytes(states))
    spans = sorted((page.address, page.address + page.size) for page in pool.pages)
    assert all(end == start for (_, end), (start, _) in pairwise(spans))
    assert (spans[0][0], spans[-1][1] - spans[0][0]) == layout.ranges[0]
    for bit, field in ((PAGE_IN_USE, "in_use"), (PAGE_CACHED, "cached")):
        held = sum(page.size for page in pool.pages if getattr(page, field))
        assert held == sum(bool(state & bit) for state in states) * layers * PAGE


def test_a_page_whose_layers_lie_together_is_one_row() -> None:
    assert len(pool_of(page_by_page(8, 4), bytes(8)).pages) == 8
    assert len(pool_of(layer_by_layer(8, 4), bytes(8)).pages) == 32


def test_neighbours_that_hold_the_same_are_one_row_in_a_large_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kv, "PAGE_ROWS_MAX", 10)
    pool = pool_of(layer_by_layer(8, 2), bytes([1, 1, 1, 0, 0, 2, 2, 2]))
    assert [(page.page_id, page.size // PAGE, page.in_use) for page in pool.pages] == [
        (0, 3, True), (3, 2, False), (5, 3, False),
    ] * 2  # fmt: skip
    assert sum(page.size for page in pool.pages) == 16 * PAGE
    assert [page.pages for page in pool.pages] == [3, 2, 3] * 2


def test_where_even_those_are_too_many_there_is_one_row_per_state(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kv, "PAGE_ROWS_MAX", 10)
    pool = pool_of(layer_by_layer(8, 2), bytes([0, 1, 2, 1, 3, 1, 2, 0]))
    assert [(page.address, page.pages, page.size // PAGE, page.in_use, page.cached) for page in pool.pages] == [
        (0, 2, 4, False, False), (0, 3, 6, True, False), (0, 2, 4, False, True), (0, 1, 2, True, True),
    ]  # fmt: skip


@pytest.mark.parametrize(
    "layout",
    [
        layer_by_layer(8, 2)._replace(pages=7),
        layer_by_layer(8, 2)._replace(ranges=((BASE, 15 * PAGE),)),
        layer_by_layer(8, 2)._replace(ranges=((BASE + PAGE, 16 * PAGE),)),
        layer_by_layer(8, 2)._replace(pieces=(KvPiece(BASE, PAGE, PAGE),) * 2),
        layer_by_layer(8, 2)._replace(pieces=(KvPiece(BASE, 2 * PAGE, PAGE),)),
        layer_by_layer(8, 2)._replace(pieces=()),
    ],
    ids=["other pages", "short", "shifted", "twice", "gaps", "nothing"],
)
def test_a_layout_that_contradicts_itself_is_not_shown(layout: KvLayout) -> None:
    with pytest.raises(KvMismatchError):
        pool_of(layout, bytes(8))
