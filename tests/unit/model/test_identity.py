"""Same process or another one: by ticks where both sides know them, else by start times of possibly two boot times."""

from hypothesis import given
from hypothesis import strategies as st

from blackbox.model.identity import (
    BOOT_SECONDS_APART_MAX,
    TICKS_PER_SECOND,
    ProcessIdentity,
    StartTimes,
    same_process,
    same_start,
)

BOOT = 1_700_000_000.0
ticks = st.integers(0, 10**9)
boot_shifts = st.integers(-BOOT_SECONDS_APART_MAX, BOOT_SECONDS_APART_MAX)
identities = st.builds(
    ProcessIdentity,
    st.integers(1, 3),
    st.none() | st.integers(0, 3),
    st.none() | st.sampled_from([BOOT, BOOT + 0.5, BOOT + 1, BOOT + 100]),
)


def started(start_ticks: int, boot: float = BOOT) -> float:
    """As `/proc` is read: the time of boot in whole seconds, and the ticks since."""
    return boot + start_ticks / TICKS_PER_SECOND


@given(ticks, boot_shifts)
def test_one_process_read_with_two_times_of_boot_is_the_same(start: int, shift: int) -> None:
    assert same_start(started(start), started(start, BOOT + shift)) is True


@given(ticks, ticks, boot_shifts)
def test_start_times_agree_with_the_ticks_but_for_whole_seconds_that_boot_may_have_moved(
    one: int, other: int, shift: int
) -> None:
    told = same_start(started(one), started(other, BOOT + shift))
    apart = abs(one - other - shift * TICKS_PER_SECOND)
    possible = apart % TICKS_PER_SECOND == 0 and apart <= BOOT_SECONDS_APART_MAX * TICKS_PER_SECOND
    assert told is possible
    if one == other:
        assert told


@given(ticks, st.integers(1, TICKS_PER_SECOND - 1), boot_shifts)
def test_another_process_within_the_same_seconds_is_told_apart(start: int, later: int, shift: int) -> None:
    assert same_start(started(start), started(start + later, BOOT + shift)) is False


@given(identities, identities)
def test_the_answer_is_the_same_from_both_sides_and_never_about_two_pids(
    one: ProcessIdentity, other: ProcessIdentity
) -> None:
    assert same_process(one, other) == same_process(other, one)
    if one.pid != other.pid:
        assert same_process(one, other) is False


@given(identities, identities)
def test_ticks_outrank_start_times_and_without_either_nobody_can_tell(
    one: ProcessIdentity, other: ProcessIdentity
) -> None:
    other = other._replace(pid=one.pid)
    told = same_process(one, other)
    if None not in (one.start_ticks, other.start_ticks):
        assert told is (one.start_ticks == other.start_ticks)
    elif None in (one.start_time, other.start_time):
        assert told is None
    else:
        assert told is same_start(one.start_time, other.start_time)


@given(st.lists(st.tuples(st.integers(0, 2), boot_shifts.filter(lambda shift: shift >= 0)), min_size=1))
def test_all_readings_of_a_process_stand_for_the_first(readings: list[tuple[int, int]]) -> None:
    starts = StartTimes()
    first: dict[int, float] = {}
    for process, shift in readings:
        start_time = started(process * 7 + 1, BOOT + shift)
        first.setdefault(process, start_time)
        assert starts.first("GPU-0", start_time) == first[process]
    assert starts.first("GPU-0", None) is None
    assert starts.first("GPU-1", BOOT) == BOOT
