"""What a terminal shows: marks that differ, figures with one rounding, bars that add up."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from blackbox.merge import merge
from blackbox.model.moment import Moment
from blackbox.terminal import figures
from blackbox.terminal.colour_depth import depth_of
from blackbox.terminal.event_marks import MARKS
from blackbox.terminal.ledger import cells, gpu_label, gpu_model, leaves, ledgers
from blackbox.terminal.purposes import LOOK_OF, LOOKS
from tests.moments import GIB, MIB, TRAINER, allocator, device, instance, moment, process, sample
from tests.strategies import moments


def test_a_glyph_is_one_cell_and_no_other_purpose_has_it() -> None:
    assert len({look.glyph for look in LOOKS}) == len(LOOKS)
    assert all(len(look.glyph) == 1 and look.glyph.isprintable() for look in LOOKS)
    assert all(len(mark.glyph) == 1 for mark in MARKS.values())


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (figures.gib(1.25 * GIB), "1.2"),
        (figures.change(0), "0.0 GiB"),
        (figures.change(-1.5 * MIB), "−1.5 MiB"),
        (figures.change(2 * GIB), "+2.0 GiB"),
        (figures.per_minute(GIB / 60), "+1.0 GiB/min"),
        (figures.percent(58.4), "58 %"),
        (figures.span(45.4), "45 s"),
        (figures.between(45, 50, 55), "45 s to 55 s"),
        (figures.between(14.2, 14.6, 14.9), "14 s to 15 s"),
        (figures.span(169), "2 min 49 s"),
        (figures.span(3 * 3600 + 300), "3 h 5 min"),
        (figures.span(7200), "2 h"),
        (figures.span(90_000), "1 d 1 h"),
        (figures.between(50, 50, 50), "50 s"),
        (figures.about(42) + figures.between(41, 42, 43), "about 40 s40 s to 45 s"),
        (figures.about(12), "seconds"),
        (figures.about(52), "about 50 s"),
        (figures.about(400), "about 6 min 30 s"),
    ],
)
def test_figures(found: str, expected: str) -> None:
    assert found == expected


@given(
    st.lists(st.integers(0, 200 * GIB), max_size=40).filter(lambda amounts: sum(amounts) > 0),
    st.integers(1, 200),
)
def test_cells_fill_the_bar_and_hide_nothing_there_is_room_for(amounts: list[int], width: int) -> None:
    found = cells(amounts, sum(amounts), width)
    assert sum(found) == width
    assert all(count == 0 for count, amount in zip(found, amounts, strict=True) if amount == 0)
    if width >= sum(amount > 0 for amount in amounts):
        assert all(count > 0 for count, amount in zip(found, amounts, strict=True) if amount > 0)


def test_a_bar_of_nothing_is_empty() -> None:
    assert cells([], 0, 80) == []
    assert cells([0, 0], 0, 80) == [0, 0]


@given(moments())
def test_parts_add_up(found: Moment) -> None:
    for ledger in ledgers(merge(found)):
        for one in (ledger, *ledger.slices):
            for inside in one.processes:
                assert sum(part.bytes for part in inside.parts) == inside.process.used_bytes
                assert all(part.purpose in LOOK_OF for part in inside.parts)


def test_a_slice_stands_below_its_gpu_and_owns_its_processes() -> None:
    rows = [process(1, "GPU-0"), process(2, "MIG-1-3")]
    machine = sample([device(0), device(1), instance(1, 3)], rows, allocators=(allocator(TRAINER),))
    whole, parent = ledgers(merge(moment(machine)))
    assert [gpu_label(one.gpu) for one in leaves((whole, parent))] == ["GPU 0", "GPU 1 / MIG 3"]
    assert [one.process.pid for one in parent.slices[0].processes] == [2]
    assert parent.processes == ()
    assert gpu_model(parent.slices[0].gpu) == "1g.10gb"


@pytest.mark.parametrize(
    ("environ", "depth"),
    [
        ({}, 0),
        ({"TERM": "dumb"}, 0),
        ({"TERM": "xterm"}, 16),
        ({"TERM": "xterm-256color"}, 256),
        ({"TERM": "xterm", "COLORTERM": "truecolor"}, 256),
        ({"TERM": "xterm-256color", "NO_COLOR": "1"}, 0),
        ({"TERM": "xterm-256color", "NO_COLOR": ""}, 256),
    ],
)
def test_as_many_colours_as_the_terminal_has_and_the_user_wants(environ: dict[str, str], depth: int) -> None:
    assert depth_of(environ) == depth


def test_words_for_narrow_columns() -> None:
    assert [figures.brief(seconds) for seconds in (0, 59.6, 169, 11_100, 200_000)] == [
        "0s",
        "1m00s",
        "2m49s",
        "3h05m",
        "2d",
    ]
    assert [figures.change_gib(one) for one in (0, 3 << 30, -(1 << 30), 1 << 20)] == ["0.0", "+3.0", "−1.0", "0.0"]
    assert [figures.plural(count, "GPU") for count in (0, 1, 1200)] == ["0 GPUs", "1 GPU", "1,200 GPUs"]
