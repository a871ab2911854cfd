"""The sentences of the first line."""

from typing import Any

from msgspec import structs

from blackbox.merge import merge
from blackbox.model.forecast import EarlierFailures, Evidence, Forecast, Grower, GrowthOrigin, Outlook
from blackbox.model.query import NumberedEvent
from blackbox.terminal import figures
from blackbox.terminal.ledger import gpu_label, leaves, ledgers
from blackbox.terminal.verdict import calm, filling, headline, if_nothing_is_done, seen_before, verdict, who_grew
from tests.moments import GIB, SILENT, TIMESTAMP, machine, moment

LEAVES = tuple(leaves(ledgers(merge(moment(machine())))))
EARLY = {"predictable_from": TIMESTAMP + 36, "unknown": {"full_in_seconds": "too little is recorded yet"}}


def outlook(seconds: float | None, **changes: Any) -> Outlook:
    fields: dict[str, Any] = {
        "gpu": 0,
        "gpu_uuid": "GPU-0",
        "pid": None,
        "name": None,
        "start_time": None,
        "used_bytes": 20 * GIB,
        "headroom_bytes": 10 * GIB,
        "full_in_seconds_min": None if seconds is None else seconds * 0.9,
        "full_in_seconds": seconds,
        "full_in_seconds_max": None if seconds is None else seconds * 1.1,
        "evidence": None
        if seconds is None
        else Evidence(
            from_=TIMESTAMP - 120,
            to=TIMESTAMP,
            points=60,
            rise_bytes=4 * GIB,
            rate_bytes_per_second=GIB / 30,
            rate_low_bytes_per_second=GIB / 33,
            rate_high_bytes_per_second=GIB / 27,
        ),
        "message": "",
    }
    return Outlook(**(fields | changes))


def forecast(*gpus: Outlook, processes: tuple[Outlook, ...] = ()) -> Forecast:
    return Forecast(timestamp=TIMESTAMP, gpus=gpus, processes=processes, advice=())


def test_without_a_trend_nothing_is_predicted() -> None:
    told = forecast(outlook(None))
    assert verdict(told, LEAVES, ()) is None
    assert filling(told, "GPU-0") is None
    assert calm(told, LEAVES, None) == "2 GPUs, none has a trend that fills it. Highest: GPU 0, 20.0 of 80.0 GiB."


def test_while_too_little_is_recorded_it_is_told_from_when_on_it_can_be_told() -> None:
    early = forecast(*(outlook(None, gpu_uuid=leaf.gpu.uuid, **EARLY) for leaf in LEAVES))
    at = figures.clock(TIMESTAMP + 36, TIMESTAMP)
    assert verdict(early, LEAVES, ()) is None
    assert f"whether one fills cannot be told before {at}: too little is recorded yet. Highest" in calm(
        early, LEAVES, None
    )
    assert f"whether it fills cannot be told before {at}" in calm(forecast(early.gpus[0]), LEAVES[:1], None)


def test_a_gpu_that_does_not_answer_is_not_among_those_without_a_trend() -> None:
    known, lost = (leaf.gpu.uuid for leaf in LEAVES[:2])
    told = forecast(
        outlook(None, gpu_uuid=known), outlook(None, gpu_uuid=lost, unknown={"full_in_seconds": "fell off the bus"})
    )
    assert "no trend fills those that are known; whether GPU 1 / MIG 1 fills is not known: fell off" in calm(
        told, LEAVES, None
    )
    alone = calm(forecast(told.gpus[1]), LEAVES[1:2], None)
    assert alone.startswith("1 GPU, whether GPU 1 / MIG 1 fills is not known: fell off the bus.")
    new = forecast(*told.gpus[:1], outlook(None, gpu_uuid=lost, **EARLY))
    assert (
        f"whether GPU 1 / MIG 1 fills is not known before {figures.clock(TIMESTAMP + 36, TIMESTAMP)}: too little"
        in calm(new, LEAVES, None)
    )


