"""Rows of a process list, out of the bytes a driver wrote."""

from struct import Struct

from hypothesis import given
from hypothesis import strategies as st

from blackbox.sources.nvidia.process_list import NO_INSTANCE, NOT_AVAILABLE_BYTES, PID_MAX, parse_rows

ROW_V1, ROW_V2, ROW_R535 = Struct("<I4xQ"), Struct("<I4xQII"), Struct("<I4xQIIQ")
TOTAL_BYTES = 80 << 30

pids = st.integers(1, PID_MAX)
sizes = st.integers(0, TOTAL_BYTES) | st.just(NOT_AVAILABLE_BYTES)
instances = st.integers(0, 15) | st.just(NO_INSTANCE)
rows_v2 = st.lists(st.tuples(pids, sizes, instances, instances), max_size=20)


def packed(layout: Struct, rows: list[tuple[int, ...]]) -> memoryview:
    return memoryview(b"".join(layout.pack(*row) for row in rows))


@given(rows_v2)
def test_good_rows_come_back_as_written(rows: list[tuple[int, int, int, int]]) -> None:
    assert parse_rows(packed(ROW_V2, rows), ROW_V2, TOTAL_BYTES) == rows


@given(st.lists(st.tuples(pids, sizes), max_size=20))
def test_rows_of_version_1_have_no_instance(rows: list[tuple[int, int]]) -> None:
    expected = [(*row, NO_INSTANCE, NO_INSTANCE) for row in rows]
    assert parse_rows(packed(ROW_V1, rows), ROW_V1, TOTAL_BYTES) == expected


@given(st.lists(st.tuples(pids, sizes, instances, instances, st.just(0) | st.just(NOT_AVAILABLE_BYTES)), min_size=2))
def test_rows_with_a_fifth_field_are_not_mistaken_for_four(rows: list[tuple[int, ...]]) -> None:
    written = packed(ROW_R535, rows)
    assert parse_rows(written[: len(rows) * ROW_V2.size], ROW_V2, TOTAL_BYTES) is None


@given(st.binary(max_size=240))
def test_no_bytes_make_an_impossible_row(data: bytes) -> None:
    whole = memoryview(data)[: len(data) - len(data) % ROW_V2.size]
    for pid, used, gpu_instance, _ in parse_rows(whole, ROW_V2, TOTAL_BYTES) or []:
        assert 0 < pid <= PID_MAX
        assert used <= TOTAL_BYTES or used == NOT_AVAILABLE_BYTES
        assert gpu_instance < 1024 or gpu_instance == NO_INSTANCE


def test_one_impossible_row_spoils_the_list() -> None:
    good = (1, 1, NO_INSTANCE, NO_INSTANCE)
    for bad in ((0, 1, 0, 0), (PID_MAX + 1, 1, 0, 0), (1, TOTAL_BYTES + 1, 0, 0), (1, 1, 1 << 20, 0)):
        assert parse_rows(packed(ROW_V2, [good, bad, good]), ROW_V2, TOTAL_BYTES) is None


def test_without_a_total_any_size_may_be() -> None:
    row = (1, TOTAL_BYTES * 2, NO_INSTANCE, NO_INSTANCE)
    assert parse_rows(packed(ROW_V2, [row]), ROW_V2, None) == [row]
