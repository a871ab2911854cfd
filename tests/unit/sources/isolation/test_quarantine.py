from hypothesis import given
from hypothesis import strategies as st

from blackbox.sources.isolation.breadcrumbs import Call
from blackbox.sources.isolation.quarantine import CALLS_MAX, WAIT_SECONDS_MAX, WAIT_SECONDS_MIN, WAIT_SHARE, Quarantine
from tests.clocks import ManualClock

CULPRIT = Call("nvmlDeviceGetMemoryInfo_v2", 3)


def test_a_culprit_is_left_out_with_its_reason() -> None:
    quarantine = Quarantine(ManualClock())
    quarantine.add(CULPRIT, "it hung")
    assert quarantine.active() == {CULPRIT: "it hung"}


def test_a_culprit_is_tried_again_after_a_wait() -> None:
    clock = ManualClock()
    quarantine = Quarantine(clock)
    quarantine.add(CULPRIT, "it hung")
    clock.now += WAIT_SECONDS_MIN
    assert quarantine.active() == {}
    assert quarantine.on_trial(CULPRIT)
    assert not quarantine.on_trial(Call("nvmlDeviceGetMemoryInfo_v2", 4))


def test_a_call_that_behaved_long_enough_is_forgotten() -> None:
    clock = ManualClock()
    quarantine = Quarantine(clock)
    quarantine.add(CULPRIT, "it hung")
    clock.now += WAIT_SECONDS_MIN + WAIT_SECONDS_MAX + 1
    quarantine.active()
    assert not quarantine.on_trial(CULPRIT)


@given(fault_seconds=st.floats(0.1, 3600))
def test_being_out_ends_soon_after_the_fault(fault_seconds: float) -> None:
    clock = ManualClock()
    quarantine = Quarantine(clock)
    began = clock.now
    while clock.now < began + fault_seconds:
        quarantine.add(CULPRIT, "it hung")
        while quarantine.active():
            clock.now += 0.5
    out_after_the_end = clock.now - (began + fault_seconds)
    assert out_after_the_end <= min(WAIT_SECONDS_MAX, max(WAIT_SECONDS_MIN, WAIT_SHARE * fault_seconds)) + 0.5


def test_a_long_fault_is_tried_rarely() -> None:
    clock = ManualClock()
    quarantine = Quarantine(clock)
    tries = 0
    while clock.now < 1600.0:
        quarantine.add(CULPRIT, "it hung")
        tries += 1
        while quarantine.active():
            clock.now += 0.5
    assert tries <= 30


def test_the_list_is_bounded() -> None:
    quarantine = Quarantine(ManualClock())
    for device in range(CALLS_MAX + 10):
        quarantine.add(Call("read", device), "it hung")
    assert len(quarantine.active()) == CALLS_MAX
