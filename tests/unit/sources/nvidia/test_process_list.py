"""Rows of a process list, out of the bytes a driver wrote."""

from random import Random
from struct import Struct

from hypothesis import given
from hypothesis import strategies as st

from blackbox.sources.nvidia.process_list import (
    NO_INSTANCE,
    NOT_AVAILABLE_BYTES,
    PID_MAX,
    KnownLists,
    merge_lists,
    parse_list,
    parse_rows,
)

ROW_V1, ROW_V2, ROW_R535 = Struct("<I4xQ"), Struct("<I4xQII"), Struct("<I4xQIIQ")
ROW_R535_AS_READ = Struct("<I4xQII8x")
TOTAL_BYTES = 80 << 30

pids = st.integers(1, PID_MAX)
sizes = st.integers(0, TOTAL_BYTES) | st.just(NOT_AVAILABLE_BYTES)
instances = st.integers(0, 15) | st.just(NO_INSTANCE)
rows_v2 = st.lists(st.tuples(pids, sizes, instances, instances), max_size=20)


def packed(layout: Struct, rows: list[tuple[int, ...]]) -> memoryview:
    return memoryview(b"".join(layout.pack(*row) for row in rows))


@given(rows_v2)
def test_good_rows_come_back_as_written(rows: list[tuple[int, int, int, int]]) -> None:
    assert parse_rows(packed(ROW_V2, rows), ROW_V2, TOTAL_BYTES) == (rows, [])


@given(st.lists(st.tuples(pids, sizes), max_size=20))
def test_rows_of_version_1_have_no_instance(rows: list[tuple[int, int]]) -> None:
    expected = [(*row, NO_INSTANCE, NO_INSTANCE) for row in rows]
    assert parse_rows(packed(ROW_V1, rows), ROW_V1, TOTAL_BYTES) == (expected, [])


protected = st.just(0) | st.just(NOT_AVAILABLE_BYTES)
rows_r535 = st.lists(st.tuples(pids, sizes, st.integers(0, 15), st.integers(0, 15), protected), min_size=2) | st.lists(
    st.tuples(pids, sizes, st.just(NO_INSTANCE), st.just(NO_INSTANCE), protected), min_size=2
)


@given(rows_r535)
def test_rows_with_a_fifth_field_are_not_mistaken_for_four(rows: list[tuple[int, ...]]) -> None:
    found = parse_list(packed(ROW_R535, rows), len(rows), (ROW_V2, ROW_R535_AS_READ), TOTAL_BYTES)
    assert found == ([row[:4] for row in rows], [])


@given(st.lists(st.tuples(st.integers(1, 5), sizes, instances, instances), max_size=6))
def test_one_list_alone_becomes_what_it_would_beside_others(rows: list[tuple[int, int, int, int]]) -> None:
    assert merge_lists([("compute", rows)]) == merge_lists([("compute", rows), ("graphics", [])])


@given(st.binary(max_size=240))
def test_no_bytes_make_an_impossible_row(data: bytes) -> None:
    whole = memoryview(data)[: len(data) - len(data) % ROW_V2.size]
    parsed = parse_rows(whole, ROW_V2, TOTAL_BYTES)
    for pid, used, gpu_instance, _ in parsed.rows if parsed else []:
        assert 0 < pid <= PID_MAX
        assert used <= TOTAL_BYTES or used == NOT_AVAILABLE_BYTES
        assert gpu_instance < 1024 or gpu_instance == NO_INSTANCE


impossible = st.one_of(
    st.tuples(st.just(0) | st.integers(PID_MAX + 1, 2**32 - 1), sizes),
    st.tuples(pids, st.integers(TOTAL_BYTES + 1, NOT_AVAILABLE_BYTES - 1)),
)


@given(st.lists(st.tuples(pids, sizes), min_size=1, max_size=9), st.lists(impossible, max_size=9), st.randoms())
def test_rows_that_cannot_be_are_left_out_and_the_others_kept(
    good: list[tuple[int, int]], bad: list[tuple[int, int]], random: Random
) -> None:
    rows = [(*row, NO_INSTANCE, NO_INSTANCE) for row in (*good, *bad)]
    random.shuffle(rows)
    parsed = parse_rows(packed(ROW_V2, rows), ROW_V2, TOTAL_BYTES)
    assert parsed is not None
    assert sorted(parsed.rows) == sorted((*row, NO_INSTANCE, NO_INSTANCE) for row in good)
    assert sorted(parsed.left_out) == sorted((*row, NO_INSTANCE, NO_INSTANCE) for row in bad)


def test_a_list_of_nothing_but_nonsense_is_of_another_layout() -> None:
    good = (1, 1, NO_INSTANCE, NO_INSTANCE)
    for bad in ((0, 1, 0, 0), (PID_MAX + 1, 1, 0, 0), (1, TOTAL_BYTES + 1, 0, 0), (1, 1, 1 << 20, 0)):
        assert parse_rows(packed(ROW_V2, [bad]), ROW_V2, TOTAL_BYTES) is None
        assert parse_rows(packed(ROW_V2, [good, bad, good]), ROW_V2, TOTAL_BYTES) is None


def test_without_a_total_any_size_may_be() -> None:
    row = (1, TOTAL_BYTES * 2, NO_INSTANCE, NO_INSTANCE)
    assert parse_rows(packed(ROW_V2, [row]), ROW_V2, None) == ([row], [])


few_pids = st.tuples(st.integers(0, 3), st.integers(0, 2), st.just(NO_INSTANCE) | st.just(1), st.just(NO_INSTANCE))
total = st.sampled_from((1, TOTAL_BYTES, None))


@given(
    st.lists(st.tuples(st.integers(0, 1), st.lists(few_pids, max_size=3), st.binary(max_size=32), total), max_size=8)
)
def test_lists_of_before_say_what_a_new_look_at_them_would(
    steps: list[tuple[int, list[tuple[int, int, int, int]], bytes, int | None]],
) -> None:
    known = KnownLists()
    layouts = (ROW_V2, ROW_R535_AS_READ)
    for device, rows, rest, total_bytes in steps:
        data = memoryview(bytes(packed(ROW_V2, list(rows))) + rest + bytes(64))
        parsed = known.parsed(device, "list", data, len(rows), layouts, total_bytes)
        assert parsed == parse_list(data, len(rows), layouts, total_bytes)
        lists = (None, parsed, None)
        assert known.merged(device, lists) == KnownLists().merged(device, lists)


def test_the_same_bytes_are_the_same_list() -> None:
    known = KnownLists()
    data = packed(ROW_V2, [(1, 2, NO_INSTANCE, NO_INSTANCE)])
    first = known.parsed(7, "list", data, 1, (ROW_V2,), None)
    assert first is not None
    assert known.parsed(7, "list", data, 1, (ROW_V2,), None) is first
    assert known.merged(7, (None, first, None)) is known.merged(7, (None, first, None))
    assert known.parsed(7, "list", data, 1, (ROW_V2,), 1) is not first
