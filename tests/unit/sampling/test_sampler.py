"""The sampler on a clock that only moves when somebody waits."""

import heapq
import itertools
import logging
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from blackbox.model.event import Event
from blackbox.model.moment import Moment
from blackbox.model.sample import Sample
from blackbox.model.status import SourceState, SourceStatus
from blackbox.sampling.sampler import GRACE_SECONDS_MAX, START_SECONDS_MAX, IdleRelease, Sampler, WakeEvent, next_tick
from tests.waiting import PATIENCE_SECONDS

INTERVAL = 0.5


class World(WakeEvent):
    """A clock, and the bell that moves it: to the end of the wait, or to the next thing that happens before."""

    def __init__(self) -> None:
        self.now = 1000.0
        self._coming: list[tuple[float, int, Callable[[], None]]] = []

    def clock(self) -> float:
        return self.now

    def after(self, seconds: float, act: Callable[[], None]) -> None:
        heapq.heappush(self._coming, (self.now + seconds, len(self._coming), act))

    def set(self) -> None:
        pass

    def wait(self, seconds: float) -> None:
        until = self.now + seconds
        if not self._coming or self._coming[0][0] > until:
            self.now = until
            return
        self.now, _, act = heapq.heappop(self._coming)
        act()


class FakeRunner:
    """Answers a request after `delay` seconds, or never when that is None."""

    def __init__(self, world: World, name: str = "fake", delay: float | None = 0.005) -> None:
        self.name = name
        self.delay = delay
        self.pending = False
        self.state: SourceState = "ok"
        self.events: tuple[Event, ...] = ()
        self.requests: list[float] = []
        self.released: str | None = None
        self.closed = False
        self._world = world
        self._newest: Sample | None = None

    def request(self) -> None:
        if self.released:
            return
        self.requests.append(self._world.now)
        self.pending = True
        if self.delay is not None:
            self._world.after(self.delay, self._answer)

    def _answer(self) -> None:
        self.pending = False
        self._newest = Sample(source=self.name, taken_at=self._world.now)

    def collect(self) -> Sample | None:
        sample = self._newest
        if sample and self.events:
            sample = Sample(source=self.name, taken_at=sample.taken_at, events=self.events)
            self.events = ()
        return sample

    def status(self, now: float) -> SourceStatus:
        return SourceStatus(
            name=self.name,
            state="released" if self.released else self.state,
            reason=self.released,
            age_seconds=now - self._newest.taken_at if self._newest else None,
            duration_seconds=None,
            samples_total=0,
            failures_total=0,
            restarts_total=0,
            cost={},
            facts={},
        )

    def release(self, reason: str) -> None:
        self.released = reason
        self._newest = None

    def resume(self) -> None:
        self.released = None

    def close(self, seconds: float) -> None:
        self.closed = True


class Scene:
    """A sampler with fake runners that stops itself after so many moments."""

    def __init__(self, *delays: float | None, idle_seconds: float | None = None) -> None:
        self.world = World()
        self.runners = [FakeRunner(self.world, f"fake{n}", delay) for n, delay in enumerate(delays or (0.005,))]
        self.moments: list[Moment] = []
        self.published_at: list[float] = []
        self.wall_offset = 1_700_000_000.0
        self.last_asked_at = self.world.now
        self.on_publish: dict[int, Callable[[], None]] = {}
        self.arriving: dict[int, list[FakeRunner]] = {}
        """Number of the moment before -> runners that come then."""
        self._last = 0
        self.sampler = Sampler(
            self.runners,
            self._publish,
            interval_seconds=INTERVAL,
            host="here",
            wake_event=self.world,
            idle_release=None if idle_seconds is None else IdleRelease(idle_seconds, lambda: self.last_asked_at),
            clock=self.world.clock,
            wall=lambda: self.world.now + self.wall_offset,
            arrivals=self._arrived,
        )

    def run(self, moments: int) -> list[Moment]:
        self._last = moments
        self.sampler.run()
        return self.moments

    def _arrived(self) -> list[FakeRunner]:
        return self.arriving.pop(len(self.moments), [])

    def gaps(self) -> list[float]:
        return [later - earlier for earlier, later in itertools.pairwise(self.published_at)]

    def _publish(self, moment: Moment) -> None:
        self.moments.append(moment)
        self.published_at.append(self.world.now)
        if act := self.on_publish.get(moment.seq):
            act()
        if moment.seq >= self._last:
            self.sampler.close(PATIENCE_SECONDS)


def messages(moments: list[Moment]) -> list[str]:
    return [event.message for moment in moments for sample in moment.samples for event in sample.events]


