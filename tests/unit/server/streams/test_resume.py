"""What a stream begins with."""

import time

import pytest

from blackbox.hub import HISTORY_MOMENTS_MAX, Hub
from blackbox.model.view import Shape, UnknownGpuError
from blackbox.server.http.sse import Framing
from blackbox.server.streams.resume import resume
from blackbox.server.streams.snapshot_broadcast import BEFORE_FIRST, StreamFormat
from tests.moments import moment

FORMAT = StreamFormat(Shape(blocks="none"), Framing(gzip=False, chunked=False))
PLENTY = 1 << 30


def hub(count: int) -> Hub:
    made = Hub(time.monotonic)
    for seq in range(1, count + 1):
        made.publish(moment(seq=seq))
    return made


def opened(made: Hub, last_event_id: int | None, resume_bytes: int = PLENTY) -> tuple[list[str], int, int, int]:
    found = resume(made, FORMAT, last_event_id, resume_bytes)
    lines = [line for line in found.data.decode().splitlines() if line.startswith(("id:", ":"))]
    return lines, found.seq, found.sent, found.missed


def test_before_the_first_sample_there_is_nothing_to_say() -> None:
    assert opened(hub(0), None) == ([], BEFORE_FIRST, 0, 0)
    assert opened(hub(0), 5) == ([], BEFORE_FIRST, 0, 0)


def test_a_new_client_gets_the_newest_event() -> None:
    assert opened(hub(3), None) == (["id: 3"], 3, 1, 0)


def test_a_client_that_returns_gets_all_it_missed() -> None:
    assert opened(hub(5), 2) == (["id: 3", "id: 4", "id: 5"], 5, 3, 0)


def test_a_client_that_missed_nothing_gets_nothing_twice() -> None:
    assert opened(hub(5), 5) == ([], 5, 0, 0)


def test_an_id_of_another_start_means_nothing() -> None:
    assert opened(hub(5), 900) == (["id: 5"], 5, 1, 0)


def test_a_client_away_for_too_long_is_told_what_is_gone() -> None:
    lines, seq, sent, missed = opened(hub(HISTORY_MOMENTS_MAX + 10), 3)
    assert lines[:2] == [": missed 7", "id: 11"]
    assert (seq, sent, missed) == (HISTORY_MOMENTS_MAX + 10, HISTORY_MOMENTS_MAX, 7)


def test_what_is_replayed_is_bounded_in_bytes() -> None:
    made = hub(5)
    assert opened(made, 1, resume_bytes=1) == ([": missed 3", "id: 5"], 5, 1, 3)


def test_an_unknown_gpu_is_an_error() -> None:
    with pytest.raises(UnknownGpuError):
        resume(hub(1), FORMAT._replace(shape=Shape(gpu="9")), None, PLENTY)
