"""What lies ahead, out of a recording."""

from pathlib import Path

from msgspec import structs

from blackbox.merge import merge
from blackbox.model.moment import Moment
from blackbox.recorder.query.outlook import forecast_of
from blackbox.recorder.query.recording import Recording
from tests.moments import SERVER, device, engine, moment, process, sample
from tests.recorded_moments import HOUR, store_at

START = 1_799_996_400.0
"""The start of an hour."""
HOURS = 167


def serving(timestamp: float, ratio: float) -> Moment:
    """An engine that uses so much of its KV cache."""
    engines = (structs.replace(engine(), kv_usage_ratio=ratio),)
    seq = round(timestamp - START) + 1
    return moment(sample((device(),), (process(SERVER),), engines=engines), seq=seq, timestamp=timestamp)


def test_a_kv_cache_that_has_just_been_full_gets_no_advice(tmp_path: Path) -> None:
    """Also of whoever has asked within the same hour, for whom what is known of the week is kept."""
    recording, now = Recording(tmp_path), START + HOURS * HOUR
    with store_at(tmp_path) as store:
        for number in range(HOURS + 1):
            store.append(serving(START + number * HOUR, 0.2))
        calm = serving(now + 60, 0.2)
        store.append(calm)
        (advice,) = forecast_of(recording, merge(calm), now + 60).advice
        assert advice.used_ratio_max == 0.2
        for full in (serving(now + 120, 0.9), serving(now + 122, 0.2)):
            store.append(full)
        assert forecast_of(recording, merge(calm), now + 180).advice == ()
