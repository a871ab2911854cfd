"""What the agent takes from its program: a share of CPU time, pieces of the interpreter, no garbage collections.

Costly work comes at intervals of cost / share, cheap work at every tick.
"""

import gc
from collections.abc import Iterator

import pytest

from blackbox.agent.overhead import (
    PAUSED_THRESHOLD,
    WORK_SECONDS,
    YIELD_SECONDS,
    CpuBudget,
    GilYielder,
    gc_paused,
    restore_gc,
)

SHARE, TICK = 0.01, 0.5
PROGRAMS = (500, 7, 3)
"""Thresholds of the collector that the program has chosen."""


@pytest.fixture
def thresholds() -> Iterator[None]:
    """Those of the test's own process, restored afterwards."""
    before = gc.get_threshold()
    gc.set_threshold(*PROGRAMS)
    yield
    gc.set_threshold(*before)


def test_work_within_a_ticks_share_is_always_affordable() -> None:
    budget = CpuBudget(SHARE, TICK, now=0.0)
    for tick in range(1, 100):
        assert budget.affords(0.004, tick * TICK)
        budget.spend(0.004)


def test_work_above_it_waits_until_time_has_paid_for_it() -> None:
    budget = CpuBudget(SHARE, TICK, now=0.0)
    assert budget.affords(0.0, 0.0)
    budget.spend(0.04)
    assert not budget.affords(0.04, 3.9)
    assert budget.affords(0.04, 4.1)


def test_idle_time_is_not_saved_up() -> None:
    budget = CpuBudget(SHARE, TICK, now=0.0)
    assert budget.affords(0.04, 1_000_000.0)
    budget.spend(0.04)
    assert not budget.affords(0.04, 1_000_001.0)


def test_a_long_run_of_costly_work_keeps_to_the_share() -> None:
    budget, now = CpuBudget(SHARE, TICK, now=0.0), 0.0
    while now < 1000:
        if budget.affords(0.05, now):
            budget.spend(0.05)
        now += TICK
    assert 0.8 * SHARE < budget.spent_seconds / now <= SHARE * 1.01


def test_a_clock_that_steps_back_pays_for_nothing() -> None:
    budget = CpuBudget(SHARE, TICK, now=100.0)
    budget.spend(1.0)
    assert not budget.affords(0.5, 0.0)
    assert budget.interval(0.02) == 2.0


class Thread:
    """With a clock of its own, which stands still while it yields."""

    def __init__(self) -> None:
        self.worked_seconds = 0.0
        self.yields: list[float] = []
        self.gil = GilYielder(self.yields.append, lambda: self.worked_seconds)

    def work(self, seconds: float) -> None:
        self.worked_seconds += seconds
        self.gil.yield_gil()


def test_long_work_yields_after_every_piece() -> None:
    thread = Thread()
    for _ in range(100):
        thread.work(WORK_SECONDS * 1.01)
    assert thread.yields == [YIELD_SECONDS] * 100


def test_pieces_that_are_short_are_done_in_one_go() -> None:
    thread = Thread()
    for _ in range(100):
        thread.work(WORK_SECONDS / 10)
    assert 8 <= len(thread.yields) <= 10


def collections() -> int:
    return sum(generation["collections"] for generation in gc.get_stats())


@pytest.mark.usefixtures("thresholds")
def test_many_objects_set_off_no_collection_and_leave_none_behind() -> None:
    gc.collect()
    with gc_paused():
        before = collections()
        made = [[] for _ in range(50_000)]
        assert collections() == before
        del made
    assert gc.get_threshold() == PROGRAMS
    assert gc.get_count()[0] < 1_000


@pytest.mark.usefixtures("thresholds")
def test_without_it_they_would() -> None:
    before = collections()
    made = [[] for _ in range(50_000)]
    assert collections() > before
    del made


@pytest.mark.usefixtures("thresholds")
def test_an_exception_restores_it() -> None:
    with pytest.raises(ZeroDivisionError), gc_paused():
        raise ZeroDivisionError
    assert gc.get_threshold() == PROGRAMS


@pytest.mark.usefixtures("thresholds")
def test_what_the_program_sets_meanwhile_stands() -> None:
    with gc_paused():
        gc.set_threshold(111, 1, 1)
    assert gc.get_threshold() == (111, 1, 1)


@pytest.mark.usefixtures("thresholds")
def test_a_program_that_has_it_switched_off_is_left_alone() -> None:
    gc.set_threshold(0, 7, 3)
    with gc_paused():
        assert gc.get_threshold()[0] == 0
    gc.disable()
    try:
        with gc_paused():
            pass
        assert not gc.isenabled()
    finally:
        gc.enable()


@pytest.mark.usefixtures("thresholds")
def test_what_the_program_saved_of_ours_and_sets_again_is_undone_at_the_next_time() -> None:
    with gc_paused():
        saved = gc.get_threshold()
    gc.set_threshold(*saved)
    assert gc.get_threshold()[0] == PAUSED_THRESHOLD
    with gc_paused():
        pass
    assert gc.get_threshold() == PROGRAMS


@pytest.mark.usefixtures("thresholds")
def test_a_child_that_was_forked_meanwhile_restores_it() -> None:
    with gc_paused():
        assert gc.get_threshold()[0] == PAUSED_THRESHOLD
        restore_gc()
        assert gc.get_threshold() == PROGRAMS
