import threading
from collections.abc import Iterator

import pytest

from blackbox.model.event import Event
from blackbox.model.sample import Sample
from blackbox.model.status import SourceState
from blackbox.sampling.runner import EVENTS_MAX, STALE_SECONDS_MIN, Runner
from blackbox.sources.isolation.supervisor import SourceFault
from tests.clocks import ManualClock
from tests.waiting import PATIENCE_SECONDS, until

INTERVAL = 0.5
XID = Event(kind="xid", timestamp=1.0, message="fell off the bus", code=79)


class ObedientSource:
    """Answers, fails or blocks as told."""

    name = "obedient"

    def __init__(self, clock: ManualClock) -> None:
        self.clock = clock
        self.state: SourceState = "ok"
        self.events: tuple[Event, ...] = ()
        self.error: Exception | None = None
        self.gate = threading.Event()
        self.gate.set()
        self.entered = threading.Event()
        self.closed_total = 0

    def sample(self) -> Sample:
        self.entered.set()
        self.gate.wait()
        if self.error:
            raise self.error
        return Sample(source=self.name, taken_at=self.clock.now, state=self.state, events=self.events)

    def close(self) -> None:
        self.closed_total += 1


class QuietSource(ObedientSource):
    """Wants no more than a sample in 0.8 s."""

    quiet_seconds = 0.8


@pytest.fixture
def source() -> ObedientSource:
    return ObedientSource(ManualClock())


@pytest.fixture
def runner(source: ObedientSource) -> Iterator[Runner]:
    under_test = Runner(source, interval_seconds=INTERVAL, clock=source.clock)
    yield under_test
    source.gate.set()
    under_test.close(PATIENCE_SECONDS)


def ask(runner: Runner) -> None:
    runner.request()
    until(lambda: not runner.pending)


def test_before_the_first_answer_it_is_starting(runner: Runner) -> None:
    status = runner.status(1000.0)
    assert (status.state, status.age_seconds, status.samples_total) == ("starting", None, 0)
    assert runner.collect() is None


def test_a_source_that_wants_quiet_is_asked_again_when_its_sample_is_old_enough(source: ObedientSource) -> None:
    quiet = QuietSource(source.clock)
    runner = Runner(quiet, interval_seconds=INTERVAL, clock=source.clock)
    ask(runner)
    source.clock.advance(0.5)
    ask(runner)
    assert runner.status(source.clock()).samples_total == 1
    source.clock.advance(0.5)
    ask(runner)
    assert runner.status(source.clock()).samples_total == 2
    quiet.quiet_seconds = 0.0
    ask(runner)
    assert runner.status(source.clock()).samples_total == 3
    runner.close(PATIENCE_SECONDS)


def test_a_source_that_wants_quiet_is_asked_at_once_after_a_fault(source: ObedientSource) -> None:
    quiet = QuietSource(source.clock)
    runner = Runner(quiet, interval_seconds=INTERVAL, clock=source.clock)
    ask(runner)
    source.clock.advance(1.0)
    quiet.error = SourceFault("failed", "a fault")
    ask(runner)
    quiet.error = None
    ask(runner)
    assert runner.status(source.clock()).state == "ok"
    runner.close(PATIENCE_SECONDS)


def test_an_answer_is_kept_and_ages(runner: Runner, source: ObedientSource) -> None:
    ask(runner)
    sample = runner.collect()
    assert sample
    assert sample.taken_at == 1000.0
    assert runner.status(1000.7).age_seconds == pytest.approx(0.7)
    assert runner.status(1000.7).state == "ok"
    assert runner.status(1000.7).samples_total == 1


@pytest.mark.fault(20)
def test_row_20_old_data_are_stale_and_say_their_age(runner: Runner, source: ObedientSource) -> None:
    ask(runner)
    assert runner.status(1000.0 + STALE_SECONDS_MIN).state == "ok"
    status = runner.status(1001.5)
    assert (status.state, status.age_seconds) == ("stale", 1.5)
    assert status.reason == "no answer for 1.5 s"


@pytest.mark.fault(20)
def test_row_20_at_long_intervals_three_of_them_make_it_stale() -> None:
    source = ObedientSource(ManualClock())
    runner = Runner(source, interval_seconds=10, clock=source.clock)
    ask(runner)
    assert runner.status(1025.0).state == "ok"
    assert runner.status(1030.0).state == "stale"
    runner.close(PATIENCE_SECONDS)