def test_every_moment_has_the_next_number_and_the_newest_samples() -> None:
    moments = Scene(0.005, 0.01).run(4)
    assert [moment.seq for moment in moments] == [1, 2, 3, 4]
    for moment in moments:
        assert [sample.source for sample in moment.samples] == ["fake0", "fake1"]
        assert all(moment.taken_at - sample.taken_at <= GRACE_SECONDS_MAX for sample in moment.samples)
        assert moment.host == "here"


def test_the_first_moment_comes_with_the_first_samples() -> None:
    scene = Scene(0.12)
    moments = scene.run(1)
    assert moments[0].samples
    assert moments[0].taken_at == pytest.approx(1000.12)


def test_without_any_answer_the_first_moment_comes_empty_but_soon() -> None:
    scene = Scene(None)
    moments = scene.run(1)
    assert moments[0].samples == ()
    assert moments[0].sources[0].name == "fake0"
    assert moments[0].taken_at == pytest.approx(1000 + START_SECONDS_MAX)


def test_the_cadence_does_not_drift() -> None:
    scene = Scene(0.03)
    scene.run(1000)
    assert scene.published_at[-1] - scene.published_at[1] == pytest.approx(998 * INTERVAL)


def test_after_a_stall_there_is_no_burst() -> None:
    scene = Scene()

    def stall() -> None:
        scene.world.now += 7.3

    scene.on_publish[3] = stall
    scene.run(6)
    before, during, *after = scene.gaps()[1:]
    assert before == pytest.approx(INTERVAL)
    assert during == pytest.approx(7.5)
    assert after == pytest.approx([INTERVAL] * len(after))


@given(due=st.floats(0, 1e6), late=st.floats(-10, 1e4), interval=st.floats(0.1, 60))
def test_the_next_tick_is_on_the_grid_and_ahead(due: float, late: float, interval: float) -> None:
    now = due + late
    tick = next_tick(due, now, interval)
    steps = (tick - due) / interval
    assert steps == pytest.approx(round(steps), abs=1e-4)
    assert round(steps) >= 1
    assert tick > now - 1e-6
    assert tick - max(now, due) <= interval + 1e-6


@pytest.mark.fault(19)
@pytest.mark.parametrize("jump", [-3600.0, 172_800.0])
def test_row_19_cadence_holds_when_the_wall_clock_jumps(jump: float) -> None:
    scene = Scene()

    def jump_now() -> None:
        scene.wall_offset += jump

    scene.on_publish[5] = jump_now
    moments = scene.run(10)
    assert scene.gaps()[1:] == pytest.approx([INTERVAL] * 8)
    assert moments[5].timestamp - moments[4].timestamp == pytest.approx(jump + INTERVAL)
    assert [moment.seq for moment in moments] == list(range(1, 11))


def test_a_silent_source_delays_one_moment_by_the_grace_and_no_other() -> None:
    scene = Scene(0.005, 0.005)

    def fall_silent() -> None:
        scene.runners[1].delay = None

    scene.on_publish[3] = fall_silent
    scene.run(8)
    late = [published - (scene.published_at[2] - 0.005) for published in scene.published_at[2:]]
    assert late[1] % INTERVAL == pytest.approx(GRACE_SECONDS_MAX)
    assert [lateness % INTERVAL for lateness in late[2:]] == pytest.approx([0.005] * 4)


def test_a_silent_source_is_shown_as_it_was_beside_fresh_others() -> None:
    scene = Scene(0.005, 0.005)

    def fall_silent() -> None:
        scene.runners[1].delay = None

    scene.on_publish[2] = fall_silent
    last = scene.run(8)[-1]
    fresh, old = last.samples
    assert last.taken_at - fresh.taken_at <= GRACE_SECONDS_MAX
    assert last.taken_at - old.taken_at == pytest.approx(6 * INTERVAL, abs=GRACE_SECONDS_MAX)
    assert last.sources[1].age_seconds == pytest.approx(last.taken_at - old.taken_at)


def test_a_busy_source_is_not_asked_again() -> None:
    scene = Scene(1.2)
    scene.run(7)
    requests = scene.runners[0].requests
    assert all(later - earlier >= 1.2 for earlier, later in itertools.pairwise(requests))


def test_an_event_is_published_once() -> None:
    scene = Scene()
    xid = Event(kind="xid", timestamp=1.0, message="fell off the bus", code=79)

    def happen() -> None:
        scene.runners[0].events = (xid,)
        scene.runners[0].delay = None

    scene.on_publish[2] = happen
    moments = scene.run(6)
    assert messages(moments) == ["fell off the bus"]
    assert moments[2].samples[0].events == (xid,)


