"""Columns come back as they went in, and take little room."""

import math
import random

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from blackbox.recorder.storage.columns import (
    Columns,
    encode,
    encode_column,
    join_columns,
    pack_columns,
)
from blackbox.recorder.storage.compression import DamageError

NUMBERS = st.one_of(
    st.integers(-(2**60), 2**60).map(float),
    st.integers(0, 10_000).map(lambda number: number / 100),
    st.floats(allow_infinity=False, allow_nan=False),
    st.just(math.nan),
)
STEP = 2 * 1024 * 1024


@st.composite
def tables(draw: st.DrawFn) -> list[list[float]]:
    rows = draw(st.integers(1, 30))
    return draw(st.lists(st.lists(NUMBERS, min_size=rows, max_size=rows), min_size=1, max_size=5))


def alike(left: list[float], right: list[float]) -> bool:
    return [repr(number + 0.0) for number in left] == [repr(number + 0.0) for number in right]


@given(tables())
def test_every_number_and_every_gap_comes_back(table: list[list[float]]) -> None:
    columns = Columns(encode(table))
    assert len(columns) == len(table)
    assert columns.rows == len(table[0])
    assert all(alike(columns[place], column) for place, column in enumerate(table))


@given(tables())
def test_heads_that_are_kept_in_one_piece_tell_the_same(table: list[list[float]]) -> None:
    columns = Columns(encode(table), heads_apart_max=0)
    assert len(columns) == len(table)
    assert all(alike(columns[place], column) for place, column in enumerate(table))
    apart = Columns(encode(table))
    assert all(columns.stored(place).steady == apart.stored(place).steady for place in range(len(table)))


@given(tables(), NUMBERS)
def test_a_steady_number_is_that_of_every_row(table: list[list[float]], number: float) -> None:
    still = [number] * len(table[0])
    columns = Columns(encode([*table, still]))
    for place in range(len(columns)):
        steady = columns.stored(place).steady
        assert steady is None or alike([steady] * columns.rows, columns[place])
    if number.is_integer() and abs(number) < 2**52:
        assert columns.stored(len(table)).steady == number


@given(tables())
def test_a_whole_column_moves_in_its_steps_from_its_first_number(table: list[list[float]]) -> None:
    columns = Columns(encode(table))
    for place in range(len(columns)):
        stored = columns.stored(place)
        if stored.is_whole:
            moves = stored.moves() if stored.head.step else [0] * columns.rows
            assert [float(stored.head.first + stored.head.step * move) for move in moves] == table[place]
        else:
            assert any(not number.is_integer() or abs(number) >= 2**52 for number in table[place])


LIFELIKE = st.one_of(
    st.integers(0, 400).map(lambda pages: float(pages * STEP)),
    st.integers(0, 1000).map(lambda number: number / 10),
    NUMBERS,
)


@st.composite
def parts(draw: st.DrawFn) -> list[list[float]]:
    """Columns of one kind of numbers, some of which stand still."""
    numbers = draw(st.sampled_from([LIFELIKE, *LIFELIKE.branches[:2]]))
    found = st.one_of(
        st.lists(numbers, min_size=1, max_size=12),
        st.tuples(numbers | st.just(math.nan), st.integers(1, 12)).map(lambda still: [still[0]] * still[1]),
    )
    none = st.integers(1, 12).map(lambda rows: [math.nan] * rows)
    return draw(st.lists(found, min_size=1, max_size=5) | st.lists(none, min_size=1, max_size=5))


@given(parts())
def test_joined_columns_are_stored_as_one_column_of_all_their_numbers(columns: list[list[float]]) -> None:
    stored = [Columns(encode([column])).stored(0) for column in columns]
    assert join_columns(stored) == encode_column([number for column in columns for number in column])


def test_columns_that_no_numbers_have_are_not_joined() -> None:
    told = Columns(pack_columns(1, [encode_column([0.0])])).stored(0)
    far = msgspec.structs.replace(told, head=msgspec.structs.replace(told.head, first=1 << 63))
    near = msgspec.structs.replace(told, head=msgspec.structs.replace(told.head, first=1 - (1 << 62)))
    with pytest.raises(DamageError):
        join_columns([far, near, told])


def test_a_fraction_behind_a_huge_number_comes_back() -> None:
    column = [0.0, 1716744220930660.0, 1.6875]
    assert Columns(encode([column]))[0] == column


def test_a_column_that_stands_still_takes_no_room() -> None:
    still = [80.0 * 2**30] * 120
    assert len(encode([still] * 500)) - len(encode([still])) < 200


def test_memory_that_moves_in_pages_takes_less_than_a_byte_per_number() -> None:
    chance = random.Random(1)
    pages = [2 * 2**30 + chance.randrange(-8, 9) * STEP for _ in range(1200)]
    assert len(encode([list(map(float, pages))])) < 1200


def test_decimal_fractions_are_stored_as_integers() -> None:
    chance = random.Random(1)
    celsius = [round(60 + chance.random(), 2) for _ in range(1200)]
    assert len(encode([celsius])) < 2 * 1200


def test_damage_is_told_apart_from_numbers() -> None:
    blob = encode([[1.0, 2.0, 3.0]])
    with pytest.raises(DamageError):
        Columns(blob[:-1])
