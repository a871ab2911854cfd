"""What an agent's columns say of blocks, as arrays and as rows."""

from array import array
from types import SimpleNamespace
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from blackbox.model.parts import AllocatorBlock
from blackbox.sources.agents.decode import Columns
from blackbox.sources.agents.rows import STATES, TYPES, block_rows
from blackbox.wire.report import NO_STACK, NO_THREAD, NOT_KNOWN

UNIT = 512
LABELS = (("norm", "module"), (None, "stack"), ("bias", "module"))
ROWS = st.lists(
    st.tuples(
        st.integers(0, 2),
        st.integers(0, 3),
        st.sampled_from((NOT_KNOWN, 0, 100)),
        st.sampled_from((NOT_KNOWN, 0, 7)),
        st.sampled_from((NO_THREAD, 1, 2)),
        st.integers(0, 2),
        st.sampled_from((NO_STACK, 0, 5)),
        st.booleans(),
        st.integers(0, 3),
        st.sampled_from((0, 1500)),
    ),
    max_size=30,
)
OPTIONAL = ("type", "requested", "stream", "thread", "label", "stack", "starts", "pool", "allocated_ms")


def ids() -> Any:
    """Of a program whose second thread has ended."""
    return SimpleNamespace(outer=lambda thread_id: None if thread_id == 2 else thread_id + 1000)  # pyright: ignore


@given(ROWS, st.frozensets(st.sampled_from(OPTIONAL)))
def test_rows_are_what_the_columns_say(rows: list[tuple[int, ...]], without: frozenset[str]) -> None:
    columns: dict[str, Any] = {"address": array("Q", [(1 << 45) + place * UNIT for place in range(len(rows))])}
    columns["size"] = array("Q", [UNIT]) * len(rows)
    for place, (name, code) in enumerate(zip(("state", *OPTIONAL), "BBQQIBIBBQ", strict=True)):
        found = array(code, [int(row[place]) for row in rows])
        if name == "starts" and found:
            found[0] = 1
        columns[name] = None if name in without else found
    told = Columns(**columns, labels=LABELS)
    assert list(block_rows(told, ids())) == [
        AllocatorBlock(
            told.address[place],
            UNIT,
            STATES[told.state[place]],
            "other" if told.type is None else TYPES[told.type[place]],
            number(told.requested, place, NOT_KNOWN),
            None if told.label is None else ("norm", None, "bias")[told.label[place]],
            None if told.label is None else LABELS[told.label[place]][1],
            None if told.thread is None else {NO_THREAD: None, 1: 1001, 2: None}[told.thread[place]],
            number(told.stream, place, NOT_KNOWN),
            number(told.stack, place, NO_STACK),
            None if told.starts is None else last_start(told, place),
            None if told.pool is None else told.pool[place],
            None if told.allocated_ms is None or not told.allocated_ms[place] else told.allocated_ms[place] / 1000,
        )
        for place in range(len(rows))
    ]


def number(column: "array[int] | None", place: int, none: int) -> int | None:
    return None if column is None or column[place] == none else column[place]


def last_start(told: Columns, place: int) -> int:
    assert told.starts is not None
    while not told.starts[place]:
        place -= 1
    return told.address[place]
