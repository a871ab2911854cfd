"""The hub: encoded once per shape, bounded, and never waiting for anyone."""

import json
import threading

import pytest
from msgspec import structs

from blackbox import hub as hub_module
from blackbox.hub import BLOCKS_MAX, HISTORY_BYTES_MAX, PART_BYTES, Hub, Published
from blackbox.model.event import TraceStep
from blackbox.model.moment import Moment
from blackbox.model.parts import Allocator, Device, Memory
from blackbox.model.sample import Sample
from blackbox.model.view import Shape, UnknownGpuError
from tests.clocks import ManualClock
from tests.failures import listed, refusal
from tests.moments import SERVER, TRAINER, allocator, device, machine, paged_allocator, process, sample
from tests.moments import moment as whole_moment
from tests.waiting import PATIENCE_SECONDS


def moment(seq: int, gpus: int = 1) -> Moment:
    memory = Memory(total_bytes=10, used_bytes=4, free_bytes=5, driver_reserved_bytes=1, source="nvml_v2")
    devices = tuple(
        Device(uuid=f"GPU-{index}", index=index, name="Test GPU", taken_at=1.0, memory=memory) for index in range(gpus)
    )
    sample = Sample(source="test", taken_at=1.0, devices=devices)
    return Moment(seq=seq, timestamp=1.8e9, taken_at=1.0, host="testhost", samples=(sample,), sources=())


def kept_numbers(hub: Hub, seq: int) -> list[int]:
    """Numbers of the kept moments after `seq`."""
    numbers: list[int] = []
    while (published := hub.after(numbers[-1] if numbers else seq)) is not None:
        numbers.append(published.moment.seq)
    return numbers


def test_there_is_nothing_before_the_first_moment() -> None:
    hub = Hub(ManualClock(100.0))
    assert hub.latest is None
    assert hub.ask(Shape()) is None
    assert hub.after(0) is None


def test_all_askers_of_one_shape_share_the_same_bytes() -> None:
    hub = Hub(ManualClock(100.0))
    hub.publish(moment(1))
    assert hub.ask(Shape(), "zstd") is hub.ask(Shape(), "zstd")
    assert hub.ask(Shape()) is not hub.ask(Shape(blocks="none"))


def test_a_shape_in_demand_is_ready_before_subscribers_hear_of_the_moment(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = ManualClock(100.0)
    hub = Hub(clock)
    merges: list[str | None] = []
    real_merge = hub_module.merged

    def counting_merge(moment: Moment, gpu: str | None, viewer_uid: int | None):
        merges.append(gpu)
        return real_merge(moment, gpu, viewer_uid)

    monkeypatch.setattr(hub_module, "merged", counting_merge)
    hub.publish(moment(1))
    assert merges == []
    hub.ask(Shape(gpu="0"))
    merged_when_told: list[int] = []
    hub.subscribe(lambda _: merged_when_told.append(len(merges)))
    hub.publish(moment(2))
    assert merged_when_told == [2]
    clock.now += hub_module.HOT_SECONDS + 1
    hub.publish(moment(3))
    assert merged_when_told == [2, 2], "nobody asked for the shape any more"


def test_a_gpu_that_went_away_is_refused_and_leaves_the_demand() -> None:
    hub = Hub(ManualClock(100.0))
    hub.publish(moment(1, gpus=2))
    hub.ask(Shape(gpu="GPU-1"))
    hub.publish(moment(2, gpus=1))
    with pytest.raises(UnknownGpuError):
        hub.ask(Shape(gpu="GPU-1"))
    hub.publish(moment(3, gpus=1))
    body = hub.ask(Shape())
    assert body is not None
    assert json.loads(body)["seq"] == 3


def test_history_is_bounded_in_number() -> None:
    hub = Hub(ManualClock(100.0))
    for seq in range(1, hub_module.HISTORY_MOMENTS_MAX + 50):
        hub.publish(moment(seq))
    kept = kept_numbers(hub, 0)
    assert len(kept) == hub_module.HISTORY_MOMENTS_MAX
    assert kept == sorted(kept)
    assert kept_numbers(hub, kept[-3]) == kept[-2:]


def test_history_is_bounded_in_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    hub = Hub(ManualClock(100.0))
    hub.publish(moment(1))
    hub.ask(Shape())
    size = len(hub.ask(Shape()) or b"")
    monkeypatch.setattr(hub_module, "HISTORY_BYTES_MAX", 3 * size)
    for seq in range(2, 20):
        hub.publish(moment(seq))
        hub.ask(Shape())
    assert 1 <= len(kept_numbers(hub, 0)) <= 4


def test_a_moment_weighs_all_its_pieces_once_the_one_before_is_kept_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub_module, "HISTORY_BYTES_MAX", 0)
    hub = Hub(ManualClock(100.0))
    first = structs.replace(whole_moment(sample([device()], [process(TRAINER), process(SERVER)])), seq=1)
    hub.publish(first)
    hub.ask(Shape())
    hub.publish(structs.replace(first, seq=2))
    assert kept_numbers(hub, 0) == [2]
    newest = hub.latest
    assert newest is not None
    pieces = newest.pieces(Shape())
    alone = Published(newest.moment, BLOCKS_MAX)
    alone.body(Shape())
    assert newest.weight_bytes() == alone.weight_bytes()
    assert newest.weight_bytes() >= sum(map(len, pieces))


