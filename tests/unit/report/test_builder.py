"""From evidence to findings: who, why, what grew, and what would have helped."""

import pytest
from msgspec import structs

from blackbox.model.event import Event, OutOfMemory, ProcessLife
from blackbox.model.text import size
from blackbox.report import Report, build_report, from_moments, to_text
from blackbox.report.evidence import newest_failure
from tests import incidents
from tests.moments import (
    GIB,
    MIB,
    SERVER,
    SILENT,
    TIMESTAMP,
    TRAINER,
    allocator,
    device,
    memory,
    moment,
    process,
    sample,
)


@pytest.fixture(scope="module")
def leak() -> Report:
    moments = incidents.leak()
    evidence = from_moments("test", moments, incidents.events(moments), incidents.span(moments))
    assert evidence is not None
    return build_report(evidence)


def oom(requested: int, free: int | None, **changes: object) -> Event:
    """The trainer fails, its allocator holding 4 GiB with 1 GiB free in one piece."""
    return Event(
        kind="oom",
        timestamp=TIMESTAMP + 0.1,
        message="out of memory",
        gpu_uuid="GPU-0",
        pid=TRAINER,
        oom=OutOfMemory(
            source="pytorch",
            requested_bytes=requested,
            thread_id=TRAINER,
            device_total_bytes=80 * GIB,
            device_free_bytes=free,
            allocator=allocator(**changes),
            trace=(),
            stacks=(),
        ),
    )


def report_on(event: Event | None, neighbour_used: int = 60 * GIB, before: int | None = None) -> Report:
    """A GPU with the trainer and a silent neighbour, `before` being what that held a minute ago."""

    def at(used: int, seconds: float) -> object:
        machine = sample(
            (device(0, memory=memory(used=min(79 * GIB, used + 5 * GIB))),),
            (process(TRAINER, used_bytes=5 * GIB), process(SILENT, used_bytes=used, name="other")),
            allocators=(allocator(),),
        )
        return moment(machine, timestamp=TIMESTAMP + seconds)

    moments = [at(neighbour_used if before is None else before, -60), at(neighbour_used, 0)]
    events = [] if event is None else [event]
    evidence = from_moments("test", moments, events, (TIMESTAMP - 60, TIMESTAMP))  # type: ignore[arg-type]
    assert evidence is not None
    return build_report(evidence)


def test_what_the_failed_process_held_is_the_sum_of_what_for(leak: Report) -> None:
    failed = next(process for process in leak.processes if process.is_failed)
    assert failed.used_bytes == sum(failed.uses.values()) == sum(use.after_bytes for use in leak.uses)
    assert leak.gpu is not None
    assert leak.request is not None
    assert leak.gpu.free_bytes == leak.request.device_free_bytes
    assert leak.gpu.used_bytes >= sum(process.used_bytes for process in leak.processes)


def test_the_leaking_process_is_named_with_what_it_asked_for(leak: Report) -> None:
    assert leak.title.startswith("python (pid 48211) ran out of memory on GPU 2 / MIG 1: it asked for ")
    assert leak.simulated
    failed = next(process for process in leak.processes if process.is_failed)
    assert (failed.pid, failed.user) == (48211, "bob")
    assert failed is leak.processes[0]


def test_what_grew_is_named_by_type_and_by_stack(leak: Report) -> None:
    activations = next(use for use in leak.uses if use.what == "activations")
    assert activations.rise_bytes > 20 * GIB
    assert activations.fell_bytes == 0
    assert leak.growth is not None
    largest = leak.growth.shares[0]
    assert largest.frames[0] == "layers.py:52 attention"
    assert list(largest.uses) == ["activations"]
    assert largest.bytes == pytest.approx(activations.after_bytes, rel=0.01)


def test_the_largest_hole_is_that_of_the_allocator_when_it_failed(leak: Report) -> None:
    failure = next(event for event in incidents.events(incidents.leak()) if event.kind == "oom")
    assert failure.oom is not None
    state = failure.oom.allocator
    assert state is not None
    assert leak.cache is not None
    assert leak.cache.largest_hole_bytes == state.largest_free_bytes
    assert leak.request is not None
    assert leak.request.requested_bytes > (leak.cache.largest_hole_bytes or 0)
    assert [told.cause for told in leak.causes] == ["leak", "fragmentation"], "what it broke on last comes second"


