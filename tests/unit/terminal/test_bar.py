"""Bars out of characters: as wide as asked, and each cell says what most of it is."""

from hypothesis import given, settings
from hypothesis import strategies as st

from blackbox.merge import merge
from blackbox.model.moment import Moment
from blackbox.terminal.bar import cell_owners, ledger_bar, meter, names_below, spark
from blackbox.terminal.layout import plain, width_of
from blackbox.terminal.ledger import LedgerPart, leaves, ledgers
from blackbox.terminal.purposes import LOOK_OF
from tests.moments import machine, moment
from tests.strategies import moments

GIB = 1 << 30
purposes = st.sampled_from(sorted(LOOK_OF))
held = st.lists(st.builds(LedgerPart, purposes, st.integers(1, 80 * GIB)), min_size=1, max_size=12)


@given(held, st.integers(1, 120), st.sampled_from([256, 16, 0]))
def test_a_bar_is_as_wide_as_asked(parts: list[LedgerPart], width: int, depth: int) -> None:
    total = sum(part.bytes for part in parts)
    assert width_of(ledger_bar(parts, total, width, depth)) == width  # type: ignore[arg-type]


@given(held, st.integers(1, 120))
def test_a_cell_belongs_to_what_it_holds_most_of(parts: list[LedgerPart], width: int) -> None:
    total = sum(part.bytes for part in parts)
    owners = cell_owners(parts, total, width)
    starts = [sum(part.bytes for part in parts[:place]) for place in range(len(parts))]
    for cell, owner in enumerate(owners[:-1]):
        low, high = cell * total / width, (cell + 1) * total / width
        inside = [min(high, start + part.bytes) - max(low, start) for start, part in zip(starts, parts, strict=True)]
        place = next(index for index, part in enumerate(parts) if part is owner)
        assert inside[place] >= max(inside) - total * 1e-9


@settings(max_examples=20)
@given(moments(), st.integers(8, 90))
def test_bars_of_any_machine_can_be_drawn(moment: Moment, width: int) -> None:
    for leaf in leaves(ledgers(merge(moment))):
        for depth in (256, 0):
            assert width_of(ledger_bar(leaf.parts, leaf.gpu.total_bytes, width, depth)) in (0, width)
            assert width_of(names_below(leaf.parts, leaf.gpu.total_bytes, width, depth)) <= width


def test_without_colours_letters_fill() -> None:
    parts = [
        LedgerPart("weight", 30 * GIB),
        LedgerPart("cached", 10 * GIB),
        LedgerPart("free", 39 * GIB),
        LedgerPart("driver", GIB),
    ]
    assert plain(ledger_bar(parts, 80 * GIB, 40, 0)) == "WWW W 30.0 WWWW~~~~~···· free 39.0 ····‖"
    assert plain(ledger_bar(parts, 80 * GIB, 40, 256)) == "     W 30.0    ~~~~~···· free 39.0 ····‖"
    assert ">>>" in plain(ledger_bar(parts, 80 * GIB, 40, 0, grows=True))


def test_processes_are_named_below_where_they_begin() -> None:
    leaf = next(leaves(ledgers(merge(moment(machine())))))
    bar, names = (make(leaf.parts, leaf.gpu.total_bytes, 100, 0) for make in (ledger_bar, names_below))
    assert width_of(bar) == 100
    assert plain(names).count("└") >= 1


def test_meters_and_sparks() -> None:
    assert meter(0.5, 4) == "━━  "
    assert meter(0.001, 4) == "━   "
    assert meter(0, 4) == "    "
    assert spark([0, None, 40, 80], 80) == "▁ ▅█"
