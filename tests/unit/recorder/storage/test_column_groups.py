"""Columns in groups are what they are in one piece."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from blackbox.recorder.storage import column_groups
from blackbox.recorder.storage.column_groups import GroupedColumns, columns_in, pack_groups
from blackbox.recorder.storage.columns import Columns, encode, encode_column, pack_columns
from blackbox.recorder.storage.compression import DamageError, signed
from tests.unit.recorder.storage.test_columns import alike, tables


@given(tables(), st.integers(1, 3), st.integers(1, 3))
def test_columns_in_groups_are_those_in_one_piece(table: list[list[float]], each: int, first: int) -> None:
    rows, encoded = len(table[0]), [encode_column(column) for column in table]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(column_groups, "GROUP_COLUMNS", each)
        grouped, whole = (
            columns_in(pack_groups(rows, encoded, min(first, len(encoded)))),
            columns_in(pack_columns(rows, encoded)),
        )
        assert (type(grouped), len(grouped), grouped.rows) == (GroupedColumns, len(whole), whole.rows)
        for place in reversed(range(len(table))):
            assert grouped.stored(place) == whole.stored(place)
            assert alike(grouped[place], table[place])


def test_one_group_is_unpacked_for_a_column(monkeypatch: pytest.MonkeyPatch) -> None:
    blob = pack_groups(2, [encode_column([place, place + 1.0]) for place in range(200)], 2)
    unpacked: list[Columns] = []

    class Counted(Columns):
        def __init__(self, blob: object) -> None:
            super().__init__(blob)
            unpacked.append(self)

    monkeypatch.setattr(column_groups, "Columns", Counted)
    grouped = GroupedColumns(blob)
    assert [grouped[place] for place in (150, 151)] == [[150.0, 151.0], [151.0, 152.0]]
    assert len(unpacked) == 2, "that of the first columns, in which times stand, and one more"


@pytest.mark.parametrize(
    "contents",
    [
        [0, 1, 4, []],
        [3, 2, 4, [encode([[1.0]] * 2)]],
        [1, 1, 4, [encode([[1.0], [2.0]])]],
        [1, 2, 4, [encode([[1.0], [2.0]])]],
        [1, 1, 4, [b"x"]],
        [1, 1, 4, [5]],
        [1, 1, 0, [encode([[1.0]])]],
        [5, 1, 2, [encode([[1.0]]), encode([[1.0]] * 2), encode([[1.0]] * 3)]],
        [5, 1, 2, [encode([[1.0]]), encode([[1.0]] * 2), encode([[1.0, 2.0]] * 2)]],
        [5, 1, 2, [encode([[1.0]]), encode([[1.0]] * 2), encode([[1.0]] * 2), encode([[1.0]])]],
    ],
    ids=[
        "none",
        "one missing",
        "one column more",
        "one fewer",
        "no group",
        "a number",
        "groups of none",
        "another length",
        "other rows",
        "one more",
    ],
)
def test_groups_that_do_not_belong_together_are_damage(contents: list[object]) -> None:
    def read() -> None:
        columns = columns_in(signed(msgspec.msgpack.encode(contents)))
        columns.stored(len(columns) - 1)

    with pytest.raises(DamageError):
        read()
