"""Events for lists: light, and those alike as one."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from msgspec import json, structs

from blackbox.model.event import Event, OutOfMemory, ProcessLife, TraceStep
from blackbox.model.event_list import blamed_stack, folded, light
from blackbox.model.parts import OwningStack
from blackbox.model.query import NumberedEvent, Repeats
from tests.moments import GIB, TIMESTAMP, allocator

LEAK, MODEL = ("model.py:3 forward", "train.py:9 <module>"), ("model.py:1 build",)
ASKED = (TraceStep("alloc", 1, 1, stack=0), TraceStep("oom", 0, 1, stack=1))


def oom(main_share: float = 0.9, **changes: Any) -> OutOfMemory:
    held = allocator()
    main = round(main_share * held.allocated_bytes)
    stacks = OwningStack(MODEL, held.allocated_bytes - main, 1), OwningStack(LEAK, main, 9)
    fields: dict[str, Any] = {"allocator": structs.replace(held, stacks=stacks), "trace": (), "stacks": ()} | changes
    return OutOfMemory(
        source="pytorch", requested_bytes=GIB, thread_id=1, device_total_bytes=None, device_free_bytes=0, **fields
    )  # fmt: skip


def event(number: int, kind: Any = "oom", **changes: Any) -> NumberedEvent:
    fields: dict[str, Any] = {"message": "", "gpu_uuid": "GPU-0", "pid": number, "uid": 7} | changes
    return NumberedEvent(kind=kind, timestamp=TIMESTAMP + number, id=number, **fields)


def test_the_stack_that_filled_the_memory_is_to_blame_before_the_one_that_asked() -> None:
    assert blamed_stack(oom()) == LEAK
    assert blamed_stack(oom(trace=ASKED, stacks=(MODEL, MODEL))) == LEAK
    assert blamed_stack(oom(allocator=None, trace=ASKED, stacks=(LEAK, MODEL))) == MODEL
    assert blamed_stack(oom(allocator=None)) is None
    shared = tuple(OwningStack((f"model.py:{line} f",), GIB, 1) for line in range(3))
    assert blamed_stack(oom(allocator=structs.replace(allocator(), stacks=shared))) is None


def test_a_light_refusal_keeps_its_figures_and_the_stack_to_blame() -> None:
    whole = Event(kind="oom", timestamp=TIMESTAMP, message="no", oom=oom(trace=ASKED * 500, stacks=(MODEL, LEAK)))
    bare = light(whole)
    assert bare.oom is not None
    assert (bare.oom.requested_bytes, bare.oom.device_free_bytes) == (GIB, 0)
    assert (bare.oom.allocator, bare.oom.trace, bare.oom.stacks) == (None, (), (LEAK,))
    assert len(json.encode(bare)) < 500
    assert light(bare) == bare


def test_refusals_of_one_stack_are_one_row() -> None:
    blamed, other = oom(allocator=None, stacks=(LEAK,)), oom(allocator=None, stacks=(MODEL,))
    events = [event(1, oom=blamed), event(2, oom=other), event(3, oom=blamed), event(5, oom=blamed)]
    first, second = folded(events)
    assert (first.id, first.repeats) == (2, None)
    assert (second.id, second.pid) == (5, 5), "the newest of them"
    assert second.repeats == Repeats(count=3, first_at=TIMESTAMP + 1, last_at=TIMESTAMP + 5, first_id=1)


def test_what_ended_otherwise_is_another_row() -> None:
    def end(number: int, ended: Any) -> NumberedEvent:
        life = ProcessLife(
            name="python", start_time=None, used_bytes=number, peak_used_bytes=1, peak_at=None, ended=ended
        )
        return event(number, "process_exit", process=life)

    events = [
        end(1, "orderly"),
        end(2, "killed"),
        end(3, "orderly"),
        event(4, "xid", code=79),
        event(5, "xid", code=63),
    ]
    assert [(one.id, one.repeats and one.repeats.count) for one in folded(events)] == [
        (2, None), (3, 2), (4, None), (5, None)
    ]  # fmt: skip


@given(st.lists(st.tuples(st.sampled_from(["xid", "ecc", "gpu_lost"]), st.sampled_from(["GPU-0", "GPU-1"]))))
def test_folding_loses_no_event(happened: list[tuple[Any, str]]) -> None:
    events = [event(number, kind, gpu_uuid=uuid) for number, (kind, uuid) in enumerate(happened, 1)]
    rows = folded(events)
    assert sum(row.repeats.count if row.repeats else 1 for row in rows) == len(events)
    assert len({(row.kind, row.gpu_uuid) for row in rows}) == len(rows)
    assert [row.id for row in rows] == sorted(row.id for row in rows)
