"""What commands ask a server for, where its recording is full of large failures."""

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from blackbox.cli.commands import run_watched, stat
from blackbox.cli.commands.report_server import of_server
from blackbox.cli.common.range_arguments import ChosenRange
from blackbox.client import AnswerError, Client, exchange
from blackbox.model.event import Event
from tests import failures
from tests.failures import listed
from tests.recorded_moments import moment_at
from tests.recordings import recorded
from tests.serving import Serving

START = time.time() - 60
BLOCKS, FAILURES = 3_000, 12
ONE_FAILURE_BYTES = 1 << 20
"""A whole one takes half of it; all of them, many times as much."""


def failed(place: int) -> Event:
    return failures.with_blocks(listed(BLOCKS), timestamp=START + place, uid=os.getuid(), pid=os.getpid())


@pytest.fixture
def client(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Client]:
    """Of a server with a dozen failures; it takes no answer of more than one."""
    moments = [moment_at(START + place, place, events=(failed(place),)) for place in range(FAILURES)]
    with recorded(tmp_path, moments) as recorder, Serving(recording=recorder.recording) as serving:
        serving.hub.publish(moments[-1])
        monkeypatch.setattr(exchange, "BODY_BYTES_MAX", ONE_FAILURE_BYTES)
        yield Client(serving.url)


def test_all_of_them_whole_are_too_much(client: Client) -> None:
    with pytest.raises(AnswerError, match="sends more than"):
        client.events()


def test_stat_asks_for_no_blocks(client: Client) -> None:
    machine = stat._machine(client, None)
    assert len(machine.events) == FAILURES
    assert all(one.oom is not None and one.oom.allocator is None for one in machine.events)


def test_run_asks_for_no_blocks(client: Client) -> None:
    told = run_watched._last_line(client, os.getpid(), START - 1, {}, {})
    assert "ran out of memory" in told


@pytest.mark.parametrize("chosen", [ChosenRange(None, None, 600.0), ChosenRange(START, START + FAILURES - 1, 600.0)])
def test_a_report_has_the_blocks_of_the_failure_that_it_is_about(client: Client, chosen: ChosenRange) -> None:
    evidence = of_server(client, "http://server", chosen)
    assert evidence.failure is not None
    assert evidence.failure.timestamp == START + FAILURES - 1
    blocks = [
        0 if one.oom is None or one.oom.allocator is None else len(one.oom.allocator.blocks or ())
        for one in evidence.events
    ]
    assert blocks == [0] * (FAILURES - 1) + [BLOCKS]