def test_a_moment_of_the_past_keeps_the_bytes_it_has_and_nothing_new() -> None:
    hub = Hub(ManualClock(100.0))
    hub.publish(moment(1))
    past = hub.latest
    assert past is not None
    assert past.snapshot(Shape()) is past.snapshot(Shape())
    body, weight = past.body(Shape()), past.weight_bytes()
    hub.publish(moment(2))
    assert past.snapshot(Shape()) is not past.snapshot(Shape())
    assert past.body(Shape()) is body
    assert past.body(Shape(blocks="none"), "gzip") == past.body(Shape(blocks="none"), "gzip")
    assert past.weight_bytes() == weight


def test_a_long_body_of_a_moment_of_the_past_is_dropped_and_the_same_when_it_is_asked_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(hub_module, "KEPT_BODY_BYTES", 1)
    hub = Hub(ManualClock(100.0))
    hub.publish(moment(1))
    past = hub.latest
    assert past is not None
    body, weight = past.body(Shape()), past.weight_bytes()
    hub.publish(moment(2))
    assert past.made(Shape()) is None
    assert past.weight_bytes() == weight - len(body)
    assert past.body(Shape()) == body


def test_a_failed_allocation_weighs_as_much_as_its_blocks_and_trace() -> None:
    event = refusal(allocator=allocator(), trace=(TraceStep("alloc", 0, 512),) * 100, stacks=(("a.py:1 f",),) * 10)
    plain = machine()
    with_oom = structs.replace(plain, events=(event,))
    weights = [Published(whole_moment(one), BLOCKS_MAX).weight_bytes() for one in (plain, with_oom)]
    assert weights[1] - weights[0] == (3 + 100 + 10) * PART_BYTES


def test_blocks_of_a_failed_allocation_weigh_what_their_arrays_take() -> None:
    """Or one large failure of a program would cost the streams of all users the minute that they may resume in."""
    failed = refusal(allocator=structs.replace(allocator(), blocks=listed(100_000)))
    weights = [
        Published(whole_moment(structs.replace(machine(), events=events)), BLOCKS_MAX).weight_bytes()
        for events in ((), (failed,))
    ]
    assert 100_000 * 30 < weights[1] - weights[0] < HISTORY_BYTES_MAX / 2


def test_pages_of_a_kv_cache_weigh_like_blocks() -> None:
    def weight(*reported: Allocator) -> int:
        return Published(whole_moment(sample((device(),), allocators=reported)), BLOCKS_MAX).weight_bytes()

    assert weight(paged_allocator()) - weight() == (1 + 3) * PART_BYTES


def test_nobody_waits_for_a_slow_encoding_of_the_moment_before(monkeypatch: pytest.MonkeyPatch) -> None:
    hub = Hub(ManualClock(100.0))
    hub.publish(moment(1))
    real_merge, begun, may_end = hub_module.merged, threading.Event(), threading.Event()

    def slow_merge(moment: Moment, gpu: str | None, viewer_uid: int | None):
        begun.set()
        may_end.wait(PATIENCE_SECONDS)
        return real_merge(moment, gpu, viewer_uid)

    monkeypatch.setattr(hub_module, "merged", slow_merge)
    told = threading.Event()
    hub.subscribe(lambda _: told.set())
    threads = [
        threading.Thread(target=hub.ask, args=(Shape(),)),
        threading.Thread(target=hub.publish, args=(moment(2),)),
    ]
    threads[0].start()
    assert begun.wait(PATIENCE_SECONDS)
    threads[1].start()
    try:
        assert told.wait(PATIENCE_SECONDS)
        hub.demand(Shape(), "gzip")
        assert kept_numbers(hub, 1) == [2]
        assert not may_end.is_set()
    finally:
        may_end.set()
        for thread in threads:
            thread.join(PATIENCE_SECONDS)


def test_shapes_encoded_ahead_are_bounded() -> None:
    hub = Hub(ManualClock(100.0))
    hub.publish(moment(1))
    for uid in range(hub_module.SHAPES_MAX + 20):
        assert hub.ask(Shape(viewer_uid=uid)) is not None
    assert len(list(hub._hot())) == hub_module.SHAPES_MAX


def test_a_subscriber_that_left_hears_nothing_more() -> None:
    hub = Hub(ManualClock(100.0))
    heard: list[int] = []
    leave = hub.subscribe(lambda published: heard.append(published.moment.seq))
    hub.publish(moment(1))
    leave()
    hub.publish(moment(2))
    assert heard == [1]


def test_blocks_above_the_cap_are_cut_from_the_answer_and_never_from_the_sums() -> None:
    from tests.unit.model.test_view import moment_of_blocks

    hub = Hub(ManualClock(100.0), blocks_max=3)
    hub.publish(moment_of_blocks(10))
    answer = json.loads(hub.ask(Shape()) or b"{}")
    assert len(answer["blocks"]) == 3
    assert answer["blocks_omitted"] == 7
    assert answer["active_blocks"] + answer["free_blocks"] == 10
