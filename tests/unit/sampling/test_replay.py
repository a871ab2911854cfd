"""A recording in the sampler's place."""

import pytest
from msgspec import structs

from blackbox.merge import merge
from blackbox.model.moment import Moment
from blackbox.sampling.replay import Replay
from tests import incidents
from tests.clocks import ManualClock
from tests.waiting import PATIENCE_SECONDS

FAST = 1e9


def play(moments: tuple[Moment, ...], clock: ManualClock | None = None) -> list[Moment]:
    published: list[Moment] = []
    Replay(moments, published.append, name="x.bbdump", speed=FAST, clock=clock or ManualClock()).run()
    return published


def test_every_moment_is_published_as_it_was() -> None:
    moments = incidents.leak()[:6]
    clock = ManualClock()
    clock.now = 5e6
    published = play(moments, clock)
    assert [moment.timestamp for moment in published] == [moment.timestamp for moment in moments]
    assert [moment.seq for moment in published] == list(range(1, 7))
    for shown, moment in zip(published, moments, strict=True):
        assert shown.taken_at == clock.now
        now, then = merge(shown), merge(moment)
        assert (now.used_bytes, now.processes, now.blocks) == (then.used_bytes, then.processes, then.blocks)
        assert now.age_seconds == then.age_seconds
        assert shown.samples[0].events == moment.samples[0].events


def test_it_says_that_it_is_a_replay() -> None:
    status = play(incidents.leak()[:1])[0].sources[0]
    assert (status.name, status.facts["recording"]) == ("replay", "x.bbdump")


def test_what_was_read_from_a_file_is_as_old_as_its_moment() -> None:
    (moment,) = incidents.leak()[:1]
    read = structs.replace(moment, sources=(structs.replace(moment.sources[0], state="ok", age_seconds=None),))
    assert play((read,))[0].sources[1].age_seconds == 0.0


def test_it_stops_between_moments_when_told() -> None:
    moments = incidents.leak()[:50]
    published: list[Moment] = []

    def publish(moment: Moment) -> None:
        published.append(moment)
        replay._stopping.set()

    replay = Replay(moments, publish, name="x", speed=1.0, clock=ManualClock())
    replay.run()
    assert len(published) == 1


def test_a_subscriber_that_fails_ends_the_replay_and_not_the_server() -> None:
    def publish(_: Moment) -> None:
        raise RuntimeError("fault in a subscriber")

    replay = Replay(incidents.leak()[:2], publish, name="x", speed=FAST)
    replay.start()
    replay.close(5)


def test_what_went_by_too_fast_to_follow_is_played_slower() -> None:
    first = incidents.leak()[0]
    moments = [structs.replace(first, timestamp=first.timestamp + place * 1e-6) for place in range(4)]
    due: list[float] = []
    replay = Replay(moments, lambda _: None, name="x", speed=10.0, gap_seconds_min=0.5, clock=ManualClock())
    replay._stopping.wait = due.append  # type: ignore[method-assign, assignment]
    replay.run()
    assert due == pytest.approx([0.0, 0.05, 0.1, 0.15])


def test_it_waits_until_what_was_played_has_been_recorded() -> None:
    published: list[Moment] = []
    asked: list[int] = []

    def ready() -> bool:
        asked.append(len(published))
        return asked.count(len(published)) > 2

    Replay(incidents.leak()[:2], published.append, name="x", speed=FAST, ready=ready).run()
    assert asked == [0, 0, 0, 1, 1, 1]


def test_it_stops_while_it_waits_for_room() -> None:
    published: list[Moment] = []
    replay = Replay(incidents.leak()[:2], published.append, name="x", speed=FAST, ready=lambda: False)
    replay.start()
    replay.close(PATIENCE_SECONDS)
    assert published == []
