"""Blocks, and tensors of known purpose, become a report."""

import pytest

from blackbox.agent.probes.torch import kinds
from blackbox.agent.probes.torch.description import Purposes, kinds_of, with_blocks, with_stacks
from blackbox.wire.report import NO_STACK, NO_THREAD, TYPES, OwnerStack, OwnerThread
from blackbox.wire.segments import read_segments
from blackbox.wire.stacks import OwnedBlocks

STATES = ("active_allocated", "active_allocated", "inactive", "active_pending_free")
START = 0x7000
SIZE = 512
BLOCKS = [{"address": START + SIZE * i, "size": SIZE, "requested_size": 500, "state": s} for i, s in enumerate(STATES)]
SEGMENT = {"device": 0, "address": START, "total_size": SIZE * len(BLOCKS), "segment_type": "large", "blocks": BLOCKS}
MEMORY = read_segments([SEGMENT])[0]
POOLED = read_segments([SEGMENT | {"segment_pool_id": (0, 1)}])[0]
REST = [kinds.FREE, kinds.PENDING]


def found(*places: tuple[int, int], pooled: bool = False, modules: bool = True) -> list[int]:
    return kinds_of(POOLED if pooled else MEMORY, Purposes(list(places), modules))


def test_what_nobody_claims_is_left_over() -> None:
    assert found() == [kinds.RESIDUAL, kinds.RESIDUAL, *REST]
    assert found(modules=False) == [kinds.UNTOLD, kinds.UNTOLD, *REST]
    assert found(pooled=True) == [kinds.POOL, kinds.POOL, *REST]


@pytest.mark.parametrize("offset", [0, 1, SIZE - 1])
@pytest.mark.parametrize("pooled", [False, True])
def test_a_storage_that_begins_anywhere_in_a_block_names_it(offset: int, pooled: bool) -> None:
    assert found((START + SIZE + offset, kinds.WEIGHT), pooled=pooled)[1:2] == [kinds.WEIGHT]


def test_a_tensor_that_was_freed_meanwhile_names_nothing() -> None:
    places = ((START + 2 * SIZE, kinds.WEIGHT), (START + 3 * SIZE, kinds.KV_CACHE))
    assert found(*places) == [kinds.RESIDUAL, kinds.RESIDUAL, *REST]


@pytest.mark.parametrize("address", [0, START - 1, START + 4 * SIZE, 1 << 62])
def test_a_tensor_elsewhere_names_nothing(address: int) -> None:
    live_at_the_end = read_segments([SEGMENT | {"total_size": 2 * SIZE, "blocks": BLOCKS[:2]}])[0]
    purposes = Purposes([(address, kinds.WEIGHT)], has_modules=True)
    assert kinds_of(live_at_the_end, purposes) == [kinds.RESIDUAL, kinds.RESIDUAL]


@pytest.mark.parametrize("places", [(kinds.KV_CACHE, kinds.GRADIENT), (kinds.GRADIENT, kinds.KV_CACHE)])
def test_of_several_tensors_in_a_block_the_weightiest_names_it(places: tuple[int, ...]) -> None:
    assert found(*((START, kind) for kind in places))[0] == kinds.KV_CACHE


def test_every_kind_has_a_type_and_a_label() -> None:
    assert len(kinds.TYPE_OF) == len(kinds.LABELS) == kinds.KV_CACHE + 1
    assert {TYPES[kinds.TYPE_OF[kind]] for kind in (kinds.FREE, kinds.PENDING, kinds.POOL)} == {"other"}


def test_only_live_blocks_belong_to_threads() -> None:
    owners = dict(zip(MEMORY.blocks.address, (7, NO_THREAD, 7, 8), strict=True))
    report = with_blocks(MEMORY, Purposes([], has_modules=False), owners)
    assert report.threads == (OwnerThread(7, SIZE),)
    assert report.blocks is not None
    assert report.blocks.thread == [7, NO_THREAD, NO_THREAD, NO_THREAD]


def test_only_live_blocks_have_a_time_and_a_stack() -> None:
    first, second, free, _pending = MEMORY.blocks.address
    report = with_blocks(MEMORY, Purposes([], has_modules=False), None, {first: 1.5, free: 2.0})
    stacked = with_stacks(report, OwnedBlocks((OwnerStack(("train.py:1 step",), SIZE, 1),), {second: 0}))
    assert stacked.blocks is not None
    assert stacked.blocks.allocated_ms == [1500, 0, 0, 0]
    assert stacked.blocks.stack == [NO_STACK, 0, NO_STACK, NO_STACK]
    assert with_stacks(report, None).stacks == ()


def test_a_segment_begins_where_the_allocator_says() -> None:
    both = read_segments([SEGMENT, SEGMENT | {"address": 1 << 40, "blocks": [{"size": 2048, "state": "inactive"}]}])[0]
    assert both.blocks.starts == [1, 0, 0, 0, 1]