def test_what_nobody_measured_is_not_the_highest() -> None:
    first, second, *_ = LEAVES
    untold = structs.replace(first.gpu, used_percent=100.0, unknown={"total_bytes": "a snapshot does not tell it"})
    found = (first._replace(gpu=untold), second)
    assert f"Highest: {gpu_label(second.gpu)}, " in calm(None, found, None)
    assert "Highest" not in calm(None, found[:1], None)


def test_what_is_not_known_is_not_called_calm() -> None:
    assert "is not known: nothing is recorded" in calm(None, LEAVES, None, "nothing is recorded")
    assert calm(None, (), None) == "No GPU that Blackbox can see."


def test_the_verdict_names_gpu_time_range_rate_and_process() -> None:
    found = verdict(forecast(outlook(300), processes=(outlook(100, pid=SILENT),)), LEAVES, ())
    assert found is not None
    assert found.is_alarm
    assert headline(found) == "GPU 0 is full in about 1 min 40 s (1 min 30 s to 1 min 50 s, at +2.0 GiB/min)"
    assert who_grew(found, TIMESTAMP).startswith(f"python {SILENT}")
    assert "+4.0 GiB in 1 min 40 s, since" in who_grew(found, TIMESTAMP)
    assert if_nothing_is_done(found, TIMESTAMP).startswith(f"python {SILENT} is refused memory at about")
    assert "Hit as well: python 4711" in if_nothing_is_done(found, TIMESTAMP)


def test_a_rise_that_takes_hours_is_no_alarm_but_is_told() -> None:
    found = verdict(forecast(outlook(7200)), LEAVES, ())
    assert found is not None
    assert not found.is_alarm
    assert "the first, GPU 0, fills in about 2 h" in calm(forecast(outlook(7200)), LEAVES, found)


def test_earlier_refusals_are_remembered() -> None:
    refused = NumberedEvent(id=1, kind="oom", timestamp=TIMESTAMP - 200, message="", gpu_uuid="GPU-0", pid=4000)
    found = verdict(forecast(outlook(100)), LEAVES, (refused,))
    assert found is not None
    assert "as 4000 did" in if_nothing_is_done(found, TIMESTAMP)
    assert (seen_before(found, TIMESTAMP) or "").startswith("memory was refused here once, at ")


def grower(origin: GrowthOrigin | None) -> Grower:
    return Grower(pid=SILENT, name="python", start_time=None, user="bob", since=TIMESTAMP - 60, origin=origin)


def test_what_grew_is_told_with_its_stack_and_its_earlier_failures() -> None:
    earlier = EarlierFailures(count=3, first_at=TIMESTAMP - 900, last_at=TIMESTAMP - 100, last_pid=4000)
    origin = GrowthOrigin(
        purpose="activation",
        purpose_rise_bytes=4 * GIB,
        frames=("layers.py:52 attention", "train.py:3 step"),
        stack_rise_bytes=4 * GIB,
        earlier_failures=earlier,
    )
    found = verdict(forecast(outlook(100, grower=grower(origin))), LEAVES, ())
    assert found is not None
    assert who_grew(found, TIMESTAMP).endswith(", for activations, at layers.py:52 attention")
    assert (seen_before(found, TIMESTAMP) or "").startswith("the same stack ran out of memory 3 times, last at ")


def test_what_for_is_not_guessed() -> None:
    found = verdict(forecast(outlook(100, grower=grower(None))), LEAVES, ())
    assert found is not None
    assert "what for is n/a: no allocator reports from it" in who_grew(found, TIMESTAMP)
    assert seen_before(found, TIMESTAMP) is None


def test_what_fills_is_the_first_of_those_that_are_known_where_some_are_not() -> None:
    lost = outlook(None, gpu_uuid=LEAVES[1].gpu.uuid, unknown={"full_in_seconds": "fell off the bus"})
    told = forecast(outlook(7200), lost)
    assert "the first of those that are known, GPU 0, fills in about 2 h" in calm(
        told, LEAVES, verdict(told, LEAVES, ())
    )
