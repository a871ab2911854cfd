"""Answers of a source's process: what was told before is left out, and comes back as the same objects."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from blackbox.model.listed import ListedProcesses, share_roster
from blackbox.model.parts import DeviceProcess
from blackbox.model.sample import Sample
from blackbox.sources.isolation.answer import NEW_ROW, Answer, AnswerPacker, AnswerUnpacker

PIDS_MAX = 6


def row(pid: int, used_bytes: int) -> DeviceProcess:
    return DeviceProcess(
        pid=pid,
        gpu_uuid=f"GPU-{pid % 2}",
        used_bytes=used_bytes,
        kind="compute",
        name="python",
        user=None,
        uid=None,
        container=None,
        start_time=1.0,
    )


def sample(*rows: DeviceProcess) -> Sample:
    return Sample(source="nvml", taken_at=0.0, processes=rows)


rows = st.builds(row, st.integers(1, PIDS_MAX), st.integers(0, 2))
lists = st.lists(st.lists(rows, max_size=8), max_size=8)


def told(answer: Answer) -> Answer:
    """As it arrives."""
    return msgspec.msgpack.decode(msgspec.msgpack.encode(answer), type=Answer)


@given(lists, st.sets(st.integers(0, 7)))
def test_every_list_arrives_and_rows_told_before_are_the_same_objects(
    lists: list[list[DeviceProcess]], lost: set[int]
) -> None:
    packer, unpacker = AnswerPacker(), AnswerUnpacker()
    before: tuple[DeviceProcess, ...] = ()
    for number, processes in enumerate(lists):
        answer = packer.pack(sample(*processes))
        if number in lost:
            packer.forget()
            continue
        arrived = unpacker.unpack(told(answer)).processes
        assert arrived == tuple(processes)
        if answer.rows is None and answer.amounts is None:
            assert arrived is before
        for one, place in zip(arrived, answer.rows or (), strict=False):
            assert place == NEW_ROW or one is before[place]
        before = arrived


@given(st.lists(st.tuples(st.lists(st.integers(1, 3), min_size=3, max_size=3), st.booleans()), max_size=8))
def test_of_rows_that_hold_another_amount_the_amount_alone_is_told(steps: list[tuple[list[int], bool]]) -> None:
    packer, unpacker = AnswerPacker(), AnswerUnpacker()
    listed = ListedProcesses.of([row(pid, 1) for pid in (1, 2, 3)])
    before = unpacker.unpack(told(packer.pack(sample(*listed)))).processes
    packer.forget()
    for used, is_lost in steps:
        listed = listed.with_amounts(used)
        answer = packer.pack(structs.replace(sample(), processes=listed))
        if is_lost:
            packer.forget()
            continue
        arrived = unpacker.unpack(told(answer)).processes
        assert arrived == listed
        if answer.rows is None:
            assert answer.sample.processes == ()
            assert share_roster(arrived, before)
            assert [one is other for one, other in zip(arrived, before, strict=True)] == [
                one == other for one, other in zip(arrived, before, strict=True)
            ]
        before = arrived


@pytest.mark.parametrize("amounts", [(1,), (1, 0), (1, None), (None, 1)])
def test_amounts_that_fit_no_list_are_refused(amounts: tuple[int | None, ...]) -> None:
    unpacker = AnswerUnpacker()
    unpacker.unpack(AnswerPacker().pack(sample(row(1, 1), row(2, 1))))
    with pytest.raises(ValueError, match=r"amounts of|make another list"):
        unpacker.unpack(Answer(sample(), None, amounts))


def test_only_what_changed_is_told() -> None:
    packer = AnswerPacker()
    packer.pack(sample(row(1, 1), row(2, 1), row(3, 1)))
    answer = packer.pack(sample(row(0, 1), row(1, 1), row(3, 2)))
    assert answer.sample.processes == (row(0, 1), row(3, 2))
    assert answer.rows == (NEW_ROW, 0, NEW_ROW)
    assert packer.pack(sample(row(0, 1), row(1, 1), row(3, 2))) == Answer(sample(), None)


@pytest.mark.parametrize("places", [(0,), (5,), (NEW_ROW,)])
def test_an_answer_that_fits_no_other_is_refused(places: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="does not fit"):
        AnswerUnpacker().unpack(Answer(sample(), places))
