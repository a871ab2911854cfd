"""Long work gives the other threads their turn, and is the same work."""

import threading
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from blackbox.recorder.storage.slices import PAUSE_SECONDS, SLICE_SECONDS, in_slices
from tests.recorded_moments import MINUTE, record, series

UNIT = SLICE_SECONDS / 8


@given(st.lists(st.integers(0, 20)))
def test_no_slice_is_longer_than_it_may_be_by_more_than_one_item(costs: list[int]) -> None:
    spent, slices = [0.0], [0.0]

    def work() -> Iterator[int]:
        for cost in costs:
            spent[0] += cost * UNIT
            slices[-1] += cost * UNIT
            yield cost

    def sleep(seconds: float) -> None:
        assert seconds == PAUSE_SECONDS
        slices.append(0.0)

    assert list(in_slices(work(), sleep, lambda: spent[0])) == costs
    assert all(one < SLICE_SECONDS + (max(costs, default=0) + 0.5) * UNIT for one in slices)
    assert all(one >= SLICE_SECONDS - UNIT / 2 for one in slices[:-1]), "it pauses no more often than it must"


def test_blocks_are_packed_and_minutes_made_in_slices(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    here = threading.get_ident()
    items = {"chunk_writer": 0, "rollup": 0, "chunk_reader": 0, "joining": 0}
    for name in items:

        def counted(all_: Iterable[object], name: str = name) -> Iterator[object]:
            for one in all_:
                items[name] += threading.get_ident() == here  # others in this process may record, too
                yield one

        monkeypatch.setattr(f"blackbox.recorder.storage.{name}.in_slices", counted)
    start = 1_799_971_200.0
    record(tmp_path, *series(start, 2 * MINUTE))
    assert not items["joining"]
    record(tmp_path, *series(start + 2 * MINUTE, 9 * MINUTE, interval=20.0))
    assert items["chunk_writer"] >= 2, "columns"
    assert items["rollup"] >= 2, "subjects"
    assert items["chunk_reader"] >= MINUTE, "rows"
    assert items["joining"] >= 2, "columns of a chunk that is finished"
