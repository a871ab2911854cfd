"""JSON of rows, spliced: always that of the rows as a list."""

import json

from hypothesis import given
from hypothesis import strategies as st

from blackbox.merge.row_texts import RowTexts

texts = st.dictionaries(st.text(max_size=3), st.one_of(st.integers(), st.text(max_size=20), st.none()), max_size=3)
ROWS = 12


@given(
    st.lists(texts, min_size=ROWS, max_size=ROWS),
    st.lists(st.dictionaries(st.integers(0, ROWS - 1), texts, max_size=6), max_size=6),
)
def test_the_text_is_that_of_the_rows(first: list[object], steps: list[dict[int, object]]) -> None:
    rows = first
    made = RowTexts(rows)
    for changes in steps:
        rows = [changes.get(place, row) for place, row in enumerate(rows)]
        made = made.changed(rows, changes.keys())
        assert made.whole == RowTexts(rows).whole
        assert json.loads(made.whole) == rows


def test_no_rows_are_an_empty_list() -> None:
    assert RowTexts(()).whole == b"[]"
    assert RowTexts(()).changed((), ()).whole == b"[]"


def test_where_nothing_changed_the_text_is_the_same_object() -> None:
    made = RowTexts([{"a": 1}, {"a": 2}])
    assert made.changed([{"a": 1}, {"a": 2}], ()) is made