def test_the_last_xid_of_each_gpu_stays_in_every_moment() -> None:
    scene = Scene()

    def happen(gpu_uuid: str, code: int) -> None:
        scene.runners[0].events = (
            Event(kind="xid", timestamp=float(code), message="trouble", gpu_uuid=gpu_uuid, code=code),
        )

    scene.on_publish[1] = lambda: happen("GPU-a", 13)
    scene.on_publish[2] = lambda: happen("GPU-b", 31)
    scene.on_publish[3] = lambda: happen("GPU-a", 79)
    moments = scene.run(5)
    assert [{uuid: xid.code for uuid, xid in moment.xids.items()} for moment in moments] == [
        {},
        {"GPU-a": 13},
        {"GPU-a": 13, "GPU-b": 31},
        {"GPU-a": 79, "GPU-b": 31},
        {"GPU-a": 79, "GPU-b": 31},
    ]


def test_losing_a_source_and_its_return_are_one_event_each(caplog: pytest.LogCaptureFixture) -> None:
    scene = Scene()
    scene.on_publish[2] = lambda: setattr(scene.runners[0], "state", "stale")
    scene.on_publish[4] = lambda: setattr(scene.runners[0], "state", "failed")
    scene.on_publish[6] = lambda: setattr(scene.runners[0], "state", "ok")
    with caplog.at_level(logging.INFO):
        moments = scene.run(9)
    assert messages(moments) == ["fake0 is stale: None", "fake0 is back"]
    assert [record.getMessage() for record in caplog.records if "->" in record.getMessage()] == [
        "fake0: starting -> ok",
        "fake0: ok -> stale",
        "fake0: stale -> failed",
        "fake0: failed -> ok",
    ]


def test_a_source_that_never_was_there_is_not_lost() -> None:
    scene = Scene()
    scene.runners[0].state = "no_driver"
    assert messages(scene.run(3)) == []


def test_a_moment_that_cannot_be_published_does_not_end_the_sampling(caplog: pytest.LogCaptureFixture) -> None:
    scene = Scene()

    def fail() -> None:
        raise RuntimeError("no room")

    scene.on_publish[2] = fail
    assert [moment.seq for moment in scene.run(4)] == [1, 2, 3, 4]
    assert "moment 2 was not published" in caplog.text


@pytest.mark.fault(3)
def test_row_03_release_lets_go_until_resume() -> None:
    scene = Scene(0.005, 0.005)
    scene.on_publish[2] = scene.sampler.release
    scene.on_publish[5] = scene.sampler.resume
    moments = scene.run(7)
    states = [moment.sources[0].state for moment in moments]
    assert states == ["ok", "ok", "released", "released", "released", "ok", "ok"]
    assert moments[3].samples == ()
    assert messages(moments) == []


@pytest.mark.fault(3)
def test_row_03_idle_mode_lets_go_when_nobody_asks_and_comes_back_when_somebody_does() -> None:
    scene = Scene(idle_seconds=2.2)

    def ask() -> None:
        scene.last_asked_at = scene.world.now

    scene.on_publish[10] = ask
    moments = scene.run(12)
    released = [moment.seq for moment in moments if moment.sources[0].state == "released"]
    assert released == [6, 7, 8, 9, 10]
    assert moments[7].sources[0].reason == "nobody asked for 2.2 s"
    assert moments[10].samples


def test_a_question_does_not_undo_a_release_on_request() -> None:
    scene = Scene(idle_seconds=2.2)
    scene.on_publish[1] = scene.sampler.release

    def ask() -> None:
        scene.last_asked_at = scene.world.now

    scene.on_publish[3] = ask
    assert scene.run(6)[-1].sources[0].state == "released"


def test_close_closes_every_source() -> None:
    scene = Scene(0.005, None)
    scene.run(2)
    assert all(runner.closed for runner in scene.runners)


def test_a_source_that_comes_later_is_sampled_from_then_on() -> None:
    scene = Scene(0.005)
    late = FakeRunner(scene.world, "late")
    scene.arriving[2] = [late]
    moments = scene.run(4)
    assert [[sample.source for sample in moment.samples] for moment in moments] == [
        ["fake0"], ["fake0"], ["fake0", "late"], ["fake0", "late"],
    ]  # fmt: skip
    assert [status.name for status in moments[-1].sources] == ["fake0", "late"]


def test_while_the_sources_are_released_none_comes() -> None:
    scene = Scene(0.005)
    late = FakeRunner(scene.world, "late")
    scene.on_publish[1] = scene.sampler.release
    scene.arriving[1] = [late]
    scene.run(4)
    assert scene.arriving == {1: [late]}
    assert late.requests == []


def test_a_look_for_sources_that_fails_costs_no_moment(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fault() -> list[FakeRunner]:
        raise RuntimeError("can't start new thread")

    scene = Scene(0.005)
    monkeypatch.setattr(scene.sampler, "_arrivals", fault)
    assert len(scene.run(3)) == 3
    assert "can't start new thread" in caplog.text
