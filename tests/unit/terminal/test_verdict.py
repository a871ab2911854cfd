"""The sentences of the first line."""

from typing import Any

from blackbox.merge import merge
from blackbox.model.query import Evidence, Forecast, NumberedEvent, Outlook
from blackbox.terminal.ledger import leaves, ledgers
from blackbox.terminal.verdict import calm, filling, headline, if_nothing_is_done, verdict, who_grew
from tests.moments import GIB, TIMESTAMP, TRAINER, machine, moment

LEAVES = tuple(leaves(ledgers(merge(moment(machine())))))


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


def test_what_is_not_known_is_not_called_calm() -> None:
    assert "is not known: nothing is recorded" in calm(None, LEAVES, None, "nothing is recorded")
    assert calm(None, (), None) == "No GPU that Blackbox can see."


def test_the_verdict_names_gpu_time_range_rate_and_process() -> None:
    found = verdict(forecast(outlook(300), processes=(outlook(100, pid=TRAINER),)), LEAVES, ())
    assert found is not None
    assert found.is_alarm
    assert headline(found) == "GPU 0 is full in about 1 min 40 s (1 min 30 s to 1 min 50 s, at +2.0 GiB/min)"
    assert who_grew(found, TIMESTAMP).startswith(f"python {TRAINER}")
    assert "+4.0 GiB since" in who_grew(found, TIMESTAMP)
    assert if_nothing_is_done(found, TIMESTAMP).startswith(f"python {TRAINER} is refused memory at about")
    assert "Hit as well:" in if_nothing_is_done(found, TIMESTAMP)


def test_a_rise_that_takes_hours_is_no_alarm_but_is_told() -> None:
    found = verdict(forecast(outlook(7200)), LEAVES, ())
    assert found is not None
    assert not found.is_alarm
    assert "the first, GPU 0, fills in about 2 h" in calm(forecast(outlook(7200)), LEAVES, found)
    assert who_grew(found, TIMESTAMP).startswith("n/a: more than one process grows")


def test_earlier_refusals_are_remembered() -> None:
    refused = NumberedEvent(id=1, kind="oom", timestamp=TIMESTAMP - 200, message="", gpu_uuid="GPU-0", pid=4000)
    found = verdict(forecast(outlook(100)), LEAVES, (refused,))
    assert found is not None
    assert "as 4000 did" in if_nothing_is_done(found, TIMESTAMP)
