"""Who fills a GPU, since when and what for, and memory by stack over time, over HTTP: for the owner of the process and
for those who see all."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from msgspec import structs

from blackbox.model.event import Event, OutOfMemory
from blackbox.model.moment import Moment
from blackbox.model.parts import Allocator, AllocatorBlock, OwningStack
from blackbox.server.auth import access
from blackbox.server.auth.access import Access, Peer
from tests.moments import GIB, TIMESTAMP, allocator, device, memory, moment, process, sample
from tests.recordings import recorded
from tests.serving import Serving

SECONDS = 70
LATE_SECONDS = 0.25
"""Of every sample, so that no step of a history begins with one."""
PID, HERS, HIS = 4711, 41_001, 41_002
LEAK = ("model.py:3 forward", "train.py:9 <module>")


def held(second: int) -> Allocator:
    size = GIB + second * GIB // 2
    blocks = (AllocatorBlock(1 << 41, size, "active", "activation"),)
    made = allocator(PID, reserved_bytes=size, allocated_bytes=size, blocks=blocks, uid=HERS)
    return structs.replace(made, threads=None, stacks=(OwningStack(LEAK, size, 1, "activation"),))


def at(second: int) -> Moment:
    used = 2 * GIB + second * GIB // 2
    row = process(PID, used_bytes=used, name="leaky", uid=HERS)
    whole = device(memory=memory(used=used))
    agents = sample((), source="agents", allocators=(held(second),))
    return moment(sample([whole], [row]), agents, seq=second + 1, timestamp=TIMESTAMP + second + LATE_SECONDS)


@pytest.fixture(scope="module")
def serving(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    oom = OutOfMemory(
        source="pytorch", requested_bytes=GIB, thread_id=PID, device_total_bytes=None, device_free_bytes=0,
        allocator=held(60), trace=(), stacks=(),
    )  # fmt: skip
    refusal = Event(kind="oom", timestamp=TIMESTAMP - 100, message="", gpu_uuid="GPU-0", pid=PID - 1, uid=HERS, oom=oom)
    path: Path = tmp_path_factory.mktemp("data")
    with (
        recorded(path, map(at, range(SECONDS)), [refusal]) as recorder,
        Serving(recording=recorder.recording) as server,
    ):
        server.hub.publish(at(SECONDS - 1))
        yield server


@pytest.fixture(autouse=True)
def peers(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the kernel says of a Unix socket's peer is what the field X-Uid says."""
    admit = Access.admit

    def with_uid(self: Access, request: access.Request, _peer: Peer) -> Any:
        return admit(self, request, Peer(uid=int(request.headers[b"x-uid"])))

    monkeypatch.setattr(Access, "admit", with_uid)


def grower(serving: Serving, viewer: int) -> Any:
    reply = serving.ask("/vram/forecast", x_uid=str(viewer))
    assert reply.status == 200, reply.body
    (gpu,) = json.loads(reply.body)["gpus"]
    assert gpu["full_in_seconds"] is not None
    return gpu["grower"]


@pytest.mark.parametrize("viewer", [0, HERS])
def test_who_fills_the_gpu_is_told_with_what_for_and_with_what_failed_before(serving: Serving, viewer: int) -> None:
    found = grower(serving, viewer)
    assert (found["pid"], found["name"], found["since"] - TIMESTAMP) == (PID, "leaky", pytest.approx(0, abs=10))
    origin = found["origin"]
    assert (origin["purpose"], tuple(origin["frames"])) == ("activation", LEAK)
    assert origin["stack_rise_bytes"] == pytest.approx(SECONDS * GIB // 2, rel=0.2)
    assert origin["earlier_failures"] == {
        "count": 1, "first_at": TIMESTAMP - 100, "last_at": TIMESTAMP - 100, "last_pid": PID - 1
    }  # fmt: skip


def test_row_53_what_it_is_for_is_not_told_to_others(serving: Serving) -> None:
    found = grower(serving, HIS)
    assert (found["pid"], found["origin"]) == (PID, None)


def stacks(serving: Serving, viewer: int, more: str = "") -> Any:
    reply = serving.ask(
        f"/vram/stacks?from={TIMESTAMP + LATE_SECONDS}&to={TIMESTAMP + LATE_SECONDS + 60}{more}", x_uid=str(viewer)
    )
    assert reply.status == 200, reply.body
    return json.loads(reply.body)


@pytest.mark.parametrize("viewer", [0, HERS])
def test_a_stack_is_told_over_time(serving: Serving, viewer: int) -> None:
    found = stacks(serving, viewer, f"&points=6&pid={PID}&gpu=GPU-0")
    assert [round(time - TIMESTAMP) for time in found["times"]] == [10, 20, 30, 40, 50, 60]
    (series,) = found["series"]
    assert (series["pid"], tuple(series["frames"]), series["type"]) == (PID, LEAK, "activation")
    assert series["bytes"] == [GIB + second * GIB // 2 for second in (10, 20, 30, 40, 50, 60)]
    assert stacks(serving, viewer, "&pid=7")["series"] == []
    assert stacks(serving, viewer, "&gpu=7")["series"] == []


def test_row_53_stacks_over_time_are_not_told_to_others(serving: Serving) -> None:
    assert stacks(serving, HIS)["series"] == []


def test_live_memory_of_a_gpu_is_a_line_of_the_chart(serving: Serving) -> None:
    path = f"/vram/chart?from={TIMESTAMP}&to={TIMESTAMP + 60}&metric=used_bytes,reserved_bytes,allocated_bytes&points=6"

    def lines(viewer: int) -> dict[str, Any]:
        found = json.loads(serving.ask(path, x_uid=str(viewer)).body)
        return {one["metric"]: one["high"] for one in found["series"] if one["gpu"] == 0 and one["pid"] is None}

    told = lines(HERS)
    assert told["allocated_bytes"] == told["reserved_bytes"]
    assert told["allocated_bytes"][0] == GIB + 9 * GIB // 2
    assert "allocated_bytes" not in lines(HIS)
