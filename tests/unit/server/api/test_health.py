"""Health follows the age of the data."""

import pytest

from blackbox.model.status import SourceState
from blackbox.server.api.health import judge
from tests.moments import NOW, moment, status


def test_nothing_is_healthy_before_the_first_sample() -> None:
    assert judge(None, NOW, None).status == "starting"


def test_fresh_data_is_healthy() -> None:
    assert judge(moment(sources=(status(age_seconds=0.1), status(name="b"))), NOW, None).status == "ok"


@pytest.mark.fault(20)
def test_row_20_data_that_grows_old_is_not_healthy_although_the_source_said_ok() -> None:
    made = moment(sources=(status(age_seconds=0.5),), stale_after_seconds=1.5)
    assert judge(made, NOW + 1.0, None).status == "ok"
    health = judge(made, NOW + 1.1, None)
    assert health.status == "stale"
    assert health.sources[0].state == "stale"
    assert health.sources[0].age_seconds == 1.6
    assert health.sources[0].reason == "last good sample 1.6 s ago"


@pytest.mark.parametrize("state", ["starting", "degraded", "stale", "failed", "no_driver", "released"])
def test_one_source_that_is_not_ok_is_enough(state: SourceState) -> None:
    made = moment(sources=(status(), status(name="b", state=state, reason="because")))
    health = judge(made, NOW, None)
    assert health.status == "stale"
    assert [source.state for source in health.sources] == ["ok", state]
    assert health.sources[1].reason == "because"


def test_a_source_without_a_good_sample_is_not_fresh() -> None:
    assert judge(moment(sources=(status(age_seconds=None),)), NOW, None).sources[0].state == "stale"


def test_without_sources_nothing_is_fresh() -> None:
    assert judge(moment(sources=()), NOW, None).status == "stale"