def test_a_leak_is_told_first_of_what_would_have_helped(leak: Report) -> None:
    assert leak.advice[0].title == "Let go of the activations that pile up"
    assert "layers.py:52 attention" in leak.advice[0].text


def test_the_uses_of_the_failed_process_sum_to_what_it_held(leak: Report) -> None:
    assert leak.cache is not None
    outside = next(use.after_bytes for use in leak.uses if use.what == "outside the allocator")
    assert sum(use.after_bytes for use in leak.uses) - outside == leak.cache.reserved_bytes


def test_nothing_after_the_failure_counts(leak: Report) -> None:
    assert leak.request is not None
    assert all(summary.time <= leak.request.time for summary in leak.summaries)
    assert any(key.pid == 48211 for key in leak.summaries[-1].processes)


def test_enough_in_too_small_pieces_is_fragmentation() -> None:
    report = report_on(oom(2 * GIB, GIB + 512 * MIB))
    assert report.cause == "fragmentation"
    assert "expandable_segments" in " ".join(item.text for item in report.advice)


def test_others_that_hold_more_are_to_blame() -> None:
    report = report_on(oom(8 * GIB, 2 * GIB))
    assert report.cause == "neighbour"
    assert "other (pid 4713) with 60.0 GiB" in report.why[0]
    assert report.advice[0].title == "Move other (pid 4713) elsewhere"
    assert report.request is not None
    assert (report.request.missing_bytes, report.request.others_bytes) == (6 * GIB, 60 * GIB)


def test_a_small_neighbour_that_took_the_missing_memory_just_now_is_to_blame() -> None:
    assert report_on(oom(6 * GIB, 2 * GIB), neighbour_used=4 * GIB, before=GIB).cause == "neighbour"


def test_alone_on_the_gpu_it_is_a_shortage() -> None:
    report = report_on(oom(90 * GIB, 2 * GIB), neighbour_used=MIB)
    assert report.cause == "shortage"
    assert "It held 5.0 GiB itself." in report.why[0]


def test_a_device_with_enough_did_not_refuse() -> None:
    assert report_on(oom(GIB, 2 * GIB)).cause == "limit"


def test_an_empty_cache_is_no_fragmentation() -> None:
    full = oom(2 * GIB, GIB, reserved_bytes=4 * GIB, allocated_bytes=4 * GIB, blocks=None, largest_free_bytes=0)
    assert report_on(full).cause == "neighbour"


def test_what_nobody_told_is_not_known() -> None:
    bare = Event(kind="oom", timestamp=TIMESTAMP, message="killed", gpu_uuid="GPU-0", pid=SILENT)
    report = report_on(bare)
    assert report.title == "other (pid 4713) ran out of memory on GPU 0"
    assert (report.request, report.cause, report.cache) == (None, None, None)
    assert any("no agent told of it" in note for note in report.notes)


def test_a_failed_process_that_no_sample_saw_is_known_from_its_agent() -> None:
    event = structs.replace(oom(GIB, 0), pid=SERVER)
    assert event.oom is not None
    event = structs.replace(event, oom=structs.replace(event.oom, allocator=allocator(SERVER)))
    report = report_on(event)
    assert report.subject == f"pid {SERVER}"
    assert report.processes[-1].used_bytes == 4 * GIB


def about(**changes: object) -> Report:
    """On an event that is no failure, a minute after an out-of-memory, with GPU 1 emptier than GPU 0."""
    fields: dict[str, object] = {"kind": "xid", "timestamp": TIMESTAMP + 60, "message": "GPU 1: Xid 63", "code": 63}
    event = Event(**(fields | {"gpu_uuid": "GPU-1"} | changes))  # type: ignore[arg-type]
    devices = (device(0, memory=memory(used=66 * GIB)), device(1, memory=memory(used=4 * GIB)))
    listed = (process(SILENT, used_bytes=60 * GIB), process(SERVER, "GPU-1", used_bytes=GIB),
              process(TRAINER, "GPU-1", used_bytes=2 * GIB))  # fmt: skip
    seen = [moment(sample(devices, listed), timestamp=TIMESTAMP + seconds) for seconds in (0, 59, 61)]
    events = [oom(GIB, 0), event]
    evidence = from_moments("test", seen, events, (TIMESTAMP, TIMESTAMP + 60), about=event)
    assert evidence is not None
    return build_report(evidence)