@pytest.mark.fault(20)
def test_row_20_a_source_that_never_answered_becomes_stale_too(runner: Runner, source: ObedientSource) -> None:
    source.gate.clear()
    runner.request()
    assert runner.status(1001.0).state == "starting"
    assert runner.status(1002.0).state == "stale"
    assert runner.status(1002.0).age_seconds is None


def test_a_blocked_source_blocks_nobody(runner: Runner, source: ObedientSource) -> None:
    ask(runner)
    source.gate.clear()
    runner.request()
    runner.request()
    assert runner.pending
    assert runner.collect()
    assert runner.status(1000.5).state == "ok"


def test_a_fault_is_shown_at_once_and_gone_with_the_next_answer(runner: Runner, source: ObedientSource) -> None:
    ask(runner)
    source.error = SourceFault("stale", "read on GPU 3 did not return within 1.0 s")
    ask(runner)
    status = runner.status(1000.0)
    assert (status.state, status.reason) == ("stale", "read on GPU 3 did not return within 1.0 s")
    assert status.failures_total == 1
    assert runner.collect()
    source.error = None
    ask(runner)
    assert runner.status(1000.0).state == "ok"


def test_an_exception_is_a_failure_with_its_name(runner: Runner, source: ObedientSource) -> None:
    source.error = ValueError("a bug")
    ask(runner)
    status = runner.status(1000.0)
    assert (status.state, status.reason) == ("failed", "fault in the source: ValueError: a bug")
    assert status.failures_total == 1


def test_only_good_samples_count_for_the_age(runner: Runner, source: ObedientSource) -> None:
    ask(runner)
    source.clock.now = 1005.0
    source.state = "no_driver"
    ask(runner)
    status = runner.status(1005.0)
    assert (status.state, status.age_seconds) == ("no_driver", 5.0)


def test_events_are_handed_out_once(runner: Runner, source: ObedientSource) -> None:
    source.events = (XID,)
    ask(runner)
    first, second = runner.collect(), runner.collect()
    assert first
    assert first.events == (XID,)
    assert second
    assert second.events == ()


def test_events_wait_for_their_collector_within_bounds(runner: Runner, source: ObedientSource) -> None:
    source.events = (XID,) * 400
    for _ in range(3):
        ask(runner)
    sample = runner.collect()
    assert sample
    assert len(sample.events) == EVENTS_MAX


@pytest.mark.fault(3)
def test_row_03_release_closes_the_source_and_forgets_its_data(runner: Runner, source: ObedientSource) -> None:
    ask(runner)
    runner.release("released on request")
    assert runner.collect() is None
    assert runner.status(1000.0).state == "released"
    until(lambda: source.closed_total == 1)
    runner.request()
    assert not runner.pending
    runner.resume()
    until(lambda: runner.collect() is not None)
    assert runner.status(1000.0).state == "ok"


def test_what_arrives_after_a_release_is_dropped(runner: Runner, source: ObedientSource) -> None:
    source.gate.clear()
    runner.request()
    assert source.entered.wait(PATIENCE_SECONDS)
    runner.release("released on request")
    source.gate.set()
    until(lambda: source.closed_total)
    assert runner.collect() is None
    assert runner.status(1000.0).state == "released"


def test_events_outlive_a_release(runner: Runner, source: ObedientSource) -> None:
    source.events = (XID,)
    ask(runner)
    runner.release("released on request")
    assert runner.collect() is None
    source.events = ()
    runner.resume()
    until(lambda: runner.status(1000.0).samples_total == 2)
    sample = runner.collect()
    assert sample
    assert sample.events == (XID,)


def test_close_gives_up_on_a_source_that_blocks(source: ObedientSource, caplog: pytest.LogCaptureFixture) -> None:
    runner = Runner(source, interval_seconds=INTERVAL)
    source.gate.clear()
    runner.request()
    assert source.entered.wait(PATIENCE_SECONDS)
    runner.close(0.05)
    assert "did not close" in caplog.text
    source.gate.set()


def test_every_answer_rings() -> None:
    rung = threading.Event()
    source = ObedientSource(ManualClock())
    runner = Runner(source, interval_seconds=INTERVAL, answered=rung.set, clock=source.clock)
    runner.request()
    assert rung.wait(PATIENCE_SECONDS)
    runner.close(PATIENCE_SECONDS)
