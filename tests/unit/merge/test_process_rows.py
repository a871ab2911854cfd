"""What is kept of one moment's processes for the next: JSON and snapshot are those of a merge from scratch."""

import copy
import sys
from contextlib import suppress
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import structs

from blackbox.merge import merge, merged
from blackbox.merge.process_memory import UnreportedRows
from blackbox.merge.process_rows import ListedRows, MovedRows, process_rows
from blackbox.merge.selection import select
from blackbox.model.codec import to_json
from blackbox.model.listed import ListedProcesses
from blackbox.model.moment import Moment
from blackbox.model.parts import DeviceProcess
from blackbox.model.view import ShapeDetail, with_blocks
from tests.moments import GIB, device, instance, kernels, moment, process, sample, status

ROWS_MAX = 3
DETAILS: tuple[ShapeDetail, ...] = ("full", "summary", "none", "stacks")
POOL = tuple(
    process(pid, gpu_uuid=uuid, used_bytes=used, name=name)
    for pid in (7, 8, 9)
    for uuid in ("GPU-0", "GPU-1", "MIG-1-1")
    for used, name in ((None, "one"), (GIB, "one"), (2 * GIB, None))
)
MACHINES = (
    [device(0), device(1), instance(1, 1)],
    [device(0, uuid="GPU-1"), device(1, uuid="GPU-0"), instance(0, 1, uuid="MIG-1-1", parent_uuid="GPU-1")],
    [device(0), device(1, memory=None, state="lost", unknown={"processes": "lost"}), instance(1, 1)],
)
lists = st.lists(st.sampled_from(POOL), max_size=5, unique_by=lambda row: (row.gpu_uuid, row.pid)).map(tuple)
asked = st.tuples(
    st.integers(0, 2),
    st.sampled_from(MACHINES),
    st.sampled_from((None, "0", "1", "GPU-1", "MIG-1-1")),
    st.sampled_from((None, 54_321)),
    st.sampled_from(DETAILS),
    st.sampled_from(((), (kernels(7),))),
    st.sampled_from(({"gpm": "on"}, {"gpm": "off", "profiling": "administrators"}, {})),
)


@settings(max_examples=60)
@given(st.lists(lists, min_size=3, max_size=3), st.lists(asked, max_size=8))
def test_what_is_kept_is_what_would_be_made(pool: list[tuple[Any, ...]], steps: list[Any]) -> None:
    for number, (listed, devices, gpu, viewer_uid, detail, counted, facts) in enumerate(steps):
        part = structs.replace(sample(devices, (), kernels=counted), processes=pool[listed])
        at = moment(part, seq=number, sources=(status(facts=facts),))
        scratch = to_json(with_blocks(merge(copy.deepcopy(at), gpu, viewer_uid), detail, ROWS_MAX))
        for _ in range(2):
            assert b"".join(merged(at, gpu, viewer_uid).json_pieces(detail, ROWS_MAX)) == scratch
            assert to_json(with_blocks(merge(at, gpu, viewer_uid), detail, ROWS_MAX)) == scratch


amounts = st.sampled_from((None, 0, GIB, 2 * GIB, 12_345))
changes = st.one_of(
    st.lists(st.tuples(st.integers(0, 11), amounts, st.sampled_from(("one", "two"))), max_size=4),
    st.lists(st.tuples(st.integers(0, 11), st.integers(1, GIB), st.none()), max_size=12),
)


@settings(max_examples=80)
@given(st.lists(st.tuples(changes, st.booleans(), st.sampled_from(DETAILS), st.sampled_from((3, 100))), max_size=8))
def test_rows_in_place_of_others_make_the_same_json(steps: list[Any]) -> None:
    """The same twelve processes in each moment, some of which hold another amount or have another name. The list has
    the roster of the one before where that fits it, as a source's own process hands it on."""
    merging = sys.modules[ListedRows.__module__]
    rows = [process(pid, gpu_uuid=uuid) for uuid in ("GPU-0", "GPU-1") for pid in range(7, 13)]
    kept, listed = ListedRows(), ListedProcesses.of(rows)
    for number, (changed, is_asked, detail, rows_max) in enumerate(steps):
        for place, used, name in changed:
            rows[place] = structs.replace(rows[place], used_bytes=used, name=name or rows[place].name)
        listed = next_list(listed, rows)
        at = moment(structs.replace(sample([device(0), device(1)]), processes=listed), seq=number)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(merging, "_listed_rows", kept)
            made = merged(at)
            pieces = b"".join(made.json_pieces(detail, rows_max)) if is_asked else None
            patch.setattr(merging, "_listed_rows", ListedRows())
            patch.setattr(sys.modules[UnreportedRows.__module__], "_unreported_rows", UnreportedRows())
            anew = merge(copy.deepcopy(at))
        assert made.snapshot == anew
        assert pieces is None or pieces == to_json(with_blocks(anew, detail, rows_max))


def next_list(before: ListedProcesses, rows: list[DeviceProcess]) -> ListedProcesses:
    amounts = [row.used_bytes for row in rows]
    if [row.name for row in rows] == [row.name for row in before]:
        with suppress(ValueError):
            return before.with_amounts(amounts)
    return ListedProcesses.of(rows)


def test_rows_that_differ_in_amounts_alone_are_not_made_before_somebody_asks() -> None:
    kept = ListedRows()
    listed = ListedProcesses.of([process(7), process(8, used_bytes=None)])
    moved = listed.with_amounts([12_345, None])
    first, later = (
        kept.of(select(moment(structs.replace(sample([device()]), processes=one)), None, None))
        for one in (listed, moved)
    )
    assert isinstance(later, MovedRows)
    assert later.rows_text("processes") == msgspec.json.encode([row.process for row in later])
    assert later.held["GPU-0"].used_bytes == 12_345
    assert later.all[1] is first.all[1]


def at(*rows: Any) -> Moment:
    return moment(structs.replace(sample([device()]), processes=rows))


def test_the_same_list_is_the_same_rows_and_a_new_one_is_not() -> None:
    first = at(process(7))
    rows = process_rows(select(first, None, None))
    later = structs.replace(first, seq=2, taken_at=first.taken_at + 1)
    assert process_rows(select(later, None, None)) is rows
    assert process_rows(select(later, None, 54_321)) is rows
    newer = process_rows(select(at(process(7), process(8)), None, None))
    assert newer is not rows
    assert len(newer) == 2


def test_what_is_kept_has_a_bound_and_the_last_list_of_each_selection_takes_the_place_of_the_one_before() -> None:
    kept = ListedRows(lists_max=2)
    selections = [select(moment(sample([device(number)])), None, None) for number in range(5)]
    for selection in selections:
        kept.of(selection)
    assert len(kept._known) == 2  # pyright: ignore[reportPrivateUsage]
    for rows in ([process(7)], [process(8)]):
        kept.of(select(moment(sample([device(4)], rows)), None, None))
    assert len(kept._known) == 2  # pyright: ignore[reportPrivateUsage]
