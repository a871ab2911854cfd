"""Shipping a recording to real ClickHouse nodes: every closed minute once, as the moments themselves say."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.clickhouse_rig import ClickHouse
from tests.fleet_recordings import MINUTE, REUSED, machine_events, machine_moments
from tests.fleet_rig import MINUTES, START, Ship, expected, shipped
from tests.recordings import recorded


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """A recording of eleven closed minutes."""
    with recorded(tmp_path / "data", machine_moments(START, MINUTES), machine_events(START)):
        pass
    return tmp_path / "data"


def test_rows_are_what_the_moments_say(directory: Path, nodes: list[ClickHouse]) -> None:
    with Ship(directory, nodes[0]) as ship:
        ship.steps()
    status = ship.shipper.status()
    assert (status.state, status.reason) == ("shipping", None)
    assert status.shipped_until == START + 10 * MINUTE, "the eleventh minute waits for its batch"
    for node in nodes:
        assert shipped(node, ship.machine) == expected(10)
    unknown = nodes[0].rows(
        f"SELECT count() AS rows, count(used_bytes_max) AS known FROM blackbox.process FINAL "
        f"WHERE machine = '{ship.machine}' AND pid = 4713"
    )
    assert unknown == [{"rows": 10, "known": 0}], "what nobody measured is NULL and never 0"


def test_lives_and_events(directory: Path, nodes: list[ClickHouse]) -> None:
    with Ship(directory, nodes[0]) as ship:
        ship.steps()
    lives = nodes[0].rows(
        "SELECT start_ms, toUnixTimestamp(min(first_seen)) AS first, toUnixTimestamp(max(last_seen)) AS last, "
        f"max(ended) AS ended, max(exit_code) AS code FROM blackbox.life WHERE machine = '{ship.machine}' "
        f"AND pid = {REUSED} GROUP BY start_ms ORDER BY start_ms"
    )
    boot = int(START - 3600) * 1000
    assert lives == [
        {"start_ms": boot, "first": START, "last": START + 3 * MINUTE, "ended": "exception", "code": 1},
        {
            "start_ms": int(START + 5 * MINUTE) * 1000,
            "first": START + 5 * MINUTE,
            "last": START + 9 * MINUTE,
            "ended": None,
            "code": None,
        },
    ], "a reused pid makes two lives"
    events = nodes[0].rows(
        f"SELECT kind, pid, code, name, user FROM blackbox.event FINAL WHERE machine = '{ship.machine}' "
        "ORDER BY event_id"
    )
    assert [(event["kind"], event["pid"], event["code"]) for event in events] == [
        ("process_exit", REUSED, None),
        ("crash", REUSED, None),
        ("xid", None, 79),
    ]
    assert events[0]["name"] == "notebook"


def test_the_hours_are_what_the_minutes_say(directory: Path, nodes: list[ClickHouse]) -> None:
    with Ship(directory, nodes[0]) as ship:
        ship.steps()
    ask: Callable[[str], list[dict[str, Any]]] = lambda select: nodes[1].rows(  # noqa: E731
        select.format(where=f"WHERE machine = '{ship.machine}' GROUP BY hour, gpu_uuid, pid, start_ms ORDER BY ALL")
    )
    rolled = ask(
        "SELECT hour, gpu_uuid, pid, start_ms, bitCount(groupBitOr(minutes)) AS n, max(used_bytes_max) AS most, "
        "min(used_bytes_min) AS least, max(pod) AS pod FROM blackbox.process_hour {where}"
    )
    made = ask(
        "SELECT toStartOfHour(ts) AS hour, gpu_uuid, pid, start_ms, uniqExact(ts) AS n, max(used_bytes_max) AS most, "
        "min(used_bytes_min) AS least, max(pod) AS pod FROM blackbox.process FINAL {where}"
    )
    assert rolled == made
    assert len(rolled) >= 5