def test_what_is_no_failure_is_told_itself_and_not_a_failure_before_it() -> None:
    report = about()
    assert (report.title, report.time, report.gpu_uuid) == ("GPU 1: Xid 63", TIMESTAMP + 60, "GPU-1")
    assert (report.request, report.causes, report.subject) == (None, (), f"python (pid {TRAINER})")
    assert [row.pid for row in report.processes] == [TRAINER, SERVER]
    assert [event.kind for event in report.events] == ["oom", "xid"]


def test_an_event_of_a_process_is_told_of_that_process_and_one_of_an_empty_gpu_of_none() -> None:
    assert about(kind="memory_growth", pid=SERVER).subject == f"python (pid {SERVER})"
    assert about(kind="process_exit", pid=999).subject == f"python (pid {TRAINER})", "who is left there"
    empty = about(gpu_uuid="GPU-7")
    assert (empty.gpu_uuid, empty.subject, empty.processes) == ("GPU-7", None, ())


def test_without_a_failure_it_shows_the_state() -> None:
    report = report_on(None)
    assert report.title == "65.0 GiB of 80.0 GiB are in use on GPU 0"
    assert (report.cause, report.request) == (None, None)
    assert report.subject == "other (pid 4713)"
    assert not any(process.is_failed for process in report.processes)


def test_nothing_recorded_is_no_evidence() -> None:
    assert from_moments("test", [], [], (0, 1)) is None


def test_a_machine_without_gpus_can_be_reported_on() -> None:
    evidence = from_moments("test", [moment(sample(()))], [], (TIMESTAMP, TIMESTAMP))
    assert evidence is not None
    assert build_report(evidence).title == "No GPU memory was measured"


def test_a_machine_whose_sizes_nobody_told_is_reported_by_what_is_held() -> None:
    untold = device(unknown={"total_bytes": "a memory snapshot does not tell it"})
    seen = moment(sample((untold,), (process(TRAINER, used_bytes=5 * GIB),), allocators=(allocator(),)))
    evidence = from_moments("test", [seen], [], (TIMESTAMP, TIMESTAMP))
    assert evidence is not None
    assert build_report(evidence).title == f"python (pid {TRAINER}) holds 5.0 GiB"


def died(pid: int = TRAINER, seconds: float = 0.1, **changes: object) -> Event:
    life = ProcessLife(
        name="python", start_time=None, used_bytes=5 * GIB, peak_used_bytes=6 * GIB, peak_at=TIMESTAMP, **changes
    )
    return Event(kind="crash", timestamp=TIMESTAMP + seconds, message="died", gpu_uuid="GPU-0", pid=pid, process=life)


@pytest.mark.parametrize(
    ("changes", "how"),
    [
        ({"ended": "killed", "signal": 11}, "SIGSEGV"),
        ({"ended": "exception", "exception": "torch.OutOfMemoryError"}, "torch.OutOfMemoryError"),
        ({"ended": "exception"}, "an exception that nobody caught"),
        ({"ended": "abrupt"}, "a signal or os._exit"),
    ],
)
def test_a_crash_is_told_as_one_and_makes_no_claim_of_memory(changes: dict[str, object], how: str) -> None:
    report = report_on(died(**changes))
    assert report.title.endswith(f"(pid {TRAINER}) died on GPU 0 ({how}): this is who held what")
    assert (report.request, report.cause, report.advice) == (None, None, ())
    assert report.time == TIMESTAMP + 0.1
    assert [process.pid for process in report.processes if process.is_failed] == [TRAINER]
    text = to_text(report)
    assert "out of memory" not in text
    assert "asked for" not in text
    assert f" * {size(5 * GIB):>10}" in text


def test_of_several_failures_the_one_that_the_others_follow_from_is_told() -> None:
    first, second, later = died(1), died(2, 3.0), died(3, 300.0)
    assert newest_failure([first, second]) is first
    assert newest_failure([first, second, later]) is later
    ran_out = oom(GIB, 0)
    assert newest_failure([ran_out, died(TRAINER, 20.0)]) is ran_out
    assert newest_failure([ran_out, died(1, 20.0)]) is not ran_out
    assert newest_failure([]) is None
