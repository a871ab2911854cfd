"""Failed allocations apart from their blocks, and put into JSON with them."""

import json

import msgspec
import pytest
from hypothesis import given
from msgspec import structs

from blackbox.model.block_arrays import ListedBlocks
from blackbox.model.codec import answer_json, event_fault
from blackbox.model.event import Event
from blackbox.model.event_blocks import as_json, json_bytes_of, json_pieces, split, with_blocks, without_blocks
from blackbox.model.query import EventList, NumberedEvent
from tests import failures
from tests.block_arrays import Report, reports
from tests.failures import listed, refusal


def as_rows(event: Event) -> Event:
    """The same with rows in the place of arrays."""
    assert event.oom is not None
    assert event.oom.allocator is not None
    assert event.oom.allocator.blocks is not None
    allocator = structs.replace(event.oom.allocator, blocks=tuple(event.oom.allocator.blocks))
    return structs.replace(event, oom=structs.replace(event.oom, allocator=allocator))


@given(reports())
def test_its_json_is_that_of_rows(report: Report) -> None:
    event = failures.with_blocks(ListedBlocks(report.arrays()))
    wanted = msgspec.json.encode(as_rows(event))
    assert b"".join(json_pieces(event)) == wanted
    assert msgspec.json.encode(event, enc_hook=as_json) == wanted


@pytest.mark.parametrize("rows", [0, 1, 4096, 4097, 10_000])
def test_lists_of_any_length_are_json(rows: int) -> None:
    event = failures.with_blocks(listed(rows))
    assert msgspec.json.decode(b"".join(json_pieces(event)), type=Event) == as_rows(event)


def test_an_answer_may_hold_them() -> None:
    event = failures.with_blocks(listed(5))
    told = {name: getattr(event, name) for name in Event.__struct_fields__}
    (found,) = json.loads(answer_json(EventList(events=(NumberedEvent(id=7, **told),))))["events"]
    assert len(found["oom"]["allocator"]["blocks"]) == 5


def test_events_without_arrays_are_left_alone() -> None:
    for event in (refusal(), as_rows(failures.with_blocks(listed(3)))):
        assert split(event) == (event, None)
        assert json_pieces(event) == [msgspec.json.encode(event)]
    with pytest.raises(NotImplementedError):
        as_json(object())


def test_what_is_split_is_put_together_again() -> None:
    event = failures.with_blocks(listed(3))
    bare, blocks = split(event)
    assert blocks is not None
    assert bare.oom is not None
    assert bare.oom.allocator is not None
    assert bare.oom.allocator.blocks is None
    assert with_blocks(bare, blocks) == event


def test_where_blocks_are_not_told_the_reason_is() -> None:
    bare = without_blocks(failures.with_blocks(listed(3)), "for a reason")
    assert bare.oom is not None
    assert bare.oom.allocator is not None
    assert bare.oom.allocator.unknown["blocks"] == "for a reason"
    assert (bare.oom.allocator.blocks, bare.oom.block_stacks) == (None, ())


@pytest.mark.parametrize("text", ["", "x" * 200, "ü" * 100])
def test_their_json_is_about_as_long_as_is_said(text: str) -> None:
    blocks = listed(5000, text)
    real = sum(map(len, json_pieces(failures.with_blocks(blocks))[1:-1]))
    assert 0.5 * real < json_bytes_of(blocks) < 2 * real


def test_an_event_is_judged_with_the_labels_of_its_blocks() -> None:
    event = failures.with_blocks(listed(3))
    assert event_fault(event) is None
    _, blocks = split(event)
    assert blocks is not None
    broken = ListedBlocks(blocks.arrays._replace(labels=(("\ud800", None), (None, None))))
    assert event_fault(with_blocks(event, broken)) is not None
